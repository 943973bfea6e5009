//! The kernel's tables, as the gate uses them.
//!
//! One writer each: the policies' tables, LOCAL, VERDICTS, ENDPOINTS, INTERFACES, CONFIG and HEARTBEATS
//! are the daemon's; FLOWS, FRAGMENTS, BUCKETS and COUNTERS are ours.
//!
//! The policies' tables (POLICY_0 and POLICY_1, ACTIONS, BUDGETS, PORTS, PROXIES) have two halves. A
//! packet asks which is in force once, so that all it is told comes from one.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use skype_ips_common::gate::{Tables, Work};
use skype_ips_common::layout::{
    ACTION_ROWS, ActionEntry, Address, BucketKey, BucketState, BudgetEntry, CLASSES, Counter,
    EndpointKey, FlowKey, FlowState, FragmentKey, FragmentState, GateConfig, Hook, Interface,
    MAX_BUCKETS, MAX_BUDGETS, MAX_POLICIES, MAX_PORTS, MAX_PREFIXES, MAX_PROXIES, PLACE_BITS,
    PolicyEntry, PolicyKey, PortKey, ProxyKey, Verdict, path,
};
use skype_ips_common::mark::MAX_QUEUES;
use skype_ips_common::{bucket, share};

#[map]
static CONFIG: Array<GateConfig> = Array::with_max_entries(1, 0);
#[map]
static INTERFACES: HashMap<u32, Interface> = HashMap::with_max_entries(256, 0);
/// Time of each queue thread's last sign of life, nanoseconds of CLOCK_MONOTONIC.
#[map]
static HEARTBEATS: Array<u64> = Array::with_max_entries(MAX_QUEUES as u32, 0);
#[map]
static POLICY_0: LpmTrie<PolicyKey, PolicyEntry> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);
#[map]
static POLICY_1: LpmTrie<PolicyKey, PolicyEntry> = LpmTrie::with_max_entries(MAX_PREFIXES, 0);
/// Entries of ACTIONS in a half.
const HALF_OF_ACTIONS: u32 = MAX_POLICIES * ACTION_ROWS * CLASSES * path::COUNT as u32;
#[map]
static ACTIONS: Array<ActionEntry> = Array::with_max_entries(2 * HALF_OF_ACTIONS, 0);
#[map]
static BUDGETS: Array<BudgetEntry> = Array::with_max_entries(2 * MAX_BUDGETS, 0);
// Each half holds as many as can be in force, on demand.
#[map]
static PORTS: HashMap<PortKey, u8> = HashMap::with_max_entries(2 * MAX_PORTS, 1);
#[map]
static PROXIES: HashMap<ProxyKey, u8> = HashMap::with_max_entries(2 * MAX_PROXIES, 1);
#[map]
static BUCKETS: LruHashMap<BucketKey, BucketState> = LruHashMap::with_max_entries(MAX_BUCKETS, 0);
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
    hook: Hook,
    half: u32,
    /// A word of this CPU's and this hook's own.
    word: *mut u32,
}

impl KernelTables {
    #[inline(always)]
    pub(crate) fn new(hook: Hook, config: &GateConfig, word: *mut u32) -> Self {
        // Read once: the daemon may change it at any time.
        // SAFETY: a valid, aligned field of the daemon's.
        let half = unsafe { core::ptr::read_volatile(&raw const config.half) } & 1;
        Self { hook, half, word }
    }
}

/// Attempts to charge a bucket that other CPUs charge at the same time; then the packet has no room.
/// Each failure means that another CPU's charge was taken.
const ATTEMPTS: u32 = 4;

const RELAXED: AtomicOrdering = AtomicOrdering::Relaxed;

impl Tables for KernelTables {
    #[inline(always)]
    fn policy(&mut self, place: u32, inside: &Address) -> Option<PolicyEntry> {
        let key = Key::new(PLACE_BITS + 128, PolicyKey::new(place, *inside));
        if self.half == 0 {
            POLICY_0.get(key).copied()
        } else {
            POLICY_1.get(key).copied()
        }
    }

