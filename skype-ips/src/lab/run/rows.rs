//! What parties achieved, in words: one row for each thing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::outcome::Played;
use super::words::{bytes, percent, rate, seconds};
use crate::simulator::party::{CallFigures, Figures, FileFigures, Searches};
use crate::simulator::scenario::{Scenario, What};

/// The path of what never came about.
const NO_PATH: &str = "none";

/// A thing that a party, or a group of like ones, set out for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The party, or the group with the number of its members.
    pub(super) who: String,
    /// The thing.
    pub(super) what: String,
    /// What came of it in each run; empty where a run knows nothing of it.
    pub(super) found: Vec<String>,
}

/// A party, or several like ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its name, for groups with the number of members.
    pub(super) name: String,
    /// The numbers of its parties.
    pub(super) members: Vec<usize>,
}

/// The parties in the scenario's order, groups as one.
pub(super) fn units(scenario: &Scenario) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, party) in scenario.parties.iter().enumerate() {
        match party.group.as_deref() {
            Some(group) => {
                let at = *groups.entry(group).or_insert_with(|| {
                    units.push(Unit {
                        name: group.to_owned(),
                        members: Vec::new(),
                    });
                    units.len() - 1
                });
                units[at].members.push(number);
            }
            None => units.push(Unit {
                name: party.name.clone(),
                members: vec![number],
            }),
        }
    }
    for unit in &mut units {
        match unit.members[..] {
            // A group of one goes by its only member's name.
            [only] => unit.name.clone_from(&scenario.parties[only].name),
            _ => unit.name += &format!(" ({})", unit.members.len()),
        }
    }
    units
}

/// All rows of one run, or of several side by side.
pub(super) fn rows(scenario: &Scenario, runs: &[&Played]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for unit in units(scenario) {
        let begin = rows.len();
        for (run, played) in runs.iter().enumerate() {
            for (what, found) in things(scenario, played, &unit) {
                let known = rows[begin..].iter().position(|row| row.what == what);
                let at = match known {
                    Some(at) => begin + at,
                    None => {
                        rows.push(Row {
                            who: unit.name.clone(),
                            what,
                            found: vec![String::new(); runs.len()],
                        });
                        rows.len() - 1
                    }
                };
                rows[at].found[run] = found;
            }
        }
    }
    rows
}

/// What one party, or one group, set out for, and what came of it.
fn things(scenario: &Scenario, played: &Played, unit: &Unit) -> Vec<(String, String)> {
    let figures = unit
        .members
        .iter()
        .map(|party| (*party, played.figures(*party)));
    let figures: Vec<(usize, Figures)> = figures.collect();
    let mut things = Vec::new();
    things.extend(sign_in(&figures));
    match &figures[..] {
        [(party, alone)] => {
            things.extend(calls_of_one(scenario, *party, alone));
            things.extend(files_of_one(alone));
        }
        many => {
            things.extend(calls_of_many(scenario, many));
            things.extend(files_of_many(many));
        }
    }
    let sum = |of: fn(&Figures) -> u64| -> u64 { figures.iter().map(|(_, one)| of(one)).sum() };
    let sessions = sum(|figures| figures.relayed_sessions);
    let relayed = sum(|figures| figures.relayed_bytes);
    if sessions > 0 {
        let found = format!("{}, {}", counted(sessions, "session"), bytes(relayed));
        things.push(("relayed".to_owned(), found));
    }
    let answered = |of: fn(&Figures) -> Searches| {
        let each = figures.iter().map(|(_, one)| of(one));
        let (asked, answered) = each.fold((0, 0), |(asked, answered), one| {
            (asked + one.asked, answered + one.answered)
        });
        (asked > 0).then(|| format!("{answered} of {asked} answered"))
    };
    for (what, found) in [
        ("searches", answered(|figures| figures.searches)),
        ("served", answered(|figures| figures.served)),
    ] {
        things.extend(found.map(|found| (what.to_owned(), found)));
    }
    let mut kinds: Vec<(&str, u64, u64)> = Vec::new();
    for exchanges in figures.iter().flat_map(|(_, one)| &one.exchanges) {
        match kinds.iter_mut().find(|(what, ..)| *what == exchanges.what) {
            Some((_, begun, done)) => {
                *begun += exchanges.begun;
                *done += exchanges.done;
            }
            None => kinds.push((exchanges.what, exchanges.begun, exchanges.done)),
        }
    }
    for (what, begun, done) in kinds {
        if begun > 0 {
            things.push((what.to_owned(), format!("{done} of {begun}")));
        }
    }
    things
}

