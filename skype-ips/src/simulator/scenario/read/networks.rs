//! Reads `[networks]`.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::language::{
    BLOCKED, LINK, NAT, NAT_ADDRESS, NAT_KIND, NAT_TABLE, NETWORK_TABLE, NETWORKS, SIDE, SUBNET,
};
use super::super::model::{self, Link, Nat};
use super::super::vocabulary::{NatKind, Side};
use super::addresses::{self, LAB};
use super::{Named, links};
use crate::toml_file::{Reader, Wrong, listed, nearest, quoted};

/// A network as the file has it; what is wrong is left out.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) side: Option<Side>,
    pub(super) subnet: Option<Spanned<Ipv4Net>>,
    pub(super) nat: Nat,
    /// Where its home router's address stands.
    pub(super) router: Option<Spanned<Ipv4Addr>>,
    pub(super) link: Option<usize>,
    pub(super) blocked: Vec<super::super::vocabulary::Blocked>,
}

impl Network {
    pub(super) fn is_inside(&self) -> bool {
        self.side == Some(Side::Inside)
    }

    /// Whether others see its hosts under their own addresses.
    pub(super) fn is_open(&self) -> bool {
        self.nat == Nat::None
    }

    /// As the checked scenario has it.
    pub(super) fn checked(self) -> Option<model::Network> {
        Some(model::Network {
            name: self.name,
            side: self.side?,
            subnet: self.subnet?.into_inner(),
            nat: self.nat,
            blocked: self.blocked,
        })
    }
}

/// All networks, in the order of the file.
pub(super) fn read<'s>(
    reader: &mut Reader<'s>,
    root: &DeTable<'s>,
    links: &mut [Named<Link>],
) -> Vec<Named<Network>> {
    let Some((table, _)) = reader.table(root, &NETWORKS) else {
        let message = "there are no networks".into();
        reader.missing(0..0, message, &NETWORKS);
        return Vec::new();
    };
    let mut tables = links::named_tables(reader, table, &NETWORKS, "network");
    tables.sort_by_key(|(name, _)| name.span().start);
    let list: Vec<_> = tables
        .into_iter()
        .map(|(name, table)| {
            reader.keys(table, &NETWORK_TABLE);
            Named {
                at: name.span(),
                used: false,
                value: network(reader, table, name, links),
            }
        })
        .collect();
    overlaps(reader, &list);
    list
}

/// The number of the network of that name, if there is one.
pub(super) fn named(
    reader: &mut Reader<'_>,
    name: &Spanned<&str>,
    networks: &mut [Named<Network>],
) -> Option<usize> {
    let found = networks
        .iter()
        .position(|network| network.value.name == *name.get_ref());
    match found {
        Some(number) => networks[number].used = true,
        None => {
            let known = || networks.iter().map(|network| network.value.name.as_str());
            let help = match nearest(name.get_ref(), known()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if networks.is_empty() => format!("add [networks.{}]", name.get_ref()),
                None => format!(
                    "write {}",
                    listed(known().map(|known| format!("\"{known}\"")), "or")
                ),
            };
            let message = format!("there is no network {}", quoted(name.get_ref()));
            reader.error(name.span(), message, help);
        }
    }
    found
}

fn network(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    name: Spanned<String>,
    links: &mut [Named<Link>],
) -> Network {
    let side = reader.word::<Side>(table, &SIDE).map(Spanned::into_inner);
    if !table.contains_key(SIDE.name) {
        let message = format!("network {} is on no side", quoted(name.get_ref()));
        reader.missing(name.span(), message, &SIDE);
    }
    let subnet = reader.parsed(table, &SUBNET, subnet);
    if !table.contains_key(SUBNET.name) {
        let message = format!("network {} has no subnet", quoted(name.get_ref()));
        reader.missing(name.span(), message, &SUBNET);
    }
    let (nat, router) = nat(reader, table, side);
    let blocked = reader.words(table, &BLOCKED).unwrap_or_default();
    Network {
        name: name.into_inner(),
        side,
        subnet,
        nat,
        router,
        link: links::named(reader, table, &LINK, links),
        blocked: blocked.into_iter().map(Spanned::into_inner).collect(),
    }
}

