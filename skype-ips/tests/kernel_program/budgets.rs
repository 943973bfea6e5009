//! Budgets, charged by the kernel.

use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::{
    BucketKey, BucketState, Counter, FlowKey, Hook, Verdict, direction, scope,
};
use skype_ips_common::mark::Code;
use skype_ips_common::parse::Link;

use crate::frames::{INSIDE, OUTSIDE, SKYPE, key, udp};
use crate::twins::Twins;

const PASSES: Outcome = Outcome::Pass(Code::Pass);
const OUT: Side = Side::InsideIngress;
const IN: Side = Side::InsideEgress;

/// So slow that nothing comes due during a test, and 1,500 bytes at once.
fn policy(budgets: &[(&str, &str)], names: &str) -> String {
    let mut file = "version = 1\n".to_owned();
    for (name, keys) in budgets {
        file += &format!("[[budget]]\nname = \"{name}\"\n{keys}\n");
    }
    file + &format!(
        "[[policy]]\nname = \"p\"\nsubnets = [\"10.0.0.0/8\"]\ndefault = {{ throttle = {names} }}\n"
    )
}

const SLOW: &str = "rate = \"80 bit/s\"\nburst = \"1500 B\"";

/// A packet of `len` bytes.
fn packet(from: ([u8; 4], u16), to: ([u8; 4], u16), len: usize) -> Vec<u8> {
    udp(from, to, &vec![0x80; len - 28])
}

fn buckets(twins: &Twins) -> Vec<(BucketKey, BucketState)> {
    let mut buckets: Vec<_> = twins.programs.buckets().collect();
    buckets.sort_by_key(|(key, _)| (key.budget, key.direction, key.of));
    buckets
}

/// Flow, endpoint and outside host of number `n`.
fn known(twins: &mut Twins, n: u8, session: u32) -> ([u8; 4], u16) {
    let to = ([192, 0, 2, n], OUTSIDE.1);
    let flow = FlowKey {
        outside: skype_ips_common::layout::mapped(to.0),
        ..key()
    };
    twins.set_verdict(&flow, Verdict { session, ..SKYPE });
    to
}

#[test]
fn a_budget_passes_its_burst_and_counts_each_direction_apart() {
    let Some(mut twins) = Twins::under(&policy(&[("b", SLOW)], "\"b\"")) else {
        return;
    };
    let to = known(&mut twins, 1, 0);
    for (side, frame) in [
        (OUT, packet(INSIDE, to, 700)),
        (IN, packet(to, INSIDE, 700)),
    ] {
        let said: Vec<_> = (0..4).map(|_| twins.both(&frame, side)).collect();
        assert_eq!(
            said,
            [PASSES, PASSES, Outcome::Drop, Outcome::Drop],
            "{side:?}"
        );
    }
    // Arriving outside, nothing is charged: it is where it leaves.
    let early = twins.both(&packet(to, INSIDE, 700), Side::OutsideIngress);
    assert_eq!(early, PASSES);
    let found = buckets(&twins);
    let told: Vec<_> = found
        .iter()
        .map(|(key, state)| (key.direction, key.scope, state.passed, state.refused))
        .collect();
    assert_eq!(
        told,
        [
            (direction::IN, scope::HOST, 1400, 1400),
            (direction::OUT, scope::HOST, 1400, 1400)
        ]
    );
    let throttled = twins.programs.counter(Hook::Ingress, Counter::Throttled);
    assert_eq!(throttled.expect("readable"), 2);
    let mut of_memory: Vec<_> = twins
        .memory
        .buckets()
        .map(|(key, state)| (*key, state.passed))
        .collect();
    of_memory.sort_by_key(|(key, _)| (key.budget, key.direction, key.of));
    let of_kernel: Vec<_> = found
        .iter()
        .map(|(key, state)| (*key, state.passed))
        .collect();
    assert_eq!(of_memory, of_kernel);
}

