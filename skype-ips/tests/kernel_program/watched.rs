//! Flows that are known to be Skype and pass come up now and then, in the kernel as in memory.

use skype_ips::kernel::VerdictTables as _;
use skype_ips::policy::{Config, Mode, Open};
use skype_ips_common::gate::{Outcome, Side, WATCHED_EVERY, WATCHED_FROM};
use skype_ips_common::layout::{OUTBOUND, Verdict};
use skype_ips_common::mark::Code;
use skype_ips_common::parse::Link;

use crate::frames::{SKYPE, ipv4_udp, key};
use crate::twins::Twins;

/// Type d, of which no predicate lets anything through.
fn media(len: usize) -> Vec<u8> {
    let mut payload = vec![0x5a; len];
    payload[2] = 0x0d;
    ipv4_udp(&payload, 0)
}

/// Sends that many datagrams and says which of them came up, by their count.
fn came_up(twins: &mut Twins, count: u64) -> Vec<u64> {
    let mut up = Vec::new();
    for number in 1..=count {
        let frame = media(if number % 4 == 0 { 400 } else { 399 });
        let expected = twins.memory(&frame, Link::Raw, Side::InsideIngress);
        let found = twins.tc(&frame, Link::Raw, Side::InsideIngress);
        assert_eq!(found.map_or(Outcome::Drop, Outcome::Pass), expected);
        if expected == Outcome::Pass(Code::Inspect(1)) {
            up.push(number);
        }
    }
    up
}

#[test]
fn a_known_flow_that_passes_comes_up_at_powers_of_two_and_then_regularly() {
    let compiled =
        Config::default_for_replay()
            .policies
            .compile(Mode::Monitor, &Open::default(), &[]);
    let Some(mut twins) = Twins::load_with(&compiled) else {
        return;
    };
    assert_eq!(came_up(&mut twins, 100), [0_u64; 0]);
    let endpoint = key().endpoint();
    twins.kernel.set_endpoint(&endpoint, SKYPE).expect("room");
    twins
        .memory
        .set_endpoint(&endpoint, SKYPE)
        .expect("infallible");
    // A hundred are counted already.
    let up = came_up(&mut twins, 3 * WATCHED_EVERY);
    let expected = [128, 256, 512, 1024, 2048, 3072].map(|count| count - 100);
    assert_eq!(up, expected);
    let state = twins.kernel.flow(&key()).expect("the flow is known");
    assert_eq!(state.packets[OUTBOUND], 100 + 3 * WATCHED_EVERY);
    assert_eq!(
        u64::from(state.large[OUTBOUND]),
        state.packets[OUTBOUND] / 4
    );
    assert_eq!(
        twins.memory.flow_state(&key()).map(|one| one.large),
        Some(state.large)
    );
    assert_eq!(WATCHED_FROM, 32);
}

#[test]
fn a_flow_that_is_dropped_or_is_not_skype_does_not_come_up() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let other = Verdict {
        kind: skype_ips_common::layout::kind::OTHER,
        ..SKYPE
    };
    for verdict in [other, SKYPE] {
        twins.kernel.set_verdict(&key(), verdict).expect("room");
        twins
            .memory
            .set_verdict(&key(), verdict)
            .expect("infallible");
        assert_eq!(came_up(&mut twins, 200), [0_u64; 0]);
    }
}
