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

#[cfg(test)]
mod tests;
