//! What a world is made of, as its builder says it.

use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use super::link::LinkSpec;
use super::nat::NatKind;
use super::packet::{Header, Protocol};
use super::program::Ground;

/// The port of names, which no firewall of [`Blocked`] stops.
const DNS: u16 = 53;

/// A side of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where the campus is.
    Inside = 0,
    /// Where the Internet is.
    Outside = 1,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }

    /// The inside and the outside end of a packet that comes from this side.
    pub(super) fn ends(self, header: &Header) -> (SocketAddrV4, SocketAddrV4) {
        match self {
            Self::Inside => (header.source, header.destination),
            Self::Outside => (header.destination, header.source),
        }
    }
}

/// A host, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub(super) usize);

/// A network, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub(super) usize);

/// A program, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramId(pub(super) usize);

/// What a firewall between a network and the rest of the Internet stops: further out than the
/// gateway for inside networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocked {
    /// UDP but to and from port 53.
    pub udp: bool,
    /// TCP connections to ports from 1024 on, whoever opens them.
    pub tcp_high: bool,
}

impl Blocked {
    pub(super) fn stops(self, header: &Header) -> bool {
        match header.protocol {
            Protocol::Udp => {
                let ports = [header.source.port(), header.destination.port()];
                self.udp && !ports.contains(&DNS)
            }
            Protocol::Tcp => self.tcp_high && header.opens && header.destination.port() >= 1024,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self {
            udp: self.udp || other.udp,
            tcp_high: self.tcp_high || other.tcp_high,
        }
    }
}

/// A network of hosts that reach each other without a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Which side of the gateway.
    pub side: Side,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// Outside: the home router that translates for it, by its public address. Inside: `None`;
    /// there the gateway translates, see `translated`.
    pub router: Option<(Ipv4Addr, NatKind)>,
    /// Inside: whether the gateway puts its own address before those of the hosts.
    pub translated: bool,
    /// What doesn't get through further out.
    pub blocked: Blocked,
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostSpec {
    /// Its address, out of its network's.
    pub address: Ipv4Addr,
    /// Its network.
    pub network: NetworkId,
    /// From the host to its network.
    pub up: LinkSpec,
    /// From the network to the host.
    pub down: LinkSpec,
}

/// What holds for the whole world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldSpec {
    /// Everything random follows from it.
    pub seed: u64,
    /// The gateway's own outside address, which translated inside hosts are seen under.
    pub gateway: Ipv4Addr,
}

/// A packet for the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The side that it comes from.
    pub side: Side,
    /// The IPv4 packet.
    pub packet: Vec<u8>,
    /// What its conversation is.
    pub ground: Ground,
}
