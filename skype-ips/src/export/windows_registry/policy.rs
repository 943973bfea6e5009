//! Which values say what a policy says, and what of it no value says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::values::{Data, Value};
use crate::policy::{Action, Class, DAY, Mode, Policy, PolicySet, Role, Rule, Rules, Window};
use crate::toml_file::words;

words! {
    /// What a proxy speaks, which a policy of the gateway need not know.
    ProxyType {
        /// HTTP with CONNECT.
        Https = "https",
        /// SOCKS version 5.
        Socks5 = "socks5",
    }
}

impl ProxyType {
    /// What a proxy on this port most likely speaks: 1080 is that of SOCKS (IANA).
    pub const fn of_port(port: u16) -> Self {
        match port {
            1080 => Self::Socks5,
            _ => Self::Https,
        }
    }

    /// The word of `ProxySetting`.
    const fn setting(self) -> &'static str {
        match self {
            Self::Https => "HTTPS",
            Self::Socks5 => "SOCKS5",
        }
    }
}

/// A policy in the words of the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The values to set, with what they are for.
    pub values: BTreeMap<Value, (Data, String)>,
    /// What the policy says and no value does: a sentence each.
    pub unsaid: Vec<String>,
}

impl Settings {
    /// Those of the policy at `index` of `set`. `proxy_type` is what its proxies speak; without it
    /// their port tells.
    pub fn of(set: &PolicySet, index: usize, proxy_type: Option<ProxyType>) -> Self {
        let policy = &set.policies()[index];
        let mut settings = Self::default();
        settings.classes(&policy.rules);
        settings.roles(&policy.rules);
        settings.paths(&policy.rules);
        settings.proxies(&policy.rules, proxy_type);
        settings.mild(set, &policy.rules);
        settings.circumstances(policy);
        settings
    }

    fn set(&mut self, value: Value, number: u32, reason: &str) {
        let entry = (Data::Number(number), reason.to_owned());
        self.values.entry(value).or_insert(entry);
    }

    /// What a user's program may not do.
    fn classes(&mut self, rules: &Rules) {
        let stopped = |class| stops(rules.of(Role::Client, class));
        if Class::ALL.iter().all(|class| stopped(*class)) {
            self.unsaid.push(
                "no Skype at all: the registry can't forbid that the program runs; these values only \
                 make it do as little as they can (Windows' software restriction policies forbid it)"
                    .to_owned(),
            );
            self.set(Value::DisableUDP, 1, "no Skype by UDP");
            self.no_listening("no Skype from outside");
        }
        for class in Class::ALL.iter().copied().filter(|class| stopped(*class)) {
            match class {
                Class::FileTransfer => {
                    self.set(Value::DisableFileTransfer, 1, "no file transfer");
                }
                Class::VersionCheck => {
                    self.set(Value::DisableVersionCheck, 1, "no version check");
                }
                Class::WebStatus => self.set(Value::WebStatus, 0, "no status on web pages"),
                Class::Login | Class::Signaling | Class::Voice | Class::Video | Class::Other => {
                    if stops(rules.classes[class as usize].as_ref())
                        || stops(rules.both[Role::Client as usize][class as usize].as_ref())
                    {
                        self.unsaid
                            .push(format!("`{class}` is stopped: Skype has no setting for it"));
                    }
                }
            }
        }
    }

    /// What the host may not be for others.
    fn roles(&mut self, rules: &Rules) {
        let all = |role| Class::ALL.iter().all(|class| stops(rules.of(role, *class)));
        let some = |role| Class::ALL.iter().any(|class| stops(rules.of(role, *class)));
        if all(Role::SuperNode) {
            self.set(Value::DisableSupernode, 1, "no super node");
        } else if all(Role::Relay) {
            self.unsaid.push(
                "relaying is stopped and service as a super node isn't: Skype has one setting for \
                 both, DisableSupernode, which is not set"
                    .to_owned(),
            );
        }
        for role in [Role::SuperNode, Role::Relay] {
            let own = rules.roles[role as usize].is_some()
                || rules.both[role as usize].iter().any(Option::is_some);
            if own && some(role) && !all(role) {
                self.unsaid.push(format!(
                    "only some of what a `{role}` does is stopped: Skype can't tell it apart"
                ));
            }
        }
    }

