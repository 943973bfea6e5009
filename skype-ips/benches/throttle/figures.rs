//! From arrivals to figures.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::case::{Case, Transport};
use crate::traffic::Reads;
use crate::watch::Arrival;

/// What one case gave under one limiter, once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// The case's name.
    pub(crate) case: String,
    /// `udp` or `tcp`.
    pub(crate) transport: &'static str,
    /// The budget, bytes a second.
    pub(crate) rate: u64,
    /// How many hosts shared it.
    pub(crate) hosts: u8,
    /// Bytes that may pass at once.
    pub(crate) burst: u64,
    /// Seconds measured.
    pub(crate) seconds: f64,
    /// Bytes of IP packets that arrived.
    pub(crate) delivered: u64,
    /// Bytes of the largest packet that arrived; a super-packet is one.
    pub(crate) largest: u64,
    /// The most by which what arrived went beyond the rate in any stretch of time, bytes.
    pub(crate) beyond: u64,
    /// Jain's index of what the hosts' packets brought: 1 if all got the same.
    pub(crate) jain: f64,
    /// TCP: bytes that the receiving program was given.
    pub(crate) goodput: Option<u64>,
    /// TCP: the longest time without any for one connection, seconds.
    pub(crate) stall: Option<f64>,
}

/// The stretch of time that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Its beginning.
    pub(crate) from: SystemTime,
    /// How long it is.
    pub(crate) length: Duration,
}

impl Window {
    fn has(self, at: SystemTime) -> bool {
        at.duration_since(self.from)
            .is_ok_and(|since| since < self.length)
    }
}

impl Figures {
    /// Of one case, from the arrivals of all and the reads of its connections.
    pub(crate) fn of(case: &Case, window: Window, arrivals: &[Arrival], reads: &[Reads]) -> Self {
        let own = arrivals
            .iter()
            .filter(|arrival| arrival.from.0 == case.number && window.has(arrival.at));
        let mut by_host = vec![0_u64; usize::from(case.hosts)];
        let (mut level, mut beyond, mut largest) = (0_f64, 0_f64, 0);
        let mut last = window.from;
        for arrival in own {
            if let Some(host) = by_host.get_mut(usize::from(arrival.from.1)) {
                *host += arrival.bytes;
            }
            largest = largest.max(arrival.bytes);
            // What a bucket of unlimited size that empties at the rate would hold.
            let passed = arrival.at.duration_since(last).unwrap_or_default();
            level = (level - passed.as_secs_f64() * case.rate as f64).max(0.0);
            level += arrival.bytes as f64;
            beyond = beyond.max(level);
            last = last.max(arrival.at);
        }
        let tcp = case.transport == Transport::Tcp;
        let reads: Vec<Vec<(SystemTime, usize)>> = reads
            .iter()
            .map(|reads| reads.lock().expect("no thread panics with it").clone())
            .collect();
        let within = |reads: &[(SystemTime, usize)]| -> u64 {
            let within = reads.iter().filter(|(at, _)| window.has(*at));
            within.map(|(_, len)| *len as u64).sum()
        };
        let complete = reads.len() == usize::from(case.hosts);
        Self {
            case: case.name.clone(),
            transport: if tcp { "tcp" } else { "udp" },
            rate: case.rate,
            hosts: case.hosts,
            burst: case.burst(),
            seconds: window.length.as_secs_f64(),
            delivered: by_host.iter().sum(),
            largest,
            beyond: beyond.ceil() as u64,
            jain: jain(&by_host),
            goodput: tcp.then(|| reads.iter().map(|reads| within(reads)).sum()),
            stall: tcp.then(|| {
                let stalls = reads.iter().map(|reads| stall(window, reads));
                let longest = stalls.fold(0.0, f64::max);
                // A connection that never came stands still all the time.
                if complete {
                    longest
                } else {
                    window.length.as_secs_f64()
                }
            }),
        }
    }
}

/// The longest time within a window in which nothing was read, seconds.
fn stall(window: Window, reads: &[(SystemTime, usize)]) -> f64 {
    let end = window.from + window.length;
    let times = reads.iter().map(|(at, _)| *at).filter(|at| window.has(*at));
    let (longest, last) =
        times
            .chain([end])
            .fold((Duration::ZERO, window.from), |(longest, last), at| {
                let gap = at.duration_since(last).unwrap_or_default();
                (longest.max(gap), at)
            });
    debug_assert!(last == end);
    longest.as_secs_f64()
}

/// Jain's fairness index of shares: (Σx)² / (n Σx²); 0 if nobody got anything.
pub(crate) fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    if squares == 0.0 {
        return 0.0;
    }
    sum * sum / (shares.len() as f64 * squares)
}
