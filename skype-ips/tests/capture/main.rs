//! Facts about the capture reader, over small files made by hand and the shared captures.

mod commented;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;
use std::path::Path;

use skype_ips::capture::{Capture, CaptureError, MAX_PACKET_LEN, Record, Writer};
use skype_ips_common::parse::Link;

/// An IPv4 header and nothing else.
const IP: [u8; 20] = [
    0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1,
];

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Big,
    Little,
}
use Order::{Big, Little};
use support::shared_captures;

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Big => value.to_be_bytes(),
            Little => value.to_le_bytes(),
        }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Big => value.to_be_bytes(),
            Little => value.to_le_bytes(),
        }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

fn pcap(order: Order, magic: u32, link_type: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend([order.u16(2), order.u16(4)].concat());
    file.extend(order.words(&[0, 0, 65_535, link_type]));
    for (seconds, fraction, data) in packets {
        let len = data.len() as u32;
        file.extend(order.words(&[*seconds, *fraction, len, len]));
        file.extend_from_slice(data);
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let len = body.len() as u32 + 12;
    [&order.words(&[kind, len])[..], &body, &order.u32(len)].concat()
}

fn section(order: Order) -> Vec<u8> {
    block(
        order,
        0x0a0d_0d0a,
        &order.words(&[
            0x1a2b_3c4d,
            if order == Big { 0x0001_0000 } else { 1 },
            !0,
            !0,
        ]),
    )
}

fn interface(order: Order, link_type: u16, snap_len: u32, options: &[u8]) -> Vec<u8> {
    let body = [
        &order.u16(link_type)[..],
        &[0, 0],
        &order.u32(snap_len),
        options,
    ]
    .concat();
    block(order, 1, &body)
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [order.u16(code), order.u16(value.len() as u16)].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn enhanced(order: Order, interface: u32, time: u64, data: &[u8]) -> Vec<u8> {
    let len = data.len() as u32;
    let head = order.words(&[interface, (time >> 32) as u32, time as u32, len, len]);
    block(order, 6, &[&head, data].concat())
}

fn read(bytes: &[u8]) -> Vec<Result<Record, CaptureError>> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("writable");
    match Capture::open(file.path()) {
        Ok(capture) => capture.collect(),
        Err(error) => vec![Err(error)],
    }
}

fn whole(bytes: &[u8]) -> Vec<Record> {
    read(bytes)
        .into_iter()
        .map(|record| record.expect("a whole packet"))
        .collect()
}

fn ethernet(ethertype: u16, rest: &[u8]) -> Vec<u8> {
    [&[0; 12][..], &ethertype.to_be_bytes(), rest].concat()
}

#[test]
fn both_byte_orders_and_both_units_of_time_give_the_same_records() {
    let frame = ethernet(0x0800, &IP);
    for order in [Big, Little] {
        let micro = whole(&pcap(order, MICROSECONDS, 1, &[(5, 7, &frame)]));
        let nano = whole(&pcap(order, NANOSECONDS, 1, &[(5, 7_000, &frame)]));
        assert_eq!(micro, nano);
        assert_eq!(micro[0].timestamp, 5_000_007_000);
        assert_eq!(micro[0].link, Link::Ethernet);
        assert_eq!(micro[0].data, frame);
    }
}

#[test]
fn records_are_numbered_from_one() {
    let records = whole(&pcap(
        Little,
        MICROSECONDS,
        101,
        &[(0, 0, &IP), (1, 0, &IP)],
    ));
    assert_eq!(
        records
            .iter()
            .map(|record| record.number)
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

#[test]
fn a_packet_cut_off_on_purpose_keeps_its_wire_length() {
    let mut file = pcap(Little, MICROSECONDS, 101, &[(0, 0, &IP)]);
    let at = file.len() - IP.len() - 4;
    file[at..at + 4].copy_from_slice(&70_000_u32.to_le_bytes());
    let records = whole(&file);
    assert_eq!((records[0].data.len(), records[0].wire_len), (20, 70_000));
}

#[test]
fn vlan_tags_are_listed_and_stay_in_the_frame() {
    let tagged = [&[0x60, 0x0a, 0x81, 0x00, 0x00, 0x0b, 0x08, 0x00][..], &IP].concat();
    let frame = ethernet(0x88a8, &tagged);
    let mut records = whole(&pcap(Little, MICROSECONDS, 1, &[(0, 0, &frame)]));
    assert_eq!(records[0].vlan, [10, 11]);
    assert_eq!(records[0].data, frame);
    assert_eq!(skype_ips::capture::strip_vlan_tags(&mut records[0].data), 2);
    assert_eq!(records[0].data, ethernet(0x0800, &IP));
}

#[test]
fn other_link_layers_are_stripped_to_the_ip_packet() {
    let cooked = [&[0; 14][..], &[0x08, 0], &IP].concat();
    let cooked_v2 = [&[0x08, 0][..], &[0; 18], &IP].concat();
    let null_little = [&[2, 0, 0, 0][..], &IP].concat();
    let null_big = [&[0, 0, 0, 2][..], &IP].concat();
    for (link_type, data) in [
        (113, &cooked),
        (276, &cooked_v2),
        (0, &null_little),
        (0, &null_big),
        (108, &null_big),
        (101, &IP.to_vec()),
        (12, &IP.to_vec()),
        (228, &IP.to_vec()),
    ] {
        let records = whole(&pcap(Little, MICROSECONDS, link_type, &[(0, 0, data)]));
        assert_eq!(records[0].link, Link::Raw, "{link_type}");
        assert_eq!(records[0].data, IP, "{link_type}");
        assert_eq!(records[0].wire_len, 20, "{link_type}");
    }
}

#[test]
fn a_tag_behind_a_cooked_header_is_listed_and_taken_off() {
    let data = [&[0; 14][..], &[0x81, 0, 0, 42, 8, 0], &IP].concat();
    let records = whole(&pcap(Little, MICROSECONDS, 113, &[(0, 0, &data)]));
    assert_eq!(
        (records[0].vlan.as_slice(), records[0].link),
        (&[42][..], Link::Raw)
    );
    assert_eq!(records[0].data, IP);
}

#[test]
fn what_is_not_ip_is_never_taken_for_it() {
    // A spanning tree frame starts with 42: as a raw packet it would read as IPv4.
    let data = [&[0; 14][..], &[0, 4], &[0x42, 0x42, 3, 0]].concat();
    let records = whole(&pcap(Little, MICROSECONDS, 113, &[(0, 0, &data)]));
    assert_eq!(records[0].link, Link::Ethernet);
    assert_eq!(records[0].data, ethernet(4, &[0x42, 0x42, 3, 0]));
}

#[test]
fn no_link_layer_header_is_too_short_to_read() {
    for link_type in [0, 1, 12, 101, 108, 113, 228, 229, 276] {
        for len in 0..24 {
            let data = vec![0x81; len];
            let records = whole(&pcap(Little, MICROSECONDS, link_type, &[(0, 0, &data)]));
            assert_eq!(records.len(), 1, "link type {link_type}, {len} bytes");
        }
    }
}

#[test]
fn pcapng_interfaces_have_their_own_link_type_and_clock() {
    for order in [Big, Little] {
        // Nanoseconds; 1/1024 seconds and 100 seconds later; the default, microseconds.
        let nano = option(order, 9, &[9]);
        let mut binary = option(order, 9, &[0x8a]);
        binary.extend(option(order, 2, b"not \xff UTF-8"));
        let offset = 100_u64;
        binary.extend(option(
            order,
            14,
            &if order == Big {
                offset.to_be_bytes()
            } else {
                offset.to_le_bytes()
            },
        ));
        let file = [
            section(order),
            interface(order, 101, 0, &nano),
            interface(order, 1, 0, &binary),
            interface(order, 101, 0, &[]),
            enhanced(order, 0, 5_000_000_001, &IP),
            enhanced(order, 1, 1536, &ethernet(0x0800, &IP)),
            enhanced(order, 2, 3, &IP),
        ]
        .concat();
        let records = whole(&file);
        let seen: Vec<_> = records
            .iter()
            .map(|record| (record.timestamp, record.link))
            .collect();
        assert_eq!(
            seen,
            [
                (5_000_000_001, Link::Raw),
                (101_500_000_000, Link::Ethernet),
                (3_000, Link::Raw)
            ]
        );
    }
}

#[test]
fn a_new_section_forgets_interfaces_and_may_turn_the_byte_order() {
    let file = [
        section(Big),
        interface(Big, 1, 0, &[]),
        enhanced(Big, 0, 1, &ethernet(0x0800, &IP)),
        section(Little),
        interface(Little, 101, 0, &[]),
        enhanced(Little, 0, 2, &IP),
    ]
    .concat();
    let records = whole(&file);
    assert_eq!(
        (records[0].link, records[1].link),
        (Link::Ethernet, Link::Raw)
    );
    assert_eq!(records[1].timestamp, 2_000);
}

#[test]
fn a_simple_packet_is_as_long_as_its_interface_keeps_and_has_the_time_before() {
    let simple = [&Little.u32(20)[..], &IP[..12]].concat();
    let file = [
        section(Little),
        interface(Little, 101, 12, &[]),
        enhanced(Little, 0, 9, &IP),
        block(Little, 3, &simple),
    ]
    .concat();
    let records = whole(&file);
    assert_eq!(records[1].data, IP[..12]);
    assert_eq!((records[1].wire_len, records[1].timestamp), (20, 9_000));
}

#[test]
fn the_obsolete_packet_block_is_read_too() {
    let mut body = [Little.u16(0), Little.u16(77)].concat();
    body.extend(Little.words(&[1, 2, 20, 20]));
    body.extend(IP);
    let file = [
        section(Little),
        interface(Little, 101, 0, &[]),
        block(Little, 2, &body),
    ]
    .concat();
    assert_eq!(whole(&file)[0].timestamp, ((1 << 32) + 2) * 1000);
}

#[test]
fn compressed_captures_read_like_plain_ones() {
    let plain = pcap(Little, NANOSECONDS, 101, &[(1, 2, &IP), (3, 4, &IP)]);
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(bytes).expect("memory");
        packed.finish().expect("memory")
    };
    let zstd = |bytes: &[u8]| {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(bytes, level)
    };
    assert_eq!(whole(&gzip(&plain)), whole(&plain));
    assert_eq!(whole(&zstd(&plain)), whole(&plain));
    // Parallel compressors write many members or frames.
    let (head, tail) = plain.split_at(41);
    assert_eq!(whole(&[gzip(head), gzip(tail)].concat()), whole(&plain));
    assert_eq!(whole(&[zstd(head), zstd(tail)].concat()), whole(&plain));
    for packed in [gzip(&plain), zstd(&plain)] {
        let cut = read(&packed[..packed.len() - 9]);
        assert!(
            matches!(cut.last(), Some(Err(CaptureError::Truncated { .. }))),
            "{cut:?}"
        );
        assert!(matches!(
            read(&gzip(&[]))[..],
            [Err(CaptureError::Empty { .. })]
        ));
    }
}

#[test]
fn a_capture_cut_off_anywhere_yields_what_is_whole_and_then_says_so() {
    let frame = ethernet(0x0800, &IP);
    let in_pcap = pcap(Little, MICROSECONDS, 1, &[(0, 0, &frame), (1, 0, &frame)]);
    let second = in_pcap.len() - frame.len() - 16;
    for len in second + 1..in_pcap.len() {
        let records = read(&in_pcap[..len]);
        assert!(records[0].is_ok());
        assert!(
            matches!(records[1], Err(CaptureError::Truncated { packet: 2, .. })),
            "{len}"
        );
        assert_eq!(records.len(), 2);
    }
    assert_eq!(
        whole(&in_pcap[..second]).len(),
        1,
        "between packets is no cut"
    );
    let head = [
        section(Big),
        interface(Big, 1, 0, &[]),
        enhanced(Big, 0, 0, &frame),
    ]
    .concat();
    let in_pcapng = [head.clone(), enhanced(Big, 0, 1, &frame)].concat();
    for len in head.len() + 1..in_pcapng.len() {
        let records = read(&in_pcapng[..len]);
        assert!(records[0].is_ok());
        assert!(
            matches!(records[1], Err(CaptureError::Truncated { packet: 2, .. })),
            "{len}"
        );
    }
}

#[test]
fn each_kind_of_unreadable_file_has_its_own_error() {
    assert!(matches!(read(b"")[..], [Err(CaptureError::Empty { .. })]));
    for other in [&b"a"[..], b"GET", b"GET / HTTP/1.1\r\n\r\n"] {
        assert!(matches!(
            read(other)[..],
            [Err(CaptureError::NotACapture { .. })]
        ));
    }
    let missing = Path::new("/nonexistent/capture.pcap");
    assert!(matches!(
        Capture::open(missing),
        Err(CaptureError::Open { .. })
    ));
    assert!(matches!(
        Capture::open(Path::new("/")),
        Err(CaptureError::Open { .. })
    ));
    let wireless = pcap(Little, MICROSECONDS, 127, &[(0, 0, &IP)]);
    assert!(matches!(
        read(&wireless)[..],
        [Err(CaptureError::UnknownLinkType {
            packet: 1,
            link_type: 127,
            ..
        })]
    ));
}

#[test]
fn errors_name_the_file_and_the_packet() {
    let error = read(&pcap(Little, MICROSECONDS, 127, &[(0, 0, &IP)]))
        .remove(0)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("packet 1") && text.contains("link type 127"),
        "{text}"
    );
    assert!(
        text.contains(&std::env::temp_dir().display().to_string()),
        "{text}"
    );
}

#[test]
fn absurd_lengths_are_damage_and_allocate_nothing() {
    let mut file = pcap(Little, MICROSECONDS, 101, &[(0, 0, &IP)]);
    file[32..36].copy_from_slice(&(MAX_PACKET_LEN + 1).to_le_bytes());
    assert!(matches!(
        read(&file)[..],
        [Err(CaptureError::Damaged { packet: 1, .. })]
    ));
    for wrong in [0_u32, 11, 13, u32::MAX, 0x7fff_fffc] {
        let mut file = [section(Little), interface(Little, 1, 0, &[])].concat();
        let at = file.len();
        file.extend(enhanced(Little, 0, 0, &IP));
        file[at + 4..at + 8].copy_from_slice(&wrong.to_le_bytes());
        assert!(
            matches!(read(&file)[..], [Err(CaptureError::Damaged { .. })]),
            "{wrong}"
        );
    }
    // A packet that claims more than its block holds, and one of an unknown interface.
    let mut file = [section(Little), interface(Little, 1, 0, &[])].concat();
    let at = file.len();
    file.extend(enhanced(Little, 0, 0, &IP));
    file[at + 20..at + 24].copy_from_slice(&500_u32.to_le_bytes());
    assert!(matches!(
        read(&file)[..],
        [Err(CaptureError::Damaged { .. })]
    ));
    let file = [section(Little), enhanced(Little, 0, 0, &IP)].concat();
    assert!(matches!(
        read(&file)[..],
        [Err(CaptureError::Damaged { .. })]
    ));
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["out.pcap", "out.pcapng"] {
        let path = folder.path().join(name);
        let mut writer = Writer::create(&path).expect("a new file");
        let long = ethernet(0x0800, &vec![7; 65_535]);
        writer
            .write_commented(
                1_700_000_000_123_456_789,
                &ethernet(0x0800, &IP),
                Some("the first"),
            )
            .expect("written");
        writer
            .write(1_700_000_001_000_000_000, &long)
            .expect("written");
        writer.finish().expect("written");
        let records: Vec<_> = Capture::open(&path)
            .expect("a capture")
            .map(|record| record.expect("whole"))
            .collect();
        assert_eq!(records.len(), 2, "{name}");
        assert_eq!(records[0].timestamp, 1_700_000_000_123_456_789);
        assert_eq!(records[0].data, ethernet(0x0800, &IP));
        assert_eq!(records[1].data, long);
        let bytes = std::fs::read(&path).expect("readable");
        let commented = bytes.windows(9).any(|window| window == b"the first");
        assert_eq!(commented, name.ends_with("ng"));
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_go_on_for_ever(
        magic in 0..4_usize,
        rest: Vec<u8>,
    ) {
        let start = [
            MICROSECONDS.to_be_bytes(),
            NANOSECONDS.to_le_bytes(),
            [0x0a, 0x0d, 0x0d, 0x0a],
            [0x28, 0xb5, 0x2f, 0xfd],
        ][magic];
        let bytes = [&start, &rest[..]].concat();
        proptest::prop_assert!(read(&bytes).len() <= bytes.len());
    }
}

#[test]
fn shared_captures_have_as_many_packets_as_their_list_says() {
    let Some(folder) = shared_captures() else {
        return;
    };
    let list = std::fs::read_to_string(folder.join("README.md")).expect("readable");
    let mut checked = 0;
    for line in list.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // `skype/` rows are "name | packets / seconds / date | …", the others "name | path | packets".
        let name = cells[1];
        if !(name.ends_with(".pcap") || name.ends_with(".pcapng")) {
            continue;
        }
        let (path, count) = match name.contains('/') {
            true => (
                folder.join(name),
                cells[2].split(' ').next().unwrap_or_default(),
            ),
            false => (folder.join("other").join(name), cells[3]),
        };
        let count: usize = count
            .parse()
            .unwrap_or_else(|_| panic!("a count in {line:?}"));
        let records = Capture::open(&path)
            .expect("readable")
            .map(|record| record.expect("whole"));
        assert_eq!(records.count(), count, "{name}");
        checked += 1;
    }
    assert!(checked > 70, "only {checked} files in the list");
}
