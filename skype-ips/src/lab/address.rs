//! Which addresses are inside, and which ones the lab itself takes.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Inside, where nobody says otherwise: the addresses of private networks.
pub(super) const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// Of the 40 bits that ought to be random, the last 32 spell a name.
const INSIDE_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd53, 0x6b79, 0x7065, 0, 0, 0, 0, 0);
const OUTSIDE_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

/// Where [`in_ipv6`] puts the inside.
pub(super) fn inside_ipv6() -> IpNet {
    Ipv6Net::new_assert(INSIDE_IPV6, 48).into()
}

/// Whether an address is inside.
pub(super) fn is_inside(inside: &[IpNet], address: IpAddr) -> bool {
    inside.iter().any(|net| net.contains(&address))
}

/// IPv4 addresses of one side as IPv6: inside in a unique local prefix (RFC 4193), which private
/// networks' policies cover, outside in the documentation prefix (RFC 3849).
pub(super) fn in_ipv6(inside: bool, address: Ipv4Addr) -> Ipv6Addr {
    let prefix = if inside { INSIDE_IPV6 } else { OUTSIDE_IPV6 };
    Ipv6Addr::from_bits(prefix.to_bits() | u128::from(address.to_bits()))
}

/// Which networks a capture uses.
#[derive(Debug, Default)]
pub(super) struct Seen {
    v4: HashSet<Ipv4Net>,
    v6: HashSet<Ipv6Net>,
}

impl Seen {
    /// Notes an address.
    pub(super) fn note(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => drop(self.v4.insert(around_v4(v4))),
            IpAddr::V6(v6) => drop(self.v6.insert(around_v6(v6))),
        }
    }

    /// Addresses that the capture doesn't use: a network for benchmarks (RFC 2544, RFC 5180)
    /// where one is free, else one for address sharing (RFC 6598); `None` if all are taken.
    pub(super) fn unused(&self) -> Option<LabAddresses> {
        let v4 = [
            (Ipv4Addr::new(198, 18, 0, 0), 512),
            (Ipv4Addr::new(100, 64, 0, 0), 16_384),
        ]
        .into_iter()
        .flat_map(|(start, count)| {
            (0..count).map(move |step| Ipv4Addr::from_bits(start.to_bits() + (step << 8)))
        })
        .find(|net| !self.v4.contains(&around_v4(*net)))?;
        let v6 = (0..=u16::MAX)
            .map(|step| Ipv6Addr::new(0x2001, 2, 0, step, 0, 0, 0, 0))
            .find(|net| !self.v6.contains(&around_v6(*net)))?;
        let v4_host = |host: u32| Ipv4Addr::from_bits(v4.to_bits() + host);
        let v6_host = |host: u128| Ipv6Addr::from_bits(v6.to_bits() + host);
        let link = |gateway, host| LinkAddresses {
            gateway_v4: v4_host(gateway),
            host_v4: v4_host(host),
            gateway_v6: v6_host(u128::from(gateway)),
            host_v6: v6_host(u128::from(host)),
        };
        Some(LabAddresses {
            inside: link(1, 2),
            outside: link(5, 6),
        })
    }
}

fn around_v4(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::new_assert(address, 24).trunc()
}

fn around_v6(address: Ipv6Addr) -> Ipv6Net {
    Ipv6Net::new_assert(address, 64).trunc()
}

/// The lab's own addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabAddresses {
    /// Between gateway and inside host.
    pub(super) inside: LinkAddresses,
    /// Between gateway and outside host.
    pub(super) outside: LinkAddresses,
}

/// The addresses of a cable's two ends, in a /30 and a /126.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkAddresses {
    /// The gateway's IPv4 address.
    pub(super) gateway_v4: Ipv4Addr,
    /// The host's IPv4 address.
    pub(super) host_v4: Ipv4Addr,
    /// The gateway's IPv6 address.
    pub(super) gateway_v6: Ipv6Addr,
    /// The host's IPv6 address.
    pub(super) host_v6: Ipv6Addr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn lab_addresses_lie_outside_the_capture() {
        let mut seen = Seen::default();
        let first = seen.unused().expect("free").inside.gateway_v4;
        assert_eq!(first, Ipv4Addr::new(198, 18, 0, 1));
        seen.note(address("198.18.0.77"));
        seen.note(address("2001:2::9"));
        let next = seen.unused().expect("free").outside;
        assert_eq!(next.gateway_v4, Ipv4Addr::new(198, 18, 1, 5));
        assert_eq!(IpAddr::V6(next.host_v6), address("2001:2:0:1::6"));
        for third in 0..=255 {
            seen.note(IpAddr::from([198, 18, third, 1]));
            seen.note(IpAddr::from([198, 19, third, 1]));
        }
        let last = seen.unused().expect("free").inside.host_v4;
        assert_eq!(last, Ipv4Addr::new(100, 64, 0, 2));
    }

    #[test]
    fn two_hosts_stay_two_hosts_in_ipv6() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        assert_ne!(in_ipv6(true, a), in_ipv6(true, b));
        assert_ne!(in_ipv6(true, a), in_ipv6(false, a));
        let private: Vec<IpNet> = PRIVATE
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect();
        assert!(is_inside(&private, in_ipv6(true, a).into()));
        assert!(!is_inside(&private, in_ipv6(false, a).into()));
    }
}