fn nat(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    side: Option<Side>,
) -> (Nat, Option<Spanned<Ipv4Addr>>) {
    let none = (Nat::None, None);
    let Some(value) = table.get(NAT.name) else {
        return none;
    };
    match (value.get_ref(), side) {
        (DeValue::Boolean(false), _) => none,
        (DeValue::Boolean(true), Some(Side::Inside)) => (Nat::Gateway, None),
        (DeValue::Boolean(true), None) | (DeValue::Table(_), None) => none,
        (DeValue::Boolean(true), Some(Side::Outside)) => {
            let message = "`nat = true` is the gateway's, and an outside network isn't behind it";
            let help = "write nat = { address = \"203.0.113.7\", kind = \"port-restricted\" } for a home router";
            reader.error(value.span(), message, help);
            none
        }
        (DeValue::Table(_), Some(Side::Inside)) => {
            let message = "a home router before an inside network";
            reader.error(
                value.span(),
                message,
                "write nat = true: the gateway translates",
            );
            none
        }
        (DeValue::Table(inner), Some(Side::Outside)) => {
            reader.keys(inner, &NAT_TABLE);
            for key in [&NAT_ADDRESS, &NAT_KIND] {
                if !inner.contains_key(key.name) {
                    let message = format!("the home router has no `{}`", key.name);
                    reader.missing(value.span(), message, key);
                }
            }
            let address = reader.parsed(inner, &NAT_ADDRESS, addresses::parse);
            let kind = reader.word::<NatKind>(inner, &NAT_KIND);
            match (&address, kind) {
                (Some(router), Some(kind)) => {
                    let (address, kind) = (*router.get_ref(), kind.into_inner());
                    (Nat::Home { address, kind }, Some(router.clone()))
                }
                _ => none,
            }
        }
        _ => {
            let expected = "true, false or a home router";
            reader.wrong_type::<()>(value, &NAT, expected);
            none
        }
    }
}

/// The subnet that `text` names.
fn subnet(text: &str) -> Result<Ipv4Net, Wrong> {
    let wrong = |reason: &str, help: String| Err((format!("{} {reason}", quoted(text)), help));
    let example = "write an IPv4 network such as \"10.1.0.0/24\"";
    let net = match text.parse::<IpNet>() {
        Ok(IpNet::V4(net)) => net,
        Ok(IpNet::V6(_)) => {
            return wrong("is IPv6, which classic Skype never spoke", example.into());
        }
        Err(_) => return wrong("is no network", example.into()),
    };
    if net.trunc() != net {
        return wrong(
            "has bits set behind its prefix",
            format!("write \"{}\"", net.trunc()),
        );
    }
    if !(8..=29).contains(&net.prefix_len()) {
        return wrong(
            "is not of a network's size",
            "write a prefix of /8 to /29".into(),
        );
    }
    if let Some(reserved) = addresses::not_for_hosts(net) {
        return wrong(
            &format!("has addresses that no host can have: {reserved}"),
            example.into(),
        );
    }
    if addresses::overlap(net, LAB) {
        return wrong(
            &format!("has addresses of the lab's own: {LAB}"),
            example.into(),
        );
    }
    Ok(net)
}

fn overlaps(reader: &mut Reader<'_>, networks: &[Named<Network>]) {
    let nets: Vec<_> = networks
        .iter()
        .filter_map(|network| network.value.subnet.as_ref())
        .collect();
    for (number, net) in nets.iter().enumerate() {
        let earlier = nets[..number].iter();
        let mut taken =
            earlier.filter(|other| addresses::overlap(*net.get_ref(), *other.get_ref()));
        if let Some(first) = taken.next() {
            let message = format!("{} and {} overlap", net.get_ref(), first.get_ref());
            let other = reader.at(first.span());
            let help = "give each network addresses of its own";
            reader.conflict(net.span(), message, help, other, "the other one");
        }
    }
}
