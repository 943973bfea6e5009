//! Policies as the gate's tables hold them, which is also how user space looks things up.

use ipnet::{IpNet, Ipv6Net};
use prefix_trie::PrefixMap;
use rustc_hash::{FxHashMap, FxHashSet};
use skype_ips_common::layout::{
    ACTION_ROWS, ANYWHERE, ActionEntry, Address, BUDGETS_PER_ACTION, BudgetEntry, CLASSES,
    DSCP_SET, EXEMPT, FlowKey, Met, PLACE_BITS, PolicyEntry, PolicyKey, TCP, UDP, Verdict, path,
    policy_flag,
};

use super::model::{Open, Policy, PolicySet, mapped_prefixes, to_mapped};
use super::rule::{Rule, Rules};
use super::vocabulary::{Class, Mode, Role};

/// What is in force while the same windows are open.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    prefixes: FxHashMap<u32, PrefixMap<Ipv6Net, PolicyEntry>>,
    actions: Vec<ActionEntry>,
    budgets: Vec<BudgetEntry>,
    ports: FxHashSet<(u16, u16)>,
    proxies: FxHashSet<(u16, Address, u16)>,
}

impl PolicySet {
    /// What is in force under a gateway's mode while these windows are open and these hosts are exempt
    /// besides those of the files.
    pub fn compile(&self, gateway: Mode, open: &Open, exempt: &[IpNet]) -> Compiled {
        let mut compiled = Compiled {
            budgets: self
                .budgets
                .iter()
                .map(super::budget::Budget::entry)
                .collect(),
            ..Compiled::default()
        };
        let (mut subnets, mut names) = (Numbers::default(), Numbers::default());
        for (index, policy) in (0u16..).zip(&self.policies) {
            let rules = policy.layers(open.of(usize::from(index)));
            let flags = compiled.restrictions(index, &rules);
            let name = names.number(&policy.name);
            for place in self.places(policy) {
                for net in &policy.subnets {
                    let entry = PolicyEntry {
                        index,
                        flags: flags | self.hosts.flags(net),
                        subnet: subnets.number(&format!("{} {net}", policy.name)),
                        name,
                    };
                    compiled.cover(place, *net, entry);
                }
            }
            compiled.actions(policy, &rules, gateway.min(policy.mode));
        }
        for (index, policy) in (0u16..).zip(&self.policies) {
            for place in self.places(policy) {
                for net in &policy.exempt {
                    compiled.exempt_of(place, *net, index);
                }
            }
        }
        let mut places: Vec<u32> = compiled.prefixes.keys().copied().collect();
        places.push(ANYWHERE);
        for net in self.exempt.iter().chain(exempt) {
            for place in &places {
                compiled.exempt(*place, *net);
            }
        }
        compiled
    }

    /// Places in the policy table under which a policy stands.
    fn places(&self, policy: &Policy) -> Vec<u32> {
        let number = |name: &String| self.interfaces.iter().position(|known| known == name);
        let by_vlan = policy.vlans.iter().filter_map(|vlan| {
            let met = Met {
                vlan: *vlan,
                interface: 0,
            };
            met.by_vlan()
        });
        let by_interface = policy.interfaces.iter().filter_map(|name| {
            let met = Met {
                vlan: 0,
                interface: number(name)? as u16 + 1,
            };
            met.by_interface()
        });
        if policy.vlans.is_empty() && policy.interfaces.is_empty() {
            return vec![ANYWHERE];
        }
        by_vlan.chain(by_interface).collect()
    }
}

impl Compiled {
    /// Puts a prefix under a policy.
    pub fn cover(&mut self, place: u32, net: IpNet, entry: PolicyEntry) {
        let prefixes = self.prefixes.entry(place).or_default();
        for mapped in mapped_prefixes(net) {
            prefixes.insert(mapped, entry);
        }
    }

    /// Puts every host that no prefix covers under a policy.
    pub fn cover_rest(&mut self, entry: PolicyEntry) {
        let prefixes = self.prefixes.entry(ANYWHERE).or_default();
        prefixes.insert(Ipv6Net::default(), entry);
    }

