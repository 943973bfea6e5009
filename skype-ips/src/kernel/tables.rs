//! The tables that the daemon writes and the gate reads, and their in-memory twin.

use rustc_hash::{FxHashMap, FxHashSet};
use skype_ips_common::gate::Tables;
use skype_ips_common::layout::{
    ActionEntry, Address, BucketKey, BucketState, BudgetEntry, Counter, EndpointKey, FlowKey,
    FlowState, FragmentKey, FragmentState, MAX_BUCKETS, PolicyEntry, Verdict, flag,
};
use skype_ips_common::{bucket, share};

use crate::policy::Compiled;
use crate::recent::Recent;

/// What the daemon writes. Implemented by the kernel's tables and by [`MemoryTables`].
pub trait VerdictTables {
    /// Error of a write: what failed, in words.
    type Error: std::error::Error;

    /// Says what a flow is.
    fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict) -> Result<(), Self::Error>;
    /// Forgets a flow; no error if it was not there.
    fn remove_verdict(&mut self, key: &FlowKey) -> Result<(), Self::Error>;
    /// Says what an inside endpoint is.
    fn set_endpoint(&mut self, key: &EndpointKey, verdict: Verdict) -> Result<(), Self::Error>;
    /// Forgets an endpoint; no error if it was not there.
    fn remove_endpoint(&mut self, key: &EndpointKey) -> Result<(), Self::Error>;
}

/// First fragments remembered, as in the kernel's table.
const MOST_FRAGMENTS: usize = 4096;

/// The tables in memory: for replay, tests, and the gate in user space. They never lose what the
/// driver wrote; of flows they lose the longest silent beyond a bound.
#[derive(Debug)]
pub struct MemoryTables {
    ruling: Compiled,
    local: FxHashSet<Address>,
    verdicts: FxHashMap<FlowKey, Verdict>,
    endpoints: FxHashMap<EndpointKey, Verdict>,
    flows: Recent<FlowKey, FlowState>,
    most_flows: usize,
    fragments: Recent<FragmentKey, FragmentState>,
    buckets: Recent<BucketKey, BucketState>,
    counters: [u64; Counter::ALL.len()],
}

impl MemoryTables {
    /// Tables that hold `policy` and nothing else, and forget no flow.
    pub fn new(policy: &Compiled) -> Self {
        Self::with_room(policy, usize::MAX)
    }

    /// The same, for at most so many flows: the longest silent makes room.
    pub fn with_room(policy: &Compiled, flows: usize) -> Self {
        Self {
            ruling: policy.clone(),
            local: FxHashSet::default(),
            verdicts: FxHashMap::default(),
            endpoints: FxHashMap::default(),
            flows: Recent::default(),
            most_flows: flows.max(1),
            fragments: Recent::default(),
            buckets: Recent::default(),
            counters: [0; Counter::ALL.len()],
        }
    }

    /// Swaps the policy. What is known of flows and endpoints stays, and so do buckets.
    pub fn set_policy(&mut self, policy: &Compiled) {
        self.ruling.clone_from(policy);
    }

    /// The [`flag`]s of [`skype_ips_common::layout::GateConfig`] that the policy asks for, and no others.
    pub fn flags(&self) -> u32 {
        if self.ruling.asks_for_places() {
            flag::PLACES
        } else {
            0
        }
    }

    /// The bucket of a key, full if it is new.
    fn bucket(&mut self, key: &BucketKey) -> BucketState {
        let most = MAX_BUCKETS as usize;
        *self.buckets.entry_or(key, 0, most, BucketState::default)
    }

    /// The buckets that there are, in no order.
    pub fn buckets(&self) -> impl Iterator<Item = (&BucketKey, &BucketState)> {
        self.buckets.iter()
    }

    /// Swaps the gateway's own addresses.
    pub fn set_local(&mut self, addresses: impl IntoIterator<Item = Address>) {
        self.local = addresses.into_iter().collect();
    }

    /// The value of a counter.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// The state of a flow.
    pub fn flow_state(&self, key: &FlowKey) -> Option<&FlowState> {
        self.flows.get(key)
    }

    /// Forgets flows not seen since `before` (the gate's clock).
    pub fn expire(&mut self, before: u64) {
        while let Some((_, flow)) = self.flows.oldest()
            && flow.last_seen < before
        {
            self.flows.pop_oldest();
        }
    }
}

impl Tables for MemoryTables {
    fn policy(&mut self, place: u32, inside: &Address) -> Option<PolicyEntry> {
        self.ruling.policy(place, inside)
    }

    fn is_local(&mut self, address: &Address) -> bool {
        self.local.contains(address)
    }

    fn verdict(&mut self, key: &FlowKey) -> Option<Verdict> {
        self.verdicts.get(key).copied()
    }

    fn endpoint(&mut self, key: &EndpointKey) -> Option<Verdict> {
        self.endpoints.get(key).copied()
    }

