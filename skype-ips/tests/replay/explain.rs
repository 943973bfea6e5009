//! What `--explain` says: bytes that are in the capture, what follows from them, and no more.

use std::collections::HashSet;

use skype_ips::capture::{Capture, Record};
use skype_ips::engine::Settings;
use skype_ips::policy::{Action, Config, Mode};
use skype_ips::replay::explain::{CitationTold, ExplanationRecord, Witness, explain};
use skype_ips::replay::{Driver, Report, private_networks};
use skype_ips::simulator::speech::{dns, stun};
use skype_ips_common::lcg;
use skype_ips_common::parse::Slice;

use crate::command::{lines, run, session, text, written};
use crate::support::{ACK, SYN, SYN_ACK, captures, key_exchange, probes, tcp, udp};

const HOST: &str = "192.168.7.2:21000";

fn numbered(mut records: Vec<Record>) -> Vec<Record> {
    for (record, number) in records.iter_mut().zip(1..) {
        record.number = number;
    }
    records
}

/// A first pass, and what explains its conversations.
struct Passes {
    records: Vec<Record>,
    mode: Mode,
    report: Report,
}

impl Passes {
    fn new(records: Vec<Record>, mode: Mode) -> Self {
        let mut driver = driver(mode);
        for record in &records {
            driver.packet(record);
        }
        let report = driver.finish();
        Self {
            records,
            mode,
            report,
        }
    }

    fn explain(&self, conversation: usize) -> ExplanationRecord {
        let mut witness = Witness::new(&self.report, conversation);
        let mut driver = driver(self.mode);
        for record in &self.records {
            let step = driver.packet(record);
            witness.packet(record, &step);
        }
        let config = Config::default_for_replay();
        explain(&self.report, &witness, &config, self.mode, "x.pcap")
    }
}

fn driver(mode: Mode) -> Driver {
    let config = Config::default_for_replay();
    Driver::new(&config, mode, Settings::default(), &private_networks())
}

/// One probe per peer 198.51.100.N, one a second.
fn fan(peers: u16) -> Vec<Record> {
    let probes = probes(99, peers).zip(0_u16..);
    let records = probes.map(|(payload, at)| {
        let peer = format!("198.51.100.{at}:33033");
        udp(u64::from(at), HOST, &peer, &payload)
    });
    numbered(records.collect())
}

fn citations(record: &ExplanationRecord) -> Vec<&CitationTold> {
    let proof = record.explanation.proof.as_ref().expect("a proof");
    let evidence = proof.evidence.iter();
    evidence.flat_map(|one| &one.citations).collect()
}

/// What stands at a place of a packet's payload, and who sent it, found without the explainer.
fn at_place(record: &Record, cited: &CitationTold) -> (String, u16) {
    let slice = Slice::with_wire_len(&record.data, record.wire_len);
    let headers = skype_ips_common::parse::headers(&slice, record.link).expect("TCP or UDP");
    let from = (headers.payload_offset + cited.offset) as usize;
    let bytes = &record.data[from..from + cited.length as usize];
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (hex, headers.source_port)
}

fn check_citations(record: &ExplanationRecord, records: &[Record]) {
    let cited = citations(record);
    assert!(!cited.is_empty(), "{record}");
    for one in cited {
        let packet = &records[one.frame as usize - 1];
        let seen = one.seen.as_ref().expect("the packet was met");
        let found = (seen.bytes.clone(), seen.src_port);
        assert_eq!(found, at_place(packet, one), "{record}");
    }
}

