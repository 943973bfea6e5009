//! Facts about the lab, run as users run it. Most need the right to make network namespaces.
#![cfg(target_os = "linux")]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use skype_ips::capture::Capture;
use support::shared_captures;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
    command.stdin(Stdio::null());
    command
}

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lab.toml");

/// A generated capture in a folder of its own.
fn generated(seed: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("made.pcap");
    let status = program()
        .args(["lab", "generate", SCENARIO, "--seed", &seed.to_string()])
        .arg("--write")
        .arg(&path)
        .stdout(Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success());
    (folder, path)
}

/// Whether the lab can run here; says why not.
fn lab_runs_here() -> bool {
    let missing = if std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| !status.contains("\nUid:\t0\t0\t"))
    {
        "root"
    } else if Command::new("ip").arg("-V").output().is_err() {
        "ip (package iproute2)"
    } else {
        return true;
    };
    println!("SKIPPED: the lab needs {missing}");
    false
}

/// Whether the daemon can run in the lab here, without BPF.
fn daemon_runs_here(capture: &Path) -> bool {
    if !lab_runs_here() {
        return false;
    }
    let output = lab(&["--hook", "off"], capture);
    if output.status.code() == Some(4) {
        println!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
        return false;
    }
    true
}

fn lab(arguments: &[&str], capture: &Path) -> Output {
    program()
        .args(["lab", "replay"])
        .args(arguments)
        .arg(capture)
        .output()
        .expect("the program starts")
}

/// The records of a run with `--json`, which has to end with `status`.
fn records(arguments: &[&str], capture: &Path, status: i32) -> Vec<Value> {
    let output = lab(&[arguments, &["--json"]].concat(), capture);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {stderr}"
    );
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The generator's labels by source port and destination: label and packets both ways.
fn labels(capture: &Path) -> HashMap<[String; 5], (String, u64)> {
    let path = format!("{}.labels.tsv", capture.display());
    let table = std::fs::read_to_string(path).expect("written beside the capture");
    let mut labels = HashMap::new();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let ends = [1, 2, 3, 4, 5].map(|cell: usize| cells[cell].to_owned());
        let packets = [6, 7].map(|cell: usize| cells[cell].parse::<u64>().expect("a number"));
        labels.insert(ends, (cells[10].to_owned(), packets.iter().sum()));
    }
    labels
}

