//! What a configuration means for one host, and where each part of that was said.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use skype_ips_common::layout::{FlowKey, Met, PolicyEntry, TCP, Verdict};

use super::config::Config;
use super::model::to_mapped;
use super::rule::{Rule, RuleKey};
use super::vocabulary::{Action, Class, Confidence, Mode, Role};
use crate::engine::Finding;
use crate::toml_file::Place;

/// What a configuration means for one host.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The host.
    pub host: IpAddr,
    /// The mode of the gateway.
    pub gateway_mode: Setting<Mode>,
    /// The policy that covers it, if one does.
    pub policy: Option<Covering>,
}

/// The policy that covers a host.
#[derive(Clone, Debug, Serialize)]
pub struct Covering {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub header: Place,
    /// The prefix that covers the host.
    pub prefix: String,
    /// Where the policy says so.
    pub prefix_place: Place,
    /// The group that holds the prefix, and where, if the policy names one.
    pub group: Option<(String, Place)>,
    /// What it says of Skype.
    pub default: Setting<Action>,
    /// What it says of what may be Skype's or Teams'.
    pub ambiguous: Setting<Action>,
    /// Its own mode.
    pub mode: Setting<Mode>,
    /// The least confidence that `drop` needs.
    pub confidence: Setting<Confidence>,
    /// What is really done with a finding of each confidence.
    pub outcomes: Vec<Outcome>,
    /// What is really done with what may be Skype's or Teams'.
    pub ambiguous_outcome: Held,
}

/// A value and where it was said; `from` is `None` for what is built in.
#[derive(Clone, Debug, Serialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it was said.
    pub from: Option<Place>,
}

/// What is really done.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// What is done.
    pub action: Action,
    /// Why it isn't what the policy says, if it isn't.
    pub held_because: Option<String>,
}

/// What is really done with a finding.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// How sure the finding is.
    pub confidence: Confidence,
    /// What is done.
    pub action: Action,
    /// Why it isn't what the policy says, if it isn't.
    pub held_because: Option<String>,
}

impl Explanation {
    pub(super) fn of(config: &Config, host: IpAddr) -> Self {
        let host = host.to_canonical();
        let gateway_mode = Setting {
            value: config.gateway.mode,
            from: config.places.gateway_mode.clone(),
        };
        let policy = covering(config, host, &gateway_mode);
        Self {
            host,
            gateway_mode,
            policy,
        }
    }
}

fn covering(config: &Config, host: IpAddr, gateway_mode: &Setting<Mode>) -> Option<Covering> {
    let mapped = to_mapped(host);
    let standing = config.standing(gateway_mode.value, jiff::Timestamp::UNIX_EPOCH);
    let (PolicyEntry { index, .. }, policy) = standing.of(Met::default(), &mapped)?;
    let said = |rule: &Option<Rule>| rule.as_ref().map_or(Action::Allow, |rule| rule.action);
    let (said_default, said_ambiguous) =
        (said(&policy.rules.default), said(&policy.rules.ambiguous));
    let key = FlowKey {
        inside: mapped,
        protocol: TCP,
        ..FlowKey::default()
    };
    let decide = |verdict: &Verdict| standing.decide(&key, Met::default(), false, verdict);
    let places = &config.places.policies[usize::from(index)];
    let subnet = places
        .subnets
        .iter()
        .filter(|subnet| subnet.net.contains(&host))
        .max_by_key(|subnet| subnet.net.prefix_len())?;
    let mut covering = Covering {
        name: policy.name.clone(),
        header: places.header.clone(),
        prefix: subnet.net.to_string(),
        prefix_place: subnet.place.clone(),
        group: subnet.group.clone(),
        default: setting(said_default, places.rules.get(&RuleKey::Default)),
        ambiguous: setting(said_ambiguous, places.rules.get(&RuleKey::Ambiguous)),
        mode: setting(policy.mode, places.mode.as_ref()),
        confidence: setting(policy.confidence, places.confidence.as_ref()),
        outcomes: Vec::new(),
        ambiguous_outcome: Held {
            action: decide(&Verdict::AMBIGUOUS)?.action,
            held_because: None,
        },
    };
    if covering.ambiguous_outcome.action != said_ambiguous {
        let reason = covering.why_monitored(gateway_mode).join(" and ");
        covering.ambiguous_outcome.held_because = Some(reason);
    }
    for confidence in Confidence::ALL.iter().rev().copied() {
        let finding = Finding {
            class: Class::Other,
            role: Role::Client,
            confidence,
        };
        let action = decide(&finding.verdict())?.action;
        let held_because =
            (action != said_default).then(|| covering.why_held(confidence, gateway_mode));
        covering.outcomes.push(Outcome {
            confidence,
            action,
            held_because,
        });
    }
    Some(covering)
}

