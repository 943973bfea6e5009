//! Whether users reached what the policy lets them set out for, and none of what it stops.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::super::outcome::Played;
use super::super::rows::Unit;
use super::super::words::{percent, seconds};
use super::strand::Strand;
use super::{ALLOWED, Promise};
use crate::policy::{Class, Role};
use crate::simulator::party::{CallFigures, Figures, FileFigures};
use crate::simulator::scenario::{Nat, Scenario, judge};

/// What a policy makes of something that a user sets out for.
#[derive(Clone, Debug, PartialEq)]
enum Word {
    /// It must come about as without a daemon.
    Free(Option<String>),
    /// It must not come about.
    Stopped(Option<String>),
    /// Either may come, for this reason.
    Open(String),
}

/// A run: what was reached, and what conversations did.
type Run<'a> = (&'a Played, &'a [Strand<'a>]);

/// A row for each thing that the members of a unit set out for.
pub(super) fn rows(
    scenario: &Scenario,
    unit: &Unit,
    (plain, before): Run<'_>,
    (under, _): Run<'_>,
) -> Vec<Promise> {
    let mut rows = Vec::new();
    for party in &unit.members {
        let (then, now) = (plain.figures(*party), under.figures(*party));
        let name = &scenario.parties[*party].name;
        let need =
            |classes: &[Class], with: Option<&str>| word(scenario, before, *party, classes, with);
        let mut add = |what: String, word: Word, seen: String, good: bool, came: bool| {
            let (policy, said, kept, why) = match word {
                Word::Free(policy) => (policy, "as without", Some(good), None),
                Word::Stopped(policy) => (policy, "stopped", Some(!came), None),
                Word::Open(why) => (None, "-", None, Some(why)),
            };
            rows.push(Promise {
                party: name.clone(),
                what,
                policy,
                word: said.to_owned(),
                seen,
                kept,
                why,
            });
        };
        if then.signed_in.is_some() {
            let seen = now
                .signed_in
                .map_or("no".to_owned(), |at| format!("after {}", seconds(at)));
            let signed_in = now.signed_in.is_some();
            add(
                "signs in".to_owned(),
                need(&[], None),
                seen,
                signed_in,
                signed_in,
            );
        }
        for (number, call) in then.calls.iter().enumerate() {
            let class = match call.kind {
                "video" => Class::Video,
                _ => Class::Voice,
            };
            let (what, seen, good, came) = compared(call, nth_call(&now, &then, number));
            add(what, need(&[class], Some(&call.with)), seen, good, came);
        }
        for (number, file) in then.files.iter().enumerate() {
            let (what, seen, good, came) = copied(file, now.files.get(number));
            let word = need(&[Class::FileTransfer], Some(&file.with));
            add(what, word, seen, good, came);
        }
        if then.searches.answered > 0 {
            let share = |figures: &Figures| {
                figures.searches.answered as f64 / (figures.searches.asked as f64).max(1.0)
            };
            let good = share(&now) >= share(&then) - ALLOWED;
            let seen = format!(
                "{} of {} answered",
                now.searches.answered, now.searches.asked
            );
            add(
                "asks the directory".to_owned(),
                need(&[], None),
                seen,
                good,
                now.searches.answered > 0,
            );
        }
    }
    summed(unit, rows)
}

/// A row for the everyday traffic of members: it is not Skype's, whatever else they have, so no policy
/// touches it.
pub(super) fn everyday(scenario: &Scenario, unit: &Unit, under: &Played) -> Vec<Promise> {
    let mut rows = Vec::new();
    let goals = judge(scenario, &under.achieved).into_iter();
    for goal in goals.filter(|goal| !goal.skype) {
        let mut members = unit.members.iter().map(|one| &scenario.parties[*one]);
        let Some(party) = members.find(|party| party.name == goal.party) else {
            continue;
        };
        let serves: Vec<_> = party.serves.iter().map(|one| one.word()).collect();
        rows.push(Promise {
            party: goal.party,
            what: match serves[..] {
                [] => "everyday traffic".to_owned(),
                _ => format!("everyday traffic, serves {}", serves.join(", ")),
            },
            policy: None,
            word: "untouched".to_owned(),
            seen: goal.found,
            kept: Some(goal.met),
            why: None,
        });
    }
    summed(unit, rows)
}

/// The rows of a group as one for each thing, with its worst member's figures.
fn summed(unit: &Unit, rows: Vec<Promise>) -> Vec<Promise> {
    if unit.members.len() == 1 {
        return rows;
    }
    let mut summed: Vec<(Promise, u64, u64)> = Vec::new();
    for mut row in rows {
        // Members of groups call each another one.
        let what = row.what.split(" with ").next().unwrap_or_default();
        row.what = what.to_owned();
        let like = summed.iter_mut().find(|(known, ..)| {
            (&known.what, &known.word, &known.policy, &known.why)
                == (&row.what, &row.word, &row.policy, &row.why)
        });
        let good = u64::from(row.kept != Some(false));
        match like {
            Some((known, all, kept)) => {
                *all += 1;
                *kept += good;
                if known.kept == Some(true) && row.kept == Some(false) {
                    *known = row;
                }
            }
            None => summed.push((row, 1, good)),
        }
    }
    let rows = summed.into_iter().map(|(row, all, kept)| {
        let seen = match row.kept {
            None => format!("{all} of them"),
            Some(true) => format!("{kept} of {all} as promised"),
            Some(false) => format!("{kept} of {all} as promised; {}: {}", row.party, row.seen),
        };
        Promise {
            party: unit.name.clone(),
            seen,
            ..row
        }
    });
    rows.collect()
}

