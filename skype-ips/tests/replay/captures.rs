//! The shared captures: what has to be found, and what must not be.

use std::path::{Path, PathBuf};

use skype_ips::capture::Capture;
use skype_ips::engine::Settings;
use skype_ips::policy::{Config, Mode};
use skype_ips::replay::{Driver, Expectations, Report, Score, private_networks};

use crate::support::captures;

fn replay(path: &Path, mode: Mode) -> Report {
    let config = Config::default_for_replay();
    let mut driver = Driver::new(&config, mode, Settings::default(), &private_networks());
    for record in Capture::open(path).expect("a capture") {
        driver.packet(&record.expect("a whole capture"));
    }
    driver.finish()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of captures");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn score(folder: &Path, name: &str) -> Score {
    let labels = std::fs::read_to_string(folder.join("labels.tsv")).expect("the labels");
    let expectations = Expectations::parse(&labels).expect("readable labels");
    let report = replay(&folder.join("skype").join(name), Mode::Monitor);
    let score = expectations.score(name, &report.conversations);
    for mismatch in &score.mismatches {
        eprintln!("{mismatch}");
    }
    score
}

#[test]
fn a_mac_client_of_2015_is_found_as_a_whole() {
    let Some(folder) = captures() else { return };
    let score = score(&folder, "ndpi_skype.pcap");
    let wrong: Vec<_> = score.mismatches.iter().map(ToString::to_string).collect();
    // Labelled by names under skype.com only; this flow asks for apps.skypeassets.com.
    assert_eq!(
        wrong,
        ["accused  ndpi_skype.pcap: TCP 23.223.73.34:443 - 192.168.1.34:50027"]
    );
    // 144 UDP and 89 TCP conversations.
    assert_eq!(score.found, 233);
}

#[test]
fn five_packets_of_a_client_of_2006_are_enough() {
    let Some(folder) = captures() else { return };
    let score = score(&folder, "ndpi_skype_udp.pcap");
    assert_eq!((score.found, score.mismatches.len()), (1, 0));
}

#[test]
fn a_listener_that_answers_a_stranger_is_found_by_its_answer() {
    let Some(folder) = captures() else { return };
    let score = score(&folder, "arkime_smb-port80.pcap");
    assert_eq!((score.found, score.mismatches.len()), (1, 0));
}

#[test]
fn nothing_else_is_accused() {
    let Some(folder) = captures() else { return };
    for file in [files(&folder.join("other")), files(&folder.join("teams"))].concat() {
        let report = replay(&file, Mode::Enforce);
        for conversation in report.conversations.iter() {
            assert_eq!(conversation.detection, None, "{}", file.display());
            assert_eq!(conversation.dropped, 0, "{}", file.display());
        }
    }
}

#[test]
fn enforcement_drops_a_skype_flow_from_its_decision_on_and_nothing_else() {
    let Some(folder) = captures() else { return };
    let report = replay(&folder.join("skype/ndpi_skype.pcap"), Mode::Enforce);
    let mut dropped = 0;
    for conversation in report.conversations.iter() {
        let decided = conversation
            .detection
            .as_ref()
            .and_then(|detection| detection.decided_at_packet);
        let after = decided.map_or(0, |packet| conversation.total_packets() - packet + 1);
        assert_eq!(conversation.dropped, after, "{conversation:?}");
        dropped += after;
    }
    assert!(dropped > 1000);
    assert_eq!(report.stats.dropped, dropped);
}

#[test]
fn the_same_capture_gives_the_same_records() {
    let Some(folder) = captures() else { return };
    let path = folder.join("skype/ndpi_skype.pcap");
    let lines = || -> Vec<String> {
        let report = replay(&path, Mode::Enforce);
        let records = report.records("ndpi_skype.pcap");
        records
            .map(|record| serde_json::to_string(&record).expect("plain data"))
            .collect()
    };
    assert_eq!(lines(), lines());
}
