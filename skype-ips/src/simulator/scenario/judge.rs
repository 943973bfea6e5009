//! Whether parties achieved what was expected of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::model::{Expectation, Scenario, Wanted, What};
use super::vocabulary::{IfDropped, Path};
use crate::simulator::party::{CallFigures, Exchanges, Figures, FileFigures};

/// What one program achieved, and whose doing that was: the number of a party.
#[derive(Clone, Debug, PartialEq)]
pub struct Achieved {
    /// The party.
    pub party: usize,
    /// The program's figures.
    pub figures: Figures,
}

/// An expectation, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// The party's name.
    pub party: String,
    /// What was expected, in words.
    pub goal: String,
    /// Whether it is Skype that was to achieve it.
    pub skype: bool,
    /// What ought to become of it under a policy that drops Skype of all inside networks.
    pub if_dropped: IfDropped,
    /// Whether it was achieved.
    pub met: bool,
    /// What was achieved, in words.
    pub found: String,
}

/// Judges every expectation of a scenario by what all programs achieved.
pub fn judge(scenario: &Scenario, achieved: &[Achieved]) -> Vec<Goal> {
    let judge = Judge { scenario, achieved };
    let expectations = scenario.expectations.iter();
    expectations.map(|expected| judge.goal(expected)).collect()
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    scenario: &'a Scenario,
    achieved: &'a [Achieved],
}

impl<'a> Judge<'a> {
    fn goal(self, expected: &Expectation) -> Goal {
        let party = expected.party;
        let (met, found) = match &expected.goal {
            Wanted::SignedIn(wanted) => self.signed_in(party, *wanted),
            Wanted::Delivered(least) => self.delivered(party, *least),
            Wanted::LongestGap(most) => self.longest_gap(party, *most),
            Wanted::Path(paths) => self.paths(party, paths),
            Wanted::Files => self.files(party),
            Wanted::Relayed(least) => {
                let relayed = self.sum(party, |figures| figures.relayed_bytes);
                (relayed >= *least, bytes(relayed))
            }
            Wanted::SearchesAnswered(least) => {
                let asked = self.sum(party, |figures| figures.searches.asked);
                let answered = self.sum(party, |figures| figures.searches.answered);
                let wanted = self.searches(party);
                let met = reaches(answered, asked.max(wanted), *least);
                (met, format!("{answered} of {} answered", asked.max(wanted)))
            }
            Wanted::Served(least) => {
                let answered = self.sum(party, |figures| figures.served.answered);
                (answered >= *least, format!("{answered} answered"))
            }
            Wanted::Background(least) => self.background(party, *least),
        };
        Goal {
            party: self.name(party).to_owned(),
            goal: words(&expected.goal),
            skype: expected.goal.is_skypes(),
            if_dropped: expected.if_dropped,
            met,
            found,
        }
    }

