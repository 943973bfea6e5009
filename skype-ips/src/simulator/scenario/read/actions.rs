//! Reads `[[action]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use super::super::language::{
    ACTION, ACTION_TABLE, AT, BYTES, DO, FOR, OVER, SPREAD, TIMES, TO, VIDEO, WHO, WITH,
};
use super::super::model::{Action, What};
use super::super::vocabulary::{Deed, Kind};
use super::names::Names;
use super::parties::Party;
use crate::toml_file::{Key, Quantity, Rate, Reader, Size, listed, quantity, quoted, seconds};

/// Most actions of a scenario, of each party by itself.
const MAX_ACTIONS: usize = 10_000;

/// The keys of all actions.
const COMMON: &[&Key] = &[&AT, &WHO, &DO, &SPREAD];

/// What an action takes beside, and must have.
const fn takes(deed: Deed) -> &'static [&'static Key] {
    match deed {
        Deed::SignIn | Deed::SignOut => &[],
        Deed::Call => &[&WITH, &FOR],
        Deed::SendFile => &[&TO, &BYTES],
        Deed::Search => &[&TIMES, &OVER],
        Deed::Chat => &[&WITH, &FOR],
        Deed::Run => &[&FOR],
    }
}

/// An action, and where its parts stand, for what is said about them later.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) action: Action,
    /// Its party.
    who: Range<usize>,
    /// The other party.
    other: Range<usize>,
}

/// All actions, in the order of the file, of each party by itself.
pub(super) fn read<'s>(
    reader: &mut Reader<'s>,
    root: &DeTable<'s>,
    end: Option<Duration>,
    parties: &[Party],
    names: &Names,
) -> Vec<Read> {
    let members: Vec<_> = parties
        .iter()
        .flat_map(|party| std::iter::repeat_n(party, party.count()))
        .collect();
    let mut list = Vec::new();
    for (table, header) in reader.tables(root, &ACTION) {
        reader.keys(table, &ACTION_TABLE);
        let mut action = ActionReader {
            reader,
            table,
            header: header.clone(),
            end,
            members: &members,
            names,
        };
        let more = action.read();
        if list.len() + more.len() > MAX_ACTIONS {
            let message = format!("more than {MAX_ACTIONS} actions, of each party by itself");
            reader.error(header, message, "take some out, or name fewer parties");
            break;
        }
        list.extend(more);
    }
    out_of_order(reader, &list, &members);
    list
}

struct ActionReader<'r, 's, 'v, 'p> {
    reader: &'r mut Reader<'s>,
    table: &'v DeTable<'s>,
    header: Range<usize>,
    end: Option<Duration>,
    members: &'p [&'p Party],
    names: &'p Names,
}

impl ActionReader<'_, '_, '_, '_> {
    fn read(&mut self) -> Vec<Read> {
        self.required(&[&AT, &WHO, &DO]);
        let spread = self.quantity::<Duration>(&SPREAD).unwrap_or_default();
        let at = self.at(spread);
        let who = self
            .reader
            .one_or_more(self.table, &WHO)
            .unwrap_or_default();
        let parties = self.names.all(self.reader, &who);
        let who_at = match (who.first(), who.last()) {
            (Some(first), Some(last)) => first.span().start..last.span().end,
            _ => self.header.clone(),
        };
        let Some(deed) = self.reader.word::<Deed>(self.table, &DO) else {
            return Vec::new();
        };
        let deed = deed.into_inner();
        self.fitting(deed);
        let able = self.able(deed, &parties, &who_at);
        let (others, other_at) = self.others(deed, &parties);
        let whats = self.whats(deed, at, spread, &others, parties.len());
        let (Some(at), true, Some(whats)) = (at, able, whats) else {
            return Vec::new();
        };
        parties
            .into_iter()
            .zip(whats)
            .map(|(party, what)| Read {
                action: Action {
                    at,
                    spread,
                    party,
                    what,
                },
                who: who_at.clone(),
                other: other_at.clone(),
            })
            .collect()
    }

    fn required(&mut self, keys: &[&Key]) {
        for key in keys {
            if !self.table.contains_key(key.name) {
                let message = format!("this action has no `{}`", key.name);
                self.reader.missing(self.header.clone(), message, key);
            }
        }
    }

    fn quantity<Q: Quantity>(&mut self, key: &Key) -> Option<Q> {
        let value = self.reader.parsed(self.table, key, quantity::<Q>)?;
        Some(value.into_inner())
    }

