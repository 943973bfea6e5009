//! Everyday traffic of parties that wouldn't come about.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::super::language::{RUNS, SERVES};
use super::super::vocabulary::{Application, Kind};
use super::networks::Network;
use crate::simulator::party::background;
use crate::toml_file::{Reader, quoted};

/// Reports everyday traffic that wouldn't come about.
pub(super) fn begun(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    kind: Kind,
    network: Option<&Network>,
    list: &[Spanned<Application>],
    header: &Range<usize>,
) {
    let at = table.get(RUNS.name).map_or(header.clone(), Spanned::span);
    if kind == Kind::InternetHost {
        let message = "an internet-host begins nothing";
        reader.error(at, message, "it answers all of them: remove `runs`");
        return;
    }
    if let Some(network) = network.filter(|network| network.side.is_some() && !network.is_inside())
    {
        let message = format!(
            "nothing of this crosses the gateway: {} is outside, as its servers are",
            quoted(&network.name)
        );
        reader.warning(at, message, "give `runs` to inside parties");
    }
    twice(reader, list);
}

/// Reports servers that nobody could come to.
pub(super) fn served(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    kind: Kind,
    network: Option<&Network>,
    list: &[Spanned<Application>],
    header: &Range<usize>,
) {
    let at = table.get(SERVES.name).map_or(header.clone(), Spanned::span);
    let own = background::LookAlike::named(kind.word()).and_then(background::LookAlike::visitors);
    let network = network.filter(|network| network.side.is_some());
    if let Some(network) = network.filter(|network| !network.is_inside()) {
        let message = format!(
            "nothing of this crosses the gateway: {} is outside, as those who come are",
            quoted(&network.name)
        );
        reader.error(at, message, "give `serves` to inside parties");
    } else if let Some(network) = network.filter(|network| !network.is_open()) {
        let message = format!(
            "nobody could reach it in {}, whose addresses are translated",
            quoted(&network.name)
        );
        reader.error(at, message, "put it into a network without `nat`");
    }
    for item in list {
        let word = quoted(item.get_ref().word());
        if !item.get_ref().is_served_anywhere() {
            let message = format!("{word} has a server of its own kind");
            let help = "add a party of kind `resolver` or `turn-server`";
            reader.error(item.span(), message, help);
        } else if own == Some(background::Kind::from(*item.get_ref())) {
            let message = format!("a {kind} serves {word} as it is");
            reader.error(item.span(), message, "leave it out");
        }
    }
    twice(reader, list);
}

/// Reports what a list says twice.
fn twice(reader: &mut Reader<'_>, list: &[Spanned<Application>]) {
    for (number, item) in list.iter().enumerate() {
        let same = |other: &Spanned<Application>| other.get_ref() == item.get_ref();
        if list[..number].iter().any(same) {
            let message = format!("{} is said twice", quoted(item.get_ref().word()));
            reader.error(item.span(), message, "say it once");
        }
    }
}