fn ends(flow: &Value) -> [String; 5] {
    ["proto", "src_ip", "src_port", "dest_ip", "dest_port"]
        .map(|field| flow[field].to_string().replace('"', ""))
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_others() {
    let read = |seed| {
        let (_folder, path) = generated(seed);
        std::fs::read(path).expect("readable")
    };
    assert_eq!(read(7), read(7));
    assert_ne!(read(7), read(8));
}

#[test]
fn labels_say_what_is_in_the_generated_capture() {
    let (_folder, path) = generated(1);
    let packets = Capture::open(&path).expect("a capture").count() as u64;
    let labels = labels(&path);
    assert_eq!(
        labels.values().map(|(_, packets)| packets).sum::<u64>(),
        packets
    );
    for label in ["skype", "other"] {
        assert!(labels.values().filter(|(given, _)| given == label).count() > 10);
    }
}

#[test]
fn plain_forwarding_delivers_everything_forwardable() {
    if !lab_runs_here() {
        return;
    }
    let (_folder, path) = generated(1);
    let packets = Capture::open(&path).expect("a capture").count() as u64;
    for arguments in [&[][..], &["--ipv6"], &["--nat"], &["--nat", "--ipv6"]] {
        let records = records(&[&["--no-daemon"], arguments].concat(), &path, 0);
        let stats = &records.last().expect("the last record")["lab"];
        assert_eq!(stats["sent"], packets, "{arguments:?}");
        assert_eq!(stats["delivered"], packets, "{arguments:?}");
        assert_eq!(stats["repaired_checksums"], 0, "{arguments:?}");
    }
}

#[test]
fn flow_records_agree_with_the_labels_and_the_totals() {
    if !lab_runs_here() {
        return;
    }
    let (_folder, path) = generated(2);
    let mut labels = labels(&path);
    let records = records(&["--no-daemon"], &path, 0);
    let (stats, flows) = records.split_last().expect("records");
    for flow in flows {
        let (_, packets) = labels
            .remove(&ends(flow))
            .expect("a label for each conversation");
        assert_eq!(flow["lab"]["sent"], packets);
        assert_eq!(flow["lab"]["delivered"], packets);
        assert_eq!(flow["skype"]["detected"], false);
    }
    assert_eq!(labels.len(), 0);
    assert_eq!(stats["stats"]["flows"], flows.len());
    assert_eq!(stats["gateway"], Value::Null);
}

#[test]
fn enforcement_stops_generated_skype_and_nothing_else() {
    let (_folder, path) = generated(3);
    if !daemon_runs_here(&path) {
        return;
    }
    let labels = labels(&path);
    // Without BPF, which not every machine that can make namespaces lets us load.
    for arguments in [&[][..], &["--nat"]] {
        let records = records(
            &[&["--mode", "enforce", "--hook", "off"], arguments].concat(),
            &path,
            0,
        );
        let (stats, flows) = records.split_last().expect("records");
        assert!(stats["lab"]["skype"]["sent_after_decision"].as_u64() > Some(300));
        assert_eq!(stats["lab"]["skype"]["delivered_after_decision"], 0);
        assert_eq!(
            stats["lab"]["other"]["delivered"],
            stats["lab"]["other"]["sent"]
        );
        for flow in flows {
            let (label, _) = &labels[&ends(flow)];
            assert_eq!(flow["skype"]["detected"], label == "skype", "{flow}");
        }
    }
}

#[test]
fn both_hosts_recordings_hold_every_packet() {
    if !lab_runs_here() {
        return;
    }
    let (folder, path) = generated(4);
    let recordings = folder.path().join("seen");
    let output = program()
        .args(["lab", "replay", "--no-daemon", "--capture"])
        .args([&recordings, &path])
        .output()
        .expect("the program starts");
    assert!(output.status.success());
    let payload = |path: &Path| -> Vec<Vec<u8>> {
        let records = Capture::open(path)
            .expect("a capture")
            .map(|record| record.expect("whole"));
        // Without the gateway's own ICMPv6, the link layer, TTL and header checksum.
        let ipv4 = records.filter(|record| record.data[12..14] == [8, 0]);
        ipv4.map(|record| [&record.data[14..22], &record.data[26..]].concat())
            .collect()
    };
    let sent = payload(&path);
    for name in ["inside.pcap", "outside.pcap"] {
        assert_eq!(payload(&recordings.join(name)), sent, "{name}");
    }
}

#[test]
fn a_capture_cut_off_is_used_as_far_as_it_goes_and_fails() {
    if !lab_runs_here() {
        return;
    }
    let (_folder, path) = generated(5);
    let bytes = std::fs::read(&path).expect("readable");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable");
    let records = records(&["--no-daemon"], &path, 1);
    let stats = &records.last().expect("the last record")["lab"];
    assert!(stats["sent"].as_u64() > Some(100));
    assert_eq!(stats["delivered"], stats["sent"]);
}

#[test]
fn what_the_lab_cannot_use_has_its_status() {
    let (folder, path) = generated(6);
    let config = folder.path().join("wrong.toml");
    std::fs::write(&config, "version = 1\nmod = \"enforce\"\n").expect("writable");
    let output = program()
        .args(["lab", "replay", "--config"])
        .args([&config, &path])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    if !lab_runs_here() {
        return;
    }
    let output = program()
        .args(["lab", "replay", "--no-daemon"])
        .arg(&path)
        .env("PATH", folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("ip is not installed (package iproute2)"),
        "{stderr}"
    );
}

#[test]
fn without_root_the_lab_runs_in_a_user_namespace_or_says_that_it_may_not() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;

    let (folder, path) = generated(8);
    if !daemon_runs_here(&path) {
        return;
    }
    // Where somebody else can read them.
    let copy = folder.path().join("skype-ips");
    std::fs::copy(env!("CARGO_BIN_EXE_skype-ips"), &copy).expect("space for a copy");
    for file in [folder.path(), &copy, &path] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file, open).expect("our own file");
    }
    let output = Command::new(&copy)
        .args(["lab", "replay", "--mode", "enforce", "--json"])
        .arg(&path)
        .current_dir("/")
        .stdin(Stdio::null())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(4) {
        assert!(stderr.contains("can't make network namespaces"), "{stderr}");
        println!("SKIPPED: {stderr}");
        return;
    }
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("not root: running in a user namespace"),
        "{stderr}"
    );
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let last: Value = serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON");
    assert!(last["lab"]["skype"]["sent_after_decision"].as_u64() > Some(300));
    assert_eq!(last["lab"]["skype"]["delivered_after_decision"], 0);
    for hook in last["gateway"]["hooks"].as_array().expect("two") {
        assert_eq!(hook["hook"], "off");
    }
}