    /// When it begins, if that is within the scenario.
    fn at(&mut self, spread: Duration) -> Option<Duration> {
        let end = self.end.unwrap_or(Duration::MAX);
        let until = match self.end {
            Some(end) => format!("write a time from \"0 s\" to the end, \"{}\"", seconds(end)),
            None => "write a time from \"0 s\" on".into(),
        };
        let at = self.reader.parsed(self.table, &AT, |text| {
            if text.trim().starts_with('-') {
                let message = format!(
                    "an action in the past: {} is before the start",
                    quoted(text)
                );
                return Err((message, until.clone()));
            }
            let at = quantity::<Duration>(text)?;
            if at >= end {
                let message = format!("{} is after the end of the scenario", quoted(text));
                return Err((message, until.clone()));
            }
            Ok(at)
        })?;
        let last = at.get_ref().saturating_add(spread);
        if let Some((key, said)) = self
            .table
            .get_key_value(SPREAD.name)
            .filter(|_| last >= end)
        {
            let message = format!("`{}` reaches over the end of the scenario", key.get_ref());
            let help = format!("write less than \"{}\"", seconds(end - *at.get_ref()));
            self.reader.error(said.span(), message, help);
        }
        Some(at.into_inner())
    }

    /// Reports keys that the action doesn't take, and those that it lacks.
    fn fitting(&mut self, deed: Deed) {
        let mut own = takes(deed).to_vec();
        self.required(&own);
        if deed == Deed::Call {
            own.push(&VIDEO);
        }
        for key in ACTION_TABLE.without(COMMON) {
            let Some((said, _)) = self.table.get_key_value(key.name) else {
                continue;
            };
            if !own.iter().any(|own| own.name == key.name) {
                let message = format!("`{}` means nothing to `{deed}`", key.name);
                let help = match &own[..] {
                    [] => "remove it".to_owned(),
                    own => {
                        let own = own.iter().map(|key| format!("`{}`", key.name));
                        format!("remove it; `{deed}` takes {}", listed(own, "and"))
                    }
                };
                self.reader.error(said.span(), message, help);
            }
        }
    }

    /// Whether the parties can do that at all.
    fn able(&mut self, deed: Deed, parties: &[usize], at: &Range<usize>) -> bool {
        for party in parties {
            let party = self.members[*party];
            let Some(kind) = party.kind else {
                return false;
            };
            let name = quoted(&party.name);
            let (able, help) = match deed {
                Deed::Run => (
                    !party.runs.is_empty() || !party.serves.is_empty() || kind.is_look_alike(),
                    "give it `runs`, with what it is to run",
                ),
                _ => (
                    kind == Kind::Client || party.has_user,
                    "name a party of kind `client`",
                ),
            };
            if !able {
                let message = match deed {
                    Deed::Run => format!("{name} has nothing to run"),
                    _ => format!("{name} can't {deed}: it is a {kind}"),
                };
                self.reader.error(at.clone(), message, help);
                return false;
            }
        }
        true
    }

    /// Whom each of `parties` calls, writes or sends to.
    fn others(&mut self, deed: Deed, parties: &[usize]) -> (Vec<usize>, Range<usize>) {
        let key = match deed {
            Deed::Call | Deed::Chat => &WITH,
            Deed::SendFile => &TO,
            _ => return (Vec::new(), self.header.clone()),
        };
        let said = self.reader.one_or_more(self.table, key).unwrap_or_default();
        let at = match (said.first(), said.last()) {
            (Some(first), Some(last)) => first.span().start..last.span().end,
            _ => return (Vec::new(), self.header.clone()),
        };
        let found = self.names.all(self.reader, &said);
        let others = match found[..] {
            [one] => vec![one; parties.len()],
            _ if found.len() == parties.len() => found,
            [] => return (Vec::new(), at),
            // That a party is unknown has been said.
            _ if parties.is_empty() => return (Vec::new(), at),
            _ => {
                let message = format!(
                    "{} parties and {} others: who belongs to whom?",
                    parties.len(),
                    found.len()
                );
                let help = format!("name one party in `{}`, or as many", key.name);
                self.reader.error(at.clone(), message, help);
                return (Vec::new(), at);
            }
        };
        for (party, other) in parties.iter().zip(&others) {
            let kind = self.members[*other].kind;
            if party == other {
                let message = format!(
                    "{} would {} itself",
                    quoted(&self.members[*other].name),
                    match deed {
                        Deed::Call => "call",
                        Deed::Chat => "write to",
                        _ => "send a file to",
                    }
                );
                self.reader.error(at.clone(), message, "name somebody else");
                return (Vec::new(), at);
            }
            if kind.is_some_and(|kind| kind != Kind::Client) {
                let message = format!(
                    "{} is no user of Skype, but a {}",
                    quoted(&self.members[*other].name),
                    kind.map_or("", Kind::word)
                );
                self.reader
                    .error(at.clone(), message, "name a party of kind `client`");
                return (Vec::new(), at);
            }
        }
        (others, at)
    }

