//! Wrong configurations, and what is said about them.

mod budgets;
mod limits;
mod places;
mod policies;
mod windows;

use std::fs;
use std::path::{Path, PathBuf};

use skype_ips::policy::{self, Config, Problem, Problems, Severity};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn load(folder: &TempDir, names: &[&str]) -> Result<Config, Problems> {
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
    policy::load(&paths)
}

fn parse(text: &str) -> Result<Config, Problems> {
    policy::parse(Path::new("test.toml"), text)
}

/// What is wrong with `text`, all of it.
fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(config) => config.warnings.list().to_vec(),
        Err(problems) => problems.list().to_vec(),
    }
}

/// The only problem of `text`.
fn only_problem(text: &str) -> Problem {
    let mut problems = problems(text);
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    problems.remove(0)
}

/// A file with a policy, and `line` as the gateway's line 2.
fn with_gateway_line(line: &str) -> String {
    format!("version = 1\n{line}\n[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n")
}

/// A wrong line, the column at fault, part of the message, part of the remedy.
type Mistake = (&'static str, u32, &'static str, &'static str);

/// Of line 2 of a gateway's file.
#[rustfmt::skip] // one mistake a line
const GATEWAY_MISTAKES: &[Mistake] = &[
    ("mode = \"enfroce\"", 8, "`enfroce` is no value of `mode`", "\"enforce\""),
    ("mode = \"off\"", 8, "no value", "write \"monitor\" or \"enforce\""),
    ("mode = 1", 8, "not an integer", "mode = \"monitor\""),
    ("mode = enforce", 8, "not TOML", "double quotes"),
    ("mode = ", 8, "not TOML", "double quotes"),
    ("mode \"enforce\"", 6, "not TOML", "key = value"),
    ("mode = \"monitor\"\r\nmode = \"enforce\"", 1, "duplicate", "once"),
    ("moed = \"enforce\"", 1, "unknown key `moed`", "`mode`"),
    ("colour = \"blue\"", 1, "unknown key `colour`", "the keys of the file itself are `version`"),
    ("subnets = []", 1, "unknown key `subnets`", "belongs in `[[policy]]`"),
    ("detection = {}", 1, "doesn't enforce it yet", "remove it"),
    ("host-timeout = \"59 s\"", 16, "too short", "at least \"1 min\""),
    ("host-timeout = \"2 days\"", 16, "`days` for a unit", "ms, s, min, h"),
    ("host-timeout = \"25 h\"", 16, "too much", "\"24 h\""),
    ("host-timeout = 60", 16, "a string", "host-timeout = \"30 min\""),
    ("host-prefix-v6 = 56", 18, "can't be a prefix of 56 bits", "write 128"),
    ("host-prefix-v6 = -1", 18, "out of range", "write a number"),
    ("host-prefix-v6 = \"64\"", 18, "a whole number", "host-prefix-v6 = 64"),
    ("timezone = \"Europe/Berln\"", 12, "no time zone `Europe/Berln`", "\"Europe/Berlin\""),
    ("timezone = \"Berlin\"", 12, "no time zone `Berlin`", "\"Europe/Berlin\""),
    ("timezone = \"Middle-earth\"", 12, "no time zone", "timezone = \"Europe/Berlin\""),
    ("timezone = 1", 12, "a string", "timezone = \"Europe/Berlin\""),
    ("exempt = [\"10.0.0.0/8\"]", 11, "policy `a` is for 10.0.0.0/8, which is exempt", "remove one"),
    ("exempt = [\"0.0.0.0/0\"]", 11, "all hosts of policy `a` are exempt", "fewer hosts"),
    ("exempt = [\"@lab\"]", 11, "no group `lab`", "[groups]"),
    ("exempt = \"10.1.2.3\"", 10, "a list", "exempt = ["),
    ("management = [\"10.0.0.0/24\"]", 15, "no address", "single addresses"),
    ("hook = \"ebpf\"", 8, "`ebpf` is no value", "\"xdp-generic\""),
    ("conntrack = true", 13, "not a boolean", "conntrack = \"auto\""),
    ("public-addresses = \"1.2.3.4\"", 20, "a list", "[\"203.0.113.7\"]"),
    ("public-addresses = [\"10.0.0.0/8\"]", 21, "no address", "single addresses"),
    ("include = [\"\"]", 12, "names no file", "pattern"),
    ("include = [\"*/a.toml\"]", 12, "`*` stands for folders", "file's name"),
    ("include = [\"absent/*.toml\"]", 12, "no file matches", "make the folder"),
    ("include = [\"absent.toml\"]", 12, "can't be read", "file that is there"),
    ("queues = 4", 10, "must be a table", "[queues]"),
    ("queues = { count = 3 }", 20, "3 queues", "1, 2, 4 or 8"),
    ("queues = { count = 9 }", 20, "out of range", "1 to 8"),
    ("queues = { count = \"2\" }", 20, "not a string", "count = 4"),
    ("queues = { first = -1 }", 20, "out of range", "0 to 65535"),
    ("queues = { first = 65533 }", 20, "number 65536", "at most 65532"),
    ("queues = { length = 0 }", 21, "out of range", "1 to 1048576"),
    ("queues = { length = 99999999999999999999 }", 21, "out of range", "1 to 1048576"),
    ("queues = { lenght = 1 }", 12, "unknown key `lenght`", "`length`"),
    ("marks = { mask = 0x55 }", 18, "0x00000055 isn't four adjacent", "0xf0000000"),
    ("marks = { mask = 0x100000000 }", 18, "out of range", "4294967295"),
    ("marks = { mask = 0xf00 }", 18, "mwan3", "leave alone"),
    ("marks = { mask = 0x00f00000 }", 18, "Tailscale", "leave alone"),
    ("failure = { queue-full = \"closed\" }", 26, "one switch for both", "the same"),
    ("failure = { daemon_down = \"open\" }", 13, "unknown key", "`daemon-down`"),
    ("failure = { daemon-down = \"close\" }", 27, "no value", "\"closed\""),
    ("interface = { name = \"eth0\" }", 13, "two brackets", "[[interface]]"),
    ("interface = [{ side = \"inside\" }]", 14, "no name", "name = "),
    ("interface = [{ name = \"eth0\" }]", 14, "which way", "side = "),
    ("interface = [{ name = \"a/b\", side = \"inside\" }]", 23, "can't be the name", "ip link"),
    ("interface = [{ name = \"e\", side = \"in\" }]", 35, "no value", "\"inside\" or \"outside\""),
    ("interface = [{ name = \"e\", side = \"inside\", zone = 70000 }]", 52, "range", "65535"),
    ("groups = { lab = [\"@other\"] }", 19, "another group", "several groups"),
    ("groups = { Lab = [] }", 12, "can't be the name", "small letters"),
    ("groups = { lab = \"10.0.0.0/8\" }", 18, "a list", "office = ["),
    ("groups = { lab = [\"10.0.0.1/8\"] }", 19, "bits set behind", "\"10.0.0.0/8\""),
];

/// Holds that `mistake` is all that is wrong with `text`, and is shown in line `number`.
fn assert_says(text: &str, number: u32, mistake: &Mistake) {
    let (_, column, message, help) = *mistake;
    let problem = only_problem(text);
    let place = &problem.at.place;
    let found = (place.line, place.column);
    assert_eq!(found, (number, column), "{problem:#?}");
    assert!(problem.message.contains(message), "{problem:#?}");
    assert!(problem.help.contains(help), "{problem:#?}");
    let line = text.lines().nth(number as usize - 1);
    assert_eq!(Some(&*problem.at.text), line);
}

#[test]
fn each_mistake_is_shown_where_it_is_with_its_remedy() {
    for mistake in GATEWAY_MISTAKES {
        let number = 2 + mistake.0.matches('\n').count() as u32;
        assert_says(&with_gateway_line(mistake.0), number, mistake);
    }
}

/// Of line 6 of a pack's file.
#[rustfmt::skip] // one mistake a line
const STUN_MISTAKES: &[Mistake] = &[
    ("attributes = [0x8022]", 15, "everybody's STUN has the attribute 0x8022", "0x8070"),
    ("attributes = [0x8070, 0x10000]", 23, "out of range for `attributes`", "from 1 to 65535"),
    ("attributes = [\"0x8070\"]", 15, "not a string", "attributes = [0x8054, 0x8070]"),
    ("attributes = 0x8070", 14, "must be a list in brackets", "attributes = [0x8054, 0x8070]"),
    ("atributes = []", 1, "unknown key `atributes`", "`attributes`"),
];

#[test]
fn mistakes_in_a_packs_attributes_are_told_with_place_and_remedy() {
    for mistake in STUN_MISTAKES {
        let pack = "version = 1\n[pack]\nname = \"a\"\nrevision = 1\n[stun]\n";
        assert_says(&format!("{pack}{}\n", mistake.0), 6, mistake);
    }
}

#[test]
fn a_policy_without_subnets_or_name_is_refused() {
    let problem = only_problem("version = 1\n[[policy]]\nname = \"a\"\n");
    assert_eq!((problem.at.place.line, problem.at.place.column), (2, 1));
    assert!(
        problem.message.contains("policy `a` has no subnets"),
        "{problem:?}"
    );
    let problem = only_problem("version = 1\n[[policy]]\nsubnets = [\"::/0\"]\n");
    assert!(problem.message.contains("no name"), "{problem:?}");
}

#[test]
fn the_version_comes_first_and_is_1() {
    let policy = "[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n";
    for (start, line, column, message) in [
        ("", 1, 1, "doesn't say which version"),
        ("version = 2\nunknown = 1\n", 1, 11, "version `2`"),
        ("version = \"1\"\n", 1, 11, "must be the number 1"),
        ("mode = \"enforce\"\nversion = 1\n", 2, 1, "must come first"),
    ] {
        let problem = only_problem(&format!("{start}{policy}"));
        let place = &problem.at.place;
        assert_eq!((place.line, place.column), (line, column), "{problem:#?}");
        assert!(problem.message.contains(message), "{problem:#?}");
    }
}

#[test]
fn all_problems_of_all_files_are_reported_at_once_in_order() {
    let folder = folder(&[
        (
            "gateway.toml",
            "version = 1\nmode = \"x\"\ninclude = [\"p/*.toml\"]\nhok = 1\n",
        ),
        (
            "p/a.toml",
            "version = 1\n[[policy]]\nname = \"a\"\nsubnets = [\"x\", \"y\"]\nudp = 1\n",
        ),
        (
            "p/b.toml",
            "a = \n[[policy]]\nname = \"b\"\nsubnets = [\"10.0.0.1/8\"]\n",
        ),
        ("p/c.txt", "not read"),
    ]);
    let problems = load(&folder, &["gateway.toml"]).expect_err("it is wrong");
    let places: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| {
            let place = &problem.at.place;
            let name = place.file.file_name().expect("a file").to_string_lossy();
            format!("{name}:{}:{}", place.line, place.column)
        })
        .collect();
    assert_eq!(
        places,
        [
            "gateway.toml:2:8",
            "gateway.toml:4:1",
            "a.toml:4:12",
            "a.toml:4:17",
            "a.toml:5:7",
            "b.toml:1:5",
            "b.toml:4:12",
        ]
    );
    assert_eq!(problems.summary(), "7 errors");
}