#[test]
fn a_conversation_of_a_proved_endpoint_says_who_proved_it() {
    let passes = Passes::new(fan(3), Mode::Enforce);
    let told: Vec<_> = (0..3).map(|index| passes.explain(index)).collect();
    for one in &told {
        check_citations(one, &passes.records);
        let proof = one.explanation.proof.as_ref().expect("a proof");
        let bits: u32 = proof.evidence.iter().map(|evidence| evidence.bits).sum();
        assert_eq!((proof.frame, proof.bits), (2, bits));
    }
    let by = |index: usize| {
        let proof = told[index].explanation.proof.as_ref().expect("a proof");
        proof.by.as_ref().map(|by| by.ends.as_str())
    };
    let deciding = "udp 192.168.7.2:21000 198.51.100.1:33033";
    assert_eq!(
        [by(0), by(1), by(2)],
        [Some(deciding), None, Some(deciding)]
    );
    let at = told.iter().map(|one| one.explanation.decided_at_frame);
    assert_eq!(at.collect::<Vec<_>>(), [None, Some(2), Some(3)]);
    let dropped = told
        .iter()
        .map(|one| &one.explanation.policy.dropped.frames);
    assert_eq!(dropped.collect::<Vec<_>>(), [&[][..], &[2], &[3]]);
    let words = told[0].to_string();
    for part in [
        "Decided in retrospect",
        "192.168.7.2:21000 was proved by frame 2 of another conversation, udp 192.168.7.2:21000 \
         198.51.100.1:33033",
        "frame 2, 1.000000 s, 192.168.7.2:21000 -> 198.51.100.1:33033, payload bytes 3 to 6: IV",
        "one in ",
        "From 32 bits on it is exact",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(told[2].to_string().contains("dropped: 1 packet, frame 3"));
}

#[test]
fn in_mode_monitor_it_says_what_enforcement_would_do() {
    let passes = Passes::new(fan(3), Mode::Monitor);
    let told = passes.explain(2);
    assert_eq!(told.explanation.policy.alerted.frames, [3]);
    let words = told.to_string();
    assert!(
        words.contains("mode monitor: alert. In mode enforce it would be drop."),
        "{words}"
    );
}

/// A connection from `host`, and what both ends say.
fn connection(client: &[u8], server: &[u8]) -> Vec<Record> {
    let (host, peer) = ("192.168.7.2:50000", "203.0.113.9:4000");
    vec![
        tcp(1, host, peer, SYN, 9, &[]),
        tcp(1, peer, host, SYN_ACK, 99, &[]),
        tcp(2, host, peer, ACK, 10, client),
        tcp(3, peer, host, ACK, 100, server),
    ]
}

#[test]
fn a_connection_is_explained_by_its_own_segments() {
    let passes = Passes::new(
        numbered(connection(&key_exchange(), &[1; 60])),
        Mode::Monitor,
    );
    let told = passes.explain(0);
    check_citations(&told, &passes.records);
    let words = told.to_string();
    assert!(words.contains("tcp-key-exchange: "), "{words}");
    assert!(
        words.contains("frame 3, 1.000000 s, 192.168.7.2:50000 -> "),
        "{words}"
    );
    assert!(!words.contains("endpoint"), "{words}");
}

/// A host's question for a name, if it asks, then a check of a path for its media.
fn media(name: Option<&str>) -> Vec<Record> {
    let mut rng = fastrand::Rng::with_seed(1);
    let check = stun::binding_request(&mut rng);
    let asked = name.map(|name| {
        let question = dns::query(7, name);
        udp(0, "192.168.7.2:53000", "198.51.100.9:53", &question)
    });
    let check = udp(1, "192.168.7.2:50004", "198.51.100.1:3478", &check);
    numbered(asked.into_iter().chain([check]).collect())
}

#[test]
fn media_is_explained_by_its_marks_and_by_the_name_that_told() {
    let passes = Passes::new(media(Some("login.skype.com")), Mode::Enforce);
    let record = passes.explain(1);
    check_citations(&record, &passes.records);
    let frames: Vec<_> = citations(&record).iter().map(|cited| cited.frame).collect();
    assert_eq!(frames, [2, 2, 1]);
    assert!(
        record
            .to_string()
            .contains("login.skype.com: of Skype's own")
    );
}

#[test]
fn what_is_ambiguous_is_explained_and_not_called_skype() {
    let passes = Passes::new(media(None), Mode::Enforce);
    let record = passes.explain(0);
    assert!(record.explanation.proof.is_none());
    let [shown] = &record.explanation.ambiguous[..] else {
        panic!("{:?}", record.explanation.ambiguous)
    };
    assert_eq!((shown.name, shown.citations.len()), ("stun-microsoft", 2));
    assert!(shown.citations.iter().all(|cited| cited.seen.is_some()));
    let text = record.to_string();
    assert!(text.contains("may be Skype's or Teams'"), "{text}");
    assert!(!text.contains("It is Skype"), "{text}");
    assert_eq!(record.explanation.policy.enforced, Some(Action::Allow));
}

#[test]
fn of_what_is_not_skype_it_says_what_there_was_to_look_at() {
    let mut records = connection(b"hello", &[7; 90]);
    records.remove(0);
    records.remove(0);
    // The capture keeps 60 bytes of a packet.
    records[1].data.truncate(60);
    records.push(udp(9, "192.168.7.2:5000", "192.0.2.53:53", &[]));
    let passes = Passes::new(numbered(records), Mode::Monitor);
    let told = passes.explain(0);
    assert!(told.explanation.proof.is_none());
    let looked_at = told.explanation.looked_at;
    assert_eq!(
        (
            looked_at.packets,
            looked_at.payloads,
            looked_at.cut_off,
            looked_at.opening_seen
        ),
        (2, 2, 1, Some(false))
    );
    let words = told.to_string();
    for part in [
        "Nothing was found",
        "opening (SYN) is not in the capture",
        "cuts off the payload of 1 packet:",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let empty = passes.explain(1).to_string();
    assert!(
        empty.contains("without payload there is nothing"),
        "{empty}"
    );
    assert!(!empty.contains("SYN"), "{empty}");
}

#[test]
fn in_a_tunnel_the_bytes_are_those_of_the_inner_packet() {
    let mut records = fan(2);
    for record in &mut records {
        let len = (20 + record.data.len() as u16).to_be_bytes();
        let outer = [
            0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, 4, 0, 0, 192, 0, 2, 1, 203, 0, 113, 9,
        ];
        record.data.splice(..0, outer);
        record.wire_len += 20;
    }
    let passes = Passes::new(records, Mode::Monitor);
    let told = passes.explain(1);
    let seen: Vec<_> = citations(&told)
        .iter()
        .map(|one| one.seen.clone().expect("met"))
        .collect();
    let inner: Vec<_> = probes(99, 2)
        .map(|payload| {
            payload[3..7]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        })
        .collect();
    assert_eq!(
        seen.iter().map(|one| &one.bytes).collect::<Vec<_>>(),
        inner.iter().collect::<Vec<_>>()
    );
    assert!(seen.iter().all(|one| one.src_port == 21_000));
    let words = told.to_string();
    assert!(
        words.contains("in a tunnel (ip-in-ip, depth 1) from 192.0.2.1 to 203.0.113.9"),
        "{words}"
    );
    assert!(words.contains("doesn't look into it"), "{words}");
}

#[test]
fn cited_bytes_that_the_capture_cuts_off_are_said_to_be() {
    // What is cited beyond the end can only come from a capture that changed between the passes.
    let mut passes = Passes::new(fan(2), Mode::Monitor);
    passes.records[0].data.truncate(20 + 8 + 5);
    let words = passes.explain(1).to_string();
    assert!(
        words.contains("(the capture cuts off 2 of 4 bytes)"),
        "{words}"
    );
    passes.records.clear();
    let words = passes.explain(1).to_string();
    assert!(
        words.contains("frame 1, payload bytes 3 to 6: IV"),
        "{words}"
    );
}

#[test]
fn each_kind_of_evidence_in_the_shared_captures_is_explained_by_its_bytes() {
    let Some(folder) = captures() else { return };
    for name in [
        "ndpi_skype.pcap",
        "ndpi_skype_udp.pcap",
        "arkime_smb-port80.pcap",
    ] {
        let capture = Capture::open(&folder.join("skype").join(name)).expect("a capture");
        let records = capture.map(|record| record.expect("a whole capture"));
        let passes = Passes::new(records.collect(), Mode::Monitor);
        let mut kinds = HashSet::new();
        for (index, one) in passes.report.conversations.iter().enumerate() {
            let Some(found) = &one.detection else {
                continue;
            };
            if kinds.insert(found.evidence.clone()) {
                check_citations(&passes.explain(index), &passes.records);
            }
        }
        assert!(!kinds.is_empty(), "{name}");
    }
}

#[test]
fn a_conversation_is_chosen_by_any_of_its_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = session(folder.path());
    let all = lines(&run(&["--json", text(&path)]));
    let community = all[1]["community_id"].as_str().expect("a text").to_owned();
    let number = all[1]["flow_id"].to_string();
    let ends = "198.51.100.2:33033 <-> 192.168.7.2:21000".to_owned();
    for name in [&community, &number, &ends, &"198.51.100.2:33033".to_owned()] {
        let output = run(&["--explain", name, text(&path)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let words = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(words.starts_with("udp 192.168.7.2:21000 198.51.100.2:33033 of session.pcap"));
        let told = lines(&run(&["--json", "--explain", name, text(&path)]));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["event_type"], "explanation");
        assert_eq!(told[0]["flow_id"].to_string(), number);
        // The record is that of the conversation, and one object more.
        for (key, value) in all[1].as_object().expect("an object") {
            assert!(key == "event_type" || told[0][key] == *value, "{key}");
        }
        let citation = &told[0]["explanation"]["proof"]["evidence"][0]["citations"][0];
        assert_eq!(
            (citation["frame"].as_u64(), citation["offset"].as_u64()),
            (Some(1), Some(3))
        );
    }
}

#[test]
fn a_name_of_none_or_of_several_gives_status_2_and_the_nearest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = session(folder.path());
    let said = |name: &str| {
        let output = run(&["--explain", name, text(&path)]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let several = said("192.168.7.2:21000");
    assert!(
        several.contains("3 conversations are called 192.168.7.2:21000"),
        "{several}"
    );
    let near = said("udp 192.168.7.2:5000 192.0.2.53:54");
    let first = near.lines().nth(1).expect("a list");
    assert!(near.contains("the nearest are"), "{near}");
    assert!(first.contains("192.168.7.2:5000 192.0.2.53:53"), "{near}");
    assert!(said("udp 9.9.9.9:1").contains("there are"));
    assert!(said("somebody").contains("names no conversation"));
}

#[test]
fn what_can_not_be_read_twice_is_refused() {
    let output = run(&["--explain", "1", "-"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("save it to a file first"), "{said}");
}

#[test]
fn what_is_whole_of_a_damaged_capture_is_explained_with_status_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = written(folder.path(), "damaged.pcap", &fan(3));
    let whole = std::fs::read(&path).expect("just written");
    std::fs::write(&path, &whole[..whole.len() - 5]).expect("a writable folder");
    let output = run(&["--explain", "198.51.100.1:33033", text(&path)]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(words.contains("Decided at frame 2"), "{words}");
}

#[test]
fn what_a_connections_own_bytes_prove_after_its_port_decided_is_told_too() {
    let mut records = fan(3);
    let peer = "203.0.113.9:4000";
    records.push(tcp(9, peer, HOST, SYN, 9, &[]));
    records.push(tcp(9, HOST, peer, SYN_ACK, 99, &[]));
    records.push(tcp(9, peer, HOST, ACK, 10, &key_exchange()));
    let passes = Passes::new(numbered(records), Mode::Monitor);
    let told = passes.explain(3);
    check_citations(&told, &passes.records);
    assert_eq!(told.explanation.decided_at_frame, Some(4));
    let besides = &told.explanation.besides;
    assert_eq!((besides.len(), besides[0].frame), (1, 6));
    let words = told.to_string();
    for part in [
        "was proved by frame 2",
        "say more, by frame 6: signaling, client, exact",
        "tcp-key-exchange: ",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

/// A connection of the host on `port`, in which it says `opening`, `seconds` after the start.
fn speaks(seconds: u64, port: u16, opening: &[u8]) -> [Record; 3] {
    let (host, peer) = (format!("192.168.7.2:{port}"), "203.0.113.9:4000");
    [
        tcp(seconds, &host, peer, SYN, 9, &[]),
        tcp(seconds, peer, &host, SYN_ACK, 99, &[]),
        tcp(seconds, &host, peer, ACK, 10, opening),
    ]
}

#[test]
fn what_leans_on_an_earlier_proof_comes_with_it() {
    // A stream whose first word goes on where the datagrams stopped.
    let state = (0..4).fold(99, |state, _| lcg::next(state));
    let short = [&state.to_be_bytes()[..], &[0x55; 10]].concat();
    let mut records = fan(3);
    records.extend(speaks(9, 50_000, &short));
    let passes = Passes::new(numbered(records), Mode::Monitor);
    let told = passes.explain(3);
    check_citations(&told, &passes.records);
    let proof = told.explanation.proof.as_ref().expect("a proof");
    assert_eq!(proof.evidence[0].name, "tcp-udp-generator");
    let basis = proof.follows.as_ref().expect("what it follows from");
    assert_eq!((basis.frame, basis.evidence[0].name), (2, "udp-generator"));
    let cited = &basis.evidence[0].citations[0];
    let seen = cited.seen.as_ref().expect("met");
    assert_eq!(
        (seen.bytes.clone(), seen.src_port),
        at_place(&passes.records[cited.frame as usize - 1], cited)
    );

    // A login that nobody has answered, to a host that another connection gave away.
    let mut records = speaks(1, 50_000, &key_exchange()).to_vec();
    records.extend(speaks(9, 50_001, &[0x16, 3, 1, 0, 0]));
    let passes = Passes::new(numbered(records), Mode::Monitor);
    let told = passes.explain(1);
    check_citations(&told, &passes.records);
    let words = told.to_string();
    assert!(
        words.contains(
            "because of an earlier proof, by frame 3 of another conversation, tcp 192.168.7.2:50000"
        ),
        "{words}"
    );
}
