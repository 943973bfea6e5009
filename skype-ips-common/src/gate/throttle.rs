//! Charging the budgets of an action.

use super::{Tables, Work};
use crate::layout::{
    BUDGETS_PER_ACTION, BucketKey, BudgetEntry, FlowKey, PolicyEntry, direction, scope,
};

/// What a packet costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// Time of the charge, nanoseconds of the gate's clock.
    pub(super) now: u64,
    /// On the wire, all segments together.
    pub(super) bytes: u32,
    /// Segments on the wire, from 1.
    pub(super) segments: u32,
    /// Whether the inside host sends it.
    pub(super) outbound: bool,
}

/// Whether all budgets of the action at hand have room for the packet, which they are charged then.
/// Where one has none, none is charged.
#[inline(always)]
pub(super) fn charge<T: Tables>(
    tables: &mut T,
    policy: PolicyEntry,
    work: &mut Work,
    charge: Charge,
) -> bool {
    let mut place = 0;
    while place < BUDGETS_PER_ACTION {
        if let Some(budget) = budget_of(tables, policy, work, place, charge.outbound)
            && !tables.charge(
                &work.bucket,
                part(work),
                &budget,
                charge.now,
                charge.bytes,
                charge.segments,
            )
        {
            refund(tables, policy, work, place, charge);
            return false;
        }
        place += 1;
    }
    true
}

/// Gives back to the budgets before `refused` what they were charged.
#[inline(always)]
fn refund<T: Tables>(
    tables: &mut T,
    policy: PolicyEntry,
    work: &mut Work,
    refused: usize,
    charge: Charge,
) {
    let mut place = 0;
    while place < BUDGETS_PER_ACTION - 1 {
        if place < refused
            && let Some(budget) = budget_of(tables, policy, work, place, charge.outbound)
        {
            tables.refund(&work.bucket, part(work), &budget, charge.bytes);
        }
        place += 1;
    }
}

/// The key of the host's part in the bucket at hand, if hosts share that.
#[inline(always)]
fn part(work: &Work) -> Option<&BucketKey> {
    let shared = work.bucket.scope == scope::SUBNET || work.bucket.scope == scope::POLICY;
    if shared { Some(&work.part) } else { None }
}

/// The budget at a place of the action at hand, if it counts packets of this direction; the key of its
/// bucket is in `work.bucket` then, and that of the host's part in it in `work.part`.
#[inline(always)]
fn budget_of<T: Tables>(
    tables: &mut T,
    policy: PolicyEntry,
    work: &mut Work,
    place: usize,
    outbound: bool,
) -> Option<BudgetEntry> {
    let number = work.entry.budgets[place & (BUDGETS_PER_ACTION - 1)];
    if number == 0 {
        return None;
    }
    let budget = tables.budget(number - 1)?;
    let (this, other) = if outbound {
        (direction::OUT, direction::IN)
    } else {
        (direction::IN, direction::OUT)
    };
    if budget.direction == other {
        return None;
    }
    work.bucket.budget = budget.id;
    work.bucket.scope = budget.scope;
    work.bucket.reserved = 0;
    work.bucket.direction = if budget.direction == direction::SUM {
        direction::SUM
    } else {
        this
    };
    let of_flow =
        budget.scope == scope::FLOW || (budget.scope == scope::SESSION && work.session == 0);
    if of_flow {
        work.bucket.of = work.key;
        return Some(budget);
    }
    work.bucket.of = FlowKey::default();
    let number = match budget.scope {
        scope::SESSION => work.session,
        scope::SUBNET => policy.subnet,
        scope::POLICY => u32::from(policy.index),
        _ => 0,
    };
    work.bucket.of.inside_port = (number >> 16) as u16;
    work.bucket.of.outside_port = number as u16;
    if budget.scope == scope::HOST || budget.scope == scope::SESSION {
        work.bucket.of.zone = work.key.zone;
        work.bucket.of.inside = work.key.inside;
    } else {
        work.part.budget = budget.id;
        work.part.scope = scope::HOST;
        work.part.direction = work.bucket.direction;
        work.part.reserved = 0;
        work.part.of = FlowKey::default();
        work.part.of.zone = work.key.zone;
        work.part.of.inside = work.key.inside;
    }
    Some(budget)
}

const _: () = assert!(BUDGETS_PER_ACTION.is_power_of_two() && size_of::<BucketKey>() == 48);
