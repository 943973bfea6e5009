//! Whether a router would take a packet from one host to another.

use std::fmt;
use std::net::IpAddr;

use super::Packet;

/// IPv4 options that name the way: routers refuse them.
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// Why a packet of a capture is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lab) enum Unroutable {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// Its headers contradict themselves.
    Malformed,
    /// The capture has only its first bytes.
    CutOff,
    /// Multicast, broadcast, or an address that no host has.
    NotUnicast,
    /// A link-local end.
    LinkLocal,
    /// A router would be its last stop: TTL or hop limit of 0 or 1.
    HopLimit,
    /// It names its own way, which routers refuse.
    SourceRoute,
    /// Both ends inside or both outside.
    SameSide,
    /// Longer than the MTU, and not TCP, which alone can be cut without being changed for its
    /// receiver.
    OverMtu,
    /// A fragment, where the lab translates addresses.
    Fragment,
    /// Neither TCP nor UDP, where the lab translates addresses.
    Protocol,
    /// Inbound before the first outbound packet of its conversation, behind NAT.
    NoTranslation,
}

impl Unroutable {
    /// The word in reports.
    pub(in crate::lab) const fn word(self) -> &'static str {
        match self {
            Self::NotIp => "not-ip",
            Self::Malformed => "malformed",
            Self::CutOff => "cut-off",
            Self::NotUnicast => "not-unicast",
            Self::LinkLocal => "link-local",
            Self::HopLimit => "hop-limit",
            Self::SourceRoute => "source-route",
            Self::SameSide => "same-side",
            Self::OverMtu => "over-mtu",
            Self::Fragment => "fragment",
            Self::Protocol => "protocol",
            Self::NoTranslation => "no-translation",
        }
    }
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Packet {
    /// Whether a router would take it from one host to another.
    pub(in crate::lab) fn check_forwardable(&self) -> Result<(), Unroutable> {
        let limit = if self.is_ipv4() {
            self.bytes[8]
        } else {
            self.bytes[7]
        };
        for address in [self.source(), self.destination()] {
            match address {
                IpAddr::V4(v4) if v4.is_link_local() => return Err(Unroutable::LinkLocal),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => return Err(Unroutable::LinkLocal),
                address if !is_host(address) => return Err(Unroutable::NotUnicast),
                _ => {}
            }
        }
        if limit <= 1 {
            return Err(Unroutable::HopLimit);
        }
        if self.is_ipv4() && self.has_source_route() {
            return Err(Unroutable::SourceRoute);
        }
        Ok(())
    }

    fn has_source_route(&self) -> bool {
        let mut options = &self.bytes[20..self.transport];
        while let Some(kind) = options.first() {
            let len = match kind {
                0 => return false,
                1 => 1,
                kind if SOURCE_ROUTES.contains(kind) => return true,
                _ => options.get(1).map_or(0, |len| usize::from(*len)),
            };
            match options.get(len..) {
                Some(rest) if len > 0 => options = rest,
                _ => return false,
            }
        }
        false
    }

    /// Whether addresses can be translated: by the lab or by a NAT that handles ports.
    pub(in crate::lab) fn check_translatable(&self) -> Result<(), Unroutable> {
        if self.fragment {
            Err(Unroutable::Fragment)
        } else if self.ports().is_none() {
            Err(Unroutable::Protocol)
        } else {
            Ok(())
        }
    }
}

/// Whether a host can have this address on a network that routers reach.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(v6) => {
            !v6.is_multicast()
                && !v6.is_unspecified()
                && !v6.is_loopback()
                && v6.to_ipv4_mapped().is_none()
        }
    }
}