    /// Lets hosts alone, whatever policy they are under.
    fn exempt(&mut self, place: u32, net: IpNet) {
        let prefixes = self.prefixes.entry(place).or_default();
        for mapped in mapped_prefixes(net) {
            for (_, within) in prefixes
                .iter_mut()
                .filter(|(other, _)| mapped.contains(other))
            {
                *within = LET_ALONE;
            }
            prefixes.insert(mapped, LET_ALONE);
        }
    }

    /// Lets hosts of one policy alone; those of them that a longer prefix puts under another policy
    /// are that one's.
    fn exempt_of(&mut self, place: u32, net: IpNet, policy: u16) {
        let prefixes = self.prefixes.entry(place).or_default();
        for mapped in mapped_prefixes(net) {
            let of_policy = |entry: &PolicyEntry| entry.index == policy;
            if !prefixes
                .get_lpm(&mapped)
                .is_some_and(|(_, entry)| of_policy(entry))
            {
                continue;
            }
            for (_, within) in prefixes
                .iter_mut()
                .filter(|(other, entry)| mapped.contains(other) && of_policy(entry))
            {
                *within = LET_ALONE;
            }
            prefixes.insert(mapped, LET_ALONE);
        }
    }

    /// Notes ports and proxies that a policy names.
    fn restrictions(&mut self, policy: u16, rules: &[&Rules]) -> u16 {
        let mut flags = 0;
        for port in rules.iter().flat_map(|rules| &rules.ports) {
            flags |= policy_flag::PORTS;
            self.ports.insert((policy, *port));
        }
        let naming: Vec<_> = rules
            .iter()
            .filter(|rules| rules.only_via.is_some())
            .collect();
        for (place, rules) in naming.iter().enumerate() {
            flags |= policy_flag::ONLY_VIA;
            // Each restriction holds, so only what all of them name is left.
            let others = |proxy| naming.iter().all(|other| other.proxies.contains(proxy));
            for proxy in rules
                .proxies
                .iter()
                .filter(|proxy| place == 0 && others(proxy))
            {
                self.proxies
                    .insert((policy, to_mapped(proxy.ip()), proxy.port()));
            }
        }
        flags
    }

    /// Appends the rows of a policy: what its rules say together, the first of which are those of the
    /// policy itself.
    fn actions(&mut self, policy: &Policy, rules: &[&Rules], mode: Mode) {
        let entry = |rule: &Rule, confidence| {
            let rule = match mode {
                Mode::Enforce => rule.clone(),
                Mode::Monitor => rule.monitored(),
            };
            action_entry(&rule, confidence)
        };
        for role in Role::ALL {
            for class in Class::ALL {
                for on in 0..path::COUNT {
                    let rule = Rules::together(rules, *role, *class, on);
                    self.actions.push(entry(&rule, policy.confidence.number()));
                }
            }
        }
        // The row of `AMBIGUOUS_ROLE`: no confidence is needed where there is none.
        let ambiguous = entry(&Rules::ambiguous_together(rules), 0);
        self.actions
            .extend([ambiguous; CLASSES as usize * path::COUNT as usize]);
    }

    /// The longest prefix's policy at one place of the policy table.
    pub fn policy(&self, place: u32, host: &Address) -> Option<PolicyEntry> {
        let prefixes = self.prefixes.get(&place)?;
        let (_, entry) = prefixes.get_lpm(&Ipv6Net::from(std::net::Ipv6Addr::from(*host)))?;
        Some(*entry)
    }

    /// The policy of a host, where it was met; `None` if it is under none.
    pub fn policy_of(&self, met: Met, host: &Address) -> Option<PolicyEntry> {
        let by_vlan = met.by_vlan().and_then(|place| self.policy(place, host));
        let by_interface = || {
            met.by_interface()
                .and_then(|place| self.policy(place, host))
        };
        by_vlan
            .or_else(by_interface)
            .or_else(|| self.policy(ANYWHERE, host))
            .filter(|entry| entry.index != EXEMPT)
    }

    /// What to do with what `verdict` says on a path, held to what its confidence suffices for.
    pub fn action(&self, policy: PolicyEntry, verdict: &Verdict, on: u8) -> ActionEntry {
        let index = ActionEntry::index(policy.index, verdict.role, verdict.class, on);
        self.actions
            .get(index as usize)
            .map_or_else(ActionEntry::default, |entry| {
                entry.resolve(verdict.confidence)
            })
    }

