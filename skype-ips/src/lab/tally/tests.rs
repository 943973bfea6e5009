use std::net::SocketAddrV4;

use skype_ips_common::layout::UDP;

use super::*;
use crate::engine::Finding;
use crate::policy::{Action, Class, Confidence, Role};

const INSIDE: &str = "192.168.1.34:13021";

/// A datagram from an inside port to an outside host, as the capture's packet `number`.
fn record(number: u64, port: u16, last: u8) -> Record {
    let mut data = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, UDP, 0, 0, 192, 168, 1, 34];
    data.extend([203, 0, 113, last]);
    data.extend(port.to_be_bytes());
    data.extend([0x12, 0x34, 0, 8, 0, 0]);
    let wire_len = data.len() as u32;
    Record {
        number,
        timestamp: number,
        link: Link::Raw,
        vlan: Vec::new(),
        data,
        wire_len,
    }
}

fn alert(at: u64, of_endpoint: bool, last: u8, action: Action) -> Alert {
    let outside = SocketAddrV4::new([203, 0, 113, last].into(), 0x1234);
    Alert {
        at,
        of_endpoint,
        protocol: UDP,
        inside: INSIDE.parse().expect("an address"),
        outside: outside.into(),
        finding: Some(Finding {
            class: Class::Signaling,
            role: Role::Client,
            confidence: Confidence::Exact,
        }),
        evidence: vec!["udp-generator".to_owned()],
        action,
    }
}

/// Packets as (port, outside host, time of sending, fate), and what became of them.
fn outcome(packets: &[(u16, u8, u64, Fate)], alerts: &[Alert], mode: Mode) -> Outcome {
    let mut tally = Tally::default();
    tally.begin("some.pcap".into());
    for (number, (port, last, at, fate)) in (1..).zip(packets) {
        let record = record(number, *port, *last);
        let (packet, tags) = Packet::from_record(&record).expect("a whole packet");
        let prepared = Prepared {
            segments: vec![packet.clone()],
            packet,
            repaired: false,
            tags,
        };
        let sent = Sent {
            at: *at,
            fate: *fate,
        };
        tally.sent(&record, &prepared, sent);
    }
    let config = Config::default_for_replay();
    tally.finish(alerts, Value::Null, &config, Some(mode), Vec::new())
}

use Fate::{Delivered, Dropped, Lost};

#[test]
fn what_a_decided_flow_sends_must_not_arrive() {
    let alerts = [alert(20, false, 1, Action::Drop)];
    let fates = |last| [(13021, 1, 10, Dropped), (13021, 1, 30, last)];
    let kept = outcome(&fates(Dropped), &alerts, Mode::Enforce);
    assert_eq!(
        (kept.unmet_count, kept.stats.lab.skype.sent_after_decision),
        (0, 1)
    );
    let broken = outcome(&fates(Delivered), &alerts, Mode::Enforce);
    assert_eq!(
        (
            broken.unmet_count,
            broken.stats.lab.skype.delivered_after_decision
        ),
        (1, 1)
    );
    assert!(broken.unmet[0].contains("some.pcap: packet 2 (192.168.1.34:13021"));
    // Nothing is promised of it while the gateway monitors, or under `alert`.
    let all = [(13021, 1, 10, Delivered), (13021, 1, 30, Delivered)];
    assert_eq!(outcome(&all, &alerts, Mode::Monitor).unmet_count, 0);
    let alerts = [alert(20, false, 1, Action::Alert)];
    assert_eq!(outcome(&all, &alerts, Mode::Enforce).unmet_count, 0);
}

#[test]
fn only_the_packet_that_decides_may_be_dropped_before_the_rest() {
    let alerts = [alert(25, false, 1, Action::Drop)];
    let packets = |first| [(13021, 1, 10, first), (13021, 1, 20, Dropped)];
    assert_eq!(
        outcome(&packets(Delivered), &alerts, Mode::Enforce).unmet_count,
        0
    );
    assert_eq!(
        outcome(&packets(Dropped), &alerts, Mode::Enforce).unmet_count,
        1
    );
}

#[test]
fn what_no_finding_explains_must_arrive() {
    for (fate, count) in [(Delivered, 0), (Dropped, 1), (Lost, 1)] {
        for mode in [Mode::Monitor, Mode::Enforce] {
            assert_eq!(outcome(&[(500, 1, 10, fate)], &[], mode).unmet_count, count);
        }
    }
    // Losing Skype is no way of blocking it.
    let alerts = [alert(5, false, 1, Action::Drop)];
    assert_eq!(
        outcome(&[(13021, 1, 10, Lost)], &alerts, Mode::Enforce).unmet_count,
        1
    );
}

#[test]
fn an_endpoint_decides_its_other_flows_from_then_on() {
    let alerts = [alert(20, true, 2, Action::Drop)];
    let packets = [
        (13021, 1, 10, Delivered),
        (13021, 2, 15, Dropped),
        (13021, 3, 30, Dropped),
        (13022, 4, 40, Delivered),
    ];
    let outcome = outcome(&packets, &alerts, Mode::Enforce);
    assert_eq!(outcome.unmet, Vec::<String>::new());
    let details: Vec<_> = outcome
        .flows
        .iter()
        .map(|flow| flow.skype.detail.as_ref())
        .collect();
    let early = details[0].expect("Skype");
    assert_eq!((early.decided_at_packet, early.retrospective), (None, true));
    let own = details[1].expect("Skype");
    assert_eq!(
        (own.decided_at_packet, &own.evidence[..]),
        (Some(1), &["udp-generator"][..])
    );
    let later = details[2].expect("Skype");
    assert_eq!(
        (later.decided_at_packet, &later.evidence[..]),
        (Some(1), &["endpoint"][..])
    );
    assert_eq!(details[3], None);
    assert_eq!(
        (outcome.stats.lab.skype.sent, outcome.stats.lab.other.sent),
        (3, 1)
    );
}

#[test]
fn a_packet_that_arrives_late_was_delivered() {
    let mut tally = Tally::default();
    tally.begin("some.pcap".into());
    let record = record(1, 500, 1);
    let (packet, tags) = Packet::from_record(&record).expect("a whole packet");
    let prepared = Prepared {
        segments: vec![packet.clone()],
        packet,
        repaired: false,
        tags,
    };
    let number = tally.next_number();
    tally.sent(&record, &prepared, Sent { at: 1, fate: Lost });
    tally.arrived_late(&[number]);
    let config = Config::default_for_replay();
    let outcome = tally.finish(&[], Value::Null, &config, None, Vec::new());
    assert_eq!((outcome.unmet_count, outcome.stats.lab.late), (0, 1));
}
