//! Plain data in the tables that the kernel program and user space share.
//!
//! Invariant of every type here: `#[repr(C)]`, no padding that is not a named field, every bit
//! pattern valid, so that the kernel may compare keys bytewise and user space may read whatever
//! the kernel wrote. The asserts at the end hold the sizes and offsets that the two sides rely on.

mod policy;

pub use policy::*;

/// An address in IPv6 form; IPv4 addresses are mapped (`::ffff:a.b.c.d`).
pub type Address = [u8; 16];

/// Length of the prefix that all mapped IPv4 addresses share.
pub const MAPPED_PREFIX: u32 = 96;

/// The mapped form of an IPv4 address in network byte order.
#[inline(always)]
pub const fn mapped(v4: [u8; 4]) -> Address {
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3],
    ]
}

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// A flow as the FORWARD hook sees it, free of NAT: the inside host first, no VLAN.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Number of the interface's zone; hosts of one address in two zones are two hosts.
    pub zone: u16,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
    /// Port of the inside host, host byte order.
    pub inside_port: u16,
    /// Port of the outside host, host byte order.
    pub outside_port: u16,
    /// The inside host.
    pub inside: Address,
    /// The outside host.
    pub outside: Address,
}

impl FlowKey {
    /// The inside endpoint of the flow.
    #[inline(always)]
    pub const fn endpoint(&self) -> EndpointKey {
        EndpointKey {
            zone: self.zone,
            port: self.inside_port,
            protocol: self.protocol,
            reserved: [0; 3],
            inside: self.inside,
        }
    }
}

/// An inside address and port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey {
    /// As in [`FlowKey`].
    pub zone: u16,
    /// Port, host byte order.
    pub port: u16,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The inside host.
    pub inside: Address,
}

impl EndpointKey {
    /// Where the client behind this UDP endpoint listens on TCP: one number serves both (Baset and
    /// Schulzrinne, 2004). `None` for 80 and 443, where web servers listen too.
    pub const fn listener(&self) -> Option<Self> {
        match (self.protocol, self.port) {
            (UDP, 80 | 443) => None,
            (UDP, _) => Some(Self {
                protocol: TCP,
                ..*self
            }),
            _ => None,
        }
    }
}

/// Index of the direction from the inside host outwards in two-element arrays.
pub const OUTBOUND: usize = 0;
/// Index of the direction towards the inside host.
pub const INBOUND: usize = 1;

/// What the gate remembers of a flow. Only the gate writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState {
    /// Time of the newest packet, nanoseconds of the gate's clock.
    pub last_seen: u64,
    /// Packets per direction, counted once each on the inside interface.
    pub packets: [u64; 2],
    /// Bytes of IP packets per direction.
    pub bytes: [u64; 2],
    /// TCP: sequence number of the first payload byte per direction, valid as `heads` says.
    pub head: [u32; 2],
    /// Bit 0: `head[OUTBOUND]` is known; bit 1: `head[INBOUND]`.
    pub heads: u8,
    /// A [`stage`].
    pub stage: u8,
    /// Payload packets sent up by the pre-filter, per direction.
    pub tagged: [u8; 2],
    /// Payload packets still to be sent up unfiltered.
    pub more: u8,
    /// Number of the last request for more that was honoured.
    pub more_request: u8,
    /// TCP: what was seen of each direction's opening; see [`opening`].
    pub opening: [u8; 2],
    /// Packets per direction with [`LARGE`] payload bytes or more.
    pub large: [u32; 2],
    /// 1 if the outside end opened it: with its SYN, or with the first UDP packet that passed.
    pub called: u8,
    /// 1 once that is known: until then `called` says it of the last packet.
    pub opened: u8,
    /// Where its inside host was met last: see [`Met`].
    pub met: Met,
    /// Zero.
    pub reserved2: u16,
}

/// Where an inside host was met, which policies may ask for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Met {
    /// Number of the interface among those of the configuration, from 1; 0 if it isn't known.
    pub interface: u16,
    /// The VLAN, 1 to 4094: of the packet's outer tag, else the interface's own; 0 without one.
    pub vlan: u16,
}

/// What a [`PolicyKey`] asks for besides an address, in the order in which they are tried: the
/// first under which a prefix is found has the say.
impl Met {
    /// Policies of the VLAN; `None` without one.
    #[inline(always)]
    pub const fn by_vlan(self) -> Option<u32> {
        if self.vlan == 0 {
            None
        } else {
            Some(1 << 16 | self.vlan as u32)
        }
    }

    /// Policies of the interface; `None` where it isn't known.
    #[inline(always)]
    pub const fn by_interface(self) -> Option<u32> {
        if self.interface == 0 {
            None
        } else {
            Some(2 << 16 | self.interface as u32)
        }
    }
}

/// What a [`PolicyKey`] asks for where a policy names neither VLANs nor interfaces.
pub const ANYWHERE: u32 = 0;

