extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::{COST_SHIFT, admit, cost};
use crate::layout::BudgetEntry;

const SECOND: u64 = 1_000_000_000;

/// A budget of so many bytes a second and so many bytes of burst.
fn budget(rate: u64, burst: u64) -> BudgetEntry {
    let cost = (u128::from(SECOND) << COST_SHIFT).div_ceil(u128::from(rate));
    let burst = (u128::from(burst) * cost) >> COST_SHIFT;
    BudgetEntry {
        cost: u64::try_from(cost).unwrap(),
        burst: u64::try_from(burst).unwrap(),
        borrow: u64::try_from(burst).unwrap().max(SECOND),
        ..BudgetEntry::default()
    }
}

/// What passes of packets of (nanoseconds since the one before, bytes, segments): the times and bytes.
fn passed(budget: &BudgetEntry, packets: &[(u64, u32, u32)]) -> Vec<(u64, u64)> {
    let (mut now, mut full_at) = (0, 0);
    let mut passed = Vec::new();
    for (gap, bytes, segments) in packets {
        now += gap;
        if let Some(filled) = admit(full_at, now, *bytes, *segments, budget) {
            full_at = filled;
            passed.push((now, u64::from(*bytes)));
        }
    }
    passed
}

proptest! {
    /// Of any stretch of time, the whole one or between any two packets.
    #[test]
    fn never_more_passes_than_the_rate_the_burst_and_a_packet_allow(
        rate in 1_u64..1_250_000_000,
        burst in 1_500_u64..1_000_000,
        packets in prop::collection::vec((0_u64..2 * SECOND, 20_u32..65_536, 1_u32..3), 1..60),
    ) {
        let passed = passed(&budget(rate, burst), &packets);
        for (place, (begin, first)) in passed.iter().enumerate() {
            let (mut sum, mut longest) = (0, *first);
            for (end, bytes) in &passed[place..] {
                sum += bytes;
                longest = longest.max(*bytes);
                let of_time = u128::from(rate) * u128::from(end - begin) / u128::from(SECOND);
                let most = of_time + u128::from(burst) + u128::from(longest) + 1;
                prop_assert!(u128::from(sum) <= most, "{sum} bytes, {most} at the most");
            }
        }
    }

    /// A bucket doesn't lose what came due: of small packets that never cease, all that is allowed
    /// passes, but for less than a packet.
    #[test]
    fn all_that_the_rate_allows_passes(rate in 1_000_u64..1_250_000, bytes in 40_u32..1_500) {
        let budget = budget(rate, 3_000);
        // Ten times as much as the rate allows is offered, for a minute.
        let gap = u64::from(bytes) * SECOND / rate / 10;
        let packets: Vec<_> = (0..60 * SECOND / gap).map(|_| (gap, bytes, 1)).collect();
        let sum: u64 = passed(&budget, &packets).iter().map(|(_, bytes)| bytes).sum();
        let least = rate * 60 + 3_000 - 2 * u64::from(bytes);
        prop_assert!(sum + least / 10_000 >= least, "{sum} bytes, {least} at the least");
    }

    #[test]
    fn what_is_refunded_was_charged(full_at in 0_u64..SECOND, now in 0_u64..SECOND, bytes in 1_u32..70_000) {
        let budget = budget(4_000, 1_000_000);
        let filled = admit(full_at, now, bytes, 1, &budget).unwrap();
        prop_assert_eq!(filled - cost(bytes, &budget), full_at.max(now));
    }
}

#[test]
fn a_budget_is_exact_over_a_year() {
    // 3 KB/s in packets of 1,000 bytes: one each third of a second. Refused ones cost nothing.
    let budget = budget(3_000, 3_000);
    let year = 365 * 86_400;
    let (mut full_at, mut sum) = (0, 0_u64);
    for step in 0..year * 4 {
        let now = step * (SECOND / 4);
        if let Some(filled) = admit(full_at, now, 1_000, 1, &budget) {
            full_at = filled;
            sum += 1_000;
        }
    }
    let due = year * 3_000;
    assert!(sum <= due + 4_000 && sum >= due - 4_000, "{sum} of {due}");
}

#[test]
fn the_lowest_and_the_highest_rates_have_room_in_the_numbers() {
    let (slow, fast) = (budget(1, 1_500), budget(1_250_000_000, 625_000_000));
    assert_eq!(cost(u32::MAX, &slow), u64::from(u32::MAX) * SECOND);
    // Rounded up by less than a nanosecond a packet and 2^-16 of one a byte.
    assert_eq!(cost(1_500, &fast), 1_201);
    // The longest packet that there is borrows 136 years at a byte a second, and is paid back.
    let filled = admit(0, SECOND, u32::MAX, 1, &slow).unwrap();
    assert_eq!(filled, SECOND + u64::from(u32::MAX) * SECOND);
    assert_eq!(admit(filled, filled - 1, 1_500, 1, &slow), None);
    assert!(admit(filled, filled, 1_500, 1, &slow).is_some());
    // At the end of time nothing wraps.
    assert_eq!(admit(u64::MAX, 0, 1, 1, &slow), None);
    assert!(admit(0, u64::MAX, 1, 1, &slow).is_some());
}

#[test]
fn a_super_packet_longer_than_the_burst_borrows_once_and_pays_back() {
    // 4,000 bytes of burst at 4 KB/s, and a second's worth to borrow: 8,000 bytes.
    let budget = budget(4_000, 4_000);
    assert_eq!(admit(0, SECOND, 8_001, 6, &budget), None);
    let full_at = admit(0, SECOND, 8_000, 6, &budget).unwrap();
    assert_eq!(full_at, 3 * SECOND);
    // Until it has paid back what it borrowed beyond the burst, nothing passes.
    let byte = SECOND / 4_000;
    assert_eq!(admit(full_at, 2 * SECOND + byte - 1, 1, 1, &budget), None);
    assert!(admit(full_at, 2 * SECOND + byte, 1, 1, &budget).is_some());
    // And only when the bucket is full again it borrows anew.
    assert_eq!(admit(full_at, 3 * SECOND - 1, 8_000, 6, &budget), None);
    assert!(admit(full_at, 3 * SECOND, 8_000, 6, &budget).is_some());
}
