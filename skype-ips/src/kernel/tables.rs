//! The tables that the daemon writes and the gate reads, and their in-memory twin.

use ipnet::Ipv6Net;
use prefix_trie::PrefixMap;
use rustc_hash::{FxHashMap, FxHashSet};
use skype_ips_common::gate::Tables;
use skype_ips_common::layout::{
    ActionEntry, Address, Counter, EndpointKey, FlowKey, FlowState, FragmentKey, FragmentState,
    PolicyEntry, Verdict, action,
};

use crate::policy::Compiled;

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

/// Hash tables that never lose an entry: for replay, tests, and the gate in user space.
#[derive(Debug, Default)]
pub struct MemoryTables {
    prefixes: PrefixMap<Ipv6Net, PolicyEntry>,
    actions: Vec<ActionEntry>,
    local: FxHashSet<Address>,
    verdicts: FxHashMap<FlowKey, Verdict>,
    endpoints: FxHashMap<EndpointKey, Verdict>,
    flows: FxHashMap<FlowKey, FlowState>,
    fragments: FxHashMap<FragmentKey, FragmentState>,
    counters: [u64; Counter::ALL.len()],
}

impl MemoryTables {
    /// Tables that hold `policy` and nothing else.
    pub fn new(policy: &Compiled) -> Self {
        let mut tables = Self::default();
        tables.set_policy(policy);
        tables
    }

    /// Swaps the policy.
    pub fn set_policy(&mut self, policy: &Compiled) {
        self.prefixes = policy
            .prefixes
            .iter()
            .map(|(address, len, entry)| {
                let net = Ipv6Net::new((*address).into(), *len as u8)
                    .expect("compiled prefixes are at most 128 long");
                (net, *entry)
            })
            .collect();
        self.actions.clone_from(&policy.actions);
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

    /// Forgets flows and fragments not seen since `before` (the gate's clock).
    pub fn expire(&mut self, before: u64) {
        self.flows.retain(|_, flow| flow.last_seen >= before);
        self.fragments.clear();
    }
}

impl Tables for MemoryTables {
    fn policy(&mut self, inside: &Address) -> Option<PolicyEntry> {
        self.prefixes
            .get_lpm(&Ipv6Net::from(std::net::Ipv6Addr::from(*inside)))
            .map(|(_, entry)| *entry)
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

    fn action(&mut self, policy: PolicyEntry, verdict: &Verdict) -> u8 {
        let index = ActionEntry::index(policy.index, verdict.role, verdict.class);
        match self.actions.get(index as usize) {
            Some(entry) => entry.resolve(verdict.confidence),
            None => action::ALLOW,
        }
    }

    fn flow(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        self.flows.get_mut(key)
    }

    fn insert_flow(&mut self, key: &FlowKey, state: &FlowState) {
        self.flows.insert(*key, *state);
    }

    fn fragment(&mut self, key: &FragmentKey) -> Option<FragmentState> {
        self.fragments.get(key).copied()
    }

    fn insert_fragment(&mut self, key: &FragmentKey, state: &FragmentState) {
        self.fragments.insert(*key, *state);
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