/// Processes whose command line has this word.
fn processes_of(word: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("readable").flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number| {
            std::fs::read(format!("/proc/{number}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
        })
        .collect()
}

fn interfaces() -> String {
    // Of this namespace, which the lab must not touch.
    std::fs::read_to_string("/proc/net/dev")
        .expect("readable")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned() + "\n")
        .collect()
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
fn nothing_stays_behind_whatever_ends_the_lab() {
    let (folder, path) = generated(7);
    if !daemon_runs_here(&path) {
        return;
    }
    let before = interfaces();
    for signal in [libc::SIGKILL, libc::SIGINT, libc::SIGTERM] {
        let mut child = program()
            .args(["lab", "replay", "--mode", "enforce", "--hook", "off"])
            .arg(&path)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let instance = format!("lab-{}", child.id());
        eventually("the daemon starts", || processes_of(&instance).len() == 1);
        let daemon = processes_of(&instance)[0];
        let socket = std::fs::read_dir(folder.path())
            .expect("readable")
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().contains("skype-ips-lab-"))
            .expect("the run's folder")
            .join(&instance)
            .join("control.sock");
        eventually("the daemon is ready", || socket.exists());
        let netns = std::fs::read_link(format!("/proc/{daemon}/ns/net")).expect("it runs");
        let own = std::fs::read_link("/proc/self/ns/net").expect("readable");
        assert_ne!(netns, own);
        // SAFETY: the child has not been waited for, so the number is still its.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        let status = child.wait().expect("it was started");
        assert_ne!(status.code(), Some(0));
        eventually("the daemon ends", || processes_of(&instance).is_empty());
        eventually("nobody is left in the gateway", || {
            !std::fs::read_dir("/proc")
                .expect("readable")
                .flatten()
                .any(|entry| {
                    std::fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == netns)
                })
        });
        assert_eq!(interfaces(), before);
    }
    // A killed run leaves an empty-handed folder; the next run removes it.
    let output = program()
        .args(["lab", "replay", "--no-daemon"])
        .arg(&path)
        .env("TMPDIR", folder.path())
        .output()
        .expect("the program starts");
    assert!(output.status.success());
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("readable")
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("skype-ips-lab-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_shared_capture_goes_through_plain_forwarding_whole() {
    let Some(folder) = shared_captures().filter(|_| lab_runs_here()) else {
        return;
    };
    let mut captures = Vec::new();
    for kind in ["skype", "teams", "other"] {
        let files = std::fs::read_dir(folder.join(kind))
            .expect("readable")
            .flatten();
        captures.extend(files.map(|entry| entry.path()));
    }
    captures.sort();
    for arguments in [&[][..], &["--nat"], &["--ipv6"]] {
        let output = program()
            .args(["lab", "replay", "--no-daemon", "--json"])
            .args(arguments)
            .args(&captures)
            .output()
            .expect("the program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        let last: Value =
            serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON");
        assert!(last["lab"]["sent"].as_u64() > Some(15_000), "{last}");
        assert_eq!(last["lab"]["delivered"], last["lab"]["sent"]);
    }
}
