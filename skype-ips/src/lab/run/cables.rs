//! The gateway's namespace, and the cables to it: one from each inside network, one from outside.
//!
//! ```text
//!  hosts               gateway
//!  net0 ───────────── gw-in
//!  net1 ───────────── gw-in2
//!  out  ───────────── gw-out
//! ```
//!
//! The hosts are the simulated world's; on their side of the cables are packet sockets alone.
//! Neighbours are permanent, each with an address of its own as on a real network.

use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::super::LabError;
use super::super::nat::{Masquerade, masquerade, silence};
use super::super::netns::Netns;
use super::super::tools::{ip, sysctl, text};
use super::super::topology::{probe, quiet_host, router};
use super::super::wire::Wire;
use super::offload;
use crate::lab::hand::{GATEWAY_OUTSIDE, gateway_inside};
use crate::policy::InterfaceSide;
use crate::simulator::net::Side;

/// The hosts' end of the outside cable.
const OUTSIDE: &str = "out";
/// The outside end of the cable as the gateway knows it, which only has to be nobody else's: link-local
/// addresses are no host's in a scenario.
const OUTSIDE_ROUTER: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// Beginning of the link-layer addresses of the gateway (with the cable's number behind), and of
/// the router outside.
const GATEWAY_MAC: [u8; 5] = [2, 0, 0, 0, 1];
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 2, 0];
/// Beginning of the inside hosts' link-layer addresses; the IPv4 address follows.
const HOST_MAC: [u8; 2] = [2, 1];
/// Ethernet's number for IPv4.
const IPV4: [u8; 2] = [8, 0];
/// How long the gateway remembers a translation of datagrams, seconds: longer than any run.
const REMEMBERED: &str = "86400";

/// An inside network.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// Its addresses.
    pub(super) subnet: Ipv4Net,
    /// Whether the gateway translates for it.
    pub(super) translated: bool,
    /// Its hosts.
    pub(super) hosts: Vec<Ipv4Addr>,
}

/// A cable from the hosts to the gateway.
#[derive(Debug)]
struct Cable {
    side: Side,
    /// Whose hosts are on it.
    subnet: Ipv4Net,
    wire: Wire,
    gateway: [u8; 6],
}

/// The cables.
#[derive(Debug)]
pub(super) struct Cables {
    /// Where the daemon runs.
    pub(super) gateway: Netns,
    /// The outside one is the last.
    cables: Vec<Cable>,
    /// Held so that the cables' ends live as long as they.
    _hosts: Netns,
}

impl Cables {
    /// Lays them. `public` is the gateway's own outside address.
    pub(super) fn lay(networks: &[Network], public: Ipv4Addr) -> Result<Self, LabError> {
        let namespace = || Netns::new().map_err(LabError::namespace);
        let (gateway, hosts) = (namespace()?, namespace()?);
        let ipv6 = std::path::Path::new("/proc/sys/net/ipv6").exists();
        let quiet = || if ipv6 { quiet_host() } else { Ok(()) };
        let translated: Vec<Ipv4Net> = networks
            .iter()
            .filter(|network| network.translated)
            .map(|network| network.subnet)
            .collect();
        hosts
            .run(quiet)
            .map_err(|error| LabError::failed("setting up the lab's hosts", error))?;
        gateway
            .run(|| {
                router(false, !translated.is_empty())?;
                // It has no addresses of IPv6, and nothing to say over it.
                quiet()
            })
            .map_err(|error| LabError::failed("setting up the lab's gateway", error))?;
        let mut ends: Vec<(String, String, Side, Ipv4Net)> = Vec::new();
        for (number, network) in networks.iter().enumerate() {
            let near = gateway_inside(number);
            ends.push((near, format!("net{number}"), Side::Inside, network.subnet));
        }
        let everywhere = Ipv4Net::default();
        ends.push((
            GATEWAY_OUTSIDE.to_owned(),
            OUTSIDE.to_owned(),
            Side::Outside,
            everywhere,
        ));
        let mac = |number: usize| {
            let [first, second, third, fourth, fifth] = GATEWAY_MAC;
            [first, second, third, fourth, fifth, number as u8]
        };
        let (mut near_lines, mut far_lines) = ("link set lo up\n".to_owned(), String::new());
        for (number, (near, far, ..)) in ends.iter().enumerate() {
            near_lines += &format!(
                "link add {near} address {} type veth peer name {far} address {} netns {}\n\
                 link set {near} up\n",
                text(mac(number)),
                text(ROUTER_MAC),
                hosts.path().display(),
            );
            far_lines += &format!("link set {far} up\n");
        }
        ip(&gateway, near_lines)?;
        ip(&hosts, far_lines)?;
        ip(&gateway, addresses(networks, public))?;
        if !translated.is_empty() {
            let what = Masquerade {
                interface: GATEWAY_OUTSIDE,
                sources: &translated,
                ipv6: false,
                random: false,
            };
            masquerade(&gateway, what)?;
            // Answers of its own would be taken for packets that came through.
            silence(&gateway)?;
            gateway
                .run(remember_translations)
                .map_err(|error| LabError::failed("setting up the lab's gateway", error))?;
        }
        let mut cables = Vec::new();
        for (number, (near, far, side, subnet)) in ends.into_iter().enumerate() {
            let failed = |error| LabError::failed("opening a packet socket", error);
            let mut wire = hosts.run(|| Wire::open(&far)).map_err(failed)?;
            let mut near = gateway.run(|| Wire::open(&near)).map_err(failed)?;
            let failed = |error| LabError::failed("waiting for the lab's links", error);
            probe(&mut near, &mut wire).map_err(failed)?;
            probe(&mut wire, &mut near).map_err(failed)?;
            cables.push(Cable {
                side,
                subnet,
                wire,
                gateway: mac(number),
            });
        }
        Ok(Self {
            gateway,
            cables,
            _hosts: hosts,
        })
    }

