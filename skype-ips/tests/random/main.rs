//! Nobody else is ever accused: random and look-alike traffic of many hosts, straight into the
//! engine, which sees more that way than the gate would let up.
//!
//! The short form runs with the other tests. The long one: `SKYPE_IPS_RANDOM_FLOWS=N cargo test
//! --release -p skype-ips --test random -- --nocapture`, or ten million with `-- --ignored
//! never_accuses_ten_million`.

mod counters;
mod datagrams;
mod odds;
mod openings;
mod shard;

use std::time::Instant;

use datagrams::Datagrams;
use shard::{Kind, Shard, Tally};

/// Flows of the short form, of which an unoptimised build judges a few tens of thousands a second.
const FEW: u64 = 500_000;
/// Parts of a run, each with a seed and an engine of its own: the same flows on any machine.
const SHARDS: u64 = 8;

/// Judges at least so many flows of these kinds by turns; prints what came of it.
fn run(flows: u64, kinds: &[Kind]) -> Tally {
    let start = Instant::now();
    let each = flows.div_ceil(SHARDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let part = |thread: u64| -> Tally {
        let shards = (0..SHARDS).filter(|shard| shard % threads == thread);
        shards.map(|seed| Shard::new(seed).run(each, kinds)).sum()
    };
    let tally: Tally = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(SHARDS))
            .map(|thread| scope.spawn(move || part(thread)))
            .collect();
        let tallies = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        tallies
            .map(|tally| tally.expect("a shard ends by itself"))
            .sum()
    });
    println!(
        "{} random flows, {} packets, {:.1} s: {} accusations; {:.0e} expected by chance",
        tally.flows,
        tally.packets,
        start.elapsed().as_secs_f64(),
        tally.accusations,
        tally.expected,
    );
    for accusation in &tally.examples {
        println!("{accusation}");
    }
    tally
}

fn flows_wanted() -> Option<u64> {
    let text = std::env::var("SKYPE_IPS_RANDOM_FLOWS").ok()?;
    Some(text.parse().expect("SKYPE_IPS_RANDOM_FLOWS is a number"))
}

#[test]
fn never_accuses_random_flows() {
    let tally = run(flows_wanted().unwrap_or(FEW), &Kind::ALL);
    assert_eq!(tally.accusations, 0);
}

#[test]
#[ignore = "takes a minute in a release build"]
fn never_accuses_ten_million() {
    let tally = run(10_000_000, &Kind::ALL);
    assert_eq!(tally.accusations, 0);
}

/// 10^8 datagrams with a counter in front and random words behind it, eight to an endpoint.
#[test]
#[ignore = "takes minutes in a release build"]
fn a_day_of_a_campus_gives_no_accusations() {
    let tally = run(100_000_000, &[Kind::Udp(Datagrams::Counter)]);
    assert_eq!(tally.accusations, 0);
}
