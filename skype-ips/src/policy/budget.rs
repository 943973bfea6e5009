//! Budgets: how much passes.

use std::fmt;

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
    /// The burst of a budget that names none: half a second of the rate, or at low rates two packets
    /// and a quarter of a second.
    ///
    /// A TCP sender whose packet had no room comes back after 200 ms and then after 400 ms more (the
    /// shortest time-outs of Linux). What comes due until its packet has room must find place in the
    /// bucket beside that packet, or it is lost to the sender: with two packets alone, a connection
    /// at 5 KB/s gets 94 % of it.
    pub const fn usual_burst(rate: u64) -> u64 {
        let second = rate / 8;
        let slow = 2 * MTU + second / 4;
        if second / 2 > slow { second / 2 } else { slow }
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

/// The budget in a line: "`relay`: 4 KB/s with bursts of 3 KB for each host, each direction".
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = match self.rate {
            rate if rate.is_multiple_of(8_000_000) => format!("{} MB/s", rate / 8_000_000),
            rate if rate.is_multiple_of(8_000) => format!("{} KB/s", rate / 8_000),
            rate if rate.is_multiple_of(1_000) => format!("{} kbit/s", rate / 1_000),
            rate => format!("{rate} bit/s"),
        };
        let burst = match self.burst {
            burst if burst.is_multiple_of(1_000_000) => format!("{} MB", burst / 1_000_000),
            burst if burst.is_multiple_of(1_000) => format!("{} KB", burst / 1_000),
            burst => format!("{burst} B"),
        };
        let direction = match self.direction {
            Direction::In => "towards it",
            Direction::Out => "from it",
            Direction::Sum => "both directions together",
            Direction::Each => "each direction",
        };
        let (name, scope) = (&self.name, self.scope);
        write!(
            f,
            "`{name}`: {rate} with bursts of {burst} for each {scope}, {direction}"
        )
    }
}