    /// The gateway's interfaces, for the daemon.
    pub(super) fn interfaces(&self) -> Vec<(String, InterfaceSide)> {
        let inside = (0..self.cables.len() - 1).map(gateway_inside);
        inside
            .map(|name| (name, InterfaceSide::Inside))
            .chain([(GATEWAY_OUTSIDE.to_owned(), InterfaceSide::Outside)])
            .collect()
    }

    /// Has the gateway's devices send whole packets; to be called again when XDP programs are
    /// attached.
    pub(super) fn keep_packets_whole(&self) -> Result<(), LabError> {
        for (name, _) in self.interfaces() {
            self.gateway
                .run(|| offload::switch_off(&name))
                .map_err(|error| LabError::failed("switching off offloads", error))?;
        }
        Ok(())
    }

    /// Sends an IPv4 packet to the gateway, and returns the frame.
    pub(super) fn send(&self, side: Side, packet: &[u8]) -> Result<Vec<u8>, LabError> {
        let source = address(packet, 12);
        let cable = self
            .cables
            .iter()
            .find(|cable| cable.side == side && cable.subnet.contains(&source))
            .unwrap_or_else(|| self.outside());
        let from = match side {
            Side::Inside => host_mac(source),
            Side::Outside => ROUTER_MAC,
        };
        let frame = [&cable.gateway[..], &from, &IPV4, packet].concat();
        cable
            .wire
            .send(&frame)
            .map_err(|error| LabError::failed("sending a packet", error))?;
        Ok(frame)
    }

    fn outside(&self) -> &Cable {
        self.cables.last().expect("there is one")
    }

    /// Calls `work` with each frame that holds an IPv4 packet and has come out of the gateway.
    pub(super) fn receive(
        &mut self,
        mut work: impl FnMut(Side, &[u8]) -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        let failed = |error| LabError::failed("receiving a packet", error);
        for cable in &mut self.cables {
            while let Some(frame) = cable.wire.receive().map_err(failed)? {
                if frame.get(12..14) == Some(&IPV4[..]) {
                    work(cable.side, frame)?;
                }
            }
        }
        Ok(())
    }

    /// The hosts' ends.
    pub(super) fn wires(&self) -> impl Iterator<Item = &Wire> {
        self.cables.iter().map(|cable| &cable.wire)
    }
}

/// The IPv4 packet in a frame of [`Cables::receive`].
pub(super) fn packet(frame: &[u8]) -> &[u8] {
    &frame[14..]
}

fn address(packet: &[u8], at: usize) -> Ipv4Addr {
    let octets = packet
        .get(at..at + 4)
        .and_then(|octets| octets.try_into().ok());
    octets.map_or(Ipv4Addr::UNSPECIFIED, |octets: [u8; 4]| octets.into())
}

fn host_mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [HOST_MAC[0], HOST_MAC[1], a, b, c, d]
}

/// Addresses, permanent neighbours and routes of the gateway, for `ip -batch`.
fn addresses(networks: &[Network], public: Ipv4Addr) -> String {
    let router = text(ROUTER_MAC);
    let mut lines = format!(
        "address add {public}/32 dev {GATEWAY_OUTSIDE}\n\
         neighbour add {OUTSIDE_ROUTER} lladdr {router} nud permanent dev {GATEWAY_OUTSIDE}\n\
         route add {OUTSIDE_ROUTER} dev {GATEWAY_OUTSIDE} scope link src {public}\n\
         route add default via {OUTSIDE_ROUTER} dev {GATEWAY_OUTSIDE} src {public}\n"
    );
    for (number, network) in networks.iter().enumerate() {
        let (interface, subnet) = (gateway_inside(number), network.subnet);
        lines += &format!("route add {subnet} dev {interface} scope link src {public}\n");
        for host in &network.hosts {
            let mac = text(host_mac(*host));
            lines += &format!("neighbour add {host} lladdr {mac} nud permanent dev {interface}\n");
        }
    }
    lines
}

fn remember_translations() -> io::Result<()> {
    for name in ["udp_timeout", "udp_timeout_stream"] {
        sysctl(&format!("net/netfilter/nf_conntrack_{name}"), REMEMBERED)?;
    }
    Ok(())
}
