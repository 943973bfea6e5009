//! Which party has which address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Spanned;

use super::Named;
use super::networks::Network;
use crate::simulator::party::background::UNKNOWN_NAME;
use crate::toml_file::{Excerpt, Reader, Wrong, quoted};

/// The lab's own: the cables between its gateway and both sides, and the address that its gateway
/// puts before those of translated hosts.
pub(crate) const LAB: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 255, 0), 24);

/// What no host has an address of, and why.
const NOT_FOR_HOSTS: &[(Ipv4Net, &str)] = &[
    (net([0, 0, 0, 0], 8), "0.0.0.0/8 (this network)"),
    (net([127, 0, 0, 0], 8), "127.0.0.0/8 (loopback)"),
    (net([169, 254, 0, 0], 16), "169.254.0.0/16 (link-local)"),
    (
        net([224, 0, 0, 0], 3),
        "224.0.0.0/3 (groups and what is reserved)",
    ),
];

const fn net([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

/// Whether two networks share an address.
pub(super) fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// What of `net` no host can have.
pub(super) fn not_for_hosts(net: Ipv4Net) -> Option<&'static str> {
    let mut reserved = NOT_FOR_HOSTS.iter();
    reserved
        .find(|(reserved, _)| overlap(net, *reserved))
        .map(|(_, what)| *what)
}

/// The address that `text` is.
pub(super) fn parse(text: &str) -> Result<Ipv4Addr, Wrong> {
    let help = "write an IPv4 address such as \"198.51.100.10\"";
    let wrong = |reason: &str| Err((format!("{} {reason}", quoted(text)), help.to_owned()));
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        return wrong("is no address");
    };
    if let Some(reserved) = not_for_hosts(address.into()) {
        return wrong(&format!("is no host's: {reserved}"));
    }
    if LAB.contains(&address) {
        return wrong(&format!("is the lab's own: {LAB}"));
    }
    if address == UNKNOWN_NAME {
        return wrong("is the lab's own: resolvers answer with it for names that aren't there");
    }
    Ok(address)
}

/// Who wants an address.
#[derive(Debug)]
pub(super) struct Wish {
    /// Its network.
    pub(super) network: Option<usize>,
    /// The address that the file says; of a group, the first member's.
    pub(super) address: Option<Spanned<Ipv4Addr>>,
    /// How many follow each other.
    pub(super) count: u32,
    /// Where the party stands.
    pub(super) at: std::ops::Range<usize>,
}

/// An address for each member of each wish, those that the file says first. Without errors there
/// are as many as wished for.
pub(super) fn assign(
    reader: &mut Reader<'_>,
    networks: &[Named<Network>],
    wishes: &[&Wish],
) -> Vec<Vec<Ipv4Addr>> {
    let mut taken: BTreeMap<Ipv4Addr, Excerpt> = BTreeMap::new();
    for network in networks {
        if let Some(router) = &network.value.router {
            home_router(reader, networks, router, &mut taken);
        }
    }
    let mut assigned: Vec<Vec<_>> = wishes
        .iter()
        .map(|wish| said(reader, networks, wish, &mut taken))
        .collect();
    for (wish, members) in wishes.iter().zip(&mut assigned) {
        let network = wish.network.map(|number| &networks[number].value);
        let Some(subnet) = network.and_then(|network| network.subnet.as_ref()) else {
            continue;
        };
        if wish.address.is_some() {
            continue;
        }
        let free = subnet.get_ref().hosts().skip(1);
        let free = free.filter(|address| !taken.contains_key(address) && *address != UNKNOWN_NAME);
        members.extend(free.take(wish.count as usize));
        let here = reader.at(wish.at.clone());
        taken.extend(members.iter().map(|address| (*address, here.clone())));
        if members.len() < wish.count as usize {
            let message = format!(
                "more parties than addresses: {} has {} for them",
                subnet.get_ref(),
                subnet.get_ref().hosts().count() - 1,
            );
            let other = reader.at(subnet.span());
            let help = "give the network a shorter prefix, or take parties out";
            reader.conflict(wish.at.clone(), message, help, other, "the network");
        }
    }
    assigned
}

/// The addresses that a party says.
fn said(
    reader: &mut Reader<'_>,
    networks: &[Named<Network>],
    wish: &Wish,
    taken: &mut BTreeMap<Ipv4Addr, Excerpt>,
) -> Vec<Ipv4Addr> {
    let Some(first) = &wish.address else {
        return Vec::new();
    };
    let at = first.span();
    let mut members = Vec::new();
    for step in 0..wish.count {
        let address = Ipv4Addr::from_bits(first.get_ref().to_bits().saturating_add(step));
        let network = wish.network.map(|number| &networks[number].value);
        if let Some(subnet) = network.and_then(|network| network.subnet.as_ref()) {
            let net = *subnet.get_ref();
            let router = net.hosts().next();
            let reason = if !net.contains(&address) {
                Some(format!("{address} is outside of its network, {net}"))
            } else if Some(address) == router {
                Some(format!("{address} is the address of the router of {net}"))
            } else if address == net.network() || address == net.broadcast() {
                Some(format!("{address} is all of {net}, and no host"))
            } else {
                None
            };
            if let Some(message) = reason {
                let first = net.network().to_bits() + 2;
                let last = net.broadcast().to_bits() - 1;
                let help = format!(
                    "write one from {} to {}",
                    Ipv4Addr::from_bits(first),
                    Ipv4Addr::from_bits(last)
                );
                reader.error(at, message, help);
                return members;
            }
        }
        let here = reader.at(at.clone());
        if let Some(other) = taken.insert(address, here) {
            let message = format!("the address {address} is taken");
            let help = "give each party an address of its own, or let it be chosen";
            reader.conflict(at, message, help, other, "by this one");
            return members;
        }
        members.push(address);
    }
    members
}

fn home_router(
    reader: &mut Reader<'_>,
    networks: &[Named<Network>],
    router: &Spanned<Ipv4Addr>,
    taken: &mut BTreeMap<Ipv4Addr, Excerpt>,
) {
    let (at, address) = (router.span(), *router.get_ref());
    let around = networks
        .iter()
        .map(|network| &network.value)
        .find(|network| {
            let subnet = network.subnet.as_ref();
            subnet.is_some_and(|subnet| subnet.get_ref().contains(&address))
        });
    if let Some(network) = around.filter(|network| network.is_inside() || !network.is_open()) {
        let message = format!(
            "{address} is an address of network {}",
            quoted(&network.name)
        );
        let help = "give the home router an address that the rest of the world sees";
        reader.error(at.clone(), message, help);
    }
    let here = reader.at(at.clone());
    if let Some(other) = taken.insert(address, here) {
        let message = format!("the address {address} is taken");
        reader.conflict(at, message, "give it another one", other, "by this one");
    }
}
