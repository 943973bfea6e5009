//! What one host is, and when what was learned of it ends.

use std::time::Duration;

use skype_ips::engine::{Event, Settings};
use skype_ips::policy::HostRule;
use skype_ips_common::layout::{Address, FlowKey, FlowState, mapped};

use crate::support::{SECOND, Trial, probe, steps, udp};

const MINUTE: u64 = 60 * SECOND;
const PEER: [u8; 4] = [203, 0, 113, 77];
/// Whose message completes the proof: its flow is watched.
const SECOND_PEER: [u8; 4] = [203, 0, 113, 78];

fn rule(prefix_v6: u8, minutes: Option<u64>) -> HostRule {
    HostRule {
        prefix_v6,
        timeout: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
    }
}

fn trial(rule: HostRule) -> Trial {
    Trial::with(Settings {
        hosts: rule,
        ..Settings::default()
    })
}

/// A host's Skype sends from an address to two peers: it is known then.
fn is_known(trial: &mut Trial, key: impl Fn([u8; 4]) -> FlowKey) {
    continues(trial, key, 0);
}

/// The same by a program that has sent so many messages before.
fn continues(trial: &mut Trial, key: impl Fn([u8; 4]) -> FlowKey, before: u32) {
    trial.datagram(key(PEER), true, &probe(2, steps(7, before)));
    trial.datagram(key(SECOND_PEER), true, &probe(4, steps(7, before + 1)));
    assert!(trial.engine.finding(&key(PEER)).is_some());
}

fn flow(peer: [u8; 4]) -> FlowKey {
    udp(peer, 33_033)
}

/// The hosts that were forgotten since the last call.
fn forgotten(trial: &mut Trial) -> Vec<Address> {
    let events = std::mem::take(&mut trial.events).into_iter();
    let hosts = events.filter_map(|event| match event {
        Event::HostsForgotten(hosts) => Some(hosts),
        _ => None,
    });
    hosts.flatten().map(|(_, host)| host).collect()
}

#[test]
fn silence_of_the_stated_time_ends_all_that_is_known_of_a_host() {
    let mut trial = trial(rule(128, Some(5)));
    is_known(&mut trial, flow);
    trial.later(5 * MINUTE);
    assert_eq!(forgotten(&mut trial), Vec::<Address>::new());
    trial.later(SECOND);
    assert_eq!(forgotten(&mut trial), [flow(PEER).inside]);
    assert!(trial.engine.hosts().is_empty() && trial.engine.watching().is_empty());
}

/// The gate counts packets of one direction, for so many half minutes.
fn counts(trial: &mut Trial, state: &mut FlowState, direction: usize, times: usize) {
    for _ in 0..times {
        trial.now += MINUTE / 2;
        state.packets[direction] += 20;
        state.last_seen = trial.now;
        let mut events = Vec::new();
        trial
            .engine
            .counters(trial.now, &flow(SECOND_PEER), state, &mut events);
        trial.later(0);
    }
}

#[test]
fn a_host_that_goes_on_is_not_forgotten() {
    let mut trial = trial(rule(128, Some(5)));
    is_known(&mut trial, flow);
    // Nothing comes up any more, and the gate counts what it sends.
    let mut state = FlowState::default();
    counts(&mut trial, &mut state, 0, 20);
    assert_eq!(forgotten(&mut trial), Vec::<Address>::new());
    // What it is sent says nothing of who has the address now.
    counts(&mut trial, &mut state, 1, 12);
    assert_eq!(forgotten(&mut trial), [flow(PEER).inside]);
}

#[test]
fn without_a_stated_time_an_endpoint_is_known_for_twenty_minutes() {
    let mut trial = trial(HostRule::default());
    is_known(&mut trial, flow);
    trial.later(20 * MINUTE);
    assert!(trial.engine.finding(&flow(PEER)).is_some());
    trial.later(SECOND);
    assert!(trial.engine.finding(&flow(PEER)).is_none());
}

#[test]
fn a_longer_time_keeps_an_endpoint_longer() {
    let mut trial = trial(rule(128, Some(60)));
    is_known(&mut trial, flow);
    trial.later(60 * MINUTE);
    assert!(trial.engine.finding(&flow(PEER)).is_some());
    trial.later(SECOND);
    assert!(trial.engine.finding(&flow(PEER)).is_none());
}

#[test]
fn hosts_that_are_known_already_get_the_time_that_a_reload_states() {
    let mut trial = trial(HostRule::default());
    is_known(&mut trial, flow);
    let now = trial.now;
    trial.engine.set_host_rule(rule(128, Some(1)), now);
    trial.later(MINUTE);
    assert_eq!(forgotten(&mut trial), Vec::<Address>::new());
    trial.later(SECOND);
    assert_eq!(forgotten(&mut trial), [flow(PEER).inside]);
}

/// A flow from an address of the network 2001:db8:0:1::/64.
fn v6(host: u16, port: u16) -> impl Fn([u8; 4]) -> FlowKey {
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
    move |peer| FlowKey {
        inside: address.octets(),
        inside_port: port,
        outside: mapped(peer),
        ..flow(peer)
    }
}

#[test]
fn what_a_network_did_supports_all_of_its_addresses_where_it_is_one_host() {
    for (bits, known) in [(128, false), (64, true)] {
        let mut trial = trial(rule(bits, None));
        is_known(&mut trial, v6(1, 13_021));
        // One message of the same program, from the next address: by itself it proves nothing.
        trial.datagram(
            v6(2, 13_022)([203, 0, 113, 79]),
            true,
            &probe(6, steps(7, 2)),
        );
        let found = trial.engine.finding(&v6(2, 13_022)(PEER)).is_some();
        assert_eq!(found, known, "of {bits} bits");
    }
}

#[test]
fn an_address_is_forgotten_alone() {
    let mut trial = trial(rule(64, None));
    is_known(&mut trial, v6(1, 13_021));
    continues(&mut trial, v6(2, 13_022), 2);
    let mut events = Vec::new();
    trial.engine.forget(0, &v6(1, 0)(PEER).inside, &mut events);
    assert!(trial.engine.finding(&v6(1, 13_021)(PEER)).is_none());
    assert!(trial.engine.finding(&v6(2, 13_022)(PEER)).is_some());
}
