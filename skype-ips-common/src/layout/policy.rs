//! Policies, budgets and buckets in the shared tables; the invariant is that of [`super`].

use super::{Address, FlowKey};

/// What the policy table is asked for: the longest prefix wins among those of one `place`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyKey {
    /// [`super::ANYWHERE`], or what [`super::Met`] says, in network byte order: the table compares bits from the
    /// first byte on.
    pub place: [u8; 4],
    /// The inside host.
    pub inside: Address,
}

impl PolicyKey {
    /// The key of a host at a place.
    #[inline(always)]
    pub const fn new(place: u32, inside: Address) -> Self {
        Self {
            place: place.to_be_bytes(),
            inside,
        }
    }
}

/// Bits of a [`PolicyKey`] before the address, which prefix lengths in the table count too.
pub const PLACE_BITS: u32 = 32;

/// The policy of a prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Row of the action table; [`EXEMPT`] where the hosts are under no policy.
    pub index: u16,
    /// [`policy_flag`]s.
    pub flags: u16,
    /// The prefix, for budgets of scope `subnet`: the same as long as it is written the same.
    pub subnet: u32,
    /// The policy's name as a number, for budgets of scope `policy`: the same wherever it stands.
    pub name: u32,
}

/// [`PolicyEntry::index`] of hosts that are let alone.
pub const EXEMPT: u16 = u16::MAX;

/// Flags of a [`PolicyEntry`].
pub mod policy_flag {
    /// It names proxies: those to it are in the table of proxies.
    pub const ONLY_VIA: u16 = 1;
    /// It names listening ports: they are in the table of ports.
    pub const PORTS: u16 = 1 << 1;
    /// All addresses of a network of 64 bits are one host ([`super::host_of`]). Only IPv6 prefixes
    /// have it: each IPv4 address is a host.
    pub const NETWORKS: u16 = 1 << 2;
}

/// The address under which the host of an address has its buckets, by the [`policy_flag`]s of its policy:
/// where a host has a network of 64 bits, and takes ever new addresses of it to stay private (RFC 8273,
/// RFC 8981), that network.
#[inline(always)]
pub fn host_of(address: &Address, flags: u16) -> Address {
    let [.., a, b, c, d, e, f, g, h] = *address;
    // Without a branch: the kernel's verifier would follow both ways to the end.
    let kept = u64::from((flags / policy_flag::NETWORKS) & 1).wrapping_sub(1);
    let within = u64::from_ne_bytes([a, b, c, d, e, f, g, h]) & kept;
    let mut host = *address;
    host[8..].copy_from_slice(&within.to_ne_bytes());
    host
}

/// A port on which a policy says that Skype listens.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortKey {
    /// As in [`PolicyEntry`].
    pub policy: u16,
    /// TCP port, host byte order.
    pub port: u16,
    /// Which half of the tables: see [`super::GateConfig::half`].
    pub half: u32,
}

/// A proxy that a policy names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyKey {
    /// As in [`PolicyEntry`].
    pub policy: u16,
    /// Its port, host byte order.
    pub port: u16,
    /// Which half of the tables: see [`super::GateConfig::half`].
    pub half: u32,
    /// Its address.
    pub address: Address,
}

/// Most prefixes that the policy table holds.
pub const MAX_PREFIXES: u32 = 16_384;

/// Traffic classes in the policy language.
pub const CLASSES: u32 = 8;
/// Roles in the policy language.
pub const ROLES: u32 = 3;
/// What stands for a role where Skype and Teams can't be told apart: a row of its own in the action
/// table, behind those of the roles.
pub const AMBIGUOUS_ROLE: u8 = ROLES as u8;
/// Number of the class of Skype traffic that isn't any of the others.
pub const OTHER_CLASS: u8 = CLASSES as u8 - 1;
/// Number of the role of a user's program.
pub const CLIENT_ROLE: u8 = 0;
/// Number of the role of a directory node. An endpoint with it is one for flows that the outside
/// opened; those that it opened itself are its user's.
pub const SUPER_NODE_ROLE: u8 = 1;
/// Rows of the action table per policy.
pub const ACTION_ROWS: u32 = ROLES + 1;
/// Most policies that a configuration can have: what the action table holds.
pub const MAX_POLICIES: u32 = 1024;

/// How Skype goes, which restrictions ask for: bits of a place in the action table.
pub mod path {
    /// By UDP.
    pub const UDP: u8 = 1;
    /// By a TCP connection that the outside end opened.
    pub const CALLED: u8 = 1 << 1;
    /// Past every proxy that the policy names, if it names any.
    pub const DIRECT: u8 = 1 << 2;
    /// How many there are.
    pub const COUNT: u8 = 8;
}

/// Budgets that one action can name, all of which are obeyed.
pub const BUDGETS_PER_ACTION: usize = 4;

