//! Three namespaces, two cables: inside host, gateway, outside host.
//!
//! ```text
//!  inside host           gateway            outside host
//!  in0 ────────────── gw-in  gw-out ────────────── out0
//!  no addresses: sends    routes the inside     no addresses
//!  and reads raw frames   networks to in0,
//!                         all else to out0
//! ```
//!
//! Every interface is made inside these namespaces; none is ever linked to the machine's own
//! network. Neighbours are permanent, so that no packet waits until one is found.

use std::io;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::LabError;
use super::address::{LabAddresses, LinkAddresses};
use super::nat::{Masquerade, masquerade};
use super::netns::Netns;
use super::tools::{ip, sysctl, text};
use super::wire::{self, Wire};

/// The gateway's interface towards the inside host.
pub(super) const GATEWAY_INSIDE: &str = "gw-in";
/// The gateway's interface towards the outside host.
pub(super) const GATEWAY_OUTSIDE: &str = "gw-out";
const INSIDE: &str = "in0";
const OUTSIDE: &str = "out0";

/// A host: its socket and the link-layer addresses of its cable.
#[derive(Debug)]
pub(super) struct Host {
    /// The socket.
    pub(super) wire: Wire,
    /// The host's own address.
    pub(super) own: [u8; 6],
    /// The gateway's address on the same cable.
    pub(super) gateway: [u8; 6],
    /// Held so that the namespace lives as long as the host.
    _netns: Netns,
}

/// The lab.
#[derive(Debug)]
pub(super) struct Topology {
    /// The host whose addresses are inside.
    pub(super) inside: Host,
    /// The host that has all other addresses.
    pub(super) outside: Host,
    /// Where the daemon runs.
    pub(super) gateway: Netns,
}

impl Topology {
    /// Builds it. `inside` are the networks routed to the inside host.
    pub(super) fn build(
        addresses: &LabAddresses,
        inside: &[IpNet],
        nat: bool,
    ) -> Result<Self, LabError> {
        let namespace = || Netns::new().map_err(LabError::namespace);
        let (gateway, inside_ns, outside_ns) = (namespace()?, namespace()?, namespace()?);
        let ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        for host in [&inside_ns, &outside_ns] {
            host.run(|| if ipv6 { quiet_host() } else { Ok(()) })
                .map_err(|error| LabError::failed("setting up a lab host", error))?;
        }
        gateway
            .run(|| router(ipv6, nat))
            .map_err(|error| LabError::failed("setting up the lab's gateway", error))?;
        let mac = |number: u8| [2, 0, 0, 0, 0, number];
        let mut links = String::new();
        for (near, far, peer, number) in [
            (GATEWAY_INSIDE, INSIDE, &inside_ns, 1),
            (GATEWAY_OUTSIDE, OUTSIDE, &outside_ns, 3),
        ] {
            links += &format!(
                "link add {near} address {} type veth peer name {far} address {} netns {}\n\
                 link set {near} up\n",
                text(mac(number)),
                text(mac(number + 1)),
                peer.path().display(),
            );
        }
        ip(&gateway, "link set lo up\n".to_owned() + &links)?;
        ip(&inside_ns, format!("link set {INSIDE} up\n"))?;
        ip(&outside_ns, format!("link set {OUTSIDE} up\n"))?;
        ip(&gateway, routes(addresses, inside, ipv6, mac(2), mac(4)))?;
        if nat {
            let all = Masquerade {
                interface: GATEWAY_OUTSIDE,
                sources: &[],
                ipv6,
                random: false,
            };
            masquerade(&gateway, all)?;
        }
        let host = |netns: Netns, interface, number| -> Result<Host, LabError> {
            let wire = netns
                .run(|| Wire::open(interface))
                .map_err(|error| LabError::failed("opening a packet socket", error))?;
            Ok(Host {
                wire,
                own: mac(number + 1),
                gateway: mac(number),
                _netns: netns,
            })
        };
        let mut topology = Self {
            inside: host(inside_ns, INSIDE, 1)?,
            outside: host(outside_ns, OUTSIDE, 3)?,
            gateway,
        };
        topology.wait_for_links()?;
        Ok(topology)
    }

