//! What `--annotate` writes beside the packets.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::command::{lines, run, session, text};

/// Comments by packet, from 1.
fn comments(path: &Path) -> BTreeMap<u64, Vec<String>> {
    let mut reader = PcapNgReader::new(File::open(path).expect("a file")).expect("pcapng");
    let mut comments = BTreeMap::new();
    let mut number = 0;
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.expect("a whole block") else {
            continue;
        };
        number += 1;
        let texts = packet.options.iter().filter_map(|option| match option {
            EnhancedPacketOption::Comment(text) => Some(text.to_string()),
            _ => None,
        });
        let texts: Vec<_> = texts.collect();
        if !texts.is_empty() {
            comments.insert(number, texts);
        }
    }
    comments
}

#[test]
fn packets_that_prove_and_decide_say_what_and_why() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, out) = (session(folder.path()), folder.path().join("out.pcapng"));
    let arguments = [
        "--mode",
        "enforce",
        "--json",
        "--annotate",
        text(&out),
        text(&path),
    ];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // The report is the same as without.
    assert_eq!(
        output.stdout,
        run(&["--mode", "enforce", "--json", text(&path)]).stdout
    );
    let all = comments(&out);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let has = |number: u64, parts: &[&str]| {
        let texts = &all[&number];
        let has = |text: &String| parts.iter().all(|part| text.contains(part));
        assert!(texts.iter().any(has), "{number}: {parts:?} {texts:?}");
    };
    has(
        1,
        &[
            "udp-generator",
            "192.168.7.2:21000",
            "bytes 3 to 6",
            "IV",
            "one in ",
        ],
    );
    has(2, &["udp-generator", "bytes 3 to 6", "1 step after"]);
    has(
        2,
        &[
            "udp 192.168.7.2:21000 198.51.100.2:33033 is Skype from this packet on",
            "exact",
            "action: drop",
            "proves 192.168.7.2:21000",
        ],
    );
    has(
        3,
        &[
            "198.51.100.3:33033",
            "action: drop",
            "was proved by frame 2",
        ],
    );
    // What is read again is judged as before.
    assert_eq!(
        without_name(&run(&["--json", text(&out)])),
        without_name(&run(&["--json", text(&path)]))
    );
}

fn without_name(output: &std::process::Output) -> Vec<serde_json::Value> {
    let mut all = lines(output);
    for line in &mut all {
        line["capture"] = serde_json::Value::Null;
    }
    all
}

#[test]
fn what_a_policy_allows_is_not_alerted_about() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, out) = (session(folder.path()), folder.path().join("out.pcapng"));
    let nobody = [
        "--inside",
        "10.0.0.0/8",
        "--annotate",
        text(&out),
        text(&path),
    ];
    assert_eq!(run(&nobody).status.code(), Some(0));
    let all = comments(&out);
    let actions = all
        .values()
        .flatten()
        .filter(|text| text.contains("action:"));
    let mut count = 0;
    for text in actions {
        count += 1;
        assert!(text.contains("action: allow"), "{text}");
    }
    assert!(count > 0);
}

#[test]
fn several_captures_streams_and_existing_files_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, out) = (session(folder.path()), folder.path().join("out.pcapng"));
    let before = fs::read(&path).expect("just written");
    for (arguments, reason) in [
        (&[text(&out), text(&path), text(&path)][..], "once for each"),
        (&[text(&out), "-"], "save it to a file first"),
        (&[text(&path), text(&path)], "not overwritten"),
    ] {
        let output = run(&[&["--annotate"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(fs::read(&path).expect("still there"), before);
    assert!(!out.exists());
}

#[test]
fn a_damaged_capture_is_annotated_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, out) = (session(folder.path()), folder.path().join("out.pcapng"));
    let whole = fs::read(&path).expect("just written");
    fs::write(&path, &whole[..whole.len() - 5]).expect("a writable folder");
    let output = run(&["--annotate", text(&out), text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(comments(&out).len(), 3);
}
