//! Translators of addresses and ports (NAT), as home routers and the gateway have them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::packet::{End, Header, Protocol, translate};

/// How a translator maps and filters (the classes of RFC 3489; RFC 4787 in brackets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// One outside port per inside port, open to all (endpoint-independent filtering).
    FullCone,
    /// One outside port per inside port, open to whom the host has sent something (address- and
    /// port-dependent filtering). Most home routers, and Linux' masquerading.
    PortRestricted,
    /// Another outside port for each destination (address- and port-dependent mapping): no hole
    /// can be punched.
    Symmetric,
}

/// A mapping's inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Inner {
    protocol: Protocol,
    inside: SocketAddrV4,
    /// Whom it is for, where that matters.
    peer: Option<SocketAddrV4>,
}

/// A translator. Mappings last as long as a run does.
#[derive(Clone, Debug)]
pub(crate) struct Nat {
    public: Ipv4Addr,
    kind: NatKind,
    outward: BTreeMap<Inner, u16>,
    inward: BTreeMap<(Protocol, u16), Inner>,
    /// Whom an inside host has sent something.
    known: std::collections::BTreeSet<(Protocol, u16, SocketAddrV4)>,
    next: u16,
}

impl Nat {
    pub(crate) fn new(public: Ipv4Addr, kind: NatKind) -> Self {
        Self {
            public,
            kind,
            outward: BTreeMap::new(),
            inward: BTreeMap::new(),
            known: std::collections::BTreeSet::new(),
            next: 0,
        }
    }

    /// Translates a packet on its way out. `false`: no port is left for it.
    pub(crate) fn outbound(&mut self, header: &Header, packet: &mut [u8]) -> bool {
        let inner = Inner {
            protocol: header.protocol,
            inside: header.source,
            peer: (self.kind == NatKind::Symmetric).then_some(header.destination),
        };
        let port = match self.outward.get(&inner) {
            Some(port) => *port,
            None => {
                let Some(port) = self.free_port(header.protocol, header.source.port()) else {
                    return false;
                };
                self.outward.insert(inner, port);
                self.inward.insert((header.protocol, port), inner);
                port
            }
        };
        self.known
            .insert((header.protocol, port, header.destination));
        translate(packet, End::Source, SocketAddrV4::new(self.public, port));
        true
    }

    /// Translates a packet on its way in. `false`: nobody is waiting for it.
    pub(crate) fn inbound(&self, header: &Header, packet: &mut [u8]) -> bool {
        let port = header.destination.port();
        let Some(inner) = self.inward.get(&(header.protocol, port)) else {
            return false;
        };
        let open = self.kind == NatKind::FullCone
            || self.known.contains(&(header.protocol, port, header.source));
        if open {
            translate(packet, End::Destination, inner.inside);
        }
        open
    }

    /// The host's own port where it is free, as Linux does; symmetric ones count up.
    fn free_port(&mut self, protocol: Protocol, wanted: u16) -> Option<u16> {
        let free = |port: &u16| !self.inward.contains_key(&(protocol, *port));
        if self.kind != NatKind::Symmetric && free(&wanted) {
            return Some(wanted);
        }
        let start = self.next;
        let port = (0..=u16::MAX - 1024)
            .map(|step| 1024 + (start.wrapping_add(step)) % (u16::MAX - 1024))
            .find(free)?;
        self.next = (port - 1024).wrapping_add(1);
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::udp;
    use super::*;

    const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn end(last: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, last), port)
    }

    fn inside(last: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, last), port)
    }

    fn out(nat: &mut Nat, from: SocketAddrV4, to: SocketAddrV4) -> SocketAddrV4 {
        let mut packet = udp(from, to, 0, b"out");
        let header = Header::read(&packet).expect("a datagram");
        assert!(nat.outbound(&header, &mut packet));
        Header::read(&packet).expect("still one").source
    }

    fn back(nat: &Nat, from: SocketAddrV4, to: SocketAddrV4) -> Option<SocketAddrV4> {
        let mut packet = udp(from, to, 0, b"in");
        let header = Header::read(&packet).expect("a datagram");
        nat.inbound(&header, &mut packet)
            .then(|| Header::read(&packet).expect("still one").destination)
    }

    #[test]
    fn a_cone_keeps_the_port_and_restricts_who_may_answer() {
        for (kind, stranger) in [
            (NatKind::FullCone, Some(inside(2, 4000))),
            (NatKind::PortRestricted, None),
        ] {
            let mut nat = Nat::new(PUBLIC, kind);
            let mapped = out(&mut nat, inside(2, 4000), end(7, 1));
            assert_eq!(mapped, SocketAddrV4::new(PUBLIC, 4000));
            assert_eq!(out(&mut nat, inside(2, 4000), end(8, 1)), mapped);
            assert_eq!(back(&nat, end(7, 1), mapped), Some(inside(2, 4000)));
            assert_eq!(back(&nat, end(9, 1), mapped), stranger);
        }
    }

    #[test]
    fn two_hosts_with_the_same_port_get_two() {
        let mut nat = Nat::new(PUBLIC, NatKind::PortRestricted);
        let first = out(&mut nat, inside(2, 4000), end(7, 1));
        let second = out(&mut nat, inside(3, 4000), end(7, 1));
        assert_ne!(first, second);
        assert_eq!(back(&nat, end(7, 1), second), Some(inside(3, 4000)));
    }

    #[test]
    fn a_symmetric_one_has_a_port_for_each_destination() {
        let mut nat = Nat::new(PUBLIC, NatKind::Symmetric);
        let first = out(&mut nat, inside(2, 4000), end(7, 1));
        let second = out(&mut nat, inside(2, 4000), end(8, 1));
        assert_ne!(first, second);
        assert_eq!(back(&nat, end(8, 1), first), None);
        assert_eq!(back(&nat, end(8, 1), second), Some(inside(2, 4000)));
    }
}
