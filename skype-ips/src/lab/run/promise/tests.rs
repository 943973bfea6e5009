//! Promises of gateways on simulated time, which forward everything, and of made-up packets.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::budget::drawn;
use super::decision::{Decision, Limit};
use super::strand::Strand;
use super::{InForce, Played, Promise, promises, untouched};
use crate::policy::{Action, Budget, Class, Config, Direction, Mode, Role, Scope};
use crate::simulator::net::program::Ground;
use crate::simulator::net::{Conversation, Passage, Protocol};
use crate::simulator::play::{Fate, play, play_judged};
use crate::simulator::scenario::{Scenario, build, load};

fn ready(name: &str) -> Scenario {
    load(name).expect("a ready scenario")
}

/// A run through a gateway that forwards everything.
fn forwarded(scenario: &Scenario) -> Played {
    let mut built = build(scenario, 1);
    built.world.keep_ledger();
    let unexpected = play(
        &mut built.world,
        built.schedule,
        built.until,
        &mut |_, _| true,
    );
    let mut played = Played::of(&built.world, &built.hosts, &built.programs);
    played.unexpected = unexpected;
    played
}

/// A run through a gateway that lets nothing reach a TCP port.
fn without_port(scenario: &Scenario, port: u16) -> Played {
    let mut built = build(scenario, 1);
    built.world.keep_ledger();
    let unexpected = play_judged(
        &mut built.world,
        built.schedule,
        built.until,
        &mut |_, _, seen| {
            // Behind an IPv4 header without options.
            let to = seen.packet.get(22..24);
            match seen.packet.get(9) == Some(&6) && to == Some(&port.to_be_bytes()) {
                true => Fate::Dropped,
                false => Fate::Passes,
            }
        },
    );
    let mut played = Played::of(&built.world, &built.hosts, &built.programs);
    played.unexpected = unexpected;
    played
}

fn in_force(policy: &str) -> InForce {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let config = Config::load(&[rules.join(policy)]).expect("a test reads them");
    let standing = || config.standing(Mode::Enforce, Timestamp::UNIX_EPOCH);
    InForce::new(standing(), standing())
}

fn find<'a>(promises: &'a [Promise], party: &str, what: &str) -> &'a Promise {
    let found = promises
        .iter()
        .find(|promise| promise.party == party && promise.what == what);
    found.unwrap_or_else(|| panic!("{party}'s {what} is among {promises:#?}"))
}

#[test]
fn a_gateway_that_stops_nothing_breaks_its_word_about_relays_and_keeps_it_about_calls() {
    let scenario = ready("relay");
    let played = forwarded(&scenario);
    let promises = promises(&scenario, &played, &played, &in_force("no-relay.toml"));
    let relayed = find(&promises, "carrier", "relay: voice");
    assert_eq!((relayed.word.as_str(), relayed.kept), ("drop", Some(false)));
    assert_eq!(relayed.policy.as_deref(), Some("no-relay"));
    let call = find(&promises, "carrier", "own voice with nina");
    assert_eq!((call.word.as_str(), call.kept), ("as without", Some(true)));
    assert_eq!(find(&promises, "alice", "signs in").kept, Some(true));
    assert_eq!(
        find(&promises, "everybody", "other traffic").kept,
        Some(true)
    );
}

#[test]
fn a_web_server_beside_skype_is_promised_under_every_policy() {
    let scenario = ready("listening-port");
    let (plain, without) = (forwarded(&scenario), without_port(&scenario, 443));
    for policy in ["ban.toml", "campus.toml", "no-relay.toml", "monitor.toml"] {
        let in_force = in_force(policy);
        for (under, kept) in [(&plain, true), (&without, false)] {
            let promises = promises(&scenario, &plain, under, &in_force);
            let served = find(&promises, "alice", "everyday traffic, serves https");
            assert_eq!(served.word, "untouched", "{policy}");
            assert_eq!(served.kept, Some(kept), "{policy}: {}", served.seen);
        }
    }
}

