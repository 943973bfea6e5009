//! A link in one direction: rate, delay, jitter, loss, reordering.

use std::time::Duration;

use fastrand::Rng;

use super::program::Instant;

/// How long packets wait at most in front of a link that is too slow; what comes then is lost.
/// Measured home links hold 100 ms and much more (Netalyzr, IMC 2010).
const LONGEST_QUEUE: Duration = Duration::from_millis(250);
/// Packets of full length that wait at any rate, so that slow links carry bursts.
const SHORTEST_QUEUE: u64 = 10;
/// How much later than its turn a packet comes that is overtaken, if there is no jitter to say.
const OVERTAKEN_BY: Duration = Duration::from_millis(10);

/// The properties of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkSpec {
    /// Bytes a second; `None`: no limit.
    pub rate: Option<u64>,
    /// Time from end to end.
    pub delay: Duration,
    /// Standard deviation of the delay beyond that; order is kept.
    pub jitter: Duration,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that are overtaken by later ones, 0 to 1.
    pub reorder: f64,
}

impl LinkSpec {
    /// A perfect link.
    pub const PERFECT: Self = Self {
        rate: None,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        reorder: 0.0,
    };
}

/// A link at work.
#[derive(Clone, Debug)]
pub(super) struct Link {
    spec: LinkSpec,
    rng: Rng,
    /// When the last packet will have left.
    free: Instant,
    /// When the last packet arrives that keeps its place.
    last: Instant,
}

impl Link {
    pub(super) fn new(spec: LinkSpec, rng: Rng) -> Self {
        Self {
            spec,
            rng,
            free: Instant::ZERO,
            last: Instant::ZERO,
        }
    }

    /// When a packet of so many bytes arrives that is sent now; `None`: never.
    pub(super) fn carry(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let LinkSpec {
            rate,
            delay,
            jitter,
            loss,
            reorder,
        } = self.spec;
        if let Some(rate) = rate {
            let takes = |bytes: u64| Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            let longest = LONGEST_QUEUE.max(takes(SHORTEST_QUEUE * super::packet::MTU as u64));
            if self.free.saturating_sub(now) > longest {
                return None;
            }
            self.free = self.free.max(now) + takes(bytes as u64);
        } else {
            self.free = now;
        }
        if loss > 0.0 && self.rng.f64() < loss {
            return None;
        }
        let mut arrival = self.free + delay;
        if jitter > Duration::ZERO {
            arrival += jitter.mul_f64(half_normal(&mut self.rng));
        }
        if reorder > 0.0 && self.rng.f64() < reorder {
            let late = jitter.max(OVERTAKEN_BY);
            return Some(arrival + late.mul_f64(0.5 + self.rng.f64()));
        }
        self.last = self.last.max(arrival);
        Some(self.last)
    }
}

/// The size of a nearly normal number: twelve uniform ones summed.
fn half_normal(rng: &mut Rng) -> f64 {
    ((0..12).map(|_| rng.f64()).sum::<f64>() - 6.0).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn link(spec: LinkSpec) -> Link {
        Link::new(spec, Rng::with_seed(1))
    }

    #[test]
    fn a_slow_link_takes_its_time_and_loses_what_is_too_much() {
        let mut link = link(LinkSpec {
            rate: Some(100_000),
            delay: 5 * MS,
            ..LinkSpec::PERFECT
        });
        assert_eq!(link.carry(MS, 1000), Some(16 * MS));
        assert_eq!(link.carry(MS, 1000), Some(26 * MS));
        assert_eq!(link.carry(100 * MS, 1000), Some(115 * MS));
        let carried = (0..100).filter(|_| link.carry(100 * MS, 1000).is_some());
        assert_eq!(carried.count(), 25);
    }

    #[test]
    fn a_share_is_lost_and_another_overtaken() {
        let mut link = link(LinkSpec {
            delay: 10 * MS,
            jitter: MS,
            loss: 0.1,
            reorder: 0.05,
            ..LinkSpec::PERFECT
        });
        let arrivals: Vec<_> = (0..10_000)
            .filter_map(|index| link.carry(index * MS, 100))
            .collect();
        assert!(
            (8_800..9_200).contains(&arrivals.len()),
            "{}",
            arrivals.len()
        );
        let mut latest = Instant::ZERO;
        let overtaken = arrivals.iter().filter(|arrival| {
            let overtaken = **arrival < latest;
            latest = latest.max(**arrival);
            overtaken
        });
        // Each one overtaken lets some others in front of it.
        assert!((400..6_000).contains(&overtaken.count()));
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let mut link = link(LinkSpec {
            jitter: 20 * MS,
            ..LinkSpec::PERFECT
        });
        let arrivals: Vec<_> = (0..1000).map(|at| link.carry(at * MS, 100)).collect();
        assert!(arrivals.is_sorted());
    }
}
