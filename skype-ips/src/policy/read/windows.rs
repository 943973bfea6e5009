//! Reads `[[policy.window]]`.

use std::ops::Range;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::places::WindowPlaces;
use super::super::vocabulary::Day;
use super::super::window::{DAY, Window};
use super::language::{DAYS, FROM, TIMEZONE, TO, WINDOW, WINDOW_TABLE};
use super::rules::{RuleReader, RuleSpans};
use crate::toml_file::{Key, Reader, quoted};

/// Most windows of one policy.
const MAX_WINDOWS: usize = 16;

/// A window with its places in the file.
#[derive(Debug)]
pub(super) struct ReadWindow {
    pub(super) window: Window,
    pub(super) header: Range<usize>,
    pub(super) spans: RuleSpans,
}

impl ReadWindow {
    pub(super) fn places(&self, reader: &Reader<'_>) -> WindowPlaces {
        let place = |span: &Range<usize>| reader.at(span.clone()).place;
        WindowPlaces {
            header: place(&self.header),
            rules: self
                .spans
                .iter()
                .map(|(key, span)| (*key, place(span)))
                .collect(),
        }
    }
}

/// The windows of a policy, without those that are wrong.
pub(super) fn read<'s>(
    reader: &mut Reader<'s>,
    table: &DeTable<'s>,
    rules: &mut RuleReader<'_>,
) -> Vec<ReadWindow> {
    let tables = reader.tables(table, &WINDOW);
    if let Some((_, header)) = tables.get(MAX_WINDOWS) {
        let message = format!("more than {MAX_WINDOWS} windows in one policy");
        let help = "let one window have several days, or say more in the policy itself";
        reader.error(header.clone(), message, help);
    }
    let windows = tables.into_iter().take(MAX_WINDOWS);
    let windows = windows.filter_map(|(table, header)| window(reader, table, header, rules));
    windows.collect()
}

fn window(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    header: Range<usize>,
    rules: &mut RuleReader<'_>,
) -> Option<ReadWindow> {
    reader.keys(table, &WINDOW_TABLE);
    let days = days(reader, table);
    let from = minute(reader, table, &FROM, 0..=DAY - 1);
    let to = minute(reader, table, &TO, 1..=DAY);
    let (rules, spans) = rules.read(reader, table);
    let said = |key: &Key| table.contains_key(key.name);
    let nothing = WINDOW_TABLE.keys.iter().all(|key| {
        let about_time = [DAYS.name, FROM.name, TO.name].contains(&key.name);
        about_time || !said(key)
    });
    if nothing {
        let message = "this window says not what is done while it is open";
        reader.error(
            header.clone(),
            message,
            "add a key such as default = \"drop\"",
        );
        return None;
    }
    let wrong = |key: &Key, read: bool| !read && said(key);
    if wrong(&DAYS, days.is_some()) || wrong(&FROM, from.is_some()) || wrong(&TO, to.is_some()) {
        return None; // said already
    }
    let hours = to.as_ref().or(from.as_ref()).map(Spanned::span);
    let from = from.map_or(0, Spanned::into_inner);
    let to = to.map_or(DAY, Spanned::into_inner);
    if from == to {
        let message = "this window closes when it opens";
        let help = "write another hour, or from = \"00:00\" and to = \"24:00\" for the whole day";
        reader.error(hours.unwrap_or(header), message, help);
        return None;
    }
    if to < from {
        let message = format!(
            "this window runs over midnight: from {} to {} of the next day",
            in_words(from),
            in_words(to)
        );
        let help = "if that isn't meant, write the earlier hour at `from`";
        reader.note(hours.unwrap_or(header.clone()), message, help);
    }
    let days = days.unwrap_or_else(|| Day::ALL.to_vec());
    if days.len() == Day::ALL.len() && (from, to) == (0, DAY) {
        let message = "this window is always open";
        let help = "say it in the policy itself, or give the window `days`, `from` or `to`";
        reader.warning(header.clone(), message, help);
    }
    let window = Window {
        days,
        from,
        to,
        rules,
    };
    Some(ReadWindow {
        window,
        header,
        spans,
    })
}

/// The days in order; `None` where there are none or they are wrong.
fn days(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Vec<Day>> {
    let value = table.get(DAYS.name)?;
    let words = reader.words::<Day>(table, &DAYS)?;
    if matches!(value.get_ref(), DeValue::Array(list) if list.is_empty()) {
        let message = "this window opens on no day";
        let help = format!(
            "write it like {}, or leave it out for every day",
            DAYS.example
        );
        reader.error(value.span(), message, help);
    }
    let mut days: Vec<Day> = Vec::new();
    for word in &words {
        if days.contains(word.get_ref()) {
            let message = format!("\"{}\" is named twice", word.get_ref());
            reader.warning(word.span(), message, "name it once");
        } else {
            days.push(*word.get_ref());
        }
    }
    days.sort();
    (!days.is_empty()).then_some(days)
}

/// A minute of the day, such as `"08:30"`.
fn minute(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &Key,
    range: std::ops::RangeInclusive<u16>,
) -> Option<Spanned<u16>> {
    reader.parsed(table, key, |text| {
        let wrong = |reason: &str| {
            let (least, most) = (in_words(*range.start()), in_words(*range.end()));
            let help = format!("write hours and minutes from \"{least}\" to \"{most}\"");
            Err((
                format!("{} {reason} for `{}`", quoted(text), key.name),
                help,
            ))
        };
        let two = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten()
        };
        let parts = text
            .split_once(':')
            .map(|(hour, minute)| (two(hour), two(minute)));
        let Some((Some(hour), Some(minute))) = parts else {
            return wrong("is no time of day");
        };
        let time = hour * 60 + minute;
        if minute > 59 || !range.contains(&time) {
            return wrong("is out of range");
        }
        Ok(time)
    })
}

/// A minute of the day as it is written.
pub(super) fn in_words(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// The time zone that a file names.
pub(super) fn zone(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<TimeZone> {
    let zone = reader.parsed(root, &TIMEZONE, |name| {
        let built_in = TimeZoneDatabase::bundled();
        let known = TimeZone::get(name).or_else(|_| built_in.get(name));
        known.map_err(|_| {
            let message = format!("there is no time zone {}", quoted(name));
            let help = match nearest_zone(name, &built_in) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write it like {}", TIMEZONE.example),
            };
            (message, help)
        })
    });
    zone.map(Spanned::into_inner)
}

/// The zone that was probably meant: one spelled almost so, or the city alone.
fn nearest_zone(name: &str, database: &TimeZoneDatabase) -> Option<String> {
    if name.len() > 64 {
        return None;
    }
    let plain = |name: &str| name.trim().to_lowercase().replace([' ', '-'], "_");
    let asked = plain(name);
    let distance = |known: &str| {
        let known = plain(known);
        let city = known.rsplit('/').next().unwrap_or(&known);
        strsim::osa_distance(&asked, &known).min(strsim::osa_distance(&asked, city))
    };
    let zones = database.available().map(|zone| zone.to_string());
    let nearest = zones.map(|zone| (distance(&zone), zone)).min();
    let near_enough = |distance: usize| distance <= asked.len().div_ceil(3).min(3);
    nearest
        .filter(|(distance, _)| near_enough(*distance))
        .map(|(_, zone)| zone)
}