    /// What each of `count` parties does.
    fn whats(
        &mut self,
        deed: Deed,
        at: Option<Duration>,
        spread: Duration,
        others: &[usize],
        count: usize,
    ) -> Option<Vec<What>> {
        let all = |what: What| Some(vec![what; count]);
        match deed {
            Deed::SignIn => all(What::SignIn),
            Deed::SignOut => all(What::SignOut),
            Deed::Call => {
                let lasting = self.lasting(&FOR, at, spread)?;
                let video = self.quantity::<Rate>(&VIDEO).map(|Rate(rate)| rate);
                let others = others.iter();
                let calls = others.map(|with| What::Call {
                    with: *with,
                    lasting,
                    video,
                });
                Some(calls.collect())
            }
            Deed::Chat => {
                let lasting = self.lasting(&FOR, at, spread)?;
                let others = others.iter();
                let chats = others.map(|with| What::Chat {
                    with: *with,
                    lasting,
                });
                Some(chats.collect())
            }
            Deed::SendFile => {
                let Size(bytes) = self.quantity::<Size>(&BYTES)?;
                if let Some(said) = self.table.get(BYTES.name).filter(|_| bytes == 0) {
                    let message = "an empty file";
                    self.reader
                        .error(said.span(), message, "write at least \"1 B\"");
                }
                let others = others.iter();
                let files = others.map(|to| What::SendFile { to: *to, bytes });
                Some(files.collect())
            }
            Deed::Search => {
                let times = self.reader.integer(self.table, &TIMES, 1..=10_000);
                let over = self.lasting(&OVER, at, spread)?;
                all(What::Search {
                    count: times?.into_inner(),
                    over,
                })
            }
            Deed::Run => {
                let lasting = self.lasting(&FOR, at, spread)?;
                all(What::Run { lasting })
            }
        }
    }

    /// How long it takes; odd if that is over the end.
    fn lasting(&mut self, key: &Key, at: Option<Duration>, spread: Duration) -> Option<Duration> {
        let lasting = self.reader.parsed(self.table, key, quantity::<Duration>)?;
        let span = lasting.span();
        let lasting = lasting.into_inner();
        if lasting.is_zero() {
            self.reader.error(
                span,
                format!("`{}` is no time at all", key.name),
                format!("write it like {}", key.example),
            );
            return None;
        }
        if let (Some(at), Some(end)) = (at, self.end) {
            let over = (at + spread + lasting).saturating_sub(end);
            if !over.is_zero() && at < end {
                let message = format!("the scenario ends {} before this does", seconds(over));
                let help =
                    "end it sooner, begin it earlier, or give the scenario a longer `duration`";
                self.reader.warning(span, message, help);
            }
        }
        Some(lasting)
    }
}

/// Warns of what can't come about because somebody isn't signed in by then.
fn out_of_order(reader: &mut Reader<'_>, list: &[Read], members: &[&Party]) {
    let mut said = BTreeSet::new();
    let mut signed_in: BTreeMap<usize, Duration> = BTreeMap::new();
    for Read { action, .. } in list {
        if action.what == What::SignIn {
            let first = signed_in.entry(action.party).or_insert(action.at);
            *first = action.at.min(*first);
        }
    }
    for read in list {
        let other = match &read.action.what {
            What::Call { with, .. } | What::Chat { with, .. } => Some(*with),
            What::SendFile { to, .. } => Some(*to),
            What::Search { .. } | What::SignOut => None,
            What::SignIn | What::Run { .. } => continue,
        };
        let signs_in = |party: &usize| {
            let first = signed_in.get(party);
            first.is_some_and(|first| *first <= read.action.at)
        };
        let absent = [(Some(read.action.party), &read.who), (other, &read.other)];
        for (party, at) in absent {
            if let Some(party) = party.filter(|party| !signs_in(party))
                && said.insert((at.start, &members[party].name))
            {
                let message = format!("{} isn't signed in by then", quoted(&members[party].name));
                let help = "let it `sign-in` before, or this can't come about";
                reader.warning(at.clone(), message, help);
            }
        }
    }
}