/// What a policy makes of what a party sets out for: what it needs is, by the run without a daemon,
/// its talk with the service and super nodes, and conversations of `classes`.
fn word(
    scenario: &Scenario,
    before: &[Strand<'_>],
    party: usize,
    classes: &[Class],
    with: Option<&str>,
) -> Word {
    const TALK: [Class; 2] = [Class::Login, Class::Signaling];
    let needs = |class: Class| TALK.contains(&class) || classes.contains(&class);
    let of = |party: usize| {
        before.iter().filter(move |strand| {
            strand.role == Role::Client
                && needs(strand.class)
                && (strand.party == party || strand.other == Some(party))
        })
    };
    // Others come to its port as well: that is nothing it needs, but for a call.
    let own =
        of(party).filter(|strand| !(strand.is_called_connection() && TALK.contains(&strand.class)));
    let partner = with.and_then(|with| scenario.parties.iter().position(|one| one.name == with));
    let direct = |strand: &Strand<'_>| {
        partner
            .is_some_and(|partner| *strand.conversation.outside.ip() == seen_as(scenario, partner))
    };
    let own: Vec<&Strand<'_>> = own.collect();
    let straight = own
        .iter()
        .any(|one| classes.contains(&one.class) && direct(one));
    let own: Vec<&Strand<'_>> = own
        .into_iter()
        .filter(|one| !straight || TALK.contains(&one.class) || direct(one))
        .collect();
    let policy = own.iter().find_map(|strand| strand.decision.policy.clone());
    let talk: Vec<_> = own
        .iter()
        .filter(|strand| TALK.contains(&strand.class))
        .collect();
    let media: Vec<_> = own
        .iter()
        .filter(|strand| classes.contains(&strand.class))
        .collect();
    let stopped = |strands: &[&&Strand<'_>]| {
        let mut some = strands.iter().peekable();
        some.peek().is_some()
            && some.all(|strand| strand.decision.action.stops() && strand.decision.doubt.is_none())
    };
    if stopped(&talk) {
        return Word::Stopped(policy);
    }
    if let Some(strand) = own.iter().find(|strand| !strand.decision.is_free()) {
        let class = strand.class.word();
        return Word::Open(format!("{} is under {}", class, strand.decision.word()));
    }
    if !classes.is_empty() && media.is_empty() {
        return Word::Open("it takes no way through the gateway".to_owned());
    }
    // Whoever takes part inside must be let be too, and whoever serves those who take part.
    let inside = own
        .iter()
        .flat_map(|strand| [Some(strand.party), strand.other])
        .flatten();
    let mut others: BTreeSet<usize> = inside.filter(|other| *other != party).collect();
    others.extend(partner.filter(|partner| scenario.is_inside(*partner)));
    let held = |other: &usize| of(*other).find(|strand| !strand.decision.is_free());
    if let Some((other, strand)) = others.iter().find_map(|other| Some((other, held(other)?))) {
        let name = &scenario.parties[*other].name;
        return Word::Open(format!("{name} is under {}", strand.decision.word()));
    }
    if let Some(partner) = partner.filter(|partner| !scenario.is_inside(*partner)) {
        let outside = seen_as(scenario, partner);
        let served = before.iter().find(|strand| {
            *strand.conversation.outside.ip() == outside
                && strand.party != party
                && strand.role != Role::Client
                && !strand.decision.is_free()
        });
        if let Some(strand) = served {
            let name = &scenario.parties[strand.party].name;
            let partner = &scenario.parties[partner].name;
            return Word::Open(format!("{partner} is served by {name}, which is stopped"));
        }
    }
    Word::Free(policy)
}

/// The address under which others see a party that is outside.
pub(super) fn seen_as(scenario: &Scenario, party: usize) -> Ipv4Addr {
    match scenario.networks[scenario.parties[party].network].nat {
        Nat::Home { address, .. } => address,
        Nat::None | Nat::Gateway => scenario.parties[party].address,
    }
}

/// The call of `now` that is the `number`th one of `then`.
fn nth_call<'a>(now: &'a Figures, then: &Figures, number: usize) -> Option<&'a CallFigures> {
    let with = &then.calls[number].with;
    let before = then.calls[..number]
        .iter()
        .filter(|call| call.with == *with)
        .count();
    now.calls
        .iter()
        .filter(|call| call.with == *with)
        .nth(before)
}

/// A call against the same without a daemon: its name, what came of it, whether that is as good, and
/// whether it came about at all.
fn compared(then: &CallFigures, now: Option<&CallFigures>) -> (String, String, bool, bool) {
    let what = format!("own {} with {}", then.kind, then.with);
    let share = now.map_or(0.0, |call| call.received.share());
    let before = then.received.share();
    let seen = match now {
        Some(call) if call.received.arrived > 0 => format!(
            "{} arrives by {}, {} without",
            percent(share),
            call.path,
            percent(before)
        ),
        _ => "no call".to_owned(),
    };
    let came = now.is_some_and(|call| call.received.arrived > 0);
    (what, seen, share >= before - ALLOWED, came)
}

/// A file, in the same way.
fn copied(then: &FileFigures, now: Option<&FileFigures>) -> (String, String, bool, bool) {
    let what = format!("own file with {}", then.with);
    let share = |file: &FileFigures| file.arrived as f64 / (file.bytes as f64).max(1.0);
    let (before, after) = (share(then), now.map_or(0.0, share));
    let seen = format!("{} is there, {} without", percent(after), percent(before));
    (what, seen, after >= before - ALLOWED, after > 0.0)
}
