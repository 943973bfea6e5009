//! Facts about scenarios in real time around a real gateway. Most need the right to make network
//! namespaces.
#![cfg(target_os = "linux")]

mod matrix;
mod talk;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use skype_ips::capture::Capture;
use skype_ips::lab::run::{DaemonOptions, Options, Outcome, run};
use skype_ips::policy::{HookChoice, Mode};
use skype_ips::simulator::scenario::Built;
use talk::{everything_arrived, talk};

fn options(daemon: Option<(Option<Mode>, Option<HookChoice>)>) -> Options {
    Options {
        daemon: daemon.map(|(mode, hook)| DaemonOptions {
            program: PathBuf::from(env!("CARGO_BIN_EXE_skype-ips")),
            config: None,
            mode,
            hook,
        }),
        capture_dir: None,
    }
}

/// `None`, and a word about it, if the lab can't run here.
fn played(options: &Options, build: &(dyn Fn() -> Built + Sync)) -> Option<Outcome> {
    match run(options, build, &mut |_| ()) {
        Ok(outcome) => Some(outcome),
        Err(error) if error.is_incapable() => {
            println!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn everything_arrives_whatever_the_hook() {
    if played(&options(None), &talk).is_none() {
        return;
    }
    for (hook, mode) in [
        (HookChoice::Off, Mode::Enforce),
        (HookChoice::Tc, Mode::Monitor),
        (HookChoice::Xdp, Mode::Enforce),
    ] {
        let options = options(Some((Some(mode), Some(hook))));
        let Some(outcome) = played(&options, &talk) else {
            continue;
        };
        everything_arrived(&outcome.plain);
        everything_arrived(&outcome.daemon.expect("there was one"));
    }
}

/// A client that calls another one, and a host that looks up names.
const SCENARIO: &str = r#"
version = 1
name = "short"
about = "A call of a few seconds."
duration = "9 s"
services = "internet"

[networks.office]
side = "inside"
subnet = "10.1.0.0/24"
nat = true

[networks.internet]
side = "outside"
subnet = "198.51.100.0/24"
link = "far"

[links.far]
rate = "20 Mbit/s"
delay = "10 ms"

[[party]]
name = "alice"
kind = "client"
network = "office"

[[party]]
name = "bob"
kind = "client"
network = "internet"

[[party]]
name = "node"
kind = "super-node"
network = "internet"
count = 2

[[party]]
name = "desk"
kind = "host"
network = "office"
runs = ["dns"]

[[action]]
at = "0.2 s"
party = ["alice", "bob"]
do = "sign-in"

[[action]]
at = "4 s"
party = "alice"
do = "call"
with = "bob"
for = "3 s"

[[expect]]
party = "alice"
signed-in = true
delivered = "95 %"

[[expect]]
party = "desk"
background = "100 %"
"#;

/// A folder with a scenario.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(scenario: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("short.toml"), scenario).expect("writable");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `lab run` of the scenario, with this folder for temporary files.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
        command
            .args(["lab", "run"])
            .args(arguments)
            .arg(self.path().join("short.toml"))
            .env("TMPDIR", self.path())
            .stdin(Stdio::null());
        command
    }

    /// `None`, and a word about it, if the lab can't run here.
    fn run(&self, arguments: &[&str]) -> Option<Output> {
        let output = self
            .command(arguments)
            .output()
            .expect("the program starts");
        if output.status.code() == Some(4) {
            println!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(output)
    }
}

/// The records of a run with `--json`, by their type.
fn records(output: &Output, kind: &str) -> Vec<Value> {
    let stdout = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["event_type"] == kind)
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_daemon_every_party_reaches_its_goals_and_is_recorded() {
    let folder = Folder::with(SCENARIO);
    let seen = folder.path().join("seen");
    let capture = seen.display().to_string();
    let Some(output) = folder.run(&["--json", "--capture", &capture]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for goal in records(&output, "lab-goal") {
        assert_eq!(
            (&goal["met"], &goal["right"]),
            (&true.into(), &true.into()),
            "{goal}"
        );
    }
    let last = records(&output, "lab").pop().expect("the last line");
    assert_eq!(last["lab"]["links"], "simulated");
    assert_eq!(last["lab"]["problems"], Value::Array(Vec::new()));
    // Both recordings and the labels hold what crossed, by the accounts.
    let crossings = records(&output, "lab-crossing");
    let sum = |which: &str, side: &str| -> u64 {
        let counts = crossings
            .iter()
            .map(|line| line[which][side]["packets"].as_u64());
        counts.map(|count| count.expect("a number")).sum()
    };
    let (out, back) = (
        sum("handed", "from_inside"),
        sum("came_out", "from_outside"),
    );
    let count = |name: &str| {
        let packets = Capture::open(&seen.join(name)).expect("a capture");
        packets.filter(Result::is_ok).count() as u64
    };
    assert_eq!(count("inside.pcapng"), out + back);
    assert_eq!(
        count("outside.pcapng"),
        sum("came_out", "from_inside") + sum("handed", "from_outside")
    );
    let labels = std::fs::read_to_string(seen.join("labels.tsv")).expect("written");
    let labelled: u64 = labels
        .lines()
        .skip(1)
        .flat_map(|line| {
            let cells: Vec<u64> = line
                .split('\t')
                .skip(6)
                .take(2)
                .flat_map(str::parse)
                .collect();
            cells
        })
        .sum();
    assert_eq!(labelled, out + back);
    assert!(
        labels.contains("\tskype\t") && labels.contains("\tother\tDNS"),
        "{labels}"
    );
}

#[test]
fn a_policy_that_drops_skype_stops_it_and_nothing_else() {
    let folder = Folder::with(SCENARIO);
    let Some(output) = folder.run(&["--json", "--mode", "enforce", "--hook", "off"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let signed_in = |run: &str| {
        let parties = records(&output, "lab-party");
        let alice = parties
            .iter()
            .find(|line| line["run"] == run && line["party"] == "alice");
        alice.expect("she is told of")["figures"]["signed_in"] != Value::Null
    };
    assert!(signed_in("no daemon"));
    assert!(!signed_in("enforce"));
    let crossings = records(&output, "lab-crossing");
    let enforced = |skype: bool| {
        let lines = crossings.iter();
        lines.filter(move |line| line["run"] == "enforce" && line["skype"] == skype)
    };
    assert!(enforced(true).any(|line| line["lost"].as_u64() > Some(0)));
    assert!(enforced(false).count() > 0);
    assert!(enforced(false).all(|line| line["lost"] == 0));
}

#[test]
fn a_goal_that_is_missed_has_its_status_and_is_named() {
    // Nobody is there to answer.
    let folder = Folder::with(&SCENARIO.replace(
        "[[action]]\nat = \"4 s\"",
        "[[action]]\nat = \"1 s\"\nparty = \"bob\"\ndo = \"sign-out\"\n\n[[action]]\nat = \"4 s\"",
    ));
    let Some(output) = folder.run(&[]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("alice: calls delivered 95 %: NOT MET"));
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(table.contains("NOT MET: no call"), "{table}");
    // Neither a terminal nor asked for.
    assert!(!table.contains('\x1b'));
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_built() {
    let folder = Folder::with(&SCENARIO.replace("network = \"office\"", "network = \"offce\""));
    for (arguments, told) in [
        (&[][..], "office"),
        (&["--mode", "sometimes"], "enforce"),
        (&["--hook", "tc"], "--config or --mode"),
        (&["--config", "/nonexistent/gateway.toml"], "nonexistent"),
    ] {
        let scenario = if arguments.is_empty() {
            folder.path().join("short.toml").display().to_string()
        } else {
            "call".to_owned()
        };
        let output = Command::new(env!("CARGO_BIN_EXE_skype-ips"))
            .args(["lab", "run"])
            .args(arguments)
            .arg(scenario)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        if output.status.code() == Some(4) {
            println!("SKIPPED: {}", stderr(&output));
            continue;
        }
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(told),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

/// Processes whose command line or environment has this word.
fn processes_of(word: &str) -> usize {
    let mentions = |path: PathBuf| {
        std::fs::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(word))
    };
    let all = std::fs::read_dir("/proc").expect("readable").flatten();
    all.filter(|entry| {
        let of = |file: &str| entry.path().join(file);
        mentions(of("cmdline")) || mentions(of("environ"))
    })
    .count()
}

/// Waits until `holds`, at most ten seconds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_stays_behind_whatever_ends_the_run() {
    if played(&options(None), &talk).is_none() {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let folder = Folder::with(SCENARIO);
        let word = folder.path().display().to_string();
        let mut child = folder
            .command(&["--mode", "enforce", "--hook", "off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // Itself and the daemon.
        eventually("the daemon starts", || processes_of(&word) >= 2);
        // SAFETY: the child has not been waited for, so the number is still its.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        let status = child.wait().expect("it was started");
        assert_ne!(status.code(), Some(0));
        eventually("processes end", || processes_of(&word) == 0);
        let left = std::fs::read_dir(folder.path())
            .expect("readable")
            .flatten();
        let left = left.filter(|entry| entry.path().is_dir()).count();
        // After `kill -9` the run's folder is there until the next one.
        assert_eq!(left, usize::from(signal == libc::SIGKILL), "{signal}");
    }
}

#[test]
fn two_runs_at_a_time_do_not_meet() {
    let folders = [Folder::with(SCENARIO), Folder::with(SCENARIO)];
    let children = folders.each_ref().map(|folder| {
        folder
            .command(&["--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    });
    for child in children {
        let output = child.wait_with_output().expect("it was started");
        if output.status.code() != Some(4) {
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
    }
}

#[test]
fn without_root_the_lab_runs_in_a_user_namespace_or_says_that_it_may_not() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    // SAFETY: takes nothing and can't fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can become somebody else");
        return;
    }
    let folder = Folder::with(SCENARIO);
    let copy = folder.path().join("skype-ips");
    std::fs::copy(env!("CARGO_BIN_EXE_skype-ips"), &copy).expect("space for a copy");
    for file in [folder.path(), &copy] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file, open).expect("our own file");
    }
    let output = Command::new(&copy)
        .args(["lab", "run", "--json", "--mode", "enforce"])
        .arg(folder.path().join("short.toml"))
        .current_dir("/")
        .stdin(Stdio::null())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("the program starts");
    if output.status.code() == Some(4) {
        println!("SKIPPED: {}", stderr(&output));
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("not root: running in a user namespace"));
    let last = records(&output, "lab").pop().expect("the last line");
    for hook in last["lab"]["runs"][1]["gateway"]["hooks"]
        .as_array()
        .expect("two")
    {
        assert_eq!(hook["hook"], "off");
    }
}