impl FlowState {
    /// TCP: sequence number of the first payload byte in a direction, if its SYN was seen.
    #[inline(always)]
    pub const fn tcp_base(&self, direction: usize) -> Option<u32> {
        if self.heads >> (direction & 1) & 1 != 0 {
            Some(self.head[direction & 1])
        } else {
            None
        }
    }
}

/// Parts of [`FlowState::opening`].
pub mod opening {
    /// The first payload byte was seen.
    pub const BEGUN: u8 = 1 << 7;
    /// What the stream begins with can't be evidence: nothing of it is sent up any more.
    pub const REFUSED: u8 = 1 << 6;
    /// Payloads from behind the first byte sent up so far, which came before their turn or whose
    /// beginning was too short to tell.
    pub const EARLY: u8 = BEGUN - 1 - REFUSED;
}

/// Payload bytes from which a packet is more than voice: video comes in packets of 400 to 490 or
/// 800 to 980 bytes (Tstat), files in packets near the path's MTU.
pub const LARGE: u32 = 400;

/// Stages of a flow: new → inspect → known; a TCP flow first seen in the middle is watched.
pub mod stage {
    /// Candidate payloads are sent up.
    pub const INSPECT: u8 = 0;
    /// User space has said all it will: nothing is sent up any more.
    pub const KNOWN: u8 = 1;
    /// TCP whose opening was not seen: it passes.
    pub const WATCHED: u8 = 2;
}

/// What a flow or an endpoint is; what to do with it is looked up in [`ActionEntry`]s.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A [`kind`].
    pub kind: u8,
    /// Index into the traffic classes of the policy language.
    pub class: u8,
    /// Index into the roles of the policy language.
    pub role: u8,
    /// Confidence, ordered: 1 heuristic, 2 strong, 3 exact.
    pub confidence: u8,
    /// Payload packets wanted unfiltered, 0 to 16.
    pub more: u8,
    /// Changes with each request, so that the gate honours one once; 0 is none.
    pub more_request: u8,
    /// Zero.
    pub reserved: u16,
    /// Number of the session that the flow is a leg of, for budgets of scope `session`; 0 where the
    /// flow is a session by itself.
    pub session: u32,
    /// Zero.
    pub reserved2: u32,
}

/// Kinds of [`Verdict`].
pub mod kind {
    /// Undecided (the entry only asks for more packets).
    pub const OPEN: u8 = 0;
    /// Skype.
    pub const SKYPE: u8 = 1;
    /// Not worth another look.
    pub const OTHER: u8 = 2;
    /// Skype's or Teams': only a policy can decide. Inspection goes on, for a name that is seen
    /// later tells them apart.
    pub const AMBIGUOUS: u8 = 3;
}

impl Verdict {
    /// What an endpoint's verdict says of one of its flows; `called` says that the outside opened it.
    /// A super node serves those who come to it, and is its user's client otherwise.
    #[inline(always)]
    pub const fn of_flow(mut self, called: bool) -> Self {
        if self.role == SUPER_NODE_ROLE && !called {
            self.role = CLIENT_ROLE;
        }
        self
    }

    /// That a flow is Skype's or Teams'.
    pub const AMBIGUOUS: Self = Self {
        kind: kind::AMBIGUOUS,
        class: 0,
        role: AMBIGUOUS_ROLE,
        confidence: 0,
        more: 0,
        more_request: 0,
        reserved: 0,
        session: 0,
        reserved2: 0,
    };
}

/// What the fragments after the first take over from it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentState {
    /// Source port of the first fragment.
    pub source_port: u16,
    /// Destination port of the first fragment.
    pub destination_port: u16,
    /// Mark code that the first fragment got.
    pub code: u32,
}

/// Which fragments belong together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FragmentKey {
    /// Sender.
    pub source: Address,
    /// Receiver.
    pub destination: Address,
    /// The IP identification.
    pub id: u32,
    /// Protocol number.
    pub protocol: u32,
}

/// An interface that the classifier is attached to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// 1 if it faces the inside, 0 the outside.
    pub inside: u8,
    /// 1 if frames have no Ethernet header (tunnels, PPP).
    pub raw: u8,
    /// Its zone.
    pub zone: u16,
    /// As in [`FlowState`].
    pub met: Met,
}

/// What the gate is told by the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateConfig {
    /// A heartbeat older than this many nanoseconds means that no one judges.
    pub heartbeat_limit: u64,
    /// Where the code stands in the packet mark (see [`crate::mark::Field`]).
    pub mark_mask: u32,
    /// A random number of this daemon that makes its tags its own.
    pub nonce: u32,
    /// Queues, a power of two from 1 to 8.
    pub queues: u32,
    /// [`flag`]s.
    pub flags: u32,
    /// The [`crate::prefilter`] predicates that the loaded detection packs ask for.
    pub predicates: u32,
    /// Which half of the policy, action, budget, port and proxy tables is in force, 0 or 1: the daemon
    /// fills the other one and then changes this.
    pub half: u32,
    /// Which ends of names in DNS are worth a look: the bits of [`crate::prefilter::dns_tail`].
    pub dns_tails: [u64; 2],
}