    fn name(self, party: usize) -> &'a str {
        &self.scenario.parties[party].name
    }

    fn figures(self, party: usize) -> impl Iterator<Item = &'a Figures> {
        self.achieved
            .iter()
            .filter(move |achieved| achieved.party == party)
            .map(|achieved| &achieved.figures)
    }

    fn sum(self, party: usize, of: impl Fn(&Figures) -> u64) -> u64 {
        self.figures(party).map(of).sum()
    }

    fn signed_in(self, party: usize, wanted: bool) -> (bool, String) {
        let at = self.figures(party).find_map(|figures| figures.signed_in);
        let found = match at {
            Some(at) => format!("signed in after {}", seconds(at)),
            None => {
                let tried = self.figures(party).flat_map(|figures| &figures.tried);
                let tried: Vec<_> = tried.copied().collect();
                match tried.is_empty() {
                    true => "not signed in".into(),
                    false => format!("not signed in; tried {}", tried.join(", ")),
                }
            }
        };
        (at.is_some() == wanted, found)
    }

    /// How many calls, or files, `one` has with `other` by the scenario.
    fn ordered(self, one: usize, other: usize, wanted: fn(&What) -> Option<usize>) -> usize {
        let actions = self.scenario.actions.iter();
        let between = actions.filter(|action| {
            wanted(&action.what).is_some_and(|with| {
                (action.party, with) == (one, other) || (action.party, with) == (other, one)
            })
        });
        between.count()
    }

    /// Those that `party` has calls, or files, with.
    fn others(self, party: usize, wanted: fn(&What) -> Option<usize>) -> Vec<usize> {
        let actions = self.scenario.actions.iter();
        let others: BTreeSet<_> = actions
            .filter_map(|action| {
                let with = wanted(&action.what)?;
                match party {
                    _ if party == action.party => Some(with),
                    _ if party == with => Some(action.party),
                    _ => None,
                }
            })
            .collect();
        others.into_iter().collect()
    }

    fn calls_with(self, party: usize, other: usize) -> Vec<&'a CallFigures> {
        let name = self.name(other);
        let calls = self.figures(party).flat_map(|figures| &figures.calls);
        calls.filter(|call| call.with == name).collect()
    }

    /// A party's calls as both ends saw them; where an end saw none, `None`.
    fn calls(self, party: usize) -> Vec<[Option<&'a CallFigures>; 2]> {
        let mut calls = Vec::new();
        for other in self.others(party, call_with) {
            let (own, others) = (self.calls_with(party, other), self.calls_with(other, party));
            for number in 0..self.ordered(party, other, call_with).max(own.len()) {
                calls.push([own.get(number).copied(), others.get(number).copied()]);
            }
        }
        calls
    }

    fn delivered(self, party: usize, least: f64) -> (bool, String) {
        let calls = self.calls(party);
        let share = |end: &Option<&CallFigures>| end.map_or(0.0, |call| call.received.share());
        let shares: Vec<_> = calls
            .iter()
            .map(|ends| [share(&ends[0]), share(&ends[1])])
            .collect();
        let met = !calls.is_empty() && shares.iter().flatten().all(|share| *share >= least);
        let found = shares.iter().zip(&calls).map(|([own, other], ends)| {
            let path = ends[0].map_or("none", |call| call.path);
            match path {
                "none" | "" => "no call".to_owned(),
                path => format!("{} in, {} out by {path}", percent(*own), percent(*other)),
            }
        });
        (met, found.collect::<Vec<_>>().join("; "))
    }

    fn longest_gap(self, party: usize, most: Duration) -> (bool, String) {
        let calls = self.calls(party);
        let ends = calls.iter().flatten();
        let gaps: Option<Vec<_>> = ends
            .map(|end| {
                let received = end.as_ref()?.received;
                (received.arrived > 0).then_some(received.longest_gap)
            })
            .collect();
        match gaps.and_then(|gaps| gaps.into_iter().max()) {
            Some(longest) => (longest <= most, seconds(longest)),
            None => (false, "no call".into()),
        }
    }

    fn paths(self, party: usize, paths: &[Path]) -> (bool, String) {
        let calls = self.calls(party).into_iter();
        let calls = calls.map(|[own, _]| own.map_or("none", |call| call.path));
        let files = self.file_figures(party).into_iter();
        let files = files.map(|[own, _]| own.map_or("none", |file| file.path));
        let found: Vec<_> = calls.chain(files).collect();
        let wanted = |path: &&str| paths.iter().any(|wanted| wanted.word() == *path);
        let met = !found.is_empty() && found.iter().all(wanted);
        (met, found.join(", "))
    }

    /// A party's files as both ends saw them: this party's, the other's.
    fn file_figures(self, party: usize) -> Vec<[Option<&'a FileFigures>; 2]> {
        let mut files = Vec::new();
        let of = |one, other, sending| {
            let name = self.name(other);
            let files = self.figures(one).flat_map(|figures| &figures.files);
            let files = files.filter(move |file| file.with == name && file.sending == sending);
            files.collect::<Vec<_>>()
        };
        for other in self.others(party, file_to) {
            for sending in [true, false] {
                let (own, others) = (of(party, other, sending), of(other, party, !sending));
                let ordered = self.scenario.actions.iter().filter(|action| {
                    let (from, to) = match sending {
                        true => (party, other),
                        false => (other, party),
                    };
                    action.party == from && file_to(&action.what) == Some(to)
                });
                for number in 0..ordered.count().max(own.len()) {
                    files.push([own.get(number).copied(), others.get(number).copied()]);
                }
            }
        }
        files
    }

    fn files(self, party: usize) -> (bool, String) {
        let files = self.file_figures(party);
        let whole = |file: &Option<&FileFigures>| {
            file.is_some_and(|file| file.took.is_some() && file.arrived == file.bytes)
        };
        let met = !files.is_empty() && files.iter().flatten().all(whole);
        let found = files.iter().map(|[own, _]| match own {
            Some(file) => format!(
                "{} of {} by {}{}",
                bytes(file.arrived),
                bytes(file.bytes),
                file.path,
                file.took
                    .map_or_else(String::new, |took| format!(" in {}", seconds(took)))
            ),
            None => "no file".into(),
        });
        (met, found.collect::<Vec<_>>().join("; "))
    }

    /// How many questions a party is told to ask.
    fn searches(self, party: usize) -> u64 {
        let actions = self.scenario.actions.iter();
        let own = actions.filter(|action| action.party == party);
        own.filter_map(|action| match action.what {
            What::Search { count, .. } => Some(u64::from(count)),
            _ => None,
        })
        .sum()
    }

    fn background(self, party: usize, least: f64) -> (bool, String) {
        let begun = |kind: &&Exchanges| kind.begun > 0;
        let busy = self.figures(party);
        let busy = busy.filter(|figures| figures.exchanges.iter().any(|kind| begun(&kind)));
        // Servers begin nothing; what they serve has its goal at the client.
        let member = &self.scenario.parties[party];
        let ordered = member.runs.len() + member.serves.len();
        let idle =
            (ordered + usize::from(member.kind.is_look_alike())).saturating_sub(busy.count());
        let kinds = self.figures(party).flat_map(|figures| &figures.exchanges);
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for kind in kinds.filter(begun) {
            let (done, begun) = sums.entry(kind.what).or_default();
            *done += kind.done;
            *begun += kind.begun;
        }
        let whole = |(done, begun): &(u64, u64)| reaches(*done, *begun, least);
        let met = idle == 0 && sums.values().all(whole);
        let mut found: Vec<_> = sums
            .iter()
            .map(|(what, (done, begun))| format!("{what} {done} of {begun}"))
            .collect();
        if idle > 0 {
            found.push(format!("{idle} of its programs began nothing"));
        }
        (met, found.join(", "))
    }
}

