//! How many accusations chance would make, as `docs/detection` states the odds of each test.

use crate::datagrams::Datagrams;
use crate::openings::Openings;
use crate::shard::Kind;

/// Accusations expected of one endpoint or connection.
pub(crate) fn of(kind: Kind) -> f64 {
    match kind {
        // Eight datagrams of which only the generator's state doesn't fit by itself.
        Kind::Udp(Datagrams::Counter | Datagrams::Constant) => 2e-9,
        Kind::Udp(Datagrams::Random | Datagrams::RandomType2 | Datagrams::Dns) => 6e-13,
        // Eight exchanges, each with an address of 32 bits that nothing else vouches for.
        Kind::Udp(Datagrams::Answers) => 8.0 * 2_f64.powi(-32),
        Kind::Udp(_) => 0.0,
        Kind::Tcp(Openings::KeySized) => padding(48..=111) + streams(),
        Kind::Tcp(Openings::StreamSized) => padding(14..=120) + streams(),
        Kind::Tcp(_) => 0.0,
    }
}

/// Both ends' random bytes begin like a legacy stream: six relations.
fn streams() -> f64 {
    2.0 * 2_f64.powi(-48)
}

/// Random openings of these lengths at both ends pass for a key exchange: four relations of eight
/// bits behind 48 bytes, of one end or of both together.
fn padding(lens: std::ops::RangeInclusive<i32>) -> f64 {
    let each = 1.0 / f64::from(lens.end() - lens.start() + 1);
    let chance = |relations: i32| 2_f64.powi(-8 * relations);
    let relations = |len: i32| match len {
        48..=111 => Some((len - 49).max(0)),
        _ => None,
    };
    let mut sum = 0.0;
    for one in lens.clone().filter_map(relations) {
        if one >= 4 {
            sum += 2.0 * each * chance(one);
        }
        for other in lens.clone().filter_map(relations) {
            if one < 4 && other < 4 && one + other >= 4 {
                sum += each * each * chance(one + other);
            }
        }
    }
    sum
}

#[test]
fn ten_million_random_flows_accuse_one_in_ten_runs_at_most() {
    let endpoints = 10_000_000.0 / Kind::ALL.len() as f64;
    let all: f64 = Kind::ALL.iter().map(|kind| endpoints * of(*kind)).sum();
    assert!(all < 0.1, "{all}");
}
