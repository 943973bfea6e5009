//! Facts about copies with comments: nothing else changes, and nothing is lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use proptest::prelude::*;
use proptest::test_runner::Config;
use skype_ips::capture::{Capture, CaptureError, Comments, Copied, Record, copy_with_comments};

use crate::{
    Big, IP, Little, MICROSECONDS, NANOSECONDS, Order, block, enhanced, ethernet, interface,
    option, pcap, section,
};

fn comments(texts: &[(u64, &str)]) -> Comments {
    let mut comments = Comments::new();
    for (packet, text) in texts {
        comments
            .entry(*packet)
            .or_default()
            .push((*text).to_owned());
    }
    comments
}

/// A copy of a capture, and where it is.
struct Copy {
    folder: tempfile::TempDir,
    from: PathBuf,
    to: PathBuf,
    outcome: Result<Copied, CaptureError>,
}

fn copy(bytes: &[u8], comments: &Comments) -> Copy {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("in"), folder.path().join("out.pcapng"));
    fs::write(&from, bytes).expect("a writable folder");
    let outcome = copy_with_comments(&from, &to, comments);
    Copy {
        folder,
        from,
        to,
        outcome,
    }
}

fn records(path: &Path) -> Vec<Record> {
    let capture = Capture::open(path).expect("a capture");
    capture
        .map(|record| record.expect("a whole capture"))
        .collect()
}

/// What is said of each packet that has a block of the newest kind, by another reader.
fn read_back(path: &Path) -> Vec<(Vec<u8>, u32, Vec<String>)> {
    let file = File::open(path).expect("a file");
    let mut reader = PcapNgReader::new(file).expect("a pcapng file");
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("a whole block") {
            let comments = packet.options.iter().filter_map(|option| match option {
                EnhancedPacketOption::Comment(text) => Some(text.to_string()),
                _ => None,
            });
            packets.push((
                packet.data.to_vec(),
                packet.original_len,
                comments.collect(),
            ));
        }
    }
    packets
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_pcap_file_becomes_a_pcapng_file_with_the_same_packets() {
    for (order, magic) in [
        (Big, MICROSECONDS),
        (Little, MICROSECONDS),
        (Big, NANOSECONDS),
        (Little, NANOSECONDS),
    ] {
        let frame = ethernet(0x0800, &IP);
        let packets = [
            (1_000_000_007, 999_999, &frame[..]),
            (3_000_000_007, 1, &frame[..30]),
            (3_000_000_008, 5, &frame[..17]),
        ];
        let mut bytes = pcap(order, magic, 1, &packets);
        // The second packet was longer on the wire.
        let second = 24 + 16 + frame.len();
        bytes[second + 12..second + 16].copy_from_slice(&order.u32(99));
        let said = comments(&[(2, "erstens: Grün"), (2, "second"), (9, "of no packet")]);
        let copy = copy(&bytes, &said);
        let copied = copy.outcome.expect("a copy");
        assert_eq!((copied.packets, copied.uncommented), (3, 0));
        assert!(copied.fault.is_none());
        assert_eq!(records(&copy.to), records(&copy.from));
        let read: Vec<_> = read_back(&copy.to)
            .into_iter()
            .map(|(data, len, comments)| (data.len(), len, comments))
            .collect();
        let two = vec!["erstens: Grün".to_owned(), "second".to_owned()];
        assert_eq!(
            read,
            [
                (frame.len(), frame.len() as u32, vec![]),
                (30, 99, two),
                (17, 17, vec![])
            ]
        );
    }
}

#[test]
fn link_types_other_than_ethernet_are_kept() {
    for link_type in [0, 101, 113, 228, 276] {
        let copy = copy(
            &pcap(Little, MICROSECONDS, link_type, &[(1, 2, &IP)]),
            &comments(&[(1, "x")]),
        );
        copy.outcome.as_ref().expect("a copy");
        assert_eq!(records(&copy.to), records(&copy.from), "{link_type}");
    }
}

/// Two sections of either byte order, each with interfaces of their own and all kinds of blocks.
fn everything(order: Order) -> Vec<Vec<u8>> {
    let nanoseconds = [option(order, 9, &[9]), option(order, 0, &[])].concat();
    let mut with_options = order.words(&[1, 0, 77, IP.len() as u32, 88]);
    with_options.extend(IP);
    with_options.extend(option(order, 1, b"already said"));
    with_options.extend(option(order, 2, &order.u32(5)));
    with_options.extend(option(order, 0, &[]));
    let obsolete = [
        order.u16(1).to_vec(),
        order.u16(0xffff).to_vec(),
        order.words(&[0, 6, IP.len() as u32, IP.len() as u32]),
        IP.to_vec(),
    ]
    .concat();
    let simple = [&order.u32(IP.len() as u32)[..], &IP].concat();
    vec![
        section(order),
        interface(order, 1, 0, &[]),
        interface(order, 101, 0, &nanoseconds),
        block(order, 4, &[0; 4]),
        enhanced(order, 0, 1_432_000_000_123_456, &ethernet(0x0800, &IP)),
        block(order, 6, &with_options),
        block(order, 2, &obsolete),
        block(order, 3, &simple),
        block(order, 0x0bad_cafe, b"anything at all"),
    ]
}

