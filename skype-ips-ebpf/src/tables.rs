//! The kernel's tables, as the gate uses them.
//!
//! One writer each: POLICY, ACTIONS, LOCAL, VERDICTS, ENDPOINTS, INTERFACES, CONFIG and HEARTBEATS
//! are the daemon's; FLOWS, FRAGMENTS and COUNTERS are ours.

use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use skype_ips_common::gate::Tables;
use skype_ips_common::layout::{
    ACTION_ROWS, ActionEntry, Address, CLASSES, Counter, EndpointKey, FlowKey, FlowState,
    FragmentKey, FragmentState, GateConfig, Hook, Interface, MAX_POLICIES, MAX_PREFIXES,
    PolicyEntry, Verdict, action,
};
use skype_ips_common::mark::MAX_QUEUES;

#[map]
static CONFIG: Array<GateConfig> = Array::with_max_entries(1, 0);
#[map]
static INTERFACES: HashMap<u32, Interface> = HashMap::with_max_entries(256, 0);
/// Time of each queue thread's last sign of life, nanoseconds of CLOCK_MONOTONIC.
#[map]
static HEARTBEATS: Array<u64> = Array::with_max_entries(MAX_QUEUES as u32, 0);
#[map]
static POLICY: LpmTrie<Address, PolicyEntry> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);
#[map]
static ACTIONS: Array<ActionEntry> =
    Array::with_max_entries(MAX_POLICIES * ACTION_ROWS * CLASSES, 0);
/// The gateway's own addresses.
#[map]
static LOCAL: HashMap<Address, u8> = HashMap::with_max_entries(4_096, 0);
// The two tables of what is known are allocated on demand: most of their room is never used.
#[map]
static VERDICTS: HashMap<FlowKey, Verdict> = HashMap::with_max_entries(262_144, 1);
#[map]
static ENDPOINTS: HashMap<EndpointKey, Verdict> = HashMap::with_max_entries(131_072, 1);
#[map]
static FLOWS: LruHashMap<FlowKey, FlowState> = LruHashMap::with_max_entries(262_144, 0);
#[map]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentState> = LruHashMap::with_max_entries(4_096, 0);
#[map]
static COUNTERS: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Hook::ALL.len() as u32 * Counter::ALL.len() as u32, 0);

/// What the daemon told the gate; `None` until it has.
#[inline(always)]
pub(crate) fn config() -> Option<&'static GateConfig> {
    CONFIG.get(0).filter(|config| config.mark_mask != 0)
}

/// The interface that a packet is on, if it is one of ours.
#[inline(always)]
pub(crate) fn interface(ifindex: u32) -> Option<&'static Interface> {
    // SAFETY: the daemon writes an entry whole before it attaches the programs, and never again.
    unsafe { INTERFACES.get(ifindex) }
}

/// The tables, for the hook that this runs in.
pub(crate) struct KernelTables {
    pub(crate) hook: Hook,
}

impl Tables for KernelTables {
    #[inline(always)]
    fn policy(&mut self, inside: &Address) -> Option<PolicyEntry> {
        POLICY.get(Key::new(128, *inside)).copied()
    }

    #[inline(always)]
    fn is_local(&mut self, address: &Address) -> bool {
        LOCAL.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn verdict(&mut self, key: &FlowKey) -> Option<Verdict> {
        // SAFETY: a verdict is 8 bytes that the daemon replaces whole; a torn read could at worst
        // mix two verdicts of the same flow.
        unsafe { VERDICTS.get(key) }.copied()
    }

    #[inline(always)]
    fn endpoint(&mut self, key: &EndpointKey) -> Option<Verdict> {
        // SAFETY: as for verdicts.
        unsafe { ENDPOINTS.get(key) }.copied()
    }

    #[inline(always)]
    fn action(&mut self, policy: PolicyEntry, verdict: &Verdict) -> u8 {
        match ACTIONS.get(ActionEntry::index(
            policy.index,
            verdict.role,
            verdict.class,
        )) {
            Some(entry) => entry.resolve(verdict.confidence),
            None => action::ALLOW,
        }
    }

    #[inline(always)]
    fn flow(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        // SAFETY: the entry stays allocated while the program runs (RCU). Two CPUs may update the
        // counters of one flow at once; a lost count is accepted, no other harm can come of it.
        FLOWS.get_ptr_mut(key).map(|flow| unsafe { &mut *flow })
    }

    #[inline(always)]
    fn insert_flow(&mut self, key: &FlowKey, state: &FlowState) {
        // A full LRU makes room by itself; no other failure leaves anything to do.
        let _ = FLOWS.insert(key, state, 0);
    }

    #[inline(always)]
    fn fragment(&mut self, key: &FragmentKey) -> Option<FragmentState> {
        // SAFETY: the state is 8 bytes; a torn read could at worst mix two fragment sets that
        // share sender, receiver, protocol and identification.
        unsafe { FRAGMENTS.get(key) }.copied()
    }

    #[inline(always)]
    fn insert_fragment(&mut self, key: &FragmentKey, state: &FragmentState) {
        // As for flows.
        let _ = FRAGMENTS.insert(key, state, 0);
    }

    #[inline(always)]
    fn count(&mut self, counter: Counter) {
        if let Some(value) = COUNTERS.get_ptr_mut(counter.index(self.hook)) {
            // SAFETY: the slot is this CPU's own.
            unsafe { *value += 1 };
        }
    }

    #[inline(always)]
    fn is_alive(&mut self, queue: u8, now: u64, limit: u64) -> bool {
        match HEARTBEATS.get(u32::from(queue)) {
            Some(&beat) => now.wrapping_sub(beat) <= limit || beat > now,
            None => false,
        }
    }
}
