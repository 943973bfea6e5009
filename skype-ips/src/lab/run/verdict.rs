//! Whether a run went as it had to.

use crate::policy::Mode;
use crate::simulator::scenario::{Achieved, Goal, IfDropped, Scenario, judge};

use super::outcome::Played;

/// What is done about Skype in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing: no daemon, or one that monitors.
    None,
    /// Skype of all inside networks is dropped.
    Dropped,
    /// What a configuration says, which goals say nothing about.
    Configured,
}

impl Treatment {
    /// What the daemon's last status, and whether the policy is the built-in one, tell.
    pub fn of(played: &Played, built_in: bool) -> Self {
        let enforcing = played.gateway["mode"].as_str() == Some(Mode::Enforce.word());
        match (enforcing, built_in) {
            (false, _) => Self::None,
            (true, true) => Self::Dropped,
            (true, false) => Self::Configured,
        }
    }
}

/// The word for a goal that was missed.
pub(super) const NOT_MET: &str = "NOT MET";
/// The word for one that the policy should have stopped.
pub(super) const NOT_STOPPED: &str = "NOT STOPPED";

/// A goal, and what the run had to make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The goal.
    pub goal: Goal,
    /// Whether it should have been reached; `None`: nothing is asked.
    pub wanted: Option<bool>,
}

impl Judged {
    /// Whether it came as it had to.
    pub fn is_right(&self) -> bool {
        self.wanted.is_none_or(|wanted| wanted == self.goal.met)
    }

    /// That in a word.
    pub fn word(&self) -> &'static str {
        match (self.wanted, self.goal.met) {
            (Some(true), true) => "met",
            (Some(true), false) => NOT_MET,
            (Some(false), true) => NOT_STOPPED,
            (Some(false), false) => "stopped",
            (None, true) => "met (either will do)",
            (None, false) => "not met (either will do)",
        }
    }
}

/// Judges all goals of a scenario.
pub(super) fn judged(
    scenario: &Scenario,
    achieved: &[Achieved],
    treatment: Treatment,
) -> Vec<Judged> {
    let goals = judge(scenario, achieved).into_iter();
    goals
        .map(|goal| Judged {
            wanted: match (treatment, goal.if_dropped) {
                (Treatment::None, _) => Some(true),
                (Treatment::Configured, _) if goal.skype => None,
                (Treatment::Configured, _) | (Treatment::Dropped, IfDropped::Holds) => Some(true),
                (Treatment::Dropped, IfDropped::Fails) => Some(false),
                (Treatment::Dropped, IfDropped::Either) => None,
            },
            goal,
        })
        .collect()
}
