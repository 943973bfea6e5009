//! A gateway for simulated time: it forwards, translates where it should, and shows what it sees
//! on its inside interface.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::net::program::{Ground, Program};
use super::net::{Crossing, Header, Nat, NatKind, Side, World, hop};

/// The gateway.
#[derive(Debug)]
pub struct Gateway {
    public: Ipv4Addr,
    nat: Nat,
    /// Inside networks, and whether they are translated.
    inside: Vec<(Ipv4Net, bool)>,
    unexpected: BTreeMap<Ground, u64>,
}

/// A packet as the gateway's inside interface sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Whether an inside host sent it.
    pub outbound: bool,
    /// The packet, with the inside host's own address.
    pub packet: &'a [u8],
    /// What its conversation is.
    pub ground: Ground,
}

impl Gateway {
    /// The gateway of a world. Its translator is as Linux' masquerading.
    pub fn new<P: Program + ?Sized>(world: &World<P>) -> Self {
        let inside = world.networks().filter(|spec| spec.side == Side::Inside);
        Self {
            public: world.gateway(),
            nat: Nat::new(world.gateway(), NatKind::PortRestricted),
            inside: inside.map(|spec| (spec.subnet, spec.translated)).collect(),
            unexpected: BTreeMap::new(),
        }
    }

    /// Packets from outside for the gateway's own address that belonged to nobody inside, by what
    /// they were.
    pub fn unexpected(self) -> BTreeMap<Ground, u64> {
        self.unexpected
    }

    /// Forwards a packet: the side that it comes out on, and what it is then. `None`: nobody is
    /// waiting for it, or `see`, which is shown it at the inside interface, says that it doesn't pass.
    pub fn forward(
        &mut self,
        crossing: Crossing,
        see: &mut dyn FnMut(Seen<'_>) -> bool,
    ) -> Option<(Side, Vec<u8>)> {
        let Crossing {
            side,
            mut packet,
            ground,
        } = crossing;
        let header = Header::read(&packet)?;
        let inside = |address| self.inside.iter().find(|(net, _)| net.contains(address));
        let outbound = side == Side::Inside;
        let towards = inside(header.destination.ip());
        if outbound {
            let translated = inside(header.source.ip()).is_some_and(|(_, translated)| *translated);
            let passes = see(Seen {
                outbound,
                packet: &packet,
                ground,
            });
            if !passes || !hop(&mut packet) {
                return None;
            }
            if towards.is_some() {
                return Some((Side::Inside, packet));
            }
            if translated && !self.nat.outbound(&header, &mut packet) {
                return None;
            }
            return Some((Side::Outside, packet));
        }
        if !hop(&mut packet) {
            return None;
        }
        let ours = *header.destination.ip() == self.public;
        if ours && !self.nat.inbound(&header, &mut packet) {
            *self.unexpected.entry(ground).or_default() += 1;
            return None;
        }
        if !ours && towards.is_none() {
            return None;
        }
        let passes = see(Seen {
            outbound,
            packet: &packet,
            ground,
        });
        passes.then_some((Side::Inside, packet))
    }
}
