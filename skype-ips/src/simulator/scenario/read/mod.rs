//! From TOML to a [`Scenario`]: every problem in one pass.

mod actions;
mod addresses;
mod expectations;
mod links;
mod names;
mod networks;
mod parties;
mod services;
mod traffic;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::language::{ABOUT, DURATION, FILE, LANGUAGE, NAME};
use super::model::{Link, Party, Scenario};
use crate::toml_file::{
    Document, NAME_HELP, Problem, Problems, Reader, Source, VERSION, Wrong, is_name, quantity,
    quoted, read_limited,
};
use expectations::Cast;
use names::Names;
use networks::Network;

#[cfg(test)]
pub(super) use addresses::LAB;

/// How long a scenario takes at least and at most.
const DURATIONS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

/// Something with a name that others refer to.
#[derive(Debug)]
struct Named<T> {
    value: T,
    /// Where the name stands.
    at: Range<usize>,
    /// Whether anybody refers to it.
    used: bool,
}

/// Whether a file is a scenario, and no configuration: it has keys that only scenarios have.
pub fn is_scenario(path: &Path) -> bool {
    let Ok(bytes) = read_limited(path) else {
        return false;
    };
    let source = Source::new(path, &String::from_utf8_lossy(&bytes), false);
    let document = Document::parse(&source, &LANGUAGE);
    let mut own = FILE.without(&[&VERSION, &NAME]);
    own.any(|key| document.root.contains_key(key.name))
}

/// Reads a scenario from a file.
///
/// # Errors
/// Everything that is wrong, if anything is; what is merely odd is in [`Scenario::warnings`].
pub fn read(path: &Path) -> Result<Scenario, Problems> {
    let text = read_limited(path)
        .map_err(|(message, help)| (message, help.to_owned()))
        .and_then(|bytes| {
            let wrong = |_| {
                (
                    "is not UTF-8 text".to_owned(),
                    "save it as UTF-8".to_owned(),
                )
            };
            String::from_utf8(bytes).map_err(wrong)
        });
    match text {
        Ok(text) => parse(path, &text),
        Err((message, help)) => Err(Problems::of(Problem::of_file(path, &message, help))),
    }
}

/// Reads a scenario from `text` as the content of `path`.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: &str) -> Result<Scenario, Problems> {
    let source = Source::new(path, text, false);
    let document = Document::parse(&source, &LANGUAGE);
    let mut problems = Problems::default();
    problems.extend(document.syntax.iter().cloned());
    let mut reader = Reader::new(&document);
    let scenario = match reader.version(&document) {
        true => scenario(&mut reader, &document.root),
        false => None,
    };
    problems.extend(reader.finish());
    problems.sort(&[path]);
    match scenario {
        Some(scenario) if !problems.has_errors() => Ok(Scenario {
            warnings: problems,
            ..scenario
        }),
        _ => Err(problems),
    }
}

/// The scenario; something is missing in it only if an error was reported.
fn scenario<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Option<Scenario> {
    reader.keys(root, &FILE);
    let name = reader.string(root, &NAME);
    match &name {
        Some(name) if !is_name(name.get_ref()) => {
            let message = format!("{} can't be the name of a scenario", quoted(name.get_ref()));
            reader.error(name.span(), message, NAME_HELP);
        }
        None if !root.contains_key(NAME.name) => {
            reader.missing(0..0, "the scenario has no name".into(), &NAME);
        }
        _ => {}
    }
    let about = reader.string(root, &ABOUT);
    let duration = reader.parsed(root, &DURATION, duration);
    if !root.contains_key(DURATION.name) {
        let message = "the scenario doesn't say how long it takes".into();
        reader.missing(0..0, message, &DURATION);
    }
    let end = duration.map(Spanned::into_inner);

    let mut links = links::read(reader, root);
    let mut networks = networks::read(reader, root, &mut links);
    let mut names = Names::default();
    let mut parties = parties::read(reader, root, &mut networks, &mut links, &mut names);
    services::add(reader, root, &mut networks, &mut names, &mut parties);
    services::add_internet(reader, &mut networks, &mut names, &mut parties);
    for party in &mut parties {
        // Those that were added have their network's link.
        let network = party.wish.network.map(|number| &networks[number].value);
        party.link = party.link.or(network.and_then(|network| network.link));
    }
    parties::references(reader, root, &mut parties, &names);
    let wishes: Vec<_> = parties.iter().map(|party| &party.wish).collect();
    let addresses = addresses::assign(reader, &networks, &wishes);
    let actions = actions::read(reader, root, end, &parties, &names);
    let actions: Vec<_> = actions.into_iter().map(|read| read.action).collect();
    let members: Vec<_> = parties
        .iter()
        .flat_map(|party| std::iter::repeat_n(party, party.count()))
        .collect();
    let cast = Cast {
        networks: &networks,
        links: &links,
        members: &members,
        actions: &actions,
    };
    let expectations = expectations::read(reader, root, &names, cast);
    unused(reader, &networks, &links);

    let parties = parties.iter().zip(&addresses).map(checked);
    let parties: Option<Vec<_>> = parties.collect();
    Some(Scenario {
        name: name?.into_inner().to_owned(),
        about: about.map_or_else(String::new, |about| about.into_inner().to_owned()),
        duration: end?,
        networks: networks
            .into_iter()
            .map(|network| network.value.checked())
            .collect::<Option<_>>()?,
        links: links.into_iter().map(|link| link.value).collect(),
        parties: parties?.into_iter().flatten().collect(),
        actions,
        expectations,
        warnings: Problems::default(),
    })
}

fn duration(text: &str) -> Result<Duration, Wrong> {
    let duration = quantity::<Duration>(text)?;
    let [least, most] = DURATIONS;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let message = format!("{} is no time for a scenario", quoted(text));
    let help = format!(
        "write one from \"{} s\" to \"{} s\"",
        least.as_secs(),
        most.as_secs()
    );
    Err((message, help))
}

/// The members of a party.
fn checked((party, addresses): (&parties::Party, &Vec<std::net::Ipv4Addr>)) -> Option<Vec<Party>> {
    let members = addresses.iter().zip(1..).map(|(address, number)| {
        Some(Party {
            name: match party.is_group {
                true => format!("{}-{number}", party.name),
                false => party.name.clone(),
            },
            group: party.is_group.then(|| party.name.clone()),
            network: party.wish.network?,
            link: party.link,
            address: *address,
            kind: party.kind?,
            settings: party.settings.clone(),
            runs: party.runs.clone(),
            serves: party.serves.clone(),
        })
    });
    members.collect()
}

/// Warns of networks and links that nothing is connected to.
fn unused(reader: &mut Reader<'_>, networks: &[Named<Network>], links: &[Named<Link>]) {
    for network in networks.iter().filter(|network| !network.used) {
        let message = format!("no party is in network {}", quoted(&network.value.name));
        let help = format!(
            "give a party network = \"{}\", or remove it",
            network.value.name
        );
        reader.warning(network.at.clone(), message, help);
    }
    for link in links.iter().filter(|link| !link.used) {
        let message = format!("the link {} goes nowhere", quoted(&link.value.name));
        let help = format!(
            "give a party or network link = \"{}\", or remove it",
            link.value.name
        );
        reader.warning(link.at.clone(), message, help);
    }
}
