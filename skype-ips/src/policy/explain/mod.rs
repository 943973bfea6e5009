//! What a configuration means for one host at one time, and where each part of that was said.

mod text;
mod told;

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use skype_ips_common::layout::{FlowKey, Met, PolicyEntry, TCP, Verdict};

use super::config::Config;
use super::model::{Policy, PolicySet, to_mapped};
use super::places::{PolicyPlaces, SubnetPlace};
use super::rule::{Rule, RuleKey, Rules};
use super::standing::Standing;
use super::vocabulary::{
    Action, Class, Confidence, Day, Direction, Mode, Restriction, Role, Scope,
};
use crate::toml_file::Place;

/// What is asked about a host.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The host.
    pub host: IpAddr,
    /// Where it was met.
    pub met: Met,
    /// The time.
    pub at: Timestamp,
}

/// What a configuration means for one host.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The host.
    pub host: IpAddr,
    /// The VLAN in which it was met; 0 for none.
    pub vlan: u16,
    /// The interface at which it was met, if that was said.
    pub interface: Option<String>,
    /// The time.
    #[serde(serialize_with = "in_words")]
    pub at: Timestamp,
    /// The mode of the gateway.
    pub gateway_mode: Setting<Mode>,
    /// Who says that it is under no policy, if it is exempt.
    pub exempt: Option<Exempt>,
    /// The policy that covers it, if one does.
    pub policy: Option<Covering>,
}

/// Why a host is exempt.
#[derive(Clone, Debug, Serialize)]
pub struct Exempt {
    /// The prefix that holds it.
    pub prefix: String,
    /// Where it is exempt.
    pub place: Place,
    /// The group that holds the prefix, and where, if one does.
    pub group: Option<(String, Place)>,
    /// The policy that exempts it, if it isn't exempt from all.
    pub policy: Option<String>,
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
    /// What it says of Skype of which nothing more specific is said, while no window is open.
    pub default: Setting<Action>,
    /// What it says of what may be Skype's or Teams', while no window is open.
    pub ambiguous: Setting<Action>,
    /// Its own mode.
    pub mode: Setting<Mode>,
    /// The least confidence that anything stricter than an alert needs.
    pub confidence: Setting<Confidence>,
    /// Its windows.
    pub windows: Vec<WindowState>,
    /// What is said now, by role and class, and by the restrictions that a flow meets.
    pub rules: Vec<Told>,
    /// What is really done with a finding of each confidence of which nothing more specific is said.
    pub outcomes: Vec<Outcome>,
    /// What is really done with what may be Skype's or Teams'.
    pub ambiguous_outcome: Held,
    /// TCP ports on which Skype listens besides those that are learned.
    pub ports: Vec<u16>,
    /// The proxies past which nothing may go.
    pub proxies: Vec<String>,
    /// Where the windows' hours hold.
    #[serde(skip)]
    pub zone: TimeZone,
}

/// A window of the policy.
#[derive(Clone, Debug, Serialize)]
pub struct WindowState {
    /// Where it begins in the file.
    pub place: Place,
    /// Its days.
    pub days: Vec<Day>,
    /// When it opens, such as `08:00`.
    pub from: String,
    /// When it closes.
    pub to: String,
    /// Whether it is open.
    pub open: bool,
    /// When that changes.
    #[serde(serialize_with = "maybe_in_words")]
    pub changes_at: Option<Timestamp>,
}

/// What is said of a class in a role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// The role.
    pub role: Role,
    /// The class.
    pub class: Class,
    /// The restriction that the flow meets, if this is about one.
    pub restriction: Option<Restriction>,
    /// What is said.
    pub action: Action,
    /// What is really done with an exact finding.
    pub done: Action,
    /// Of a throttle: the budgets that are obeyed.
    pub budgets: Vec<BudgetTold>,
    /// Bits of the mark that are written: value and mask.
    pub mark: Option<(u32, u32)>,
    /// The code point that is written.
    pub dscp: Option<u8>,
    /// The keys that say so; none where it is built in.
    pub said_by: Vec<Said>,
}

/// A key and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The key, such as `relay.file-transfer`.
    pub key: String,
    /// Where.
    pub place: Place,
    /// Whether it stands in a window.
    pub window: bool,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetTold {
    /// Its name.
    pub name: String,
    /// Bits a second.
    pub rate: u64,
    /// Bytes that may pass at once.
    pub burst: u64,
    /// What has a bucket of its own.
    pub scope: Scope,
    /// Which packets count.
    pub direction: Direction,
    /// Where it was said.
    pub place: Place,
    /// The same in words.
    pub words: String,
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
    pub(super) fn of(config: &Config, asked: Asked) -> Self {
        let asked = Asked {
            host: asked.host.to_canonical(),
            ..asked
        };
        let gateway_mode = Setting {
            value: config.gateway.mode,
            from: config.places.gateway_mode.clone(),
        };
        let interfaces = &config.policies.interfaces;
        let interface = usize::from(asked.met.interface).checked_sub(1);
        let standing = config.standing(gateway_mode.value, asked.at);
        let policy = covering(config, &standing, &asked, &gateway_mode);
        Self {
            host: asked.host,
            vlan: asked.met.vlan,
            interface: interface.and_then(|place| interfaces.get(place)).cloned(),
            at: asked.at,
            exempt: match policy {
                Some(_) => None,
                None => exempt(config, &asked),
            },
            gateway_mode,
            policy,
        }
    }
}

