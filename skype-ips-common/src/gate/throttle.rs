//! Charging the budgets of an action.

use super::{Tables, Work};
use crate::layout::{
    BUDGETS_PER_ACTION, BucketKey, BudgetEntry, FlowKey, direction, host_of, scope,
};

/// What a packet costs. It stays in memory, and each budget takes it from there: of a number that was
/// compared the verifier knows more on one way than on the other, and would follow each to the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charge {
    /// Time of the charge, nanoseconds of the gate's clock.
    pub(super) now: u64,
    /// On the wire, all segments together.
    pub(super) bytes: u32,
    /// Segments on the wire, from 1.
    pub(super) segments: u32,
}

/// Whether all budgets of the action at hand have room for the packet (`work.charge`), which they are
/// charged then. Where one has none, none is charged. `outbound` says that the inside host sends it.
#[inline(always)]
pub(super) fn charge<T: Tables>(tables: &mut T, work: &mut Work, outbound: bool) -> bool {
    work.host = host_of(&work.key.inside, work.policy.flags);
    let mut place = 0;
    let mut refused = BUDGETS_PER_ACTION;
    while place < BUDGETS_PER_ACTION {
        let work = tables.again(work);
        if let Some(budget) = budget_of(tables, work, place, outbound) {
            let Charge {
                now,
                bytes,
                segments,
            } = work.charge;
            let (bucket, part) = (&work.bucket, part(work));
            if !tables.charge(bucket, part, &budget, now, bytes, segments) {
                refused = place;
                break;
            }
        }
        place += 1;
    }
    let refused = tables.forget(refused as u32) as usize;
    if refused < BUDGETS_PER_ACTION {
        refund(tables, work, refused, outbound);
        return false;
    }
    true
}

/// Gives back to the budgets before `refused` what they were charged.
#[inline(always)]
fn refund<T: Tables>(tables: &mut T, work: &mut Work, refused: usize, outbound: bool) {
    let mut place = 0;
    while place < BUDGETS_PER_ACTION - 1 {
        let work = tables.again(work);
        if place < refused
            && let Some(budget) = budget_of(tables, work, place, outbound)
        {
            tables.refund(&work.bucket, part(work), &budget, work.charge.bytes);
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
        scope::SUBNET => work.policy.subnet,
        scope::POLICY => work.policy.name,
        _ => 0,
    };
    work.bucket.of.inside_port = (number >> 16) as u16;
    work.bucket.of.outside_port = number as u16;
    if budget.scope == scope::HOST || budget.scope == scope::SESSION {
        work.bucket.of.zone = work.key.zone;
        work.bucket.of.inside = work.host;
    } else {
        work.part.budget = budget.id;
        work.part.scope = scope::HOST;
        work.part.direction = work.bucket.direction;
        work.part.reserved = 0;
        work.part.of = FlowKey::default();
        work.part.of.zone = work.key.zone;
        work.part.of.inside = work.host;
    }
    Some(budget)
}

const _: () = assert!(BUDGETS_PER_ACTION.is_power_of_two() && size_of::<BucketKey>() == 48);
