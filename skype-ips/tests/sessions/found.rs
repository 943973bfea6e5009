//! What is found.

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::enough;
use crate::mangle::Mangle;
use crate::sessions::Kind;
use crate::trial;
use crate::wire::{Packet, UDP};

/// So many cases of a property, or `SKYPE_IPS_SESSIONS` times as many. A failure prints what made
/// it; no file is written.
pub(crate) fn cases(cases: u32) -> Config {
    let times = std::env::var("SKYPE_IPS_SESSIONS").map_or(1, |times| {
        times.parse().expect("SKYPE_IPS_SESSIONS is a whole number")
    });
    Config {
        cases: cases.saturating_mul(times),
        max_global_rejects: 1024_u32.saturating_mul(times),
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    /// Up to 20 % lost, doubled, overtaken, handshakes too, sent again in pieces of any size, cut
    /// off, one direction only, in VLANs, over IPv6, in fragments, the clock going back: all at
    /// once.
    #[test]
    fn every_session_that_still_carries_evidence_is_found(
        kind in Kind::any(),
        seed: u64,
        mangle in Mangle::any(),
    ) {
        let outcome = trial::missed(&kind.session(seed), &mangle);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn unharmed_sessions_carry_evidence_of_every_end_and_nearly_every_connection(
        kind in Kind::any(),
        seed: u64,
    ) {
        let (session, mangle) = (kind.session(seed), Mangle::none());
        let packets = mangle.apply(&session);
        let ends = enough::endpoints(&packets, &mangle.path, true);
        for end in &session.endpoints {
            prop_assert!(ends.contains(end));
        }
        for connection in &session.connections {
            let enough = enough::connection(&packets, &mangle.path, connection);
            // Padding may be too short at both ends.
            let short = connection.first.iter().sum::<usize>() < 2 * 48 + 6;
            prop_assert!(enough || short);
        }
    }
}

/// Packets of one kind up to a decision.
fn up_to<'a>(packets: &'a [Packet], last: usize, counts: impl Fn(&Packet) -> bool + 'a) -> usize {
    packets[..=last].iter().filter(|one| counts(one)).count()
}

#[test]
fn an_endpoint_is_decided_with_its_second_datagram_nearly_always() {
    let (mut by_second, mut all) = (0, 0);
    for seed in 0..400 {
        let session = Kind::SignIn.session(seed);
        let decisions = trial::decisions(&session.packets);
        for end in &session.endpoints {
            let own = decisions.iter();
            let own = own.filter(|(flow, _)| flow.protocol == UDP && flow.inside == *end);
            let decided = *own.map(|(_, at)| at).min().expect("the endpoint is found");
            let states = up_to(&session.packets, decided, |one| one.note.state.is_some());
            assert!(states <= 4, "seed {seed}: {states} datagrams");
            by_second += u32::from(states <= 2);
            all += 1;
        }
    }
    println!("{by_second} of {all} endpoints with the second datagram or before");
    assert!(by_second * 100 >= all * 95);
}

#[test]
fn a_connection_is_decided_with_the_servers_first_segment_at_the_latest() {
    for seed in 0..400 {
        let session = Kind::Fallback.session(seed);
        let decisions = trial::decisions(&session.packets);
        for connection in &session.connections {
            let Some(decided) = decisions.get(&connection.flow) else {
                continue;
            };
            let server = !connection.outgoing;
            let segments = up_to(&session.packets, *decided, |one| {
                one.flow == connection.flow && one.outbound == server && !one.payload().is_empty()
            });
            assert!(segments <= 1, "seed {seed}: {connection:?}");
        }
    }
}
