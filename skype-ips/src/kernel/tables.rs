//! The tables that the daemon writes and the gate reads, and their in-memory twin.

use rustc_hash::{FxHashMap, FxHashSet};
use skype_ips_common::gate::Tables;
use skype_ips_common::layout::{
    ActionEntry, Address, Counter, EndpointKey, FlowKey, FlowState, FragmentKey, FragmentState,
    PolicyEntry, Verdict,
};

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
            counters: [0; Counter::ALL.len()],
        }
    }

    /// Swaps the policy.
    pub fn set_policy(&mut self, policy: &Compiled) {
        self.ruling.clone_from(policy);
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