    #[inline(always)]
    fn is_local(&mut self, address: &Address) -> bool {
        LOCAL.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn verdict(&mut self, key: &FlowKey) -> Option<Verdict> {
        // SAFETY: a verdict is 16 bytes that the daemon replaces whole; a torn read could at worst
        // mix two verdicts of the same flow.
        unsafe { VERDICTS.get(key) }.copied()
    }

    #[inline(always)]
    fn endpoint(&mut self, key: &EndpointKey) -> Option<Verdict> {
        // SAFETY: as for verdicts.
        unsafe { ENDPOINTS.get(key) }.copied()
    }

    #[inline(always)]
    fn action(&mut self, policy: PolicyEntry, verdict: &Verdict, path: u8) -> ActionEntry {
        let index = ActionEntry::index(policy.index, verdict.role, verdict.class, path);
        if index >= HALF_OF_ACTIONS {
            return ActionEntry::default();
        }
        match ACTIONS.get(self.half * HALF_OF_ACTIONS + index) {
            Some(entry) => entry.resolve(verdict.confidence),
            None => ActionEntry::default(),
        }
    }

    #[inline(always)]
    fn is_port(&mut self, policy: u16, port: u16) -> bool {
        let key = PortKey {
            policy,
            port,
            half: self.half,
        };
        PORTS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn is_proxy(&mut self, policy: u16, address: &Address, port: u16) -> bool {
        let key = ProxyKey {
            policy,
            port,
            half: self.half,
            address: *address,
        };
        PROXIES.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn budget(&mut self, place: u16) -> Option<BudgetEntry> {
        let place = u32::from(place);
        if place >= MAX_BUDGETS {
            return None;
        }
        BUDGETS.get(self.half * MAX_BUDGETS + place).copied()
    }

    #[inline(always)]
    fn charge(
        &mut self,
        key: &BucketKey,
        part: Option<&BucketKey>,
        budget: &BudgetEntry,
        now: u64,
        bytes: u32,
        segments: u32,
    ) -> bool {
        let Some(bucket) = bucket_of(key) else {
            return false;
        };
        let part = part.and_then(bucket_of);
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            // SAFETY: the entry stays allocated while the program runs (RCU), and `full_at` is changed
            // by atomic instructions only.
            let full_at = unsafe { core::ptr::read_volatile(&raw const (*bucket).full_at) };
            // SAFETY: as above. Two CPUs with packets of one host may both see it as it was before: it
            // then holds a packet more than its part, which the next ones make up for.
            let held = part.map(|part| unsafe {
                (
                    core::ptr::read_volatile(&raw const (*part).held),
                    core::ptr::read_volatile(&raw const (*part).full_at),
                )
            });
            let Some(charged) = share::admit(full_at, held, now, bytes, segments, budget) else {
                break;
            };
            // SAFETY: as above.
            let (_, taken) = unsafe {
                atomic_cxchg::<u64, RELAXED, RELAXED>(
                    &raw mut (*bucket).full_at,
                    full_at,
                    charged.full_at,
                )
            };
            if taken {
                // SAFETY: as above; only the place is named here.
                add(unsafe { &raw mut (*bucket).passed }, u64::from(bytes));
                if let Some(part) = part {
                    // SAFETY: as for the reads above.
                    unsafe {
                        core::ptr::write_volatile(&raw mut (*part).held, charged.held);
                        core::ptr::write_volatile(&raw mut (*part).full_at, now);
                    }
                    // SAFETY: as above; only the place is named here.
                    add(unsafe { &raw mut (*part).passed }, u64::from(bytes));
                }
                return true;
            }
            attempt += 1;
        }
        // SAFETY: as above; only the place is named here.
        add(unsafe { &raw mut (*bucket).refused }, u64::from(bytes));
        if let Some(part) = part {
            // SAFETY: as above; only the place is named here.
            add(unsafe { &raw mut (*part).refused }, u64::from(bytes));
        }
        false
    }

    #[inline(always)]
    fn refund(
        &mut self,
        key: &BucketKey,
        part: Option<&BucketKey>,
        budget: &BudgetEntry,
        bytes: u32,
    ) {
        if let Some(part) = part.and_then(|key| BUCKETS.get_ptr_mut(key)) {
            let cost = bucket::cost(bytes, budget);
            // SAFETY: as in `charge`.
            unsafe {
                let held = core::ptr::read_volatile(&raw const (*part).held);
                core::ptr::write_volatile(&raw mut (*part).held, held.saturating_sub(cost));
            }
            add(
                // SAFETY: as above; only the place is named here.
                unsafe { &raw mut (*part).passed },
                u64::from(bytes).wrapping_neg(),
            );
        }
        if let Some(bucket) = BUCKETS.get_ptr_mut(key) {
            let cost = bucket::cost(bytes, budget);
            // SAFETY: as above; only the place is named here.
            add(unsafe { &raw mut (*bucket).full_at }, cost.wrapping_neg());
            add(
                // SAFETY: as above; only the place is named here.
                unsafe { &raw mut (*bucket).passed },
                u64::from(bytes).wrapping_neg(),
            );
        }
    }

    #[inline(always)]
    fn time_of_charge(&mut self, _now: u64) -> u64 {
        // The coarse clock stands still for up to 10 ms, in which a bucket would not fill; and then it
        // would let pass in no time what came due meanwhile.
        // SAFETY: the helper takes no arguments and has no preconditions.
        unsafe { bpf_ktime_get_ns() }
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
    fn forget(&mut self, bits: u32) -> u32 {
        // The verifier follows what is in registers and on the stack, not what is in tables.
        // SAFETY: nobody else uses the word while the program runs.
        unsafe {
            core::ptr::write_volatile(self.word, bits);
            core::ptr::read_volatile(self.word)
        }
    }

    #[inline(always)]
    fn again<'a>(&mut self, work: &'a mut Work) -> &'a mut Work {
        let work: *mut Work = work;
        // SAFETY: a valid, aligned, initialised local, which holds the one reference that there is.
        unsafe { &mut *core::ptr::read_volatile(&raw const work) }
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

/// The bucket of a key, full if it is new.
#[inline(always)]
fn bucket_of(key: &BucketKey) -> Option<*mut BucketState> {
    if let Some(bucket) = BUCKETS.get_ptr_mut(key) {
        return Some(bucket);
    }
    // If another CPU was faster, its bucket stays.
    let _ = BUCKETS.insert(key, BucketState::default(), NO_EXIST);
    BUCKETS.get_ptr_mut(key)
}

/// BPF_NOEXIST: only if there is none.
const NO_EXIST: u64 = 1;

/// Adds to a number that several CPUs change.
#[inline(always)]
fn add(number: *mut u64, by: u64) {
    // SAFETY: a number of a table's entry, which stays allocated while the program runs (RCU).
    unsafe { atomic_xadd::<u64, u64, RELAXED>(number, by) };
}
