//! A host's part of a bucket that many hosts share (budgets of the scopes `subnet` and `policy`).

use crate::bucket;
#[cfg(doc)]
use crate::layout::BucketState;
use crate::layout::BudgetEntry;

/// A bucket, and a host's part in it, once a packet has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// When the bucket is full again ([`BucketState::full_at`]).
    pub full_at: u64,
    /// What the host holds of the debt; of a bucket that is not shared, nothing.
    pub held: u64,
}

/// What a packet of `bytes` in so many segments makes of a bucket that is full again at `full_at`; `None`
/// if it has no room for it ([`bucket::admit`]), or if the host at hand wouldn't leave the others their
/// part. `part` is what that host held and since when ([`BucketState::held`], and its `full_at`), if the
/// bucket is one that hosts share.
#[inline(always)]
pub const fn admit(
    full_at: u64,
    part: Option<(u64, u64)>,
    now: u64,
    bytes: u32,
    segments: u32,
    budget: &BudgetEntry,
) -> Option<Charged> {
    let Some(filled) = bucket::admit(full_at, now, bytes, segments, budget) else {
        return None;
    };
    let mut charged = Charged {
        full_at: filled,
        held: 0,
    };
    if let Some((then, since)) = part {
        let held = held(then, since, full_at.saturating_sub(now), now);
        if !leaves_room(held, filled, now, budget) {
            return None;
        }
        charged.held = held.saturating_add(bucket::cost(bytes, budget));
    }
    Some(charged)
}

/// What a host still holds of the debt of a bucket that it shares with others (scopes `subnet` and
/// `policy`), nanoseconds at the budget's rate. `held` is what it held at the time `since`, `debt`
/// what all of them hold now.
///
/// The debt is paid as a queue that many share drains: what each holds shrinks in proportion. If a
/// host is alone, the result is the debt itself.
#[inline(always)]
const fn held(held: u64, since: u64, debt: u64, now: u64) -> u64 {
    let passed = now.saturating_sub(since);
    // In microseconds, or so: products fit then, up to an hour.
    let (held, debt, passed) = (in_steps(held), in_steps(debt), in_steps(passed));
    if debt == 0 {
        return 0;
    }
    (held * debt / (debt + passed)) << STEP_SHIFT
}

/// Whether a host that holds so much of a shared bucket's debt leaves the others their part, if its
/// packet fills the bucket up to `filled` ([`bucket::admit`]): it may hold what is left for all, not more.
///
/// The limit falls as the bucket fills (Choudhury and Hahne, "Dynamic queue length thresholds for
/// shared-memory packet switches", 1998). Hosts that send what they can end up with equal parts,
/// and what is left is another such part: a host that comes back, or retransmits after a pause, finds
/// room. Without this, connections that lost a few packets in a row wait longer and longer while
/// others take all.
#[inline(always)]
const fn leaves_room(held: u64, filled: u64, now: u64, budget: &BudgetEntry) -> bool {
    let left = budget.burst.saturating_sub(filled.saturating_sub(now));
    // A host that holds nothing may borrow as in a bucket of its own.
    held <= left
}

/// Binary places by which nanoseconds are cut to steps.
const STEP_SHIFT: u32 = 10;

#[inline(always)]
const fn in_steps(nanoseconds: u64) -> u64 {
    let steps = nanoseconds >> STEP_SHIFT;
    if steps > u32::MAX as u64 {
        u32::MAX as u64
    } else {
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{COST_SHIFT, cost};

    const SECOND: u64 = 1_000_000_000;

    /// A budget of `rate` bytes a second and `burst` bytes.
    fn budget(rate: u64, burst: u64) -> BudgetEntry {
        let cost = (SECOND << COST_SHIFT).div_ceil(rate);
        let burst = (burst * cost) >> COST_SHIFT;
        BudgetEntry {
            cost,
            burst,
            borrow: if burst > SECOND { burst } else { SECOND },
            ..BudgetEntry::default()
        }
    }

    /// A host's part, and what it has got.
    #[derive(Clone, Copy, Default)]
    struct Host {
        held: u64,
        since: u64,
        passed: u64,
    }

    impl Host {
        fn send(&mut self, full_at: &mut u64, now: u64, bytes: u32, budget: &BudgetEntry) -> bool {
            let part = Some((self.held, self.since));
            let Some(charged) = admit(*full_at, part, now, bytes, 1, budget) else {
                return false;
            };
            (*full_at, self.held, self.since) = (charged.full_at, charged.held, now);
            self.passed += u64::from(bytes);
            true
        }
    }

    #[test]
    fn a_host_alone_holds_the_whole_debt() {
        let budget = budget(3000, 6000);
        let (mut host, mut full_at, mut now) = (Host::default(), 0, SECOND);
        for _ in 0..1000 {
            host.send(&mut full_at, now, 500, &budget);
            now += SECOND / 10;
            let debt = full_at.saturating_sub(now);
            let held = held(host.held, host.since, debt, now);
            assert!(held.abs_diff(debt) < 1 << 13, "{held} of {debt}");
        }
        // It gets what the budget has.
        assert!(host.passed.abs_diff(300_000) <= 6000, "{}", host.passed);
    }

    #[test]
    fn who_comes_next_finds_half_of_what_is_left() {
        let budget = budget(50_000, 24_000);
        let (mut hosts, mut full_at) = ([Host::default(); 3], 0);
        let passed = hosts.each_mut().map(|host| {
            let sent = (0..100).filter(|_| host.send(&mut full_at, SECOND, 1000, &budget));
            sent.count()
        });
        assert_eq!(passed, [12, 6, 3]);
        // Once the debt is paid, the first has as much again.
        assert!(hosts[0].send(&mut full_at, 2 * SECOND, 1000, &budget));
        assert!(hosts[0].held <= cost(1000, &budget));
    }

    #[test]
    fn a_flood_leaves_others_their_part() {
        let budget = budget(50_000, 25_000);
        let (mut flood, mut fair) = (Host::default(), [Host::default(); 4]);
        let (mut full_at, mut refused) = (0, 0);
        // One host sends ten times what there is; four send a tenth each, in packets of 500 bytes.
        for tick in 0..60_000_u64 {
            let now = SECOND + tick * 1_000_000;
            flood.send(&mut full_at, now, 500, &budget);
            for (number, host) in (0..).zip(&mut fair) {
                if tick % 100 == 7 * number && !host.send(&mut full_at, now, 500, &budget) {
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, 0);
        assert!(
            flood.passed > 1_700_000,
            "the rest is its: {}",
            flood.passed
        );
    }

    #[test]
    fn times_far_apart_overflow_nothing() {
        let budget = budget(3000, 6000);
        assert_eq!(held(u64::MAX, 0, 0, u64::MAX), 0);
        assert!(held(u64::MAX, 0, u64::MAX, u64::MAX) > 0);
        assert!(!leaves_room(u64::MAX, u64::MAX, 0, &budget));
    }
}
