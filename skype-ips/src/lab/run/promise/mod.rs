//! What a policy promises of a scenario, and whether it kept its word.
//!
//! Nothing here knows what a scenario or a policy is about. The parties say what they do in each of
//! their conversations ([`strand`]); the policy says what is done about that; and the ledger says
//! what came through the gateway ([`held`], [`budget`]). What users set out for is held against the
//! run without a daemon ([`reached`]).

mod budget;
mod decision;
mod held;
mod reached;
mod strand;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use super::outcome::Played;
use super::rows::units;
use crate::policy::Standing;
use crate::simulator::scenario::{Scenario, What};
use decision::Decision;
use strand::{Strand, strands};

/// How long it may take from the beginning of what a policy stops or slows down until it does: so
/// long relays and super nodes take at the most to be found after they have begun to serve.
pub const GRACE: Duration = Duration::from_secs(15);
/// How much less than without a daemon may come of what a policy lets be.
pub const ALLOWED: f64 = 0.05;

/// A thing that a policy promises about a party, or about a group of like ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Promise {
    /// The party, or the group with the number of its members.
    pub party: String,
    /// What it does.
    pub what: String,
    /// Whose word it is; `None`: it is under no policy.
    pub policy: Option<String>,
    /// What the policy says of it.
    pub word: String,
    /// What came of it.
    pub seen: String,
    /// Whether that is as promised; `None`: nothing is promised.
    pub kept: Option<bool>,
    /// Why nothing is promised.
    pub why: Option<String>,
}

/// What was in force during a run.
#[derive(Clone, Debug)]
pub struct InForce {
    /// At its beginning and, if a window opened or closed meanwhile, at its end.
    pub standings: Vec<Standing>,
}

impl InForce {
    /// Of what was in force at the beginning and at the end.
    pub fn new(begin: Standing, end: Standing) -> Self {
        let changed = begin.open() != end.open();
        let mut standings = vec![begin];
        standings.extend(changed.then_some(end));
        Self { standings }
    }
}

/// Which parties no policy in force hinders: neither them nor those with whom they have to do. Without a
/// ledger of the run without a daemon nothing is known of any.
pub fn untouched(scenario: &Scenario, plain: &Played, in_force: &InForce) -> Vec<bool> {
    let Some(ledger) = &plain.ledger else {
        return vec![false; scenario.parties.len()];
    };
    let all = strands(scenario, ledger, &decision::Judge::new(scenario, in_force));
    let mut untouched = vec![true; scenario.parties.len()];
    for strand in all.iter().filter(|strand| !strand.decision.is_free()) {
        untouched[strand.party] = false;
        let peer = *strand.conversation.outside.ip();
        for (party, untouched) in untouched.iter_mut().enumerate() {
            *untouched &= reached::seen_as(scenario, party) != peer;
        }
    }
    let own = untouched.clone();
    for action in &scenario.actions {
        if let What::Call { with: other, .. }
        | What::SendFile { to: other, .. }
        | What::Chat { with: other, .. } = action.what
        {
            untouched[action.party] &= own[other];
            untouched[other] &= own[action.party];
        }
    }
    untouched
}

/// Everything that the policies in force promise of a scenario. Without a ledger of a run nothing
/// can be held against them.
pub fn promises(
    scenario: &Scenario,
    plain: &Played,
    under: &Played,
    in_force: &InForce,
) -> Vec<Promise> {
    let (Some(before), Some(after)) = (&plain.ledger, &under.ledger) else {
        return Vec::new();
    };
    let decide = decision::Judge::new(scenario, in_force);
    let without = strands(scenario, before, &decide);
    let with = strands(scenario, after, &decide);
    let mut promises = Vec::new();
    for unit in units(scenario) {
        if !scenario.is_inside(unit.members[0]) {
            continue;
        }
        let own = |all: &'_ [Strand<'_>]| -> bool {
            all.iter()
                .any(|strand| unit.members.contains(&strand.party))
        };
        if own(&without) || own(&with) {
            promises.extend(reached::rows(
                scenario,
                &unit,
                (plain, &without),
                (under, &with),
            ));
            promises.extend(held::rows(scenario, &unit, &with, under.behind));
            promises.extend(reached::everyday(scenario, &unit, under));
        }
    }
    promises.extend(held::untouched(under));
    promises
}