#[test]
fn a_policy_that_watches_promises_that_all_is_as_without_it() {
    let scenario = ready("relay");
    let played = forwarded(&scenario);
    let in_force = in_force("monitor.toml");
    for promise in promises(&scenario, &played, &played, &in_force) {
        assert_eq!(promise.kept, Some(true), "{promise:?}");
    }
    assert!(
        untouched(&scenario, &played, &in_force)
            .iter()
            .all(|one| *one)
    );
}

#[test]
fn what_is_banned_must_not_be_reached() {
    let scenario = ready("call");
    let played = forwarded(&scenario);
    let in_force = in_force("ban.toml");
    let promises = promises(&scenario, &played, &played, &in_force);
    for what in ["signs in", "own voice with bob"] {
        let promise = find(&promises, "alice", what);
        assert_eq!(
            (promise.word.as_str(), promise.kept),
            ("stopped", Some(false))
        );
    }
    let untouched = untouched(&scenario, &played, &in_force);
    for (party, untouched) in scenario.parties.iter().zip(untouched) {
        // Those whom she talks to are hindered too.
        if ["alice", "bob"].contains(&party.name.as_str()) {
            assert!(!untouched, "{}", party.name);
        }
        if party.name == "desk" {
            assert!(untouched);
        }
    }
}

/// So many packets of 500 bytes, with so many milliseconds between them, behind the grace.
fn conversation(count: u32, milliseconds: u32) -> Conversation {
    let packets = (0..count).map(|number| {
        let at = Duration::from_secs(20) + Duration::from_millis(u64::from(number * milliseconds));
        Passage {
            at,
            inbound: true,
            len: 500,
            payload: 472,
            out: Some(at),
        }
    });
    Conversation {
        protocol: Protocol::Udp,
        inside: "192.0.2.2:4000".parse().expect("an endpoint"),
        outside: "198.51.100.2:4000".parse().expect("an endpoint"),
        ground: Ground::skype("super node"),
        packets: packets.collect(),
    }
}

fn strand(conversation: &Conversation, direction: Direction) -> Strand<'_> {
    let budget = Budget {
        name: "five".to_owned(),
        rate: 40_000,
        burst: 3_000,
        scope: Scope::Host,
        direction,
    };
    Strand {
        party: 0,
        other: None,
        conversation,
        number: 0,
        role: Role::SuperNode,
        class: Class::Signaling,
        called: true,
        session: None,
        from: Duration::ZERO,
        packets: &conversation.packets,
        decision: Decision {
            policy: Some("made-up".to_owned()),
            action: Action::Throttle,
            budgets: vec![Limit {
                budget,
                host: std::net::IpAddr::V4(*conversation.inside.ip()),
                subnet: 0,
            }],
            doubt: None,
        },
    }
}

#[test]
fn more_than_a_budget_has_room_for_is_found_in_its_direction() {
    let known = |_: &Strand<'_>| Some(Duration::ZERO);
    // 5 KB/s, which is the rate; and twice that.
    let (within, beyond) = (conversation(200, 100), conversation(200, 50));
    for (conversation, direction, over) in [
        (&within, Direction::Each, false),
        (&beyond, Direction::Each, true),
        (&beyond, Direction::Sum, true),
        (&beyond, Direction::In, true),
        (&beyond, Direction::Out, false),
    ] {
        let drawn = drawn(&[&strand(conversation, direction)], known, Duration::ZERO);
        assert_eq!(drawn.over > 0.0, over, "{direction:?}: {drawn:?}");
        assert_eq!(drawn.bytes, 100_000);
    }
    // Two flows of a host share its budget.
    let both = [
        strand(&within, Direction::Each),
        strand(&within, Direction::Each),
    ];
    assert!(drawn(&both.each_ref(), known, Duration::ZERO).over > 0.0);
}
