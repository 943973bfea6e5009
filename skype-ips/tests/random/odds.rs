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
        Kind::Tcp(Openings::KeySized | Openings::StreamSized | Openings::Pieces) => {
            exchanges() + streams()
        }
        // Behind the request, and once more behind what else may be in front.
        Kind::Tcp(Openings::Proxied) => 2.0 * (exchanges() + streams()),
        Kind::Tcp(_) => 0.0,
    }
}

/// Both ends' random bytes begin like a legacy stream: six relations.
fn streams() -> f64 {
    2.0 * 2_f64.powi(-48)
}

/// Random bytes at both ends pass for a key exchange, at most: four relations of eight bits behind
/// 48 bytes, of either end or of both, where they end with a segment; or five of both, in six ways.
fn exchanges() -> f64 {
    3.0 * 2_f64.powi(-32) + 6.0 * 2_f64.powi(-40)
}

#[test]
fn ten_million_random_flows_accuse_one_in_ten_runs_at_most() {
    let endpoints = 10_000_000.0 / Kind::ALL.len() as f64;
    let all: f64 = Kind::ALL.iter().map(|kind| endpoints * of(*kind)).sum();
    assert!(all < 0.1, "{all}");
}