#[test]
fn all_budgets_are_charged_or_none() {
    let wide = "rate = \"80 bit/s\"\nburst = \"6000 B\"";
    let file = policy(
        &[("wide", wide), ("narrow", SLOW)],
        "[\"wide\", \"narrow\"]",
    );
    let Some(mut twins) = Twins::under(&file) else {
        return;
    };
    let to = known(&mut twins, 1, 0);
    let frame = packet(INSIDE, to, 700);
    let said: Vec<_> = (0..20).map(|_| twins.both(&frame, OUT)).collect();
    assert_eq!(said.iter().filter(|said| **said == PASSES).count(), 2);
    for (key, state) in buckets(&twins) {
        assert_eq!(state.passed, 1400, "{key:?}");
    }
    // Without the narrow one there is as much room in the wide one as if nothing had been refused.
    twins.set_policy(&policy(&[("wide", wide)], "\"wide\""));
    let said: Vec<_> = (0..20).map(|_| twins.both(&frame, OUT)).collect();
    assert_eq!(said.iter().filter(|said| **said == PASSES).count(), 6);
}

#[test]
fn each_thing_of_a_scope_has_a_bucket_of_its_own() {
    // Of two flows with a session in common and one without: how many packets pass together.
    for (scope, expected) in [
        ("flow", 6),
        ("session", 4),
        ("host", 2),
        ("subnet", 2),
        ("policy", 2),
    ] {
        let budget = format!("{SLOW}\nscope = \"{scope}\"");
        let Some(mut twins) = Twins::under(&policy(&[("b", &budget)], "\"b\"")) else {
            return;
        };
        let hosts = [(1, 7), (2, 7), (3, 0)].map(|(n, session)| known(&mut twins, n, session));
        let mut passed = 0;
        for to in hosts {
            for _ in 0..3 {
                passed += u32::from(twins.both(&packet(INSIDE, to, 700), OUT) == PASSES);
            }
        }
        assert_eq!(passed, expected, "{scope}");
    }
}

#[test]
fn a_sum_counts_both_directions_and_the_others_only_theirs() {
    for (direction, out, back) in [("sum", 2, 0), ("in", 3, 2), ("out", 2, 3)] {
        let budget = format!("{SLOW}\ndirection = \"{direction}\"");
        let Some(mut twins) = Twins::under(&policy(&[("b", &budget)], "\"b\"")) else {
            return;
        };
        let to = known(&mut twins, 1, 0);
        let mut pass = |frame: Vec<u8>, side| {
            let said = (0..3).map(|_| twins.both(&frame, side));
            said.filter(|said| *said == PASSES).count()
        };
        assert_eq!(pass(packet(INSIDE, to, 700), OUT), out, "{direction}");
        assert_eq!(pass(packet(to, INSIDE, 700), IN), back, "{direction}");
    }
}

#[test]
fn a_super_packet_counts_as_the_segments_that_it_becomes() {
    let Some(mut twins) = Twins::under(&policy(&[("b", SLOW)], "\"b\"")) else {
        return;
    };
    let to = known(&mut twins, 1, 0);
    let (result, ..) = twins.run(&packet(INSIDE, to, 1000), Link::Raw, OUT, 4);
    assert_ne!(result, 2);
    // Three more headers of 28 bytes.
    assert_eq!(buckets(&twins)[0].1.passed, 1084);
    let flow = twins.kernel.flow(&key()).expect("a flow");
    assert_eq!(flow.bytes, [1084, 0]);
}

#[test]
fn fragments_of_a_datagram_that_had_no_room_do_not_pass() {
    let Some(mut twins) = Twins::under(&policy(&[("b", SLOW)], "\"b\"")) else {
        return;
    };
    let to = known(&mut twins, 1, 0);
    let part = |at: u16| {
        let mut packet = packet(INSIDE, to, 900);
        packet[6..8].copy_from_slice(&at.to_be_bytes());
        packet
    };
    assert_eq!(twins.both(&packet(INSIDE, to, 700), OUT), PASSES);
    assert_eq!(twins.both(&part(0x2000), OUT), Outcome::Drop);
    // It would have room for itself.
    let mut rest = packet(INSIDE, to, 100);
    rest[6..8].copy_from_slice(&100_u16.to_be_bytes());
    assert_eq!(twins.both(&rest, OUT), Outcome::Drop);
}
