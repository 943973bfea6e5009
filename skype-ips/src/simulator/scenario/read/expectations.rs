//! Reads `[[expect]]`, and says what is expected where the file doesn't.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::super::language::{
    BACKGROUND, DELIVERED, EXPECT, EXPECT_TABLE, FILE_STATE, IF_DROPPED, LONGEST_GAP, PATH,
    RELAYED, SEARCHES_ANSWERED, SERVED, SIGNED_IN, WHO,
};
use super::super::model::{Action, Expectation, Link, Settings, Wanted, What};
use super::super::vocabulary::{IfDropped, Kind, Path};
use super::Named;
use super::names::Names;
use super::networks::Network;
use super::parties::Party;
use crate::toml_file::{Reader, Share, Size, Word, quantity, quoted};

/// Most expectations of a file, of each party by itself.
const MAX_EXPECTATIONS: usize = 10_000;

/// The share that arrives of a call, and that is answered of questions, if nothing is wrong.
const NEARLY_ALL: f64 = 0.95;

/// What can be said of files: that every byte has arrived.
#[derive(Clone, Copy, Debug)]
struct Whole;

impl Word for Whole {
    const WORDS: &'static [Self] = &[Self];

    fn as_word(self) -> &'static str {
        "whole"
    }
}

/// What expectations are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cast<'a> {
    pub(super) networks: &'a [Named<Network>],
    pub(super) links: &'a [Named<Link>],
    /// Each member by itself.
    pub(super) members: &'a [&'a Party],
    pub(super) actions: &'a [Action],
}

/// What is expected of whom, in the order of the file, then what goes without saying.
pub(super) fn read<'s>(
    reader: &mut Reader<'s>,
    root: &DeTable<'s>,
    names: &Names,
    cast: Cast<'_>,
) -> Vec<Expectation> {
    let mut list = Vec::new();
    for (table, header) in reader.tables(root, &EXPECT) {
        reader.keys(table, &EXPECT_TABLE);
        let more = expectation(reader, table, &header, names, cast);
        if list.len() + more.len() > MAX_EXPECTATIONS {
            let message =
                format!("more than {MAX_EXPECTATIONS} expectations, of each party by itself");
            reader.error(header, message, "take some out, or name fewer parties");
            break;
        }
        list.extend(more);
    }
    natural(cast, &mut list);
    list
}

fn expectation(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    header: &Range<usize>,
    names: &Names,
    cast: Cast<'_>,
) -> Vec<Expectation> {
    if !table.contains_key(WHO.name) {
        let message = "this expects something of nobody".into();
        reader.missing(header.clone(), message, &WHO);
    }
    let who = reader.one_or_more(table, &WHO).unwrap_or_default();
    let parties = names.all(reader, &who);
    let if_dropped = reader.word::<IfDropped>(table, &IF_DROPPED);
    let goals = goals(reader, table);
    let keys = EXPECT_TABLE.without(&[&WHO, &IF_DROPPED]);
    if keys.into_iter().all(|key| !table.contains_key(key.name)) {
        let message = "this expects nothing";
        let help = format!("add what is to be achieved, such as {}", SIGNED_IN.example);
        reader.error(header.clone(), message, help);
    }
    let mut list = Vec::new();
    for (goal, at) in goals {
        for party in &parties {
            if let Some((message, help)) = idle(cast, *party, &goal) {
                reader.error(at.clone(), message, help);
                break;
            }
            let said = if_dropped.as_ref().map(|said| *said.get_ref());
            list.push(Expectation {
                party: *party,
                if_dropped: said.unwrap_or_else(|| cast.if_dropped(*party, &goal)),
                goal: goal.clone(),
            });
        }
    }
    list
}

/// The goals that a table says, and where.
fn goals(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Vec<(Wanted, Range<usize>)> {
    let mut goals = Vec::new();
    let mut add = |goal: Option<Spanned<Wanted>>| {
        goals.extend(goal.map(|goal| (goal.clone().into_inner(), goal.span())));
    };
    let share = |reader: &mut Reader<'_>, key, goal: fn(f64) -> Wanted| {
        let share = reader.parsed(table, key, quantity::<Share>)?;
        Some(Spanned::new(share.span(), goal(share.into_inner().0)))
    };
    let signed_in = reader.boolean(table, &SIGNED_IN);
    add(signed_in.map(|said| Spanned::new(said.span(), Wanted::SignedIn(said.into_inner()))));
    add(share(reader, &DELIVERED, Wanted::Delivered));
    let gap = reader.parsed(table, &LONGEST_GAP, quantity::<Duration>);
    add(gap.map(|gap| Spanned::new(gap.span(), Wanted::LongestGap(gap.into_inner()))));
    add(path(reader, table));
    let whole = reader.word::<Whole>(table, &FILE_STATE);
    add(whole.map(|whole| Spanned::new(whole.span(), Wanted::Files)));
    let relayed = reader.parsed(table, &RELAYED, quantity::<Size>);
    add(relayed.map(|size| Spanned::new(size.span(), Wanted::Relayed(size.into_inner().0))));
    add(share(reader, &SEARCHES_ANSWERED, Wanted::SearchesAnswered));
    let served = reader.integer(table, &SERVED, 1..=u32::MAX);
    add(served.map(|served| {
        Spanned::new(
            served.span(),
            Wanted::Served(u64::from(served.into_inner())),
        )
    }));
    add(share(reader, &BACKGROUND, Wanted::Background));
    goals
}