    /// What is done with a flow of which `verdict` is known; `called` says that the outside opened it.
    /// `None` if its inside host is under no policy.
    pub fn decide(
        &self,
        key: &FlowKey,
        met: Met,
        called: bool,
        verdict: &Verdict,
    ) -> Option<(PolicyEntry, ActionEntry)> {
        let policy = self.policy_of(met, &key.inside)?;
        let on = self.path(policy, key, called);
        Some((policy, self.action(policy, verdict, on)))
    }

    /// The [`path`] of a flow under a policy; `called` says that the outside opened it.
    pub fn path(&self, policy: PolicyEntry, key: &FlowKey, called: bool) -> u8 {
        let mut on = 0;
        if key.protocol == UDP {
            on |= path::UDP;
        }
        if key.protocol == TCP && called {
            on |= path::CALLED;
        }
        let named = policy.flags & policy_flag::ONLY_VIA != 0;
        if named && !self.is_proxy(policy.index, &key.outside, key.outside_port) {
            on |= path::DIRECT;
        }
        on
    }

    /// Whether a policy names this proxy.
    pub fn is_proxy(&self, policy: u16, address: &Address, port: u16) -> bool {
        self.proxies.contains(&(policy, *address, port))
    }

    /// Whether a policy says that Skype listens on this TCP port.
    pub fn is_port(&self, policy: u16, port: u16) -> bool {
        self.ports.contains(&(policy, port))
    }

    /// Prefixes of the policy table, with their lengths there.
    pub fn prefixes(&self) -> impl Iterator<Item = (PolicyKey, u32, PolicyEntry)> {
        self.prefixes.iter().flat_map(|(place, prefixes)| {
            prefixes.iter().map(|(net, entry)| {
                let key = PolicyKey::new(*place, net.network().octets());
                (key, PLACE_BITS + u32::from(net.prefix_len()), *entry)
            })
        })
    }

    /// Rows of the action table in the order of [`ActionEntry::index`].
    pub fn action_entries(&self) -> &[ActionEntry] {
        &self.actions
    }

    /// The budget table.
    pub fn budgets(&self) -> &[BudgetEntry] {
        &self.budgets
    }

    /// Policies and the ports that they name.
    pub fn ports(&self) -> impl Iterator<Item = (u16, u16)> {
        self.ports.iter().copied()
    }

    /// Policies and the proxies that they name.
    pub fn proxies(&self) -> impl Iterator<Item = (u16, Address, u16)> {
        self.proxies.iter().copied()
    }

    /// The places that policies name, [`ANYWHERE`] among them where one names none.
    pub fn places(&self) -> impl Iterator<Item = u32> {
        self.prefixes.keys().copied()
    }

    /// Whether any policy asks for a VLAN or an interface.
    pub fn asks_for_places(&self) -> bool {
        self.prefixes.keys().any(|place| *place != ANYWHERE)
    }
}

/// What hosts that are let alone have in the policy table.
const LET_ALONE: PolicyEntry = PolicyEntry {
    index: EXEMPT,
    flags: 0,
    subnet: 0,
    name: 0,
};

/// Numbers of policies and of their prefixes, which stay the same as long as they are written the same.
#[derive(Debug, Default)]
struct Numbers {
    taken: FxHashMap<u32, String>,
}

impl Numbers {
    fn number(&mut self, written: &str) -> u32 {
        let mut number = crc32fast::hash(written.as_bytes());
        loop {
            let taken = self.taken.entry(number);
            if taken.or_insert_with(|| written.to_owned()) == written {
                return number;
            }
            // Two with one number would share their budgets.
            number = number.wrapping_add(1);
        }
    }
}

/// A rule as the action table holds it.
fn action_entry(rule: &Rule, confidence: u8) -> ActionEntry {
    let mut budgets = [0; BUDGETS_PER_ACTION];
    for (slot, budget) in budgets.iter_mut().zip(&rule.budgets) {
        *slot = budget + 1;
    }
    let (mark, mark_mask) = rule.mark.unwrap_or_default();
    ActionEntry {
        action: rule.action.number(),
        confidence,
        dscp: rule.dscp.map_or(0, |code| DSCP_SET | code),
        reserved: 0,
        mark,
        mark_mask,
        budgets,
    }
}

const _: () = assert!(ACTION_ROWS as usize == Role::ALL.len() + 1);