    fn action(&mut self, policy: PolicyEntry, verdict: &Verdict, path: u8) -> ActionEntry {
        self.ruling.action(policy, verdict, path)
    }

    fn is_port(&mut self, policy: u16, port: u16) -> bool {
        self.ruling.is_port(policy, port)
    }

    fn is_proxy(&mut self, policy: u16, address: &Address, port: u16) -> bool {
        self.ruling.is_proxy(policy, address, port)
    }

    fn budget(&mut self, place: u16) -> Option<BudgetEntry> {
        self.ruling.budgets().get(usize::from(place)).copied()
    }

    fn charge(
        &mut self,
        key: &BucketKey,
        part: Option<&BucketKey>,
        budget: &BudgetEntry,
        now: u64,
        bytes: u32,
        segments: u32,
    ) -> bool {
        let mut whole = self.bucket(key);
        let mut own = part.map(|part| self.bucket(part));
        let held = own.map(|own| (own.held, own.full_at));
        let charged = share::admit(whole.full_at, held, now, bytes, segments, budget);
        if let Some(charged) = charged {
            whole.full_at = charged.full_at;
            if let Some(own) = &mut own {
                (own.held, own.full_at) = (charged.held, now);
            }
        }
        for (key, state) in [(Some(key), Some(whole)), (part, own)] {
            let Some((key, mut state)) = key.zip(state) else {
                continue;
            };
            match charged {
                Some(_) => state.passed += u64::from(bytes),
                None => state.refused += u64::from(bytes),
            }
            if let Some(kept) = self.buckets.get_mut(key) {
                *kept = state;
            }
        }
        charged.is_some()
    }

    fn refund(
        &mut self,
        key: &BucketKey,
        part: Option<&BucketKey>,
        budget: &BudgetEntry,
        bytes: u32,
    ) {
        if let Some(own) = part.and_then(|key| self.buckets.get_mut(key)) {
            own.held = own.held.saturating_sub(bucket::cost(bytes, budget));
            own.passed = own.passed.wrapping_sub(u64::from(bytes));
        }
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.full_at = bucket.full_at.wrapping_sub(bucket::cost(bytes, budget));
            bucket.passed = bucket.passed.wrapping_sub(u64::from(bytes));
        }
    }

    fn time_of_charge(&mut self, now: u64) -> u64 {
        now
    }

    fn flow(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        self.flows.touch(key, 0)
    }

    fn insert_flow(&mut self, key: &FlowKey, state: &FlowState) {
        // The order of use is all that counts here and below: times are in the entries.
        *self.flows.entry_or(key, 0, self.most_flows, || *state) = *state;
    }

    fn fragment(&mut self, key: &FragmentKey) -> Option<FragmentState> {
        self.fragments.get(key).copied()
    }

    fn insert_fragment(&mut self, key: &FragmentKey, state: &FragmentState) {
        *self.fragments.entry_or(key, 0, MOST_FRAGMENTS, || *state) = *state;
    }

    fn count(&mut self, counter: Counter) {
        self.counters[counter as usize] += 1;
    }

    fn is_alive(&mut self, _queue: u8, _now: u64, _limit: u64) -> bool {
        true
    }
}

impl VerdictTables for MemoryTables {
    type Error = std::convert::Infallible;

    fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict) -> Result<(), Self::Error> {
        self.verdicts.insert(*key, verdict);
        Ok(())
    }

    fn remove_verdict(&mut self, key: &FlowKey) -> Result<(), Self::Error> {
        self.verdicts.remove(key);
        Ok(())
    }

    fn set_endpoint(&mut self, key: &EndpointKey, verdict: Verdict) -> Result<(), Self::Error> {
        self.endpoints.insert(*key, verdict);
        Ok(())
    }

    fn remove_endpoint(&mut self, key: &EndpointKey) -> Result<(), Self::Error> {
        self.endpoints.remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> FlowKey {
        FlowKey {
            inside_port: number as u16,
            ..FlowKey::default()
        }
    }

    fn seen(at: u64) -> FlowState {
        FlowState {
            last_seen: at,
            ..FlowState::default()
        }
    }

    #[test]
    fn the_longest_silent_flow_makes_room() {
        let mut tables = MemoryTables::with_room(&Compiled::default(), 3);
        for number in 0..3 {
            tables.insert_flow(&key(number), &seen(u64::from(number)));
        }
        assert!(tables.flow(&key(0)).is_some());
        tables.insert_flow(&key(3), &seen(3));
        assert!(tables.flow_state(&key(1)).is_none());
        assert!(tables.flow_state(&key(0)).is_some());
    }

    #[test]
    fn silence_ends_a_flow() {
        let mut tables = MemoryTables::new(&Compiled::default());
        for number in 0..4 {
            tables.insert_flow(&key(number), &seen(u64::from(number)));
        }
        tables.expire(2);
        let left = (0..4).filter(|number| tables.flow_state(&key(*number)).is_some());
        assert_eq!(left.collect::<Vec<_>>(), [2, 3]);
    }
}
