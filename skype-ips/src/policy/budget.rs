//! Budgets: how much passes.

use skype_ips_common::bucket::COST_SHIFT;
use skype_ips_common::layout::BudgetEntry;

use super::vocabulary::{Direction, Scope};

const SECOND: u64 = 1_000_000_000;
/// Bytes of the largest IP packet on an Ethernet.
pub const MTU: u64 = 1500;

/// One `[[budget]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Unique name of `[a-z0-9-]`.
    pub name: String,
    /// Bits a second, from 8.
    pub rate: u64,
    /// Bytes that may pass at once; at least [`MTU`].
    pub burst: u64,
    /// What has a bucket of its own.
    pub scope: Scope,
    /// Which packets count.
    pub direction: Direction,
}

impl Budget {
    /// The burst of a budget that names none: two packets, or half a second of the rate.
    pub const fn usual_burst(rate: u64) -> u64 {
        let half_a_second = rate / 8 / 2;
        if half_a_second > 2 * MTU {
            half_a_second
        } else {
            2 * MTU
        }
    }

    /// The number by which the gate's tables know a budget of this name.
    pub fn id_of(name: &str) -> u32 {
        crc32fast::hash(name.as_bytes())
    }

    /// The budget as the gate's tables hold it.
    pub fn entry(&self) -> BudgetEntry {
        let rate = u128::from(self.rate.max(1));
        let cost = ((u128::from(8 * SECOND) << COST_SHIFT).div_ceil(rate)) as u64;
        let burst = (u128::from(self.burst) * u128::from(cost)) >> COST_SHIFT;
        let burst = u64::try_from(burst).unwrap_or(u64::MAX);
        BudgetEntry {
            cost,
            burst,
            borrow: burst.max(SECOND),
            id: Self::id_of(&self.name),
            scope: self.scope.number(),
            direction: self.direction.number(),
            reserved: 0,
        }
    }
}
