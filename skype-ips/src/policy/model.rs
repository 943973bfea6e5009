//! Checked policies: who may do what, and when.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use skype_ips_common::layout::{Address, MAPPED_PREFIX};

use super::budget::Budget;
use super::host::HostRule;
use super::rule::Rules;
use super::vocabulary::{Confidence, Mode};
use super::window::Window;

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
pub(super) fn mapped_prefixes(net: IpNet) -> Vec<Ipv6Net> {
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
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique name of `[a-z0-9-]`.
    pub name: String,
    /// The hosts it is for: the longest prefix wins among all policies of a place.
    pub subnets: Vec<IpNet>,
    /// The VLANs it is for; empty for hosts of any VLAN and of none.
    pub vlans: Vec<u16>,
    /// Names of the interfaces it is for; empty for all.
    pub interfaces: Vec<String>,
    /// Hosts of its subnets that are under no policy.
    pub exempt: Vec<IpNet>,
    /// What it says while no window is open.
    pub rules: Rules,
    /// What it says at times, in the order of the file.
    pub windows: Vec<Window>,
    /// The policy's own mode; the less strict of it and the gateway's holds.
    pub mode: Mode,
    /// Least confidence that anything stricter than an alert needs.
    pub confidence: Confidence,
}

/// All policies of a configuration.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// The policies in the order of the files.
    pub policies: Vec<Policy>,
    /// The budgets that they name, in the order of the files.
    pub budgets: Vec<Budget>,
    /// Hosts that are under no policy.
    pub exempt: Vec<IpNet>,
    /// Names of the gateway's interfaces in the order of the file: their numbers from 1 are those of
    /// [`skype_ips_common::layout::Met`].
    pub interfaces: Vec<String>,
    /// Where windows' hours hold, unless `zones` says so: in UTC if neither does.
    pub zone: Option<TimeZone>,
    /// Of each policy, where its windows' hours hold.
    pub zones: Vec<Option<TimeZone>>,
    /// What one host is, and when what was learned of it ends.
    pub hosts: HostRule,
}

/// Which windows are open: what a compiled policy depends on besides the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Of each policy, of each window.
    pub windows: Vec<Vec<bool>>,
}

impl Open {
    /// Of one policy, of each window; empty where nothing is said of it.
    pub fn of(&self, policy: usize) -> &[bool] {
        self.windows.get(policy).map_or(&[], Vec::as_slice)
    }
}

impl Policy {
    /// What it says while these windows are open: its own rules first.
    pub fn layers(&self, open: &[bool]) -> Vec<&Rules> {
        let windows = self.windows.iter().zip(open);
        let windows = windows.filter(|(_, open)| **open);
        std::iter::once(&self.rules)
            .chain(windows.map(|(window, _)| &window.rules))
            .collect()
    }
}

impl PolicySet {
    /// Policies alone, without budgets.
    pub fn new(policies: Vec<Policy>) -> Self {
        Self {
            policies,
            ..Self::default()
        }
    }

    /// The policies in the order of the files.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The windows that are open at a time.
    pub fn open(&self, at: Timestamp) -> Open {
        let windows = self.policies.iter().enumerate().map(|(index, policy)| {
            let local = at.to_zoned(self.zone_of(index)).datetime();
            let windows = policy.windows.iter();
            windows.map(|window| window.is_open(local)).collect()
        });
        Open {
            windows: windows.collect(),
        }
    }

    /// Where the hours of a policy's windows hold.
    pub fn zone_of(&self, policy: usize) -> TimeZone {
        let own = self.zones.get(policy).cloned().flatten();
        own.or_else(|| self.zone.clone()).unwrap_or(TimeZone::UTC)
    }

    /// When the next window opens or closes after a time; `None` if none does within two weeks.
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let policies = self.policies.iter().enumerate();
        let changes = policies.flat_map(|(index, policy)| {
            let zone = self.zone_of(index);
            let windows = policy.windows.iter();
            windows.filter_map(move |window| window.next_change(after, &zone))
        });
        changes.min()
    }
}
