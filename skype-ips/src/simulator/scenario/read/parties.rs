//! Reads `[[party]]`.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::language::{
    ADDRESS, BOOTSTRAP, COUNT, DIRECTORY, GENERATION, HOST_CACHE, KIND, LINK, NETWORK, PARTY,
    PARTY_NAME, PARTY_TABLE, PORT, PROXY, PROXY_KIND, PROXY_PARTY, PROXY_TABLE, RELAY, RUNS,
    SERVES, UDP, USER,
};
use super::super::model::{Client, Link, Settings, SuperNode};
use super::super::vocabulary::{Application, Generation, Kind, ProxyKind};
use super::addresses::{self, Wish};
use super::names::Names;
use super::networks::{self, Network};
use super::{Named, links, traffic};
use crate::toml_file::{Excerpt, Key, NAME_HELP, Reader, is_name, listed, quoted};

/// Most parties of a scenario: what a machine plays in real time.
pub(super) const MAX_PARTIES: u32 = 1000;

/// What the lab itself has besides the parties.
const LAB_NAMES: [&str; 3] = ["gateway", "internet", "switch"];
/// How the names of its home routers begin.
const LAB_ROUTERS: &str = "router-";

/// The port of bootstrap nodes.
const BOOTSTRAP_PORT: u16 = 33_033;

/// A party of the file, or one that was added; what is wrong is left out.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    pub(super) wish: Wish,
    pub(super) link: Option<usize>,
    pub(super) settings: Settings,
    pub(super) runs: Vec<Application>,
    pub(super) serves: Vec<Application>,
    /// Whether the file says `count`, so that its members have numbers.
    pub(super) is_group: bool,
    /// Whether it is a super node whose user does something.
    pub(super) has_user: bool,
}

impl Party {
    /// One that no table of the file stands for; `at` is what asked for it.
    pub(super) fn added(
        name: String,
        kind: Kind,
        network: usize,
        at: Range<usize>,
        count: u32,
    ) -> Self {
        let settings = match kind {
            Kind::Bootstrap => super_node(Generation::Y2015, BOOTSTRAP_PORT, true, false),
            _ => Settings::None,
        };
        Self {
            name,
            kind: Some(kind),
            wish: Wish {
                network: Some(network),
                address: None,
                count,
                at,
            },
            link: None,
            settings,
            runs: Vec::new(),
            serves: Vec::new(),
            is_group: count > 1,
            has_user: false,
        }
    }

    /// How many members it has.
    pub(super) fn count(&self) -> usize {
        self.wish.count as usize
    }
}

fn super_node(generation: Generation, port: u16, directory: bool, relay: bool) -> Settings {
    Settings::SuperNode(SuperNode {
        generation,
        port,
        directory,
        relay,
        user: None,
    })
}

/// All parties, in the order of the file, with their names noted. What names other parties is
/// still empty: see [`references`].
pub(super) fn read<'s>(
    reader: &mut Reader<'s>,
    root: &DeTable<'s>,
    networks: &mut [Named<Network>],
    links: &mut [Named<Link>],
    names: &mut Names,
) -> Vec<Party> {
    let tables = reader.tables(root, &PARTY);
    if tables.is_empty() && !root.contains_key(PARTY.name) {
        reader.missing(0..0, "there are no parties".into(), &PARTY);
    }
    let mut parties = Vec::new();
    let mut total = 0;
    for (table, header) in tables {
        reader.keys(table, &PARTY_TABLE);
        let count = reader.integer(table, &COUNT, 1..=MAX_PARTIES);
        let count = count.map(Spanned::into_inner);
        total += count.unwrap_or(1);
        if total > MAX_PARTIES {
            let message = format!("more than {MAX_PARTIES} parties");
            reader.error(header, message, "take some out, or write smaller groups");
            break;
        }
        parties.push(party(reader, table, &header, networks, links, names, count));
    }
    parties
}

