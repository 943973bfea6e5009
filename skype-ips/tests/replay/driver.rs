//! The driver on made-up captures.

use skype_ips::capture::Record;
use skype_ips::engine::Settings;
use skype_ips::policy::{Action, Config, Mode};
use skype_ips::replay::{Conversation, Done, Driver, Report, private_networks};
use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::mark::Code;

use crate::support::{ACK, SECOND, START, SYN, SYN_ACK, key_exchange, probes, tcp, udp};

const HOST: &str = "192.168.7.2:21000";

fn driver(mode: Mode) -> Driver {
    let config = Config::default_for_replay();
    Driver::new(&config, mode, Settings::default(), &private_networks())
}

fn replay(mode: Mode, records: &[Record]) -> Report {
    let mut driver = driver(mode);
    for record in records {
        driver.packet(record);
    }
    driver.finish()
}

/// One probe per peer 198.51.100.N, one a second.
fn fan(host: &str, peers: u16) -> Vec<Record> {
    let probes = probes(99, peers).zip(0_u16..);
    probes
        .map(|(payload, at)| {
            let peer = format!("198.51.100.{at}:33033");
            udp(u64::from(at), host, &peer, &payload)
        })
        .collect()
}

fn decided(conversation: &Conversation) -> Option<Option<u64>> {
    let detection = conversation.detection.as_ref();
    detection.map(|detection| detection.decided_at_packet)
}

#[test]
fn what_came_before_the_proof_is_skype_in_retrospect() {
    let mut records = fan(HOST, 4);
    records.push(udp(9, "192.168.7.2:53000", "198.51.100.1:53", &[1; 40]));
    let report = replay(Mode::Monitor, &records);
    let all: Vec<_> = report.conversations.iter().map(decided).collect();
    assert_eq!(
        all,
        [
            Some(None),
            Some(Some(1)),
            Some(Some(1)),
            Some(Some(1)),
            None
        ]
    );
    let json: Vec<_> = report
        .records("x.pcap")
        .map(|record| serde_json::to_value(record).expect("plain data"))
        .collect();
    assert_eq!(
        json[0]["skype"]["decided_at_packet"],
        serde_json::Value::Null
    );
    assert_eq!(json[0]["skype"]["retrospective"], true);
    assert_eq!(json[0]["skype"]["evidence"][0], "endpoint");
    assert_eq!(
        json[1]["skype"]["evidence"],
        serde_json::json!(["udp-generator"])
    );
    assert_eq!(
        json[2]["skype"]["evidence"],
        serde_json::json!(["endpoint", "udp-generator"])
    );
    assert_eq!(json[2]["policy"]["action"], "alert");
    assert_eq!(json[4]["skype"], serde_json::json!({"detected": false}));
    assert_eq!((report.stats.flows, report.stats.skype_flows), (5, 4));
}

#[test]
fn the_report_says_what_came_through_before_the_decision() {
    let mut records = fan(HOST, 3);
    // Before its endpoint's proof, after it, and TCP with a payload of the server before it.
    let (client, server) = ("192.168.7.2:50000", "198.51.100.9:443");
    records.extend([
        tcp(3, client, server, SYN, 9, &[]),
        tcp(3, server, client, SYN_ACK, 70, &[]),
        tcp(3, server, client, ACK, 71, b"hello"),
        tcp(3, client, server, ACK, 10, &key_exchange()),
    ]);
    let report = replay(Mode::Monitor, &records);
    let json: Vec<_> = report
        .records_with_payload("x.pcap")
        .map(|record| serde_json::to_value(record).expect("plain data"))
        .collect();
    let endpoint = serde_json::json!(
        {"ip": "192.168.7.2", "port": 21000, "sent": 2, "received": 0}
    );
    for (index, passed) in [(0, 1), (1, 0), (2, 0)] {
        let skype = &json[index]["skype"];
        assert_eq!(skype["passed_pkts"], passed, "{index}");
        assert_eq!(skype["passed_bytes"], passed * 46, "{index}");
        assert_eq!(skype["endpoint"], endpoint, "{index}");
        assert!(skype.get("passed_server_payloads").is_none(), "{index}");
        assert_eq!(json[index]["flow"]["queued_pkts"], 1, "{index}");
        assert_eq!(json[index]["payload"]["bytes_toserver"], 18, "{index}");
    }
    let skype = &json[3]["skype"];
    assert_eq!(
        (&skype["passed_pkts"], &skype["passed_server_payloads"]),
        (&serde_json::json!(3), &serde_json::json!(1))
    );
    assert!(skype.get("endpoint").is_none());
    assert_eq!(json[3]["payload"]["head_toclient"], "68656c6c6f");
    assert_eq!(json[3]["payload"]["opening_seen"], true);
    let plain = report.records("x.pcap").next().expect("a conversation");
    assert_eq!(plain.payload, None);
}

#[test]
fn retrospect_reaches_back_as_far_as_a_proof_holds() {
    let mut records = vec![udp(0, HOST, "198.51.100.200:1", &[1; 40])];
    records.extend(fan(HOST, 3).into_iter().map(|mut record| {
        record.timestamp += 21 * 60 * SECOND;
        record
    }));
    let report = replay(Mode::Monitor, &records);
    assert_eq!(report.conversations.get(0).detection, None);
    assert_eq!(decided(report.conversations.get(1)), Some(None));
}

