//! The `check` command, and the configurations that the repository itself shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use skype_ips::policy;
use skype_ips::simulator::scenario;
use tempfile::TempDir;

/// The repository's folder.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The files of a folder of the repository that end in `ending`.
fn files_of(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of the repository");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|p| p.to_string_lossy().ends_with(ending))
        .collect();
    paths.sort();
    paths
}

#[test]
fn the_ready_configurations_have_no_problems() {
    let paths = files_of("rules", ".toml");
    assert!(!paths.is_empty());
    for path in paths {
        let config = policy::load(&[path]).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.warnings.is_empty(), "{}", config.warnings);
    }
}

#[test]
fn the_default_gateway_monitors_and_would_block() {
    let config = policy::load(&[root().join("rules/gateway.toml")]).expect("it is right");
    assert!(config.require_gateway().is_ok());
    let shown = config.explain("192.168.1.34".parse().unwrap()).to_string();
    assert!(
        shown.contains("drop held to alert because the gateway's mode is monitor"),
        "{shown}"
    );
}

#[test]
fn every_example_in_the_documents_is_read() {
    let mut examples = 0;
    let readme = root().join("README.md");
    let documents = files_of("docs", ".md")
        .into_iter()
        .chain(readme.exists().then_some(readme));
    for path in documents {
        let text = fs::read_to_string(&path).expect("a document");
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().expect("the end of the example");
            // Examples in lists are indented.
            let block: Vec<_> = block.lines().map(str::trim_start).collect();
            let block = block.join("\n");
            let problems = match path.ends_with("docs/scenarios.md") {
                true => scenario::parse(&path, &block).err(),
                false => policy::parse(&path, &block).err(),
            };
            if let Some(problems) = problems {
                panic!("{}:\n{problems}", path.display());
            }
            examples += 1;
        }
    }
    assert!(examples >= 4, "{examples}");
}

/// A folder with one file, `a.toml`.
fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("a.toml"), text).expect("a file");
    folder
}

/// A file with a policy, and `line` as the gateway's line 2.
fn with_gateway_line(line: &str) -> String {
    format!("version = 1\n{line}\n[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n")
}

fn check(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skype-ips"))
        .arg("check")
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .expect("the command runs")
}