fn party(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    header: &Range<usize>,
    networks: &mut [Named<Network>],
    links: &mut [Named<Link>],
    names: &mut Names,
    count: Option<u32>,
) -> Party {
    let (is_group, count) = (count.is_some(), count.unwrap_or(1));
    let name = name(reader, table, header, names, count, is_group);
    let kind = reader.word::<Kind>(table, &KIND);
    if !table.contains_key(KIND.name) {
        reader.missing(header.clone(), format!("{name} is of no kind"), &KIND);
    }
    let network = reader
        .string(table, &NETWORK)
        .and_then(|name| networks::named(reader, &name, networks));
    if !table.contains_key(NETWORK.name) {
        reader.missing(header.clone(), format!("{name} is in no network"), &NETWORK);
    }
    let link = links::named(reader, table, &LINK, links);
    let on = network.map(|number| &networks[number].value);
    let runs = reader.words::<Application>(table, &RUNS);
    if let (Some(kind), Some(on)) = (&kind, on) {
        place(reader, kind, on);
    }
    if let (Some(kind), Some(list)) = (&kind, &runs) {
        traffic::begun(reader, table, *kind.get_ref(), on, list, header);
    }
    let serves = reader.words::<Application>(table, &SERVES);
    if let (Some(kind), Some(list)) = (&kind, &serves) {
        traffic::served(reader, table, *kind.get_ref(), on, list, header);
    }
    let kind_word = kind.map(Spanned::into_inner);
    Party {
        settings: kind_word.map_or(Settings::None, |kind| settings(reader, table, kind)),
        link: link.or(on.and_then(|network| network.link)),
        wish: Wish {
            network,
            address: reader.parsed(table, &ADDRESS, addresses::parse),
            count,
            at: header.clone(),
        },
        name,
        kind: kind_word,
        runs: plain(runs),
        serves: plain(serves),
        is_group,
        has_user: kind_word == Some(Kind::SuperNode) && table.contains_key(USER.name),
    }
}

fn plain(list: Option<Vec<Spanned<Application>>>) -> Vec<Application> {
    let list = list.unwrap_or_default().into_iter();
    list.map(Spanned::into_inner).collect()
}

fn name(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    header: &Range<usize>,
    names: &mut Names,
    count: u32,
    is_group: bool,
) -> String {
    let Some(name) = reader.string(table, &PARTY_NAME) else {
        if !table.contains_key(PARTY_NAME.name) {
            reader.missing(header.clone(), "this party has no name".into(), &PARTY_NAME);
        }
        names.nameless(count);
        return "this party".into();
    };
    let (at, name) = (name.span(), name.into_inner());
    if !is_name(name) {
        let message = format!("{} can't be the name of a party", quoted(name));
        reader.error(at.clone(), message, NAME_HELP);
    } else if LAB_NAMES.contains(&name) || name.starts_with(LAB_ROUTERS) {
        let message = format!("{} is the lab's own", quoted(name));
        reader.error(at.clone(), message, "give the party another name");
    }
    names.add(reader, name, at, count, is_group);
    name.to_owned()
}

/// Reports a party that can't be where it is.
fn place(reader: &mut Reader<'_>, kind: &Spanned<Kind>, network: &Network) {
    let (at, kind) = (kind.span(), *kind.get_ref());
    let name = quoted(&network.name);
    if kind.is_of_the_outside() && network.is_inside() {
        let message = format!("a {kind} in an inside network");
        let help = "nothing of it would cross the gateway: put it into an outside network";
        reader.error(at, message, help);
    } else if kind.is_look_alike() && network.side.is_some() && !network.is_inside() {
        let message = format!("a {kind} in an outside network");
        let help = "it would not be taken for anything there: put it into an inside network";
        reader.error(at, message, help);
    } else if kind == Kind::SuperNode && !network.is_open() {
        let message = format!("a super node in {name}, whose addresses are translated");
        let help = "clients behind NAT neither serve as super nodes nor relay: \
                    put it into a network without `nat`";
        reader.error(at, message, help);
    } else if kind.is_asked() && !network.is_open() {
        let message = format!("a {kind} in {name}, whose addresses are translated");
        let help = "nobody could reach it there: put it into a network without `nat`";
        reader.error(at, message, help);
    }
}