/// `1 session`, `2 sessions`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn sign_in(figures: &[(usize, Figures)]) -> Option<(String, String)> {
    let mut tried = figures
        .iter()
        .filter(|(_, one)| one.signed_in.is_some() || !one.tried.is_empty());
    let what = "signed in".to_owned();
    if let [(_, one)] = figures {
        tried.next()?;
        // Each way once, where it was tried first.
        let mut ways: Vec<&str> = Vec::new();
        for way in &one.tried {
            if !ways.contains(way) {
                ways.push(way);
            }
        }
        let found = match (one.signed_in, ways.split_last()) {
            (Some(at), Some((last, []))) => format!("after {}, {last}", seconds(at)),
            (Some(at), Some((last, before))) => {
                format!("after {}, {last}, not {}", seconds(at), before.join(", "))
            }
            (Some(at), None) => format!("after {}", seconds(at)),
            (None, _) => format!("no: {}", ways.join(", ")),
        };
        return Some((what, found));
    }
    let tried = tried.count();
    let mut at: Vec<Duration> = figures
        .iter()
        .filter_map(|(_, one)| one.signed_in)
        .collect();
    at.sort();
    let mut found = format!("{} of {tried}", at.len());
    if let Some(last) = at.last() {
        let median = at[at.len() / 2];
        found += &format!(", median {}, last {}", seconds(median), seconds(*last));
        let ways = figures.iter().filter(|(_, one)| one.signed_in.is_some());
        found += &format!(
            "; {}",
            tallied(ways.filter_map(|(_, one)| one.tried.last().copied()))
        );
    }
    (tried > 0).then_some((what, found))
}

/// `udp 80, tcp 20`.
fn tallied<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(word, count)| (std::cmp::Reverse(*count), *word));
    let words = counts.iter().map(|(word, count)| format!("{word} {count}"));
    words.collect::<Vec<_>>().join(", ")
}

/// How long the scenario lets the `number`th call between two parties last.
fn lasting(scenario: &Scenario, party: usize, with: &str, number: usize) -> Option<Duration> {
    let name = |number: usize| scenario.parties[number].name.as_str();
    let mut calls = scenario.actions.iter().filter_map(|action| {
        let What::Call {
            with: other,
            lasting,
            ..
        } = action.what
        else {
            return None;
        };
        let ends = [action.party, other];
        (ends.contains(&party) && ends.iter().any(|end| name(*end) == with)).then_some(lasting)
    });
    calls.nth(number)
}

/// A party's calls, each with how many it has had with the same party before.
fn numbered(figures: &Figures) -> Vec<(&CallFigures, usize)> {
    let calls = figures.calls.iter().enumerate();
    calls
        .map(|(at, call)| {
            let before = figures.calls[..at].iter();
            (call, before.filter(|other| other.with == call.with).count())
        })
        .collect()
}

/// Bytes a second of media that arrived, over the time that the call was to last.
fn arrival_rate(scenario: &Scenario, party: usize, call: &CallFigures, number: usize) -> f64 {
    let lasting = lasting(scenario, party, &call.with, number);
    lasting.map_or(0.0, |time| {
        call.received.bytes as f64 / time.as_secs_f64().max(0.001)
    })
}

