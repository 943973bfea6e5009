//! The command: output and exit statuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use skype_ips::capture::{Record, Writer};

use crate::support::{captures, frame, probes, udp};

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skype-ips"))
        .arg("replay")
        .args(arguments)
        .output()
        .expect("the command is built with this test")
}

pub(crate) fn written(folder: &Path, name: &str, records: &[Record]) -> PathBuf {
    let path = folder.join(name);
    let mut writer = Writer::create(&path).expect("a writable folder");
    for record in records {
        let written = writer.write(record.timestamp, &frame(record));
        written.expect("a writable file");
    }
    writer.finish().expect("a writable file");
    path
}

/// Three probes to three peers, and one DNS question.
pub(crate) fn session(folder: &Path) -> PathBuf {
    let mut records: Vec<_> = probes(99, 3)
        .zip(1..)
        .map(|(payload, at)| {
            let peer = format!("198.51.100.{at}:33033");
            udp(at, "192.168.7.2:21000", &peer, &payload)
        })
        .collect();
    records.push(udp(9, "192.168.7.2:5000", "192.0.2.53:53", &[0; 30]));
    written(folder, "session.pcap", &records)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

pub(crate) fn lines(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("JSON is UTF-8");
    let parsed = text.lines().map(serde_json::from_str);
    parsed
        .map(|line| line.expect("a JSON object per line"))
        .collect()
}

#[test]
fn json_has_a_line_per_conversation_and_ends_with_totals() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(&["--json", "--mode", "enforce", text(&session(folder.path()))]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = lines(&output);
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["event_type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            Some("flow"),
            Some("flow"),
            Some("flow"),
            Some("flow"),
            Some("stats")
        ]
    );
    assert_eq!(lines[1]["capture"], "session.pcap");
    assert_eq!(lines[1]["skype"]["decided_at_packet"], 1);
    assert_eq!(lines[1]["policy"]["action"], "drop");
    assert_eq!(lines[1]["policy"]["dropped_pkts"], 1);
    assert_eq!(lines[0]["skype"]["retrospective"], true);
    assert_eq!(lines[0]["policy"]["dropped_pkts"], 0);
    assert_eq!(lines[3]["skype"]["detected"], false);
    let stats = &lines[4]["stats"];
    assert_eq!(
        (stats["packets"].as_u64(), stats["skype_flows"].as_u64()),
        (Some(4), Some(3))
    );
}

#[test]
fn the_table_shows_skype_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(&[text(&session(folder.path()))]);
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(shown.contains("3 of 4 conversations are Skype"), "{shown}");
    assert!(
        shown.contains("198.51.100.2:33033") && !shown.contains("192.0.2.53"),
        "{shown}"
    );
}

#[test]
fn without_a_configuration_the_networks_given_are_under_the_policy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let records: Vec<_> = probes(9, 3)
        .map(|payload| udp(1, "203.0.113.5:21000", "198.51.100.1:4", &payload))
        .collect();
    let path = written(folder.path(), "public.pcap", &records);
    let dropped = |arguments: &[&str]| lines(&run(arguments))[0]["policy"]["dropped_pkts"].as_u64();
    let common = ["--json", "--mode", "enforce"];
    let inside = [&common[..], &["--inside", "203.0.113.0/24", text(&path)]].concat();
    assert_eq!(dropped(&inside), Some(2));
    let private = [&common[..], &[text(&path)]].concat();
    assert_eq!(dropped(&private), Some(0));
}

#[test]
fn labels_that_hold_give_success_and_others_status_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = session(folder.path());
    let header = "capture\tproto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tlabel\n";
    let line = |end: u8, label: &str| {
        format!("session.pcap\tUDP\t192.168.7.2\t21000\t198.51.100.{end}\t33033\t{label}\n")
    };
    let check = |lines: &[String]| {
        let labels = folder.path().join("labels.tsv");
        std::fs::write(&labels, format!("{header}{}", lines.concat())).expect("a writable folder");
        let output = run(&["--expect", text(&labels), text(&capture)]);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), said)
    };
    let right = [line(1, "skype"), line(2, "skype"), line(3, "unsure")];
    assert_eq!(check(&right).0, Some(0));
    let (status, said) = check(&[
        line(1, "skype"),
        line(2, "other"),
        line(3, "skype"),
        line(4, "skype"),
    ]);
    assert_eq!(status, Some(3));
    assert!(
        said.contains("accused  session.pcap: UDP 192.168.7.2:21000 - 198.51.100.2:33033"),
        "{said}"
    );
    assert!(
        said.contains("missed   session.pcap: UDP 192.168.7.2:21000 - 198.51.100.4:33033"),
        "{said}"
    );
    let (status, said) = check(&["session.pcap\tUDP\tnowhere\t1\t1.2.3.4\t5\tskype\n".into()]);
    assert_eq!(status, Some(2));
    assert!(said.contains("line 2: `nowhere` is no address"), "{said}");
}

#[test]
fn a_capture_that_is_cut_off_is_reported_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = session(folder.path());
    let whole = std::fs::read(&path).expect("just written");
    std::fs::write(&path, &whole[..whole.len() - 5]).expect("a writable folder");
    let output = run(&["--json", text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(&output).len(), 4);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("cut off in packet 4"), "{said}");
}

#[test]
fn what_is_no_capture_gives_status_1_and_a_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = folder.path().join("empty.pcap");
    std::fs::write(&empty, b"").expect("a writable folder");
    let mut strange = std::fs::read(session(folder.path())).expect("just written");
    // The link type in the file's header.
    strange[20..24].copy_from_slice(&250_u32.to_le_bytes());
    let unknown = folder.path().join("unknown.pcap");
    std::fs::write(&unknown, strange).expect("a writable folder");
    for (path, reason) in [
        (empty, "is empty"),
        (unknown, "link type 250"),
        (folder.path().join("missing.pcap"), "missing.pcap"),
    ] {
        let output = run(&["--json", text(&path)]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn wrong_arguments_give_status_2() {
    for arguments in [
        &[][..],
        &["--inside", "nowhere", "x.pcap"],
        &["--mode", "maybe", "x.pcap"],
        &["--config", "/nonexistent.toml", "x.pcap"],
        &["--expect", "/nonexistent.tsv", "x.pcap"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn several_captures_are_several_worlds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = session(folder.path());
    let output = run(&["--json", text(&path), text(&path)]);
    let lines = lines(&output);
    assert_eq!(lines.len(), 9);
    assert_eq!(lines[0], lines[4]);
    assert_eq!(lines[8]["stats"]["packets"], 8);
}

#[test]
fn a_label_that_differs_is_named_and_gives_status_3() {
    let Some(folder) = captures() else { return };
    let labels = folder.join("labels.tsv");
    let capture = folder.join("skype/ndpi_skype.pcap");
    let output = run(&["--expect", text(&labels), text(&capture)]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        (
            said.matches("missed").count(),
            said.matches("accused").count()
        ),
        (0, 1),
        "{said}"
    );
}
