//! Token bucket arithmetic: whether a packet fits a budget, in whole nanoseconds.
//!
//! A bucket is kept as the time at which it will be full again, as in the generic cell rate
//! algorithm (ITU-T I.371): the same as tokens, with one number to change. What a packet costs is
//! rounded up, so what passes never exceeds rate × time + burst + one packet.

use crate::layout::BudgetEntry;

/// Binary places of [`BudgetEntry::cost`].
pub const COST_SHIFT: u32 = 16;

/// Nanoseconds that `bytes` take at a budget's rate, rounded up.
#[inline(always)]
pub const fn cost(bytes: u32, budget: &BudgetEntry) -> u64 {
    // In two parts, since the product of both would not fit at the lowest rates. No packet takes
    // longer than at 2 bits a second, so that this one fits at any.
    let whole = budget.cost >> COST_SHIFT;
    let whole = if whole > u32::MAX as u64 {
        u32::MAX as u64
    } else {
        whole
    };
    let parts = budget.cost & ((1 << COST_SHIFT) - 1);
    let of_parts = (bytes as u64 * parts + ((1 << COST_SHIFT) - 1)) >> COST_SHIFT;
    (bytes as u64 * whole).saturating_add(of_parts)
}

/// The time at which the bucket is full again once a packet of `bytes` (on the wire, all segments
/// together) has passed at `now`; `None` if it has no room for it.
///
/// A packet longer than the burst passes when the bucket is full, and what it borrowed is paid back
/// before anything else passes. Packets of one segment may borrow what they need, or those of a
/// path with large packets never passed; super-packets only [`BudgetEntry::borrow`], since their
/// sender makes smaller ones when they are lost.
#[inline(always)]
pub const fn admit(
    full_at: u64,
    now: u64,
    bytes: u32,
    segments: u32,
    budget: &BudgetEntry,
) -> Option<u64> {
    let from = if full_at > now { full_at } else { now };
    let filled = from.saturating_add(cost(bytes, budget));
    let most = if full_at > now {
        budget.burst
    } else if segments > 1 {
        budget.burst.saturating_add(budget.borrow)
    } else {
        u64::MAX
    };
    if filled - now <= most {
        Some(filled)
    } else {
        None
    }
}

/// What a host still holds of the debt of a bucket that it shares with others (scopes `subnet` and
/// `policy`), nanoseconds at the budget's rate. `held` is what it held at the time `since`, `debt`
/// what all of them hold now.
///
/// The debt is paid as a queue that many share drains: what each holds shrinks in proportion. If a
/// host is alone, the result is the debt itself.
#[inline(always)]
pub const fn held(held: u64, since: u64, debt: u64, now: u64) -> u64 {
    let passed = now.saturating_sub(since);
    // In microseconds, or so: products fit then, up to an hour.
    let (held, debt, passed) = (in_steps(held), in_steps(debt), in_steps(passed));
    if debt == 0 {
        return 0;
    }
    (held * debt / (debt + passed)) << STEP_SHIFT
}

/// Whether a host that holds so much of a shared bucket's debt leaves the others their part, if its
/// packet fills the bucket up to `filled` ([`admit`]): it may hold what is left for all, not more.
///
/// The limit falls as the bucket fills (Choudhury and Hahne, "Dynamic queue length thresholds for
/// shared-memory packet switches", 1998). Hosts that send what they can end up with equal parts,
/// and what is left is another such part: a host that comes back, or retransmits after a pause, finds
/// room. Without this, connections that lost a few packets in a row wait longer and longer while
/// others take all.
#[inline(always)]
pub const fn leaves_room(held: u64, filled: u64, now: u64, budget: &BudgetEntry) -> bool {
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
mod tests;