fn call_with(what: &What) -> Option<usize> {
    match what {
        What::Call { with, .. } => Some(*with),
        _ => None,
    }
}

fn file_to(what: &What) -> Option<usize> {
    match what {
        What::SendFile { to, .. } => Some(*to),
        _ => None,
    }
}

/// Whether `done` is at least that share of `all`.
fn reaches(done: u64, all: u64, least: f64) -> bool {
    all > 0 && done as f64 >= least * all as f64
}

/// A goal in the words of the scenario language.
fn words(goal: &Wanted) -> String {
    match goal {
        Wanted::SignedIn(true) => "signed in".into(),
        Wanted::SignedIn(false) => "not signed in".into(),
        Wanted::Delivered(least) => format!("calls delivered {}", percent(*least)),
        Wanted::LongestGap(most) => format!("no gap over {}", seconds(*most)),
        Wanted::Path(paths) => {
            let paths: Vec<_> = paths.iter().map(|path| path.word()).collect();
            format!("path {}", paths.join(" or "))
        }
        Wanted::Files => "files whole".into(),
        Wanted::Relayed(least) => format!("relayed {}", bytes(*least)),
        Wanted::SearchesAnswered(least) => format!("searches answered {}", percent(*least)),
        Wanted::Served(least) => format!("{least} questions answered"),
        Wanted::Background(least) => format!("background {}", percent(*least)),
    }
}

/// Rounded down, so that only all is 100 %.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1000.0 + 1e-6).floor() / 10.0)
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} KB", count as f64 / 1e3),
        _ => format!("{:.2} MB", count as f64 / 1e6),
    }
}