fn calls_of_one(scenario: &Scenario, party: usize, figures: &Figures) -> Vec<(String, String)> {
    let calls = numbered(figures).into_iter().map(|(call, number)| {
        let again = match number {
            0 => String::new(),
            number => format!(" ({})", number + 1),
        };
        let what = format!("{} from {}{again}", call.kind, call.with);
        if call.set_up.is_none() && call.received.arrived == 0 {
            return (what, "no call".to_owned());
        }
        let found = format!(
            "{}, {} at {}, gap {}",
            call.path,
            percent(call.received.share()),
            rate(arrival_rate(scenario, party, call, number)),
            seconds(call.received.longest_gap),
        );
        (what, found)
    });
    calls.collect()
}

fn calls_of_many(scenario: &Scenario, figures: &[(usize, Figures)]) -> Option<(String, String)> {
    let calls: Vec<(usize, &CallFigures, usize)> = figures
        .iter()
        .flat_map(|(party, one)| {
            let calls = numbered(one).into_iter();
            calls.map(|(call, number)| (*party, call, number))
        })
        .collect();
    let on: Vec<_> = calls
        .iter()
        .filter(|(_, call, _)| call.received.arrived > 0)
        .collect();
    let mut found = format!("{} of {}", on.len(), calls.len());
    if !on.is_empty() {
        let mean = |of: &dyn Fn(&(usize, &CallFigures, usize)) -> f64| {
            on.iter().map(|one| of(one)).sum::<f64>() / on.len() as f64
        };
        let share = mean(&|(_, call, _)| call.received.share());
        let speed = mean(&|(party, call, number)| arrival_rate(scenario, *party, call, *number));
        let worst = on.iter().map(|(_, call, _)| call.received.share());
        let gap = on
            .iter()
            .map(|(_, call, _)| call.received.longest_gap)
            .max();
        found += &format!(
            ", {} (worst {}) at {}, gap at most {}; {}",
            percent(share),
            percent(worst.fold(1.0, f64::min)),
            rate(speed),
            seconds(gap.unwrap_or_default()),
            tallied(on.iter().map(|(_, call, _)| call.path)),
        );
    }
    (!calls.is_empty()).then(|| ("calls received".to_owned(), found))
}

fn is_whole(file: &FileFigures) -> bool {
    file.took.is_some() && file.arrived == file.bytes
}

fn files_of_one(figures: &Figures) -> Vec<(String, String)> {
    let files = figures.files.iter().enumerate().map(|(at, file)| {
        let before = figures.files[..at].iter();
        let before =
            before.filter(|other| other.with == file.with && other.sending == file.sending);
        let again = match before.count() {
            0 => String::new(),
            number => format!(" ({})", number + 1),
        };
        let direction = if file.sending { "to" } else { "from" };
        let what = format!("file {direction} {}{again}", file.with);
        let found = match file.took {
            Some(took) if is_whole(file) => {
                format!("{}, {} in {}", file.path, bytes(file.bytes), seconds(took))
            }
            _ if file.path == NO_PATH => "no file".to_owned(),
            _ => format!(
                "{}, {} of {}",
                file.path,
                bytes(file.arrived),
                bytes(file.bytes)
            ),
        };
        (what, found)
    });
    files.collect()
}

fn files_of_many(figures: &[(usize, Figures)]) -> Vec<(String, String)> {
    let mut things = Vec::new();
    for (what, sending) in [("files sent", true), ("files received", false)] {
        let files = figures.iter().flat_map(|(_, one)| &one.files);
        let files: Vec<_> = files.filter(|file| file.sending == sending).collect();
        let whole = files.iter().filter(|file| is_whole(file));
        let mut times: Vec<Duration> = whole.filter_map(|file| file.took).collect();
        times.sort();
        let arrived = files.iter().map(|file| file.arrived).sum();
        let mut found = format!(
            "{} of {} whole, {}",
            times.len(),
            files.len(),
            bytes(arrived)
        );
        if let Some(last) = times.last() {
            let median = times[times.len() / 2];
            found += &format!(", median {}, longest {}", seconds(median), seconds(*last));
        }
        if !files.is_empty() {
            things.push((what.to_owned(), found));
        }
    }
    things
}
