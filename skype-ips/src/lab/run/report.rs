//! What is told of a scenario's runs, whatever gateway was in them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::outcome::Played;
use super::promise::Promise;
use super::verdict::{Judged, Treatment, judged};
use super::words::seconds;
use crate::simulator::net::program::Ground;
use crate::simulator::scenario::{Nat, Scenario};

/// A machine this far behind the clock has changed what came out.
const TOO_LATE: Duration = Duration::from_millis(50);

/// A run, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was in the gateway: `no daemon`, `monitor`, `enforce`.
    pub name: String,
    /// What came of it.
    pub played: Played,
    /// The goals.
    pub judged: Vec<Judged>,
}

impl Run {
    /// Judges a run.
    pub fn new(
        name: impl Into<String>,
        scenario: &Scenario,
        played: Played,
        treatment: Treatment,
    ) -> Self {
        Self {
            name: name.into(),
            judged: judged(scenario, &played.achieved, treatment),
            played,
        }
    }

    /// Asks of the parties that no policy hinders what the scenario expects of them.
    #[must_use]
    pub fn expecting(mut self, scenario: &Scenario, untouched: &[bool]) -> Self {
        for judged in &mut self.judged {
            let mut parties = scenario.parties.iter().zip(untouched);
            if parties.any(|(party, untouched)| *untouched && party.name == judged.goal.party) {
                judged.wanted = Some(true);
            }
        }
        self
    }
}

/// A scenario's runs, side by side.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What everything random came from.
    pub seed: u64,
    /// Usually one or two.
    pub runs: Vec<Run>,
    /// What the policy of the last run promises.
    pub promises: Vec<Promise>,
}

impl Report<'_> {
    /// What went wrong, in sentences; empty if nothing did.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for Run {
            name,
            played,
            judged,
        } in &self.runs
        {
            for judged in judged.iter().filter(|judged| !judged.is_right()) {
                let goal = &judged.goal;
                problems.push(format!(
                    "{name}: {}: {}: {} ({})",
                    goal.party,
                    goal.goal,
                    judged.word(),
                    goal.found
                ));
            }
            match played.background_lost() {
                0 => {}
                lost => problems.push(format!(
                    "{name}: the gateway lost {lost} packets of background traffic"
                )),
            }
        }
        let broken = self.promises.iter().filter(|one| one.kept == Some(false));
        problems.extend(broken.map(|promise| {
            let Promise {
                party,
                what,
                word,
                seen,
                ..
            } = promise;
            format!("{party}: {what}: {word}: BROKEN ({seen})")
        }));
        problems
    }

    /// What makes the figures doubtful, in sentences.
    pub fn doubts(&self) -> Vec<String> {
        let late = self.runs.iter().filter(|run| run.played.behind > TOO_LATE);
        late.map(|run| {
            format!(
                "{}: the machine was up to {} behind the clock, which shows in the figures",
                run.name,
                seconds(run.played.behind)
            )
        })
        .collect()
    }

    /// Everything that crossed the gateway in any run, Skype first.
    pub(super) fn grounds(&self) -> Vec<Ground> {
        let grounds = self.runs.iter().flat_map(|run| run.played.crossed.keys());
        let sorted: BTreeSet<(bool, &str)> =
            grounds.map(|ground| (!ground.skype, ground.what)).collect();
        sorted
            .into_iter()
            .map(|(other, what)| {
                if other {
                    Ground::other(what)
                } else {
                    Ground::skype(what)
                }
            })
            .collect()
    }

    /// JSON lines: `lab-party`, `lab-goal`, `lab-crossing`, `lab-promise`, and `lab` at the end.
    pub fn json(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        for run in &self.runs {
            for (number, party) in self.scenario.parties.iter().enumerate() {
                let network = &self.scenario.networks[party.network];
                let rates = run.played.rates.get(number);
                lines.push(json!({
                    "event_type": "lab-party",
                    "run": run.name,
                    "party": party.name,
                    "group": party.group,
                    "kind": party.kind.word(),
                    "network": network.name,
                    "nat": network.nat != Nat::None,
                    "address": party.address,
                    "figures": run.played.figures(number),
                    "rates": rates.map(|rates| json!({
                        "skype": {"sent": rates.skype[0], "received": rates.skype[1]},
                        "other": {"sent": rates.other[0], "received": rates.other[1]},
                    })),
                }));
            }
        }
        for run in &self.runs {
            for judged in &run.judged {
                let goal = &judged.goal;
                lines.push(json!({
                    "event_type": "lab-goal",
                    "run": run.name,
                    "party": goal.party,
                    "goal": goal.goal,
                    "skype": goal.skype,
                    "found": goal.found,
                    "met": goal.met,
                    "wanted": judged.wanted,
                    "right": judged.is_right(),
                }));
            }
        }
        for run in &self.runs {
            for (ground, crossed) in &run.played.crossed {
                let counts = |[inside, outside]: [crate::simulator::net::Count; 2]| {
                    json!({
                        "from_inside": {"packets": inside.packets, "payload": inside.payload},
                        "from_outside": {"packets": outside.packets, "payload": outside.payload},
                    })
                };
                let unexpected = run.played.unexpected.get(ground).copied().unwrap_or(0);
                lines.push(json!({
                    "event_type": "lab-crossing",
                    "run": run.name,
                    "skype": ground.skype,
                    "what": ground.what,
                    "handed": counts(crossed.handed),
                    "came_out": counts(crossed.emerged),
                    "unexpected": unexpected,
                    "lost": run.played.lost(ground).1,
                }));
            }
        }
        for promise in &self.promises {
            let mut line = json!({"event_type": "lab-promise", "promise": promise});
            // Beside the others, as in the other lines.
            if let (Value::Object(line), Ok(Value::Object(promise))) =
                (&mut line, serde_json::to_value(promise))
            {
                line.remove("promise");
                line.extend(promise);
            }
            lines.push(line);
        }
        lines.push(self.last_line());
        lines
    }

    fn last_line(&self) -> Value {
        let runs = self.runs.iter().map(|run| {
            json!({
                "run": run.name,
                "goals": run.judged.len(),
                "wrong": run.judged.iter().filter(|judged| !judged.is_right()).count(),
                "background_lost": run.played.background_lost(),
                "strays": run.played.strays,
                "behind": run.played.behind.as_secs_f64(),
                "gateway": run.played.gateway,
            })
        });
        json!({
            "event_type": "lab",
            "lab": {
                "scenario": self.scenario.name,
                "seed": self.seed,
                "duration": self.scenario.duration.as_secs_f64(),
                "links": "simulated",
                "runs": runs.collect::<Vec<_>>(),
                "promises": self.promises.iter().filter(|one| one.kept.is_some()).count(),
                "broken": self.promises.iter().filter(|one| one.kept == Some(false)).count(),
                "problems": self.problems(),
            },
        })
    }
}