    /// Waits until both cables carry frames both ways: the kernel attaches queues to a new link
    /// up to a second after the link is up, and drops what is sent before.
    fn wait_for_links(&mut self) -> Result<(), LabError> {
        let failed = |error| LabError::failed("waiting for the lab's links", error);
        for (interface, host) in [
            (GATEWAY_INSIDE, &mut self.inside),
            (GATEWAY_OUTSIDE, &mut self.outside),
        ] {
            let mut near = self.gateway.run(|| Wire::open(interface)).map_err(failed)?;
            probe(&mut near, &mut host.wire).map_err(failed)?;
            probe(&mut host.wire, &mut near).map_err(failed)?;
        }
        Ok(())
    }
}

/// Sends frames of a protocol for local experiments (IEEE 802, 88b5) until one arrives.
pub(super) fn probe(from: &mut Wire, to: &mut Wire) -> io::Result<()> {
    const FRAME: [u8; 14] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5];
    for _ in 0..500 {
        from.send(&FRAME)?;
        wire::wait([&*from, &*to], Duration::from_millis(10))?;
        while let Some(frame) = to.receive()? {
            if frame.starts_with(&FRAME) {
                return Ok(());
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Addresses, permanent neighbours and routes of the gateway, for `ip -batch`.
fn routes(
    addresses: &LabAddresses,
    inside: &[IpNet],
    ipv6: bool,
    inside_mac: [u8; 6],
    outside_mac: [u8; 6],
) -> String {
    let mut lines = String::new();
    let mut link = |interface: &str, link: &LinkAddresses, mac: [u8; 6]| {
        let mac = text(mac);
        let LinkAddresses {
            gateway_v4,
            host_v4,
            gateway_v6,
            host_v6,
        } = link;
        lines += &format!(
            "address add {gateway_v4}/30 dev {interface}\n\
             neighbour add {host_v4} lladdr {mac} nud permanent dev {interface}\n"
        );
        if ipv6 {
            lines += &format!(
                "address add {gateway_v6}/126 dev {interface} nodad\n\
                 neighbour add {host_v6} lladdr {mac} nud permanent dev {interface}\n"
            );
        }
    };
    link(GATEWAY_INSIDE, &addresses.inside, inside_mac);
    link(GATEWAY_OUTSIDE, &addresses.outside, outside_mac);
    let default_v4: IpNet = IpNet::V4(ipnet::Ipv4Net::default());
    let default_v6: IpNet = IpNet::V6(ipnet::Ipv6Net::default());
    let inside = inside
        .iter()
        .map(|net| (*net, GATEWAY_INSIDE, &addresses.inside));
    let outside = [default_v4, default_v6].map(|net| (net, GATEWAY_OUTSIDE, &addresses.outside));
    for (net, interface, link) in inside.chain(outside) {
        // `replace`: an inside network may well be the whole of the Internet.
        let net = net.trunc();
        match net {
            IpNet::V4(_) => {
                lines += &format!("route replace {net} via {} dev {interface}\n", link.host_v4);
            }
            IpNet::V6(_) if ipv6 => {
                lines += &format!("route replace {net} via {} dev {interface}\n", link.host_v6);
            }
            IpNet::V6(_) => {}
        }
    }
    lines
}

/// A host says nothing by itself.
pub(super) fn quiet_host() -> io::Result<()> {
    sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
    sysctl("net/ipv6/conf/default/disable_ipv6", "1")
}

pub(super) fn router(ipv6: bool, nat: bool) -> io::Result<()> {
    sysctl("net/ipv4/ip_forward", "1")?;
    for interface in ["all", "default"] {
        sysctl(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
        sysctl(&format!("net/ipv4/conf/{interface}/send_redirects"), "0")?;
        if ipv6 {
            sysctl(&format!("net/ipv6/conf/{interface}/disable_ipv6"), "0")?;
            sysctl(&format!("net/ipv6/conf/{interface}/forwarding"), "1")?;
            sysctl(&format!("net/ipv6/conf/{interface}/accept_dad"), "0")?;
            sysctl(
                &format!("net/ipv6/conf/{interface}/router_solicitations"),
                "0",
            )?;
        }
    }
    if nat {
        // So that connections first seen in the middle are translated as well.
        sysctl("net/netfilter/nf_conntrack_tcp_loose", "1")?;
        sysctl("net/netfilter/nf_conntrack_tcp_be_liberal", "1")?;
    }
    Ok(())
}