#[test]
fn a_prefix_a_name_an_interface_and_a_group_are_taken_once() {
    let policy = "[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n";
    let folder = folder(&[
        (
            "a.toml",
            &format!("version = 1\n{policy}[groups]\ng = [\"fd00::/8\"]\n"),
        ),
        (
            "b.toml",
            &format!("version = 1\n[groups]\ng = [\"fe80::/10\"]\n{policy}"),
        ),
    ]);
    let problems = load(&folder, &["a.toml", "b.toml"]).expect_err("all is said twice");
    let found: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| {
            let other = &problem.related.as_ref().expect("the other place").at.place;
            assert!(other.file.ends_with("a.toml"), "{other}");
            (problem.at.place.line, other.line)
        })
        .collect();
    assert_eq!(found, [(3, 6), (5, 3), (6, 4)]);
    let shown = problems.to_string();
    assert!(
        shown.contains("b.toml:6:12") && shown.contains("a.toml:4:12"),
        "{shown}"
    );

    let twice =
        "interface = [{ name = \"e\", side = \"inside\" }, { name = \"e\", side = \"inside\" }]";
    let problem = only_problem(&with_gateway_line(twice));
    assert_eq!(problem.at.place.column, 56);
    assert_eq!(
        problem.related.expect("the other place").at.place.column,
        23
    );
}