fn path(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Spanned<Wanted>> {
    let at = table.get(PATH.name)?.span();
    let paths: Vec<Path> = reader
        .words(table, &PATH)?
        .into_iter()
        .map(Spanned::into_inner)
        .collect();
    Some(Spanned::new(at, Wanted::Path(paths)))
}

/// Why a party can't achieve a goal whatever happens, and what to do.
fn idle(cast: Cast<'_>, party: usize, goal: &Wanted) -> Option<(String, &'static str)> {
    let member = cast.members[party];
    let says = |wanted: fn(&What) -> bool| {
        let own = cast.actions.iter().filter(|action| action.party == party);
        own.map(|action| &action.what).any(wanted)
    };
    let calls = || cast.others(party, true, false).next().is_some();
    let files = || cast.others(party, false, true).next().is_some();
    let serves = |wanted: fn(&super::super::model::SuperNode) -> bool| matches!(&member.settings, Settings::SuperNode(node) if wanted(node));
    let (able, what, help) = match goal {
        Wanted::SignedIn(_) => (
            says(|what| *what == What::SignIn),
            "never signs in",
            "add an action with do = \"sign-in\"",
        ),
        Wanted::Delivered(_) | Wanted::LongestGap(_) => {
            (calls(), "has no call", "add an action with do = \"call\"")
        }
        Wanted::Path(_) => (
            calls() || files(),
            "has neither calls nor files",
            "add an action with do = \"call\"",
        ),
        Wanted::Files => (
            files(),
            "has no file to send or to receive",
            "add an action with do = \"send-file\"",
        ),
        Wanted::SearchesAnswered(_) => (
            says(|what| matches!(what, What::Search { .. })),
            "asks nothing",
            "add an action with do = \"search\"",
        ),
        Wanted::Relayed(_) => (
            serves(|node| node.relay),
            "relays nothing",
            "make it a super-node with relay = true",
        ),
        Wanted::Served(_) => (
            serves(|node| node.directory),
            "answers no questions",
            "make it a super-node with directory = true",
        ),
        Wanted::Background(_) => (
            has_background(member),
            "has no everyday traffic",
            "give it `runs`",
        ),
    };
    (!able).then(|| (format!("{} {what}", quoted(&member.name)), help))
}

fn has_background(party: &Party) -> bool {
    let of_kind = |kind: Kind| kind.is_look_alike() || kind == Kind::InternetHost;
    !party.runs.is_empty() || !party.serves.is_empty() || party.kind.is_some_and(of_kind)
}

/// Adds what parties with actions and everyday traffic are expected to achieve if the file expects
/// nothing of them.
fn natural(cast: Cast<'_>, list: &mut Vec<Expectation>) {
    let said = list.clone();
    for (party, member) in cast.members.iter().enumerate() {
        let own = || said.iter().filter(|said| said.party == party);
        let mut goals = Vec::new();
        if !own().any(|said| said.goal.is_skypes()) {
            for action in cast.actions.iter().filter(|action| action.party == party) {
                let goal = match action.what {
                    What::SignIn => Wanted::SignedIn(true),
                    What::Call { .. } => Wanted::Delivered(NEARLY_ALL),
                    What::SendFile { .. } => Wanted::Files,
                    What::Search { .. } => Wanted::SearchesAnswered(NEARLY_ALL),
                    What::SignOut | What::Chat { .. } | What::Run { .. } => continue,
                };
                if !goals.contains(&goal) {
                    goals.push(goal);
                }
            }
        }
        if has_background(member) && !own().any(|said| !said.goal.is_skypes()) {
            goals.push(Wanted::Background(cast.background(member)));
        }
        list.extend(goals.into_iter().map(|goal| Expectation {
            party,
            if_dropped: cast.if_dropped(party, &goal),
            goal,
        }));
    }
}

impl<'a> Cast<'a> {
    /// The other ends of a party's calls and files, whoever began.
    fn others(self, party: usize, calls: bool, files: bool) -> impl Iterator<Item = usize> {
        self.actions.iter().filter_map(move |action| {
            let other = match action.what {
                What::Call { with, .. } if calls => with,
                What::SendFile { to, .. } if files => to,
                _ => return None,
            };
            match party {
                _ if party == action.party => Some(other),
                _ if party == other => Some(action.party),
                _ => None,
            }
        })
    }

    fn is_inside(self, party: usize) -> bool {
        self.network(self.members[party])
            .is_some_and(Network::is_inside)
    }

    fn network(self, party: &Party) -> Option<&'a Network> {
        let number = party.wish.network?;
        Some(&self.networks[number].value)
    }

    /// What becomes of a goal where Skype is dropped at the gateway.
    fn if_dropped(self, party: usize, goal: &Wanted) -> IfDropped {
        let (calls, files) = match goal {
            Wanted::Background(_) => return IfDropped::Holds,
            Wanted::SignedIn(false) => return IfDropped::Either,
            Wanted::Delivered(_) | Wanted::LongestGap(_) => (true, false),
            Wanted::Path(_) => (true, true),
            Wanted::Files => (false, true),
            _ => (false, false),
        };
        let mut others = self.others(party, calls, files).peekable();
        let all_inside = others.peek().is_some() && others.all(|other| self.is_inside(other));
        match self.is_inside(party) || all_inside {
            true => IfDropped::Fails,
            false => IfDropped::Either,
        }
    }

    /// The share of a party's everyday traffic that arrives if nothing is wrong: all, unless links
    /// may lose packets.
    fn background(self, party: &Party) -> f64 {
        let loses = |party: &Party| {
            let link = party.link.map(|number| &self.links[number].value);
            link.is_some_and(Link::loses)
        };
        let mut others = self
            .members
            .iter()
            .filter(|member| matches!(member.kind, Some(Kind::InternetHost | Kind::Resolver)));
        match loses(party) || others.any(|member| loses(member)) {
            true => NEARLY_ALL,
            false => 1.0,
        }
    }
}
