//! What the gateway is told about itself: interfaces, hook, queues, marks, failure.

use std::net::IpAddr;

use super::vocabulary::{ConntrackUse, HookChoice, InterfaceSide, Mode, OnFailure};
use crate::toml_file::Place;

/// The gateway's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Whether anything is dropped at all: the less strict of this and a policy's mode holds.
    pub mode: Mode,
    /// The interfaces between which packets are judged.
    pub interfaces: Vec<Interface>,
    /// Where packets are classified.
    pub hook: HookChoice,
    /// The queues to user space.
    pub queues: Queues,
    /// The four adjacent bits of the packet mark that are ours.
    pub mark_mask: u32,
    /// What happens to packets that can't be judged, per cause.
    pub failure: Failure,
    /// Whether connection tracking is used.
    pub conntrack: ConntrackUse,
    /// Addresses under which inside hosts are seen outside, for a NAT in front of this gateway.
    pub public_addresses: Vec<IpAddr>,
    /// Hosts from which the gateway is managed: a policy that could stop their Skype is refused.
    pub management: Vec<IpAddr>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            mode: Mode::Monitor,
            interfaces: Vec::new(),
            hook: HookChoice::Auto,
            queues: Queues::default(),
            mark_mask: 0xf000_0000,
            failure: Failure::default(),
            conntrack: ConntrackUse::Auto,
            public_addresses: Vec::new(),
            management: Vec::new(),
        }
    }
}

/// An interface of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the kernel, such as `eth0`.
    pub name: String,
    /// Which way it faces.
    pub side: InterfaceSide,
    /// Hosts of one address in two zones are two hosts.
    pub zone: u16,
    /// Where it was said, for errors that only show when it is used.
    pub place: Place,
}

/// The queues through which packets reach user space; the low bits of the inside address choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Number of the first.
    pub first: u16,
    /// How many, with consecutive numbers: 1, 2, 4 or 8.
    pub count: u8,
    /// Most packets waiting in each.
    pub length: u32,
}

impl Default for Queues {
    /// Numbers that other programs seldom take: most start at 0.
    fn default() -> Self {
        Self {
            first: 200,
            count: 4,
            length: 4096,
        }
    }
}

/// What happens to packets that should be judged and can't be, per cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The daemon doesn't run, or hangs.
    pub daemon_down: OnFailure,
    /// A queue has no room.
    pub queue_full: OnFailure,
    /// The kernel couldn't hand a packet to user space.
    pub message_lost: OnFailure,
    /// The daemon failed on a packet.
    pub internal_error: OnFailure,
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            daemon_down: OnFailure::Open,
            queue_full: OnFailure::Open,
            message_lost: OnFailure::Open,
            internal_error: OnFailure::Open,
        }
    }
}