#[test]
fn a_groups_prefixes_belong_to_the_policies_that_name_it() {
    let folder = folder(&[
        (
            "gateway.toml",
            "version = 1\ninclude = [\"p.toml\"]\n[groups]\nlab = [\"10.1.0.0/16\", \"fd00::/8\"]\n",
        ),
        (
            "p.toml",
            "version = 1\n[[policy]]\nname = \"p\"\nsubnets = [\"@lab\"]\ndefault = \"drop\"\n",
        ),
    ]);
    let config = load(&folder, &["gateway.toml"]).expect("it is right");
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    let shown = config.explain("10.1.2.3".parse().unwrap()).to_string();
    for part in [
        "policy `p`",
        "10.1.0.0/16",
        "group `lab`",
        "gateway.toml:4)",
        "p.toml:4",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = folder(&[
        ("big.toml", &"# \n".repeat(400_000)),
        ("cycle.toml", "version = 1\ninclude = [\"other.toml\"]\n"),
        ("other.toml", "version = 1\n\ninclude = [\"cycle.toml\"]\n"),
        ("setting.toml", "version = 1\ninclude = [\"inner.toml\"]\n"),
        ("inner.toml", "version = 1\nmode = \"enforce\"\n"),
        ("second.toml", "version = 1\nhook = \"tc\"\n"),
    ]);
    fs::write(
        folder.path().join("latin.toml"),
        b"version = 1\n# caf\xe9\n",
    )
    .expect("a file");
    fs::create_dir(folder.path().join("folder.toml")).expect("a folder");
    for (names, file, line, message) in [
        (&["absent.toml"][..], "absent.toml", 0, "can't be read"),
        (&["folder.toml"], "folder.toml", 0, "can't be read"),
        (&["big.toml"], "big.toml", 0, "1 MiB"),
        (&["latin.toml"], "latin.toml", 2, "not UTF-8"),
        (&["cycle.toml"], "other.toml", 3, "includes itself"),
        (&["setting.toml"], "inner.toml", 2, "included file"),
        (
            &["inner.toml", "second.toml"],
            "second.toml",
            2,
            "second file",
        ),
    ] {
        let problems = load(&folder, names).expect_err("it can't be used");
        let problem = &problems.list()[0];
        assert!(problem.at.place.file.ends_with(file), "{problems}");
        assert_eq!(problem.at.place.line, line, "{problems}");
        assert!(problem.message.contains(message), "{problems}");
        assert!(problems.to_string().contains(file), "{problems}");
    }
}

#[test]
fn a_file_is_read_once_however_often_it_is_named() {
    let folder = folder(&[
        (
            "gateway.toml",
            "version = 1\ninclude = [\"p.toml\", \"*.toml~\", \"./p.toml\"]\n",
        ),
        (
            "p.toml",
            "version = 1\n[[policy]]\nname = \"p\"\nsubnets = [\"::/0\"]\n",
        ),
    ]);
    let config = load(&folder, &["gateway.toml", "p.toml"]).expect("it is right");
    assert_eq!(config.policies.policies().len(), 1);
    assert_eq!(config.files.len(), 2);
    assert_eq!(
        config.warnings.count(Severity::Warning),
        1,
        "{}",
        config.warnings
    );
}

#[test]
fn the_hash_is_that_of_the_files_in_order() {
    let config = parse("version = 1\n").expect("it is right");
    // printf 'version = 1\n' | sha256sum
    let expected = "dbab12665d98aef021ba64953c61b0ed8a908cfb56a1c01e2fcb4b052b71a2a1";
    assert_eq!(config.hash, expected);
    assert!(config.warnings.to_string().contains("no policy"));
}

#[test]
fn a_gateway_needs_interfaces_on_both_sides() {
    let config = parse(&with_gateway_line("")).expect("it is right");
    let missing = config
        .require_gateway()
        .expect_err("no interface")
        .to_string();
    assert!(missing.contains("side = \"inside\""), "{missing}");
    assert!(missing.contains("side = \"outside\""), "{missing}");
    let both = "interface = [{ name = \"a\", side = \"inside\" }, { name = \"b\", side = \"outside\", zone = 3 }]";
    let config = parse(&with_gateway_line(both)).expect("it is right");
    let gateway = config.require_gateway().expect("both sides");
    assert_eq!(gateway.interfaces[1].zone, 3);
    assert_eq!(gateway.interfaces[1].place.to_string(), "test.toml:2");
}

#[test]
fn a_packs_bootstrap_hosts_are_addresses_with_a_port() {
    let pack = |bootstrap: &str| {
        format!("version = 1\n{bootstrap}\n[pack]\nname = \"mine\"\nrevision = 1\n")
    };
    #[rustfmt::skip] // one mistake a line
    let mistakes: [Mistake; 6] = [
        ("bootstrap = { hosts = [\"66.235.180.9\"] }", 24, "no address with a port", "\"66.235.180.9:33033\""),
        ("bootstrap = { hosts = [\"sn.skype.com:33033\"] }", 24, "no address with a port", "not looked up"),
        ("bootstrap = { hosts = [\"66.235.180.9:0\"] }", 24, "no address with a port", "[2001:db8::1]:33033"),
        ("bootstrap = { hosts = \"66.235.180.9:33033\" }", 23, "a list", "hosts = ["),
        ("bootstrap = { host = [] }", 15, "unknown key `host`", "`hosts`"),
        ("bootstrap = [\"66.235.180.9:33033\"]", 13, "must be a table", "[bootstrap]"),
    ];
    for (line, column, message, remedy) in mistakes {
        let problems = problems(&pack(line));
        let errors: Vec<_> = problems
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .collect();
        let [problem] = errors[..] else {
            panic!("{line}: {problems:#?}");
        };
        assert_eq!(
            (problem.at.place.line, problem.at.place.column),
            (2, column),
            "{line}"
        );
        assert!(problem.message.contains(message), "{problem:?}");
        assert!(problem.help.contains(remedy), "{problem:?}");
    }
    let right = pack("bootstrap = { hosts = [\"192.0.2.1:33033\", \"[2001:db8::1]:33033\"] }");
    let config = parse(&right).expect("it is right");
    let built_in = 7;
    assert_eq!(config.knowledge.bootstrap.len(), built_in + 2);
}

#[test]
fn files_that_say_different_things_of_hosts_are_refused_with_both_places() {
    let policy = |name: &str, subnet: &str, key: &str| {
        format!("version = 1\n{key}\n[[policy]]\nname = \"{name}\"\nsubnets = [\"{subnet}\"]\n")
    };
    for (first, second, column) in [
        ("host-prefix-v6 = 64", "host-prefix-v6 = 128", 18),
        ("host-timeout = \"1 h\"", "host-timeout = \"30 min\"", 16),
    ] {
        let files = [
            ("a.toml", &*policy("a", "10.0.0.0/8", first)),
            ("b.toml", &*policy("b", "172.16.0.0/12", second)),
            ("same.toml", &*policy("c", "192.168.0.0/16", first)),
        ];
        let folder = folder(&files);
        load(&folder, &["a.toml", "same.toml"]).expect("they agree");
        let problems = load(&folder, &["a.toml", "b.toml"]).expect_err("they differ");
        let [problem] = problems.list() else {
            panic!("{problems}");
        };
        let place = |at: &policy::Place| {
            let name = at
                .file
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            (name, at.line, at.column)
        };
        assert_eq!(place(&problem.at.place), ("b.toml".into(), 2, column));
        let related = problem.related.as_ref().expect("the other place");
        assert_eq!(place(&related.at.place), ("a.toml".into(), 2, column));
    }
}