/// What to do with one class in one role on one path under one policy: what the policy's keys, its
/// restrictions and its open windows say together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionEntry {
    /// An [`action`].
    pub action: u8,
    /// Least confidence that anything stricter than an alert needs.
    pub confidence: u8,
    /// [`DSCP_SET`] and the code point to write into packets, or 0.
    pub dscp: u8,
    /// Zero.
    pub reserved: u8,
    /// Bits to write into the mark of packets, under `mark_mask`.
    pub mark: u32,
    /// Which bits of the mark to write; none of those of the code.
    pub mark_mask: u32,
    /// Budgets to obey: their places in the budget table plus 1, then zeros.
    pub budgets: [u16; BUDGETS_PER_ACTION],
}

/// Says in [`ActionEntry::dscp`] that there is a code point.
pub const DSCP_SET: u8 = 1 << 6;

impl ActionEntry {
    /// Where the entry of (policy, role, class, path) stands in the action table. `role` may be
    /// [`AMBIGUOUS_ROLE`], of which every class has the same entries.
    #[inline(always)]
    pub const fn index(policy: u16, role: u8, class: u8, path: u8) -> u32 {
        ((policy as u32 * ACTION_ROWS + role as u32) * CLASSES + class as u32) * path::COUNT as u32
            + path as u32
    }

    /// The entry for a finding of this confidence: where it doesn't suffice, an alert at most.
    #[inline(always)]
    pub const fn resolve(self, confidence: u8) -> Self {
        if confidence >= self.confidence || self.action <= action::ALERT {
            self
        } else {
            Self {
                action: action::ALERT,
                confidence: self.confidence,
                dscp: 0,
                reserved: 0,
                mark: 0,
                mark_mask: 0,
                budgets: [0; BUDGETS_PER_ACTION],
            }
        }
    }
}

/// Actions as the tables know them, from the mildest to the strictest.
pub mod action {
    /// Let it pass.
    pub const ALLOW: u8 = 0;
    /// Let it pass and report it.
    pub const ALERT: u8 = 1;
    /// Let pass what budgets have room for.
    pub const THROTTLE: u8 = 2;
    /// Drop it and tell the sender.
    pub const REJECT: u8 = 3;
    /// Drop it.
    pub const DROP: u8 = 4;
}

/// Most budgets that a configuration can have: what the budget table holds.
pub const MAX_BUDGETS: u32 = 1024;

/// A budget: see [`crate::bucket`] for the arithmetic.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetEntry {
    /// Nanoseconds that a byte takes at its rate, times 2^[`crate::bucket::COST_SHIFT`].
    pub cost: u64,
    /// Nanoseconds that its burst takes at its rate.
    pub burst: u64,
    /// Nanoseconds by which a super-packet may go beyond the burst of a full bucket.
    pub borrow: u64,
    /// Its name as a number, the same across reloads.
    pub id: u32,
    /// A [`scope`].
    pub scope: u8,
    /// A [`direction`].
    pub direction: u8,
    /// Zero.
    pub reserved: u16,
}

/// Most buckets that are kept: the longest unused makes room.
pub const MAX_BUCKETS: u32 = 65_536;
/// Most listening ports that policies can name together.
pub const MAX_PORTS: u32 = 8_192;
/// Most proxies that policies can name together.
pub const MAX_PROXIES: u32 = 4_096;

/// What has a bucket of its own.
pub mod scope {
    /// Each flow.
    pub const FLOW: u8 = 0;
    /// Each session: both legs of a relay's together, else the flow.
    pub const SESSION: u8 = 1;
    /// Each inside host.
    pub const HOST: u8 = 2;
    /// Each prefix of a policy.
    pub const SUBNET: u8 = 3;
    /// Each policy.
    pub const POLICY: u8 = 4;
}

/// Which packets a budget counts.
pub mod direction {
    /// Those towards the inside host.
    pub const IN: u8 = 0;
    /// Those from it.
    pub const OUT: u8 = 1;
    /// Both, together.
    pub const SUM: u8 = 2;
    /// Both, each with a bucket of its own.
    pub const EACH: u8 = 3;
}

/// Which bucket: that of one budget for one thing of its scope. Under budgets of the scopes `subnet`
/// and `policy`, which hosts share, each host has one of scope `host` besides: its part.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// As in [`BudgetEntry`].
    pub budget: u32,
    /// [`direction::IN`], [`direction::OUT`], or [`direction::SUM`] for both.
    pub direction: u8,
    /// A [`scope`].
    pub scope: u8,
    /// Zero.
    pub reserved: u16,
    /// The flow; of the other scopes what they need of one, all else zero: zone and address of the host
    /// ([`policy_flag::NETWORKS`]), and with them the session's number in the ports; the subnet's or the policy's
    /// number in the ports alone.
    pub of: FlowKey,
}

/// A bucket. Only the gate writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketState {
    /// When it will be full again, nanoseconds of the gate's clock. Of a host's part in a shared bucket:
    /// when its last packet passed.
    pub full_at: u64,
    /// Bytes that it let pass.
    pub passed: u64,
    /// Bytes for which it had no room.
    pub refused: u64,
    /// Of a host's part in a shared bucket: what it held of the debt when its last packet had passed
    /// ([`crate::share::admit`]). Else 0.
    pub held: u64,
}
