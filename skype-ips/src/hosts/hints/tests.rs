use skype_ips_common::layout::{TCP, UDP, mapped};

use super::*;

const HOST: Host = (0, mapped([192, 168, 1, 2]));

fn request(port: u16, lifetime: u32) -> Request {
    Request {
        protocol: UDP,
        port,
        lifetime,
        language: "NAT-PMP",
        place: 4..6,
    }
}

fn endpoint(protocol: u8, port: u16) -> EndpointKey {
    EndpointKey {
        protocol,
        port,
        inside: HOST.1,
        ..EndpointKey::default()
    }
}

fn outside(number: u8) -> Address {
    mapped([80 + number, 1, 2, 3])
}

/// Names and bits.
fn support(hints: &HostHints, now: u64) -> Vec<(&'static str, u32)> {
    let support = hints.support(HOST, now);
    support.iter().map(|one| (one.name, one.bits)).collect()
}

#[test]
fn a_mapping_lasts_as_long_as_it_was_asked_for() {
    let mut hints = HostHints::new(9);
    hints.maps(HOST, 0, request(4000, 60), 7);
    let mapped = |hints: &HostHints, key: EndpointKey, now| {
        let host = (key.zone, key.inside);
        hints.mapped(host, &key, now).is_some()
    };
    assert!(mapped(&hints, endpoint(UDP, 4000), 60 * SECOND));
    assert!(!mapped(&hints, endpoint(UDP, 4000), 61 * SECOND));
    assert!(!mapped(&hints, endpoint(UDP, 4001), 0));
    assert!(!mapped(&hints, endpoint(TCP, 4000), 0));
    // Zero seconds: it isn't wanted any more.
    hints.maps(HOST, SECOND, request(4000, 0), 8);
    assert!(!mapped(&hints, endpoint(UDP, 4000), 2 * SECOND));
}

#[test]
fn each_bootstrap_host_counts_once_and_for_ten_minutes() {
    let mut hints = HostHints::new(9);
    for (number, packet) in [(1, 1), (1, 2), (2, 3)] {
        hints.probes(HOST, 0, (outside(number), 33_033), true, packet);
    }
    assert_eq!(support(&hints, SUPPORTS), [("bootstrap-host", 12)]);
    assert_eq!(support(&hints, SUPPORTS + 1), []);
    for number in 3..9 {
        hints.probes(HOST, 0, (outside(number), 33_033), true, 4);
    }
    assert_eq!(support(&hints, 0), [("bootstrap-host", MOST_BITS)]);
}

#[test]
fn two_unrelated_hosts_make_a_ladder() {
    let mut hints = HostHints::new(9);
    let mut climb = |host: Address, port: u16, then: u16, after: u64| {
        hints.probes(HOST, 0, (host, port), false, 1);
        hints.opens(HOST, after, (host, then), 2);
        support(&hints, after)
    };
    assert_eq!(climb(outside(1), 5000, 5000, SECOND), []);
    // The same host again, and a neighbour of its; too late; another port.
    assert_eq!(climb(outside(1), 5000, 443, SECOND), []);
    assert_eq!(climb(mapped([81, 1, 9, 9]), 5000, 443, SECOND), []);
    assert_eq!(climb(outside(2), 5000, 5000, RUNG + 1), []);
    assert_eq!(climb(outside(2), 5000, 8080, SECOND), []);
    let two = [("fallback-ladder", 8)];
    assert_eq!(climb(outside(2), 5000, 80, SECOND), two);
    let three = [("fallback-ladder", 12)];
    assert_eq!(climb(outside(3), 5000, 443, SECOND), three);
}

#[test]
fn the_longest_silent_host_makes_room() {
    let mut hints = HostHints::new(2);
    for number in 1..=3 {
        let host = (0, outside(number));
        hints.maps(host, u64::from(number), request(4000, 60), 1);
    }
    assert_eq!(hints.hosts.len(), 2);
    assert!(hints.hosts.get(&(0, outside(1))).is_none());
}