/// Which keys a kind has beyond those of all kinds.
fn keys_of(kind: Kind) -> &'static [&'static Key] {
    match kind {
        Kind::Client => &[&GENERATION, &PORT, &UDP, &PROXY, &HOST_CACHE, &BOOTSTRAP],
        Kind::SuperNode => &[&GENERATION, &PORT, &RELAY, &DIRECTORY, &USER],
        Kind::Bootstrap => &[&GENERATION, &RELAY],
        _ => &[],
    }
}

/// The keys that all kinds have.
const COMMON: &[&Key] = &[
    &PARTY_NAME,
    &KIND,
    &NETWORK,
    &ADDRESS,
    &LINK,
    &COUNT,
    &RUNS,
    &SERVES,
];

fn settings(reader: &mut Reader<'_>, table: &DeTable<'_>, kind: Kind) -> Settings {
    let own = keys_of(kind);
    for key in PARTY_TABLE.without(COMMON) {
        let Some((said, _)) = table.get_key_value(key.name) else {
            continue;
        };
        if !own.iter().any(|own| own.name == key.name) {
            let message = format!("`{}` means nothing to a {kind}", key.name);
            let help = match own {
                [] => "remove it".to_owned(),
                own => format!(
                    "remove it; what a {kind} has of its own is {}",
                    listed(own.iter().map(|key| format!("`{}`", key.name)), "and")
                ),
            };
            reader.error(said.span(), message, help);
        }
    }
    match kind {
        Kind::Client => Settings::Client(Client {
            generation: generation(reader, table),
            port: port(reader, table),
            udp: reader.boolean(table, &UDP).is_none_or(Spanned::into_inner),
            proxy: None,
            host_cache: Vec::new(),
            bootstrap: Vec::new(),
        }),
        Kind::SuperNode | Kind::Bootstrap => {
            let boolean = |reader: &mut Reader<'_>, key, default| {
                let said = reader.boolean(table, key);
                said.map_or(default, Spanned::into_inner)
            };
            let relay = boolean(reader, &RELAY, false);
            let directory = kind == Kind::Bootstrap || boolean(reader, &DIRECTORY, true);
            let port = match kind {
                Kind::Bootstrap => BOOTSTRAP_PORT,
                _ => port(reader, table),
            };
            if let (false, false, Some(said)) = (relay, directory, table.get(DIRECTORY.name)) {
                let message = "a super node that serves nobody";
                let help = "let it do something with `directory = true` or `relay = true`";
                reader.error(said.span(), message, help);
            }
            super_node(generation(reader, table), port, directory, relay)
        }
        _ => Settings::None,
    }
}