    /// How Skype may not go.
    fn paths(&mut self, rules: &Rules) {
        if stops(rules.udp.as_ref()) {
            self.set(Value::DisableUDP, 1, "no Skype by UDP");
        }
        if stops(rules.listening_port.as_ref()) {
            self.no_listening("no connections from outside to where Skype listens");
        }
        let (fixed, more) = match rules.ports.iter().position(|port| !is_web(*port)) {
            Some(place) => (Some(rules.ports[place]), rules.ports.len() > 1),
            None => (None, false),
        };
        if let Some(port) = fixed {
            let reason = "the port on which the gateway expects it to listen";
            self.set(Value::ListenPort, u32::from(port), reason);
        }
        if more {
            self.unsaid.push(
                "several listening ports are named: Skype takes one (80 and 443 are \
                 ListenHTTPPorts)"
                    .to_owned(),
            );
        }
    }

    fn no_listening(&mut self, reason: &str) {
        self.set(Value::DisableTCPListen, 1, reason);
        self.set(Value::ListenHTTPPorts, 0, reason);
    }

    /// Skype through a proxy alone.
    fn proxies(&mut self, rules: &Rules, proxy_type: Option<ProxyType>) {
        let Some((proxy, others)) = rules.proxies.split_first() else {
            return;
        };
        if !stops(rules.only_via.as_ref()) {
            return;
        }
        let kind = proxy_type.unwrap_or(ProxyType::of_port(proxy.port()));
        let reason = match proxy_type {
            Some(_) => "only through the proxy".to_owned(),
            None => format!(
                "only through the proxy; {} because of its port: --proxy-type says otherwise",
                kind.setting()
            ),
        };
        let setting = Data::Text(kind.setting().to_owned());
        self.values.insert(Value::ProxySetting, (setting, reason));
        let address = Data::Text(proxy.to_string());
        let reason = "host and port of the proxy".to_owned();
        self.values.insert(Value::ProxyAddress, (address, reason));
        self.set(Value::DisableUDP, 1, "UDP would go past the proxy");
        if !others.is_empty() {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            self.unsaid.push(format!(
                "Skype takes one proxy; also allowed by the gateway: {}",
                others.join(", ")
            ));
        }
    }

    /// What neither lets all pass nor stops it.
    fn mild(&mut self, set: &PolicySet, rules: &Rules) {
        let mut budgets: Vec<u16> = Vec::new();
        let mut marked = false;
        for rule in all_rules(rules) {
            if rule.action == Action::Throttle {
                budgets.extend(&rule.budgets);
            }
            marked |= rule.mark.is_some() || rule.dscp.is_some();
        }
        budgets.sort_unstable();
        budgets.dedup();
        for budget in budgets {
            let name = set.budgets.get(usize::from(budget)).map(|b| &b.name);
            let name = name.map_or("?", String::as_str);
            self.unsaid.push(format!(
                "budget `{name}`: Skype can't be told a rate, only the gateway holds it"
            ));
        }
        if marked {
            self.unsaid
                .push("`mark` and `dscp` are written into packets by the gateway alone".to_owned());
        }
        if stops(rules.ambiguous.as_ref()) {
            self.unsaid.push(
                "`ambiguous` is about what may be Teams': these settings are Skype's alone"
                    .to_owned(),
            );
        }
    }

    /// When and for whom it holds.
    fn circumstances(&mut self, policy: &Policy) {
        for window in &policy.windows {
            self.unsaid.push(format!(
                "the window {}: the registry knows no time of day; what it says is left out",
                hours(window)
            ));
        }
        if policy.mode == Mode::Monitor {
            self.unsaid.push(
                "the policy only monitors, and the registry has no such mode: these values enforce \
                 it"
                .to_owned(),
            );
        }
        if !policy.exempt.is_empty() {
            let exempt: Vec<String> = policy.exempt.iter().map(ToString::to_string).collect();
            self.unsaid.push(format!(
                "exempt computers must not import this: {}",
                exempt.join(", ")
            ));
        }
    }
}

fn stops(rule: Option<&Rule>) -> bool {
    rule.is_some_and(|rule| rule.action.stops())
}

/// Ports that `ListenHTTPPorts` speaks of.
const fn is_web(port: u16) -> bool {
    matches!(port, 80 | 443)
}

fn all_rules(rules: &Rules) -> impl Iterator<Item = &Rule> {
    let alone = [
        &rules.default,
        &rules.ambiguous,
        &rules.listening_port,
        &rules.udp,
        &rules.only_via,
    ];
    let tables = rules.roles.iter().chain(&rules.classes);
    alone
        .into_iter()
        .chain(tables)
        .chain(rules.both.iter().flatten())
        .flatten()
}

/// "mon, tue 08:00 to 18:00".
fn hours(window: &Window) -> String {
    let days: Vec<&str> = window.days.iter().map(|day| day.word()).collect();
    let mut text = days.join(", ");
    for (word, minute) in [("", window.from), (" to", window.to.min(DAY))] {
        let written = write!(text, "{word} {:02}:{:02}", minute / 60, minute % 60);
        written.expect("a string takes everything");
    }
    text
}