fn setting<T>(value: T, from: Option<&Place>) -> Setting<T> {
    Setting {
        value,
        from: from.cloned(),
    }
}

impl Covering {
    fn why_monitored(&self, gateway_mode: &Setting<Mode>) -> Vec<String> {
        let mut reasons = Vec::new();
        for (whose, mode) in [("gateway", gateway_mode), ("policy", &self.mode)] {
            if mode.value == Mode::Monitor {
                let place = mode.place();
                reasons.push(format!("the {whose}'s mode is monitor ({place})"));
            }
        }
        reasons
    }

    fn why_held(&self, confidence: Confidence, gateway_mode: &Setting<Mode>) -> String {
        let mut reasons = self.why_monitored(gateway_mode);
        if confidence < self.confidence.value {
            reasons.push(format!(
                "the policy asks for confidence {} ({})",
                self.confidence.value,
                self.confidence.place()
            ));
        }
        reasons.join(" and ")
    }
}

impl<T> Setting<T> {
    fn place(&self) -> String {
        self.from
            .as_ref()
            .map_or_else(|| "built in".into(), Place::to_string)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(policy) = &self.policy else {
            return write!(f, "{} is under no policy: it is let alone", self.host);
        };
        write!(
            f,
            "{} is under policy `{}` ({}) by {}",
            self.host, policy.name, policy.header, policy.prefix
        )?;
        match &policy.group {
            Some((group, held)) => {
                writeln!(
                    f,
                    " of group `{group}` ({held}), named in {}",
                    policy.prefix_place
                )?;
            }
            None => writeln!(f, " ({})", policy.prefix_place)?,
        }
        for (key, value, place) in [
            (
                "default",
                policy.default.value.word(),
                policy.default.place(),
            ),
            (
                "ambiguous",
                policy.ambiguous.value.word(),
                policy.ambiguous.place(),
            ),
            ("mode", policy.mode.value.word(), policy.mode.place()),
            (
                "confidence",
                policy.confidence.value.word(),
                policy.confidence.place(),
            ),
            (
                "gateway's mode",
                self.gateway_mode.value.word(),
                self.gateway_mode.place(),
            ),
        ] {
            writeln!(f, "  {key:<15} {value:<10} {place}")?;
        }
        write!(f, "what is done with Skype, by how sure the finding is:")?;
        for outcome in &policy.outcomes {
            write!(
                f,
                "\n  {:<15} {:<10}",
                outcome.confidence.word(),
                outcome.action.word()
            )?;
            if let Some(reason) = &outcome.held_because {
                let (said, action) = (policy.default.value, outcome.action);
                write!(f, " {said} held to {action} because {reason}")?;
            }
        }
        let held = &policy.ambiguous_outcome;
        write!(
            f,
            "\nwhat is done with what may be Skype's or Teams': {}",
            held.action
        )?;
        if let Some(reason) = &held.held_because {
            let said = policy.ambiguous.value;
            write!(f, ", {said} held to {} because {reason}", held.action)?;
        }
        Ok(())
    }
}