#[test]
fn a_pcapng_file_keeps_every_other_byte() {
    let blocks = [everything(Big), everything(Little)].concat();
    let said = comments(&[
        (1, "one"),
        (2, "two"),
        (3, "three"),
        (4, "four"),
        (6, "six"),
    ]);
    let copy = copy(&blocks.concat(), &said);
    let copied = copy.outcome.as_ref().expect("a copy");
    assert_eq!((copied.packets, copied.uncommented), (8, 1));
    assert_eq!(records(&copy.to), records(&copy.from));
    let read = read_back(&copy.to);
    let texts: Vec<_> = read.into_iter().map(|(_, _, texts)| texts).collect();
    let both = |new: &str| vec![new.to_owned(), "already said".to_owned()];
    assert_eq!(
        texts,
        [vec!["one".to_owned()], both("two"), vec![], both("six"),]
    );
    // All blocks but those of packets 1, 2, 3 and 6 are in the copy as they were.
    let written = fs::read(&copy.to).expect("the copy");
    let changed = [4, 5, 6, 9 + 5];
    let mut at = 0;
    for (index, block) in blocks.iter().enumerate() {
        let kept = written[at..].starts_with(block);
        assert_eq!(kept, !changed.contains(&index), "block {index}");
        let order = if index < 9 { Big } else { Little };
        let len = written[at + 4..at + 8].try_into().expect("four bytes");
        at += match order {
            Big => u32::from_be_bytes(len),
            Little => u32::from_le_bytes(len),
        } as usize;
    }
    assert_eq!(at, written.len());
    let third = written
        .windows(5)
        .filter(|window| *window == b"three")
        .count();
    assert_eq!(third, 1);
}

#[test]
fn a_section_that_says_its_length_says_no_more() {
    let mut start = section(Little);
    start[16..24].copy_from_slice(&96_u64.to_le_bytes());
    let blocks = [
        start,
        interface(Little, 101, 0, &[]),
        enhanced(Little, 0, 7, &IP),
    ];
    let copy = copy(&blocks.concat(), &comments(&[(1, "longer now")]));
    copy.outcome.expect("a copy");
    let written = fs::read(&copy.to).expect("the copy");
    assert_eq!(written[16..24], [0xff; 8]);
}

#[test]
fn nothing_is_overwritten() {
    let bytes = pcap(Little, MICROSECONDS, 101, &[(1, 2, &IP)]);
    let first = copy(&bytes, &comments(&[(1, "first")]));
    first.outcome.expect("a copy");
    let before = fs::read(&first.to).expect("the copy");
    for to in [&first.to, &first.from] {
        let again = copy_with_comments(&first.from, to, &comments(&[(1, "second")]));
        let error = again.expect_err("the file is there");
        assert!(matches!(error, CaptureError::Exists { .. }), "{error}");
        assert!(error.to_string().contains("not overwritten"), "{error}");
    }
    assert_eq!(fs::read(&first.to).expect("the copy"), before);
    assert_eq!(fs::read(&first.from).expect("the capture"), bytes);
    assert_eq!(names(first.folder.path()), ["in", "out.pcapng"]);
}

#[test]
fn what_can_not_be_copied_leaves_nothing_behind() {
    let refused = copy(b"not a capture at all", &Comments::new());
    assert!(refused.outcome.is_err());
    assert_eq!(names(refused.folder.path()), ["in"]);
    let nowhere = refused.folder.path().join("no such folder/out.pcapng");
    let bytes = pcap(Little, MICROSECONDS, 101, &[(1, 2, &IP)]);
    fs::write(&refused.from, bytes).expect("a writable folder");
    let error = copy_with_comments(&refused.from, &nowhere, &Comments::new());
    assert!(matches!(error, Err(CaptureError::Write { .. })));
    assert_eq!(names(refused.folder.path()), ["in"]);
}

#[test]
fn of_a_capture_that_is_cut_off_the_copy_has_what_is_whole() {
    let packets = [(1, 2, &IP[..]), (3, 4, &IP[..])];
    let plain = pcap(Little, NANOSECONDS, 101, &packets);
    let blocks = [
        section(Little),
        interface(Little, 101, 0, &[]),
        enhanced(Little, 0, 7, &IP),
        enhanced(Little, 0, 8, &IP),
    ];
    for bytes in [plain, blocks.concat()] {
        let copy = copy(&bytes[..bytes.len() - 3], &comments(&[(1, "a"), (2, "b")]));
        let copied = copy.outcome.expect("a copy");
        assert_eq!(copied.packets, 1);
        let fault = copied.fault.expect("a reason");
        assert!(
            matches!(fault, CaptureError::Truncated { packet: 2, .. }),
            "{fault}"
        );
        assert_eq!(records(&copy.to).len(), 1);
    }
}

#[test]
fn a_comment_too_long_for_the_format_is_cut_between_letters() {
    let long = "ä".repeat(40_000);
    let copy = copy(
        &pcap(Little, MICROSECONDS, 101, &[(1, 2, &IP)]),
        &comments(&[(1, &long)]),
    );
    copy.outcome.expect("a copy");
    let read = read_back(&copy.to);
    assert_eq!(read[0].2, ["ä".repeat(32_767)]);
    assert_eq!(
        Duration::from_nanos(records(&copy.to)[0].timestamp),
        Duration::new(1, 2000)
    );
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    /// A damaged file is copied as far as it goes, or not at all.
    #[test]
    fn no_damage_leaves_half_a_copy(
        big: bool,
        spoilt in prop::collection::vec((0..900_usize, any::<u8>()), 0..8),
        len in 0..1000_usize,
    ) {
        let mut bytes = everything(if big { Big } else { Little }).concat();
        for (at, byte) in spoilt {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(len);
        let copy = copy(&bytes, &comments(&[(1, "one"), (3, "three")]));
        let names = names(copy.folder.path());
        match copy.outcome {
            Ok(copied) => {
                prop_assert_eq!(names, ["in", "out.pcapng"]);
                let read = Capture::open(&copy.to).expect("a capture");
                prop_assert!(read.filter(Result::is_ok).count() as u64 <= copied.packets);
            }
            Err(_) => prop_assert_eq!(names, ["in"]),
        }
    }
}