#[test]
fn any_packet_of_a_known_endpoint_decides_its_conversation() {
    let mut records = fan(HOST, 2);
    let peer = "203.0.113.77:4000";
    records.push(udp(5, peer, HOST, &[0xd; 200]));
    records.push(udp(6, HOST, peer, &[0xd; 200]));
    let report = replay(Mode::Enforce, &records);
    let last = report.conversations.get(2);
    assert_eq!(decided(last), Some(Some(1)));
    assert_eq!(last.dropped, 2);
    let done = Done {
        policy: "skype".into(),
        action: Action::Drop,
        budget: None,
    };
    assert_eq!(last.policy, Some(done));
}

#[test]
fn public_hosts_are_judged_from_both_ends_when_none_is_inside() {
    let (one, other) = ("203.0.113.9:21000", "198.51.100.4:33033");
    for (source, destination) in [(one, other), (other, one)] {
        let records: Vec<_> = probes(7, 3)
            .map(|payload| udp(0, source, destination, &payload))
            .collect();
        let mut driver = driver(Mode::Enforce);
        let steps: Vec<_> = records.iter().map(|record| driver.packet(record)).collect();
        let sides = steps[0]
            .judged
            .map(|judged| judged.map(|judged| judged.side));
        assert_eq!(sides, [Some(Side::InsideIngress), Some(Side::Inbound)]);
        let report = driver.finish();
        assert_eq!(decided(report.conversations.get(0)), Some(Some(2)));
        // No policy covers them: found, and let alone.
        assert_eq!(report.conversations.get(0).policy, None);
        assert_eq!(report.stats.dropped, 0);
    }
}

#[test]
fn hosts_without_a_policy_are_watched_only() {
    let config = Config::default_for_replay();
    let inside = ["203.0.113.0/24".parse().expect("a network")];
    let mut driver = Driver::new(&config, Mode::Enforce, Settings::default(), &inside);
    for record in fan("203.0.113.9:21000", 3) {
        driver.packet(&record);
    }
    let report = driver.finish();
    assert_eq!((report.stats.skype_flows, report.stats.dropped), (3, 0));
}

#[test]
fn between_two_inside_hosts_each_packet_passes_two_inside_interfaces() {
    let (client, server) = ("10.0.0.2:50000", "10.0.0.1:4000");
    let mut driver = driver(Mode::Enforce);
    let steps = [
        tcp(0, client, server, SYN, 9, &[]),
        tcp(0, server, client, SYN_ACK, 70, &[]),
        tcp(0, client, server, ACK, 10, b"hello"),
        tcp(0, server, client, ACK, 71, &key_exchange()),
        tcp(0, client, server, ACK, 15, b"more"),
    ]
    .map(|record| driver.packet(&record));
    let sides = steps[2]
        .judged
        .map(|judged| judged.map(|judged| judged.side));
    assert_eq!(sides, [Some(Side::InsideIngress), Some(Side::InsideEgress)]);
    // The answer proves the server; packets towards it are dropped as they leave for it.
    let [Some(first), None] = steps[3].judged else {
        panic!("dropped where it came in");
    };
    assert!(matches!(first.outcome, Outcome::Pass(Code::Inspect(_))));
    assert_eq!(steps[3].action, Action::Drop);
    let towards = steps[4].judged[1].expect("judged twice");
    assert_eq!(
        (towards.outcome, steps[4].action),
        (Outcome::Drop, Action::Drop)
    );
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut records = fan(HOST, 3);
    records[1].timestamp = START - 5000 * SECOND;
    let report = replay(Mode::Monitor, &records);
    assert_eq!(report.stats.skype_flows, 3);
    assert_eq!(report.stats.seconds, 2.0);
}

#[test]
fn ipv6_is_judged_alike() {
    let records: Vec<_> = probes(3, 3)
        .map(|payload| udp(0, "[fd00::5]:21000", "[2001:db8::1]:4", &payload))
        .collect();
    let report = replay(Mode::Enforce, &records);
    assert_eq!(decided(report.conversations.get(0)), Some(Some(2)));
    assert_eq!(report.conversations.get(0).dropped, 2);
}

#[test]
fn a_reused_pair_of_ports_stays_one_conversation() {
    let (client, server) = ("192.168.7.2:50000", "198.51.100.1:443");
    let report = replay(
        Mode::Enforce,
        &[
            tcp(0, client, server, SYN, 100, &[]),
            tcp(0, client, server, ACK, 101, b"GET / HTTP/1.1\r\n\r\n"),
            tcp(60, client, server, SYN, 20_000_000, &[]),
            tcp(60, client, server, ACK, 20_000_001, &key_exchange()),
        ],
    );
    assert_eq!(report.conversations.len(), 1);
    assert_eq!(decided(report.conversations.get(0)), Some(Some(4)));
}

#[test]
fn a_connection_first_seen_in_the_middle_is_let_alone() {
    let (client, server) = ("192.168.7.2:50000", "198.51.100.1:443");
    let report = replay(
        Mode::Enforce,
        &[tcp(0, client, server, ACK, 101, &key_exchange())],
    );
    assert_eq!(report.stats.skype_flows, 0);
}

#[test]
fn nonsense_is_counted_and_passes() {
    let mut cut = udp(0, HOST, "198.51.100.1:1", &[1; 40]);
    cut.data.truncate(23);
    let empty = Record {
        data: Vec::new(),
        wire_len: 0,
        ..cut.clone()
    };
    let report = replay(Mode::Enforce, &[cut, empty]);
    assert_eq!((report.stats.undecodable, report.stats.packets), (2, 2));
    assert_eq!(report.stats.flows, 0);
}
