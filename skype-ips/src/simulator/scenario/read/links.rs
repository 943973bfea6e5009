//! Reads `[links]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::language::{DELAY, DOWN, JITTER, LINK_TABLE, LINKS, LOSS, RATE, REORDER, UP};
use super::super::model::Link;
use super::Named;
use crate::toml_file::{
    Key, NAME_HELP, Quantity, Rate, Reader, Share, is_name, nearest, quoted, range,
};

/// The slowest link, bits a second: slower ones carry no signalling within a scenario's time.
const SLOWEST: u64 = 1_000;

/// All links, in the order of the file.
pub(super) fn read<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Vec<Named<Link>> {
    let Some((links, _)) = reader.table(root, &LINKS) else {
        return Vec::new();
    };
    let mut list = named_tables(reader, links, &LINKS, "link")
        .into_iter()
        .map(|(name, table)| {
            reader.keys(table, &LINK_TABLE);
            Named {
                at: name.span(),
                used: false,
                value: link(reader, table, name.into_inner()),
            }
        })
        .collect::<Vec<_>>();
    list.sort_by_key(|link| link.at.start);
    list
}

/// The tables of `[links]` or `[networks]` with their names; what isn't one is reported.
pub(super) fn named_tables<'v, 's>(
    reader: &mut Reader<'s>,
    table: &'v DeTable<'s>,
    key: &Key,
    what: &str,
) -> Vec<(Spanned<String>, &'v DeTable<'s>)> {
    let mut tables = Vec::new();
    for (name, value) in table {
        let DeValue::Table(inner) = value.get_ref() else {
            reader.wrong_type::<()>(value, key, "tables with names");
            continue;
        };
        if !is_name(name.get_ref()) {
            let message = format!("{} can't be the name of a {what}", quoted(name.get_ref()));
            reader.error(name.span(), message, NAME_HELP);
        }
        tables.push((Spanned::new(name.span(), name.get_ref().to_string()), inner));
    }
    tables
}

/// The number of the link that `key` names, if there is one.
pub(super) fn named(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &Key,
    links: &mut [Named<Link>],
) -> Option<usize> {
    let name = reader.string(table, key)?;
    let found = links
        .iter()
        .position(|link| link.value.name == *name.get_ref());
    match found {
        Some(number) => links[number].used = true,
        None => {
            let known = links.iter().map(|link| link.value.name.as_str());
            let help = match nearest(name.get_ref(), known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [links.{}], or name one that is there", name.get_ref()),
            };
            let message = format!("there is no link {}", quoted(name.get_ref()));
            reader.error(name.span(), message, help);
        }
    }
    found
}

fn link(reader: &mut Reader<'_>, table: &DeTable<'_>, name: String) -> Link {
    let both = rate(reader, table, &RATE);
    let up = rate(reader, table, &UP);
    let down = rate(reader, table, &DOWN);
    if let (Some(both), Some(_), Some(_)) = (&both, &up, &down) {
        let message = "`rate` says nothing here: `up` and `down` are both said";
        reader.error(both.span(), message, "remove it");
    }
    let cable = Link::cable();
    let either = both.map_or(cable.up, Spanned::into_inner);
    let of = |rate: Option<Spanned<_>>| rate.map_or_else(|| either.clone(), Spanned::into_inner);
    let time = |reader: &mut Reader<'_>, key, default: RangeInclusive<Duration>| {
        drawn::<Duration, _>(reader, table, key, |time| time).unwrap_or(default)
    };
    let share = |reader: &mut Reader<'_>, key, default: RangeInclusive<f64>| {
        drawn(reader, table, key, |Share(share)| share).unwrap_or(default)
    };
    Link {
        name,
        up: of(up),
        down: of(down),
        delay: time(reader, &DELAY, cable.delay),
        jitter: time(reader, &JITTER, cable.jitter),
        loss: share(reader, &LOSS, cable.loss),
        reorder: share(reader, &REORDER, cable.reorder),
    }
}

fn rate(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &Key,
) -> Option<Spanned<RangeInclusive<u64>>> {
    let at = table.get(key.name)?.span();
    let rate = drawn(reader, table, key, |Rate(rate)| rate)?;
    if *rate.start() < SLOWEST {
        let message = format!("`{}` is too slow to carry anything", key.name);
        reader.error(at.clone(), message, "write at least \"1 kbit/s\"");
    }
    Some(Spanned::new(at, rate))
}

fn drawn<Q: Quantity + Copy, T>(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &Key,
    value: impl Fn(Q) -> T,
) -> Option<RangeInclusive<T>> {
    let (least, most) = reader
        .parsed(table, key, range::<Q>)?
        .into_inner()
        .into_inner();
    Some(value(least)..=value(most))
}
