//! What a configuration means for one host at one time, and where each part of that was said.

mod text;

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use skype_ips_common::layout::{FlowKey, Met, PolicyEntry, TCP, Verdict, path};

use super::budget::Budget;
use super::config::Config;
use super::model::{Policy, PolicySet, to_mapped};
use super::places::{PolicyPlaces, RulePlaces, SubnetPlace};
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
        proxies: proxies(&layers),
        zone: config.policies.zone_of(index),
    };
    covering.rules = told(config, index, open, gateway_mode.value.min(policy.mode));
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

/// The proxies that every layer which names some names.
fn proxies(layers: &[&Rules]) -> Vec<String> {
    let naming: Vec<_> = layers
        .iter()
        .filter(|rules| rules.only_via.is_some())
        .collect();
    let first = naming.first().map_or(&[][..], |rules| &rules.proxies);
    let of_all = first
        .iter()
        .filter(|proxy| naming.iter().all(|one| one.proxies.contains(proxy)));
    of_all.map(ToString::to_string).collect()
}

/// What is said of every role and class, and of what meets one of the restrictions in force.
fn told(config: &Config, index: usize, open: &[bool], mode: Mode) -> Vec<Told> {
    let policy = &config.policies.policies[index];
    let places = &config.places.policies[index];
    let layers = policy.layers(open);
    let windows = places.windows.iter().zip(open).filter(|(_, open)| **open);
    let mut of_layers = vec![(&policy.rules, &places.rules, false)];
    let of_windows = windows.map(|(window, _)| &window.rules);
    of_layers.extend(
        layers[1..]
            .iter()
            .zip(of_windows)
            .map(|(rules, at)| (*rules, at, true)),
    );
    let restrictions = Restriction::ALL.iter().copied().filter(|one| {
        let key = RuleKey::Restriction(*one);
        layers.iter().any(|rules| rules.get(key).is_some())
    });
    let restrictions: Vec<_> = std::iter::once(None)
        .chain(restrictions.map(Some))
        .collect();
    let mut list = Vec::new();
    for restriction in &restrictions {
        for role in Role::ALL {
            for class in Class::ALL {
                let on = restriction.map_or(0, Restriction::path);
                let rule = Rules::together(&layers, *role, *class, on);
                let said_by = said_by(&of_layers, &rule, *role, *class, on);
                let done = match mode {
                    Mode::Enforce => rule.action,
                    Mode::Monitor => rule.monitored().action,
                };
                list.push(Told {
                    role: *role,
                    class: *class,
                    restriction: *restriction,
                    action: rule.action,
                    done,
                    budgets: rule
                        .budgets
                        .iter()
                        .map(|one| budget(config, *one))
                        .collect(),
                    mark: rule.mark,
                    dscp: rule.dscp,
                    said_by,
                });
            }
        }
    }
    list
}

/// The keys that speak of a class in a role on a [`path`], and are as strict as all of them together.
fn said_by(
    layers: &[(&Rules, &RulePlaces, bool)],
    rule: &Rule,
    role: Role,
    class: Class,
    on: u8,
) -> Vec<Said> {
    debug_assert!(on < path::COUNT);
    let mut said = Vec::new();
    for (rules, places, window) in layers {
        let met = Restriction::ALL.iter().filter(|one| on & one.path() != 0);
        let keys = met.map(|one| RuleKey::Restriction(*one));
        for key in rules.key_of(role, class).into_iter().chain(keys) {
            let counts = rules.get(key).is_some_and(|one| {
                let accompanies = one.mark.is_some() && one.mark == rule.mark
                    || one.dscp.is_some() && one.dscp == rule.dscp;
                one.action == rule.action || accompanies
            });
            if let Some(place) = places.get(&key).filter(|_| counts) {
                said.push(Said {
                    key: key.to_string(),
                    place: place.clone(),
                    window: *window,
                });
            }
        }
    }
    said
}

fn budget(config: &Config, place: u16) -> BudgetTold {
    let place = usize::from(place);
    let Budget {
        name,
        rate,
        burst,
        scope,
        direction,
    } = config.policies.budgets[place].clone();
    BudgetTold {
        words: config.policies.budgets[place].to_string(),
        place: config.places.budgets[place].clone(),
        name,
        rate,
        burst,
        scope,
        direction,
    }
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