fn generation(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Generation {
    reader
        .word(table, &GENERATION)
        .map_or(Generation::Y2015, Spanned::into_inner)
}

fn port(reader: &mut Reader<'_>, table: &DeTable<'_>) -> u16 {
    let port = reader.integer(table, &PORT, 1024..=u32::from(u16::MAX));
    port.and_then(|port| u16::try_from(port.into_inner()).ok())
        .unwrap_or(0)
}

/// Reads what parties say of other parties: proxies, host caches, bootstrap nodes.
pub(super) fn references<'s>(
    reader: &mut Reader<'s>,
    root: &DeTable<'s>,
    parties: &mut [Party],
    names: &Names,
) {
    let kinds: Vec<_> = parties
        .iter()
        .flat_map(|party| std::iter::repeat_n(party.kind, party.count()))
        .collect();
    let every = |wanted| {
        let matching = kinds.iter().enumerate();
        matching.filter_map(move |(number, kind)| (*kind == Some(wanted)).then_some(number))
    };
    // The tables again; their mistakes are reported already.
    let tables = root.get(PARTY.name).map(Spanned::get_ref);
    let tables = match tables {
        Some(DeValue::Array(list)) => list.iter(),
        _ => return,
    };
    let tables = tables.filter_map(|item| match item.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    });
    let mut passwords = BTreeMap::new();
    for (party, table) in parties.iter_mut().zip(tables) {
        let nodes = [Kind::SuperNode, Kind::Bootstrap];
        if let Settings::SuperNode(node) = &mut party.settings {
            let known = list(reader, table, &USER, names, &kinds, &nodes);
            node.user = (!known.is_empty()).then(|| {
                Box::new(Client {
                    generation: node.generation,
                    port: node.port,
                    udp: true,
                    proxy: None,
                    host_cache: known.clone(),
                    bootstrap: known,
                })
            });
        }
        let Settings::Client(client) = &mut party.settings else {
            continue;
        };
        client.host_cache = list(reader, table, &HOST_CACHE, names, &kinds, &nodes);
        client.bootstrap = match table.contains_key(BOOTSTRAP.name) {
            true => list(reader, table, &BOOTSTRAP, names, &kinds, &nodes),
            false => every(Kind::Bootstrap).collect(),
        };
        client.proxy = proxy(reader, table, names, &kinds, &mut passwords);
    }
}

/// The parties that a list names, which must be of these kinds.
fn list(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &Key,
    names: &Names,
    kinds: &[Option<Kind>],
    wanted: &[Kind],
) -> Vec<usize> {
    let said = reader.one_or_more(table, key).unwrap_or_default();
    let mut parties = Vec::new();
    for name in &said {
        for number in names.find(reader, name) {
            match kinds[number] {
                Some(kind) if !wanted.contains(&kind) => {
                    wrong_kind(reader, name, kind, wanted);
                    break;
                }
                _ if parties.contains(&number) => {}
                _ => parties.push(number),
            }
        }
    }
    parties
}

fn proxy(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    names: &Names,
    kinds: &[Option<Kind>],
    passwords: &mut BTreeMap<usize, (bool, Excerpt)>,
) -> Option<(ProxyKind, usize)> {
    let value = table.get(PROXY.name)?;
    let DeValue::Table(inner) = value.get_ref() else {
        return reader.wrong_type(value, &PROXY, "a table");
    };
    reader.keys(inner, &PROXY_TABLE);
    for key in [&PROXY_KIND, &PROXY_PARTY] {
        if !inner.contains_key(key.name) {
            reader.missing(
                value.span(),
                format!("the proxy has no `{}`", key.name),
                key,
            );
        }
    }
    let kind = reader.word::<ProxyKind>(inner, &PROXY_KIND);
    let name = reader.string(inner, &PROXY_PARTY)?;
    let number = names.one(reader, &name)?;
    match kinds[number] {
        Some(Kind::Proxy) | None => {}
        Some(other) => wrong_kind(reader, &name, other, &[Kind::Proxy]),
    }
    let (at, kind) = (kind.as_ref()?.span(), kind?.into_inner());
    if let Some(password) = kind.password() {
        let here = reader.at(at.clone());
        let (first, other) = passwords.entry(number).or_insert((password, here));
        if *first != password {
            let message = format!("{} is to have a password and none", quoted(name.get_ref()));
            let help = "let clients with a password go through another proxy";
            let other = other.clone();
            reader.conflict(at, message, help, other, "the other kind");
        }
    }
    Some((kind, number))
}

fn wrong_kind(reader: &mut Reader<'_>, name: &Spanned<&str>, kind: Kind, wanted: &[Kind]) {
    let message = format!("{} is a {kind}", quoted(name.get_ref()));
    let wanted = listed(wanted.iter().map(|kind| format!("`{kind}`")), "or");
    let help = format!("name a party of kind {wanted}");
    reader.error(name.span(), message, help);
}