/// The longest of the prefixes that hold a host.
fn holding(list: &[SubnetPlace], host: IpAddr) -> Option<&SubnetPlace> {
    let holding = list.iter().filter(|one| one.net.contains(&host));
    holding.max_by_key(|one| one.net.prefix_len())
}

fn exempt(config: &Config, asked: &Asked) -> Option<Exempt> {
    let (one, policy) = match holding(&config.places.exempt, asked.host) {
        Some(one) => (one, None),
        None => {
            // Whose it would be if no one were exempt.
            let mut set = PolicySet::clone(&config.policies);
            set.policies
                .iter_mut()
                .for_each(|policy| policy.exempt.clear());
            let all = set.compile(Mode::Monitor, &set.open(asked.at), &[]);
            let entry = all.policy_of(asked.met, &to_mapped(asked.host))?;
            let places = config.places.policies.get(usize::from(entry.index))?;
            let policy = config.policies.policies.get(usize::from(entry.index))?;
            (
                holding(&places.exempt, asked.host)?,
                Some(policy.name.clone()),
            )
        }
    };
    Some(Exempt {
        prefix: one.net.to_string(),
        place: one.place.clone(),
        group: one.group.clone(),
        policy,
    })
}

fn covering(
    config: &Config,
    standing: &Standing,
    asked: &Asked,
    gateway_mode: &Setting<Mode>,
) -> Option<Covering> {
    let mapped = to_mapped(asked.host);
    let (PolicyEntry { index, .. }, policy) = standing.of(asked.met, &mapped)?;
    let index = usize::from(index);
    let places = config.places.policies.get(index)?;
    let subnet = holding(&places.subnets, asked.host)?;
    let action = |rule: Option<&Rule>| rule.map_or(Action::Allow, |rule| rule.action);
    let said = |key| setting(action(policy.rules.get(key)), places.rules.get(&key));
    let open = standing.open().of(index);
    let layers = policy.layers(open);
    let mut covering = Covering {
        name: policy.name.clone(),
        header: places.header.clone(),
        prefix: subnet.net.to_string(),
        prefix_place: subnet.place.clone(),
        group: subnet.group.clone(),
        default: said(RuleKey::Default),
        ambiguous: said(RuleKey::Ambiguous),
        mode: setting(policy.mode, places.mode.as_ref()),
        confidence: setting(policy.confidence, places.confidence.as_ref()),
        windows: windows(
            policy,
            places,
            open,
            asked.at,
            &config.policies.zone_of(index),
        ),
        rules: Vec::new(),
        outcomes: Vec::new(),
        ambiguous_outcome: Held {
            action: Action::Allow,
            held_because: None,
        },
        ports: layers
            .iter()
            .flat_map(|rules| rules.ports.clone())
            .collect(),
        proxies: told::proxies(&layers),
        zone: config.policies.zone_of(index),
    };
    covering.rules = told::told(config, index, open, gateway_mode.value.min(policy.mode));
    let key = FlowKey {
        inside: mapped,
        protocol: TCP,
        ..FlowKey::default()
    };
    let done = |verdict: &Verdict| Some(standing.decide(&key, asked.met, false, verdict)?.action);
    let held = |action: Action, said: Action, why: String| Held {
        action,
        held_because: (action != said).then_some(why),
    };
    let ambiguous = Rules::ambiguous_together(&layers).action;
    covering.ambiguous_outcome = held(
        done(&Verdict::AMBIGUOUS)?,
        ambiguous,
        covering.why_monitored(gateway_mode).join(" and "),
    );
    let general = covering.general();
    for confidence in Confidence::ALL.iter().rev().copied() {
        let action = if gateway_mode.value.min(policy.mode) == Mode::Monitor
            || confidence < policy.confidence
        {
            general.min(Action::Alert)
        } else {
            general
        };
        let why = covering.why_held(confidence, gateway_mode);
        let held = held(action, general, why);
        covering.outcomes.push(Outcome {
            confidence,
            action: held.action,
            held_because: held.held_because,
        });
    }
    Some(covering)
}

fn windows(
    policy: &Policy,
    places: &PolicyPlaces,
    open: &[bool],
    at: Timestamp,
    zone: &TimeZone,
) -> Vec<WindowState> {
    let windows = policy.windows.iter().zip(&places.windows).zip(open);
    let states = windows.map(|((window, places), open)| WindowState {
        place: places.header.clone(),
        days: window.days.clone(),
        from: clock(window.from),
        to: clock(window.to),
        open: *open,
        changes_at: window.next_change(at, zone),
    });
    states.collect()
}

/// A minute of the day as it is written.
fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn setting<T>(value: T, from: Option<&Place>) -> Setting<T> {
    Setting {
        value,
        from: from.cloned(),
    }
}

impl Covering {
    /// What is said now of Skype of which nothing more specific is said.
    fn general(&self) -> Action {
        let other = |told: &&Told| {
            (told.role, told.class, told.restriction) == (Role::Client, Class::Other, None)
        };
        let told = self.rules.iter().find(other);
        told.map_or(self.default.value, |told| told.action)
    }

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

fn in_words<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn maybe_in_words<S: serde::Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}