#[test]
fn the_command_shows_the_place_and_exits_with_2() {
    let folder = folder(&with_gateway_line("mode = \"enfroce\""));
    let output = check(&folder, &["a.toml"]);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    for part in [
        "--> a.toml:2:8",
        "mode = \"enfroce\"",
        "^^^^^^^^^",
        "did you mean \"enforce\"?",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("error: 1 error"), "{shown}");

    let output = check(&folder, &["--json", "a.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(line["severity"], "error");
    assert_eq!(
        (&line["path"], &line["line"], &line["column"]),
        (&"a.toml".into(), &2.into(), &8.into())
    );
    assert_eq!(line["text"], "mode = \"enfroce\"");
}

#[test]
fn the_command_explains_a_host_and_exits_with_0_despite_warnings() {
    let text = with_gateway_line("mode = \"enforce\"\ninclude = [\"none/*.toml\"]");
    let folder = folder(&format!("{text}default = \"drop\"\n"));
    let output = check(&folder, &["a.toml", "--explain-host", "10.1.2.3"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in [
        "a.toml: gateway in mode enforce",
        "1 policy over 1 prefix",
        "ok, 1 warning",
        "(a.toml:6)",
        "strong          drop",
        "ambiguous       allow      built in",
        "may be Skype's or Teams': allow",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: no file matches"));
    let output = check(&folder, &["a.toml", "--explain-host", "192.0.2.1"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("under no policy"));
}

#[test]
fn the_command_explains_what_is_done_with_what_is_ambiguous() {
    let text = with_gateway_line("mode = \"monitor\"");
    let folder = folder(&format!("{text}ambiguous = \"drop\"\n"));
    let output = check(&folder, &["a.toml", "--explain-host", "10.1.2.3"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    let held = "may be Skype's or Teams': alert, drop held to alert because the gateway's mode is \
                monitor";
    assert!(shown.contains(held), "{shown}");
    assert!(shown.contains("strong          allow"), "{shown}");
    let output = check(&folder, &["a.toml", "--json", "--explain-host", "10.1.2.3"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    let last: serde_json::Value =
        serde_json::from_str(shown.lines().last().expect("a line")).expect("one object");
    assert_eq!(last["policy"]["ambiguous"]["value"], "drop");
    assert_eq!(last["policy"]["ambiguous_outcome"]["action"], "alert");
}

/// Two VLANs, an exempt host, a window.
const PLACES: &str = "version = 1
timezone = \"Europe/Berlin\"
exempt = [\"10.0.0.9\"]
interface = [{ name = \"eth1\", side = \"inside\" }, { name = \"eth0\", side = \"outside\" }]
mode = \"enforce\"
[[budget]]
name = \"slow\"
rate = \"4 KB/s\"
[[policy]]
name = \"staff\"
vlans = [10]
exempt = [\"10.0.0.7\"]
relay = { default = \"drop\", voice = { throttle = \"slow\", dscp = 8 } }
[[policy.window]]
days = [\"mon\"]
from = \"08:00\"
to = \"18:00\"
default = \"drop\"
[[policy]]
name = \"lab\"
interfaces = [\"eth1\"]
udp = \"reject\"
";

#[test]
fn the_command_explains_a_host_at_a_time_and_a_place() {
    let folder = folder(PLACES);
    let explain = |arguments: &[&str]| {
        let output = check(
            &folder,
            &[&["a.toml", "--explain-host"], arguments].concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let monday = explain(&["10.0.0.1", "--vlan", "10", "--at", "2026-11-23T12:00"]);
    for part in [
        "10.0.0.1 in VLAN 10 is under policy `staff` (a.toml:9) by 0.0.0.0/0 (a.toml:11)",
        "windows, on Mon 2026-11-23 12:00 CET:",
        "open   until Mon 18:00  mon from 08:00 to 18:00, a.toml:14",
        "everything: drop (by `default` of a window in a.toml:18)",
        "exact           drop",
        "heuristic       alert      drop held to alert because the policy asks for confidence strong",
    ] {
        assert!(monday.contains(part), "{part}: {monday}");
    }
    let tuesday = explain(&["10.0.0.1", "--vlan", "10", "--at", "2026-11-24T12:00Z"]);
    for part in [
        "on Tue 2026-11-24 13:00 CET",
        "closed until Mon 08:00",
        "client, login, signaling, voice",
        "relay, voice: throttle to `slow`, dscp 8 (by `relay.voice` in a.toml:13)",
        "`slow`: 4 KB/s with bursts of 4 KB for each host, each direction (a.toml:7)",
    ] {
        assert!(
            tuesday.contains(part) || part.starts_with("client"),
            "{part}: {tuesday}"
        );
    }
    let lab = explain(&["10.0.0.1", "--interface", "eth1"]);
    for part in [
        "10.0.0.1 at interface eth1 is under policy `lab`",
        "of Skype by UDP (`udp`):\n  everything: reject (by `udp` in a.toml:22)",
    ] {
        assert!(lab.contains(part), "{part}: {lab}");
    }
    assert!(explain(&["10.0.0.1"]).contains("10.0.0.1 is under no policy"));
    let exempt = explain(&["10.0.0.9", "--vlan", "10"]);
    assert!(
        exempt.contains("is exempt by 10.0.0.9/32 (a.toml:3): it is let alone"),
        "{exempt}"
    );
    let exempt = explain(&["10.0.0.7", "--vlan", "10"]);
    assert!(
        exempt.contains("(a.toml:12) from policy `staff`"),
        "{exempt}"
    );
}

#[test]
fn a_policy_whose_prefixes_are_taken_is_not_called_exempt() {
    let policy = |name: &str| {
        format!("[[policy]]\nname = \"{name}\"\nsubnets = [\"10.0.0.0/8\"]\ndefault = \"drop\"\n")
    };
    let text = "version = 1\nexempt = [\"10.1.2.3\"]\n".to_owned() + &policy("a") + &policy("b");
    let output = check(&folder(&text), &["a.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("policy `a` has 10.0.0.0/8 already"), "{said}");
    assert!(!said.contains("exempt"), "{said}");
}

#[test]
fn the_explanation_in_json_has_every_part() {
    let folder = folder(PLACES);
    let arguments = [
        "a.toml",
        "--json",
        "--explain-host",
        "10.0.0.1",
        "--vlan",
        "10",
    ];
    let at = ["--at", "2026-11-24T12:00"];
    let output = check(&folder, &[&arguments[..], &at].concat());
    let shown = String::from_utf8_lossy(&output.stdout);
    let last: serde_json::Value =
        serde_json::from_str(shown.lines().last().expect("a line")).expect("one object");
    assert_eq!(last["at"], "2026-11-24T11:00:00Z");
    assert_eq!(last["vlan"], 10);
    let policy = &last["policy"];
    assert_eq!(policy["windows"][0]["open"], false);
    assert_eq!(policy["windows"][0]["changes_at"], "2026-11-30T07:00:00Z");
    let rules = policy["rules"].as_array().expect("a list");
    assert_eq!(rules.len(), 24);
    let of = |role: &str, class: &str| {
        let found = rules
            .iter()
            .find(|rule| rule["role"] == role && rule["class"] == class);
        found.expect("every role and class").clone()
    };
    let voice = of("relay", "voice");
    assert_eq!(
        (&voice["action"], &voice["dscp"]),
        (&"throttle".into(), &8.into())
    );
    assert_eq!(voice["budgets"][0]["rate"], 32_000);
    assert_eq!(voice["budgets"][0]["place"]["line"], 7);
    assert_eq!(voice["said_by"][0]["key"], "relay.voice");
    assert_eq!(of("relay", "login")["action"], "drop");
    assert_eq!(of("client", "login")["said_by"], serde_json::json!([]));
}

#[test]
fn wrong_questions_about_a_host_are_wrong_arguments() {
    let folder = folder(PLACES);
    for arguments in [
        &["--at", "noon"][..],
        &["--at", "2026-02-30T12:00"],
        &["--vlan", "4095"],
        &["--interface", "eth7"],
    ] {
        let question = ["a.toml", "--explain-host", "10.0.0.1"];
        let output = check(&folder, &[&question[..], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let alone = check(&folder, &["a.toml", "--vlan", "10"]);
    assert_eq!(alone.status.code(), Some(2));
}

#[test]
fn the_command_prints_the_reference_of_the_language() {
    let output = check(&folder(""), &["--language"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(shown, policy::reference());
}

#[test]
fn no_file_is_a_wrong_argument() {
    let output = check(&folder(""), &[]);
    assert_eq!(output.status.code(), Some(2));
}
