//! Adds what every scenario needs and nobody wants to write: the service's servers, the other ends
//! of everyday traffic.

use std::ops::Range;

use toml::de::DeTable;

use super::super::language::SERVICES;
use super::super::vocabulary::{Application, Kind};
use super::Named;
use super::names::Names;
use super::networks::{self, Network};
use super::parties::Party;
use crate::toml_file::{Reader, listed, quoted};

/// What `services` adds where the file has none of its kind.
const SERVICE: [(Kind, u32); 5] = [
    (Kind::LoginServer, 1),
    (Kind::EventServer, 1),
    (Kind::WebServer, 1),
    (Kind::Resolver, 1),
    (Kind::Bootstrap, 2),
];

/// Adds the service that `services` asks for, and reports what clients lack.
pub(super) fn add(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    networks: &mut [Named<Network>],
    names: &mut Names,
    parties: &mut Vec<Party>,
) {
    let kinds: Vec<_> = parties.iter().filter_map(|party| party.kind).collect();
    let missing = SERVICE.iter().filter(|(kind, _)| !kinds.contains(kind));
    if let Some(name) = reader.string(root, &SERVICES) {
        let at = name.span();
        let Some(number) = networks::named(reader, &name, networks) else {
            return;
        };
        let network = &networks[number].value;
        if network.is_inside() || !network.is_open() {
            let message = format!("the service in {}", quoted(&network.name));
            let help = "name an outside network without `nat`";
            reader.error(at.clone(), message, help);
        }
        for (kind, count) in missing {
            add_some(reader, names, parties, *kind, *count, number, &at);
        }
        return;
    }
    let Some(client) = parties
        .iter()
        .find(|party| party.kind == Some(Kind::Client))
    else {
        return;
    };
    let missing: Vec<_> = missing.map(|(kind, _)| format!("{kind}")).collect();
    if !missing.is_empty() && !root.contains_key(SERVICES.name) {
        let message = format!(
            "client {} needs a {}, and there is none",
            quoted(&client.name),
            listed(missing, "and a")
        );
        let mut open = networks.iter().map(|network| &network.value);
        let add = match open.find(|network| !network.is_inside() && network.is_open()) {
            Some(network) => format!("{} = \"{}\"", SERVICES.name, network.name),
            None => SERVICES.example.to_owned(),
        };
        let help = format!("add {add} at the top of the file");
        reader.error(client.wish.at.clone(), message, help);
    }
}

/// Adds hosts of the internet until there are as many as the parties' traffic needs.
pub(super) fn add_internet(
    reader: &mut Reader<'_>,
    networks: &mut [Named<Network>],
    names: &mut Names,
    parties: &mut Vec<Party>,
) {
    let resolved = parties
        .iter()
        .any(|party| party.kind == Some(Kind::Resolver));
    let needs = |party: &Party| needs(party, resolved);
    let Some(first) = parties.iter().find(|party| needs(party) > 0) else {
        return;
    };
    let at = first.wish.at.clone();
    let needed = parties.iter().map(needs).max().unwrap_or_default();
    let there = parties
        .iter()
        .filter(|party| party.kind == Some(Kind::InternetHost))
        .map(|party| party.wish.count)
        .sum();
    if needed <= there {
        return;
    }
    let open = networks.iter_mut().position(|network| {
        let network = &network.value;
        network.side.is_some() && !network.is_inside() && network.is_open()
    });
    let Some(number) = open else {
        let message = "the other end of this traffic has no place";
        let help = "add an outside network without `nat`";
        reader.error(at, message, help);
        return;
    };
    networks[number].used = true;
    add_some(
        reader,
        names,
        parties,
        Kind::InternetHost,
        needed - there,
        number,
        &at,
    );
}

fn add_some(
    reader: &mut Reader<'_>,
    names: &mut Names,
    parties: &mut Vec<Party>,
    kind: Kind,
    count: u32,
    network: usize,
    at: &Range<usize>,
) {
    let name = names.free(kind.word());
    names.add(reader, &name, at.clone(), count, count > 1);
    parties.push(Party::added(name, kind, network, at.clone(), count));
}

/// How many hosts of the internet a party's traffic needs, if there is a resolver beside or not.
fn needs(party: &Party, resolved: bool) -> u32 {
    let applications = party.runs.iter().map(|application| match application {
        Application::Dns if resolved => 0,
        // The server, and whom it is called through it.
        Application::Turn => 2,
        _ => 1,
    });
    let look_alike = match party.kind {
        // All peers.
        Some(Kind::ConferenceHost) => 3,
        Some(Kind::TwoCalls) => 2,
        // Two that it goes on to, and who comes.
        Some(Kind::TurnServer | Kind::SshJumpHost | Kind::ReverseProxy) => 3,
        // Who comes.
        Some(Kind::Seeder) => 2,
        _ => 0,
    };
    let comes = u32::from(!party.serves.is_empty());
    let all = applications.chain([look_alike, comes]);
    all.max().unwrap_or_default()
}