/// Flags of [`GateConfig`].
pub mod flag {
    /// Nothing is dropped; watching goes on.
    pub const BYPASS: u32 = 1;
    /// With no daemon, what would be judged is dropped.
    pub const CLOSED: u32 = 2;
    /// Some policy asks for a VLAN or an interface: what arrives from outside can't be judged there.
    pub const PLACES: u32 = 4;
}

/// The tag that travels from XDP to TC in front of the packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// [`TAG_MAGIC`] xor the daemon's nonce.
    pub magic: u32,
    /// The mark code, and in the bits from [`TAG_DSCP_SHIFT`] on what [`ActionEntry::dscp`] says.
    pub code: u32,
    /// As in [`ActionEntry`].
    pub mark: u32,
    /// As in [`ActionEntry`].
    pub mark_mask: u32,
}

/// Where in [`Tag::code`] the code point stands.
pub const TAG_DSCP_SHIFT: u32 = 8;
/// Marks a tag as ours.
pub const TAG_MAGIC: u32 = 0x736b_7970;

/// Where the classifier runs: a row of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// XDP, native or generic.
    Xdp,
    /// TC ingress.
    Ingress,
    /// TC egress.
    Egress,
}

impl Hook {
    /// All of them, in the order of the statistics.
    pub const ALL: [Self; 3] = [Self::Xdp, Self::Ingress, Self::Egress];
}

/// What is counted per hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Packets that reached the hook's classifier.
    Packets,
    /// Packets whose headers contradict themselves or are cut off.
    Undecodable,
    /// Packets that no policy covers, that are not forwarded, or that are neither TCP nor UDP.
    Uncovered,
    /// Packets sent up to user space.
    Tagged,
    /// Packets dropped because their flow or endpoint is known.
    Dropped,
    /// Packets not judged because the daemon's heartbeat was old, and passed.
    Unjudged,
    /// Packets not judged because the daemon's heartbeat was old, and dropped.
    Refused,
    /// Packets dropped because a budget had no room.
    Throttled,
    /// Packets handed to the firewall to be rejected.
    Rejected,
}

impl Counter {
    /// All of them, in the order of the statistics, with their names in reports.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Packets, "packets"),
        (Self::Undecodable, "undecodable"),
        (Self::Uncovered, "uncovered"),
        (Self::Tagged, "tagged"),
        (Self::Dropped, "dropped"),
        (Self::Unjudged, "unjudged"),
        (Self::Refused, "refused"),
        (Self::Throttled, "throttled"),
        (Self::Rejected, "rejected"),
    ];

    /// Where the counter of `hook` stands in the statistics table.
    #[inline(always)]
    pub const fn index(self, hook: Hook) -> u32 {
        hook as u32 * Self::ALL.len() as u32 + self as u32
    }
}

/// The queue of an inside host, from 0: the low bits of its address, so that a firewall rule can
/// say the same with an address mask. `queues` is a power of two.
#[inline(always)]
pub const fn queue_of(inside: &Address, queues: u32) -> u8 {
    inside[15] & (queues.wrapping_sub(1) as u8) & 7
}

const _: () = {
    assert!(size_of::<FlowKey>() == 40);
    assert!(core::mem::offset_of!(FlowKey, inside) == 8);
    assert!(size_of::<EndpointKey>() == 24);
    assert!(core::mem::offset_of!(EndpointKey, inside) == 8);
    assert!(size_of::<FlowState>() == 72);
    assert!(core::mem::offset_of!(FlowState, heads) == 48);
    assert!(core::mem::offset_of!(FlowState, large) == 56);
    assert!(core::mem::offset_of!(FlowState, opening) == 54);
    assert!(size_of::<Verdict>() == 16);
    assert!(size_of::<PolicyKey>() == 20);
    assert!(size_of::<PolicyEntry>() == 12);
    assert!(size_of::<PortKey>() == 8);
    assert!(size_of::<ProxyKey>() == 24);
    assert!(size_of::<ActionEntry>() == 20);
    assert!(size_of::<BudgetEntry>() == 32);
    assert!(size_of::<BucketKey>() == 48);
    assert!(size_of::<BucketState>() == 32);
    assert!(size_of::<FragmentKey>() == 40);
    assert!(size_of::<FragmentState>() == 8);
    assert!(size_of::<Interface>() == 8);
    assert!(size_of::<GateConfig>() == 48);
    assert!(size_of::<Tag>() == 16);
};

#[cfg(feature = "user")]
mod pod {
    use super::*;

    // SAFETY: each type is `#[repr(C)]` plain data without implicit padding (asserted by size
    // above) in which every bit pattern is valid.
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for EndpointKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Verdict {}
    // SAFETY: as above.
    unsafe impl aya::Pod for PolicyEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ActionEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for PolicyKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for PortKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ProxyKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for BudgetEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for BucketKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for BucketState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FragmentKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FragmentState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Interface {}
    // SAFETY: as above.
    unsafe impl aya::Pod for GateConfig {}
}
