//! A checked policy: who may do what.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use prefix_trie::PrefixMap;
use skype_ips_common::layout::{
    ACTION_ROWS, ActionEntry, Address, CLASSES, MAPPED_PREFIX, PolicyEntry,
};

use super::vocabulary::{Action, Class, Confidence, Mode, Role};

/// An address in the form of the shared tables: IPv4 mapped into IPv6.
pub fn to_mapped(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address of a shared table's form.
pub fn from_mapped(address: &Address) -> IpAddr {
    std::net::Ipv6Addr::from(*address).to_canonical()
}

/// The prefix that all IPv4 addresses share in the form of the shared tables.
pub(super) const MAPPED: Ipv6Net = Ipv6Net::new_assert(
    std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
    MAPPED_PREFIX as u8,
);

/// Most prefixes in the form of the shared tables: what the kernel's table holds.
pub const MAX_PREFIXES: usize = skype_ips_common::layout::MAX_PREFIXES as usize;

/// A prefix in the form of the shared tables.
pub fn mapped_prefix(net: IpNet) -> Ipv6Net {
    let extra = if net.addr().is_ipv4() {
        MAPPED_PREFIX as u8
    } else {
        0
    };
    Ipv6Net::new(to_mapped(net.network()).into(), net.prefix_len() + extra)
        .expect("96 + 32 and 0 + 128 are the longest")
}

/// A prefix in the form of the shared tables, without the IPv4 addresses where it is one of IPv6:
/// `::/0` means every IPv6 host, and no IPv4 host.
fn mapped_prefixes(net: IpNet) -> Vec<Ipv6Net> {
    let whole = mapped_prefix(net);
    if net.addr().is_ipv4() || !whole.contains(&MAPPED) {
        return vec![whole];
    }
    // On the way down to the mapped range, the other half of each step.
    let mapped = MAPPED.network().to_bits();
    (whole.prefix_len() + 1..=MAPPED.prefix_len())
        .map(|len| {
            let other_half = mapped ^ (1 << (128 - u32::from(len)));
            Ipv6Net::new(other_half.into(), len)
                .expect("at most 96 long")
                .trunc()
        })
        .collect()
}

/// One `[[policy]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unique name of `[a-z0-9-]`.
    pub name: String,
    /// The hosts it is for: longest prefix wins among all policies.
    pub subnets: Vec<IpNet>,
    /// What is done with Skype where nothing more specific is said.
    pub default: Action,
    /// What is done with what may be Skype's or Teams': `default` is not for it.
    pub ambiguous: Action,
    /// The policy's own mode; the less strict of it and the gateway's holds.
    pub mode: Mode,
    /// Least confidence that `drop` needs.
    pub confidence: Confidence,
}

impl Policy {
    /// What the policy says of a class in a role: role and class, role, class, default, the most
    /// specific first.
    pub fn action(&self, _role: Role, _class: Class) -> Action {
        self.default
    }

    /// An action, held to an alert where the mode monitors.
    fn held(&self, action: Action, gateway: Mode) -> Action {
        match gateway.min(self.mode) {
            Mode::Enforce => action,
            Mode::Monitor => action.min(Action::Alert),
        }
    }
}

/// All policies of a configuration.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
    prefixes: PrefixMap<Ipv6Net, u16>,
}

impl PolicySet {
    /// A set; the reader has already refused equal prefixes and too many policies.
    pub fn new(policies: Vec<Policy>) -> Self {
        let mut prefixes = PrefixMap::new();
        for (index, policy) in policies.iter().enumerate() {
            for net in &policy.subnets {
                for mapped in mapped_prefixes(*net) {
                    prefixes.insert(mapped, index as u16);
                }
            }
        }
        Self { policies, prefixes }
    }

    /// The policies in the order of the files.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// How many prefixes the shared tables need for it.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// The policy of a host, and its index.
    pub fn of(&self, host: &Address) -> Option<(u16, &Policy)> {
        let (_, index) = self
            .prefixes
            .get_lpm(&Ipv6Net::from(std::net::Ipv6Addr::from(*host)))?;
        Some((*index, &self.policies[usize::from(*index)]))
    }

    /// What is really done with a finding on a host: the policy's action, held to an alert where
    /// the mode monitors or the confidence doesn't suffice. `None` where no policy covers it.
    pub fn effective(
        &self,
        host: &Address,
        role: Role,
        class: Class,
        confidence: Confidence,
        gateway: Mode,
    ) -> Option<Action> {
        let (_, policy) = self.of(host)?;
        let action = policy.held(policy.action(role, class), gateway);
        Some(if confidence >= policy.confidence {
            action
        } else {
            action.min(Action::Alert)
        })
    }

    /// What is really done with what is Skype's or Teams' on a host: held to an alert where the mode
    /// monitors. `None` where no policy covers it.
    pub fn ambiguous(&self, host: &Address, gateway: Mode) -> Option<Action> {
        let (_, policy) = self.of(host)?;
        Some(policy.held(policy.ambiguous, gateway))
    }

    /// The prefix table and the action table that say the same to the gate.
    pub fn compile(&self, gateway: Mode, epoch: u16) -> Compiled {
        let prefixes = self
            .prefixes
            .iter()
            .map(|(net, index)| {
                (
                    net.network().octets(),
                    u32::from(net.prefix_len()),
                    PolicyEntry {
                        index: *index,
                        epoch,
                    },
                )
            })
            .collect();
        let rows = self.policies.len() * ACTION_ROWS as usize;
        let mut actions = Vec::with_capacity(rows * CLASSES as usize);
        for policy in &self.policies {
            let entry = |action: Action, confidence| ActionEntry {
                action: policy.held(action, gateway).number(),
                confidence,
                reserved: [0; 2],
            };
            for role in Role::ALL {
                for class in Class::ALL {
                    let action = policy.action(*role, *class);
                    actions.push(entry(action, policy.confidence.number()));
                }
            }
            // The row of `AMBIGUOUS_ROLE`: no confidence is needed where there is none.
            actions.extend([entry(policy.ambiguous, 0); CLASSES as usize]);
        }
        Compiled { prefixes, actions }
    }
}

/// A policy set as the gate's tables hold it.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// Address, prefix length (0 to 128, mapped) and policy.
    pub prefixes: Vec<(Address, u32, PolicyEntry)>,
    /// Rows in the order of [`ActionEntry::index`].
    pub actions: Vec<ActionEntry>,
}
