//! The policies' tables in the kernel, of which one half is in force while the other is filled.

use std::time::Duration;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData};
use skype_ips_common::layout::{
    ACTION_ROWS, ActionEntry, BudgetEntry, CLASSES, MAX_BUDGETS, MAX_POLICIES, PolicyEntry,
    PolicyKey, PortKey, ProxyKey, path,
};

use super::bpf::{BpfError, duplicate, table};
use crate::policy::Compiled;

const POLICY: [&str; 2] = ["POLICY_0", "POLICY_1"];
/// Entries of ACTIONS in a half.
const HALF_OF_ACTIONS: u32 = MAX_POLICIES * ACTION_ROWS * CLASSES * path::COUNT as u32;
/// A packet is judged within microseconds, and not interrupted by much.
const GRACE: Duration = Duration::from_millis(50);

/// See the module. Only the daemon writes them.
pub(super) struct Halves {
    policy: [LpmTrie<MapData, PolicyKey, PolicyEntry>; 2],
    actions: Written<ActionEntry>,
    budgets: Written<BudgetEntry>,
    ports: HashMap<MapData, PortKey, u8>,
    proxies: HashMap<MapData, ProxyKey, u8>,
    in_force: u32,
}

impl Halves {
    pub(super) fn new(ebpf: &Ebpf) -> Result<Self, BpfError> {
        let policy = |name| LpmTrie::try_from(duplicate(ebpf, name)?).map_err(table(name));
        Ok(Self {
            policy: [policy(POLICY[0])?, policy(POLICY[1])?],
            actions: Written::new(duplicate(ebpf, "ACTIONS")?, "ACTIONS", HALF_OF_ACTIONS)?,
            budgets: Written::new(duplicate(ebpf, "BUDGETS")?, "BUDGETS", MAX_BUDGETS)?,
            ports: HashMap::try_from(duplicate(ebpf, "PORTS")?).map_err(table("PORTS"))?,
            proxies: HashMap::try_from(duplicate(ebpf, "PROXIES")?).map_err(table("PROXIES"))?,
            in_force: 0,
        })
    }

    /// The half that the gate is to use.
    pub(super) const fn in_force(&self) -> u32 {
        self.in_force
    }

    /// Fills the half that is not in force, whole; [`Self::flip`] puts it in force.
    pub(super) fn fill(&mut self, compiled: &Compiled) -> Result<(), BpfError> {
        // It may have been in force a moment ago.
        wait_for_packets();
        let half = self.in_force ^ 1;
        self.fill_prefixes(half as usize, compiled)?;
        self.actions.fill(half, compiled.action_entries())?;
        self.budgets.fill(half, compiled.budgets())?;
        let ports = compiled
            .ports()
            .map(|(policy, port)| PortKey { policy, port, half });
        fill_set(&mut self.ports, "PORTS", &ports.collect(), |key| {
            key.half == half
        })?;
        let proxies = compiled.proxies().map(|(policy, address, port)| ProxyKey {
            policy,
            port,
            half,
            address,
        });
        fill_set(&mut self.proxies, "PROXIES", &proxies.collect(), |key| {
            key.half == half
        })
    }

    fn fill_prefixes(&mut self, half: usize, compiled: &Compiled) -> Result<(), BpfError> {
        let failed = || table(POLICY[half]);
        let trie = &mut self.policy[half];
        let wanted: rustc_hash::FxHashSet<(PolicyKey, u32)> = compiled
            .prefixes()
            .map(|(key, length, _)| (key, length))
            .collect();
        let stale: Vec<Key<PolicyKey>> = trie
            .keys()
            .filter_map(Result::ok)
            .filter(|key| !wanted.contains(&(key.data(), key.prefix_len())))
            .collect();
        // First, or a table that is nearly full might not take the new ones.
        for key in &stale {
            trie.remove(key).map_err(failed())?;
        }
        for (key, length, entry) in compiled.prefixes() {
            trie.insert(&Key::new(length, key), entry, 0)
                .map_err(failed())?;
        }
        Ok(())
    }

    /// Has the other half in force from now on: the caller tells the gate.
    pub(super) const fn flip(&mut self) {
        self.in_force ^= 1;
    }
}

/// An array of two halves and what was last written to each, so that only changes are.
struct Written<V: aya::Pod> {
    array: Array<MapData, V>,
    name: &'static str,
    half_len: u32,
    written: [Vec<V>; 2],
}

impl<V: aya::Pod + PartialEq> Written<V> {
    fn new(map: Map, name: &'static str, half_len: u32) -> Result<Self, BpfError> {
        Ok(Self {
            array: Array::try_from(map).map_err(table(name))?,
            name,
            half_len,
            written: Default::default(),
        })
    }

    /// Writes the first entries of a half; nothing refers to those behind them.
    fn fill(&mut self, half: u32, entries: &[V]) -> Result<(), BpfError> {
        let written = &mut self.written[half as usize];
        for (index, entry) in entries.iter().enumerate() {
            if written.get(index) == Some(entry) {
                continue;
            }
            // Beyond the half lies the one in force: the array has no such place.
            let place = u32::try_from(index)
                .ok()
                .filter(|index| *index < self.half_len);
            let place = place.map_or(u32::MAX, |index| half * self.half_len + index);
            self.array.set(place, entry, 0).map_err(table(self.name))?;
            match written.get_mut(index) {
                Some(written) => *written = *entry,
                None => written.push(*entry),
            }
        }
        Ok(())
    }
}

/// Makes a table of keys alone hold `wanted` and nothing else of those that are `ours`.
fn fill_set<K: aya::Pod + Eq + std::hash::Hash>(
    map: &mut HashMap<MapData, K, u8>,
    name: &'static str,
    wanted: &rustc_hash::FxHashSet<K>,
    ours: impl Fn(&K) -> bool,
) -> Result<(), BpfError> {
    let there: Vec<K> = map
        .keys()
        .filter_map(Result::ok)
        .filter(|key| ours(key))
        .collect();
    for key in there.iter().filter(|key| !wanted.contains(key)) {
        map.remove(key).map_err(table(name))?;
    }
    for key in wanted {
        map.insert(key, 1, 0).map_err(table(name))?;
    }
    Ok(())
}

/// Returns when no program looks at the half any more that was in force before.
fn wait_for_packets() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // It waits for an RCU grace period (membarrier(2)), and programs run within one's reach.
    // SAFETY: the call takes three numbers and touches no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) } == 0;
    if !done {
        // Kernels with tickless CPUs have no such barrier.
        std::thread::sleep(GRACE);
    }
}
