//! What policies say of a conversation.

use std::net::{IpAddr, SocketAddrV4};

use skype_ips_common::layout::{FlowKey, Met, TCP, UDP, Verdict, kind};

use super::InForce;
use crate::lab::hand::gateway_inside;
use crate::policy::{Action, Budget, Class, Confidence, Role, Standing, to_mapped};
use crate::simulator::net::Protocol;
use crate::simulator::scenario::Scenario;

/// What one or two policies say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    /// Whose word it is: of two policies, the stricter one's.
    pub(super) policy: Option<String>,
    pub(super) action: Action,
    /// Of a throttle, with which hosts and prefixes share them.
    pub(super) budgets: Vec<Limit>,
    /// Why the policy may do something milder.
    pub(super) doubt: Option<&'static str>,
}

/// A budget of a policy, for one of its hosts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) budget: Budget,
    /// The inside host that pays.
    pub(super) host: IpAddr,
    /// Number of the prefix that the host is under.
    pub(super) subnet: u32,
}

impl Decision {
    /// Whether what it is about passes as if there were no policy.
    pub(super) fn is_free(&self) -> bool {
        !self.action.is_enforced() && self.doubt.is_none()
    }

    /// The policy's word.
    pub(super) fn word(&self) -> String {
        if self.policy.is_none() {
            return "-".to_owned();
        }
        let mut word = self.action.word().to_owned();
        let names = self.budgets.iter().map(|limit| limit.budget.name.as_str());
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            word += " ";
            word += &names.join(", ");
        }
        word
    }

    /// The stricter of two; of two throttles both budgets.
    pub(super) fn stricter(self, other: Self) -> Self {
        let doubt = self.doubt.or(other.doubt);
        let (mut strict, mild) = if other.action > self.action {
            (other, self)
        } else {
            (self, other)
        };
        if mild.action == strict.action {
            strict.budgets.extend(mild.budgets);
            strict.policy = strict.policy.or(mild.policy);
        }
        Self { doubt, ..strict }
    }
}

/// One end's view of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) protocol: Protocol,
    pub(super) own: SocketAddrV4,
    pub(super) peer: SocketAddrV4,
    pub(super) called: bool,
    pub(super) role: Role,
    pub(super) class: Class,
}

/// Asks the policies.
pub(super) struct Judge<'a> {
    scenario: &'a Scenario,
    standings: &'a [Standing],
}

impl<'a> Judge<'a> {
    pub(super) fn new(scenario: &'a Scenario, in_force: &'a InForce) -> Self {
        Self {
            scenario,
            standings: &in_force.standings,
        }
    }

    /// What is done about a conversation at its inside end.
    pub(super) fn decide(&self, view: &View) -> Decision {
        let mut decisions = self.standings.iter().map(|standing| {
            let strong = self.at(standing, view, Confidence::Strong);
            let exact = self.at(standing, view, Confidence::Exact);
            if strong.action == exact.action {
                exact
            } else {
                Decision {
                    doubt: Some("only an exact finding suffices"),
                    ..exact
                }
            }
        });
        let first = decisions.next().expect("something is in force");
        match decisions.next() {
            Some(last) if last != first => Decision {
                doubt: Some("a window opened or closed meanwhile"),
                ..first
            },
            _ => first,
        }
    }

    fn at(&self, standing: &Standing, view: &View, confidence: Confidence) -> Decision {
        let host = IpAddr::V4(*view.own.ip());
        let key = FlowKey {
            protocol: match view.protocol {
                Protocol::Tcp => TCP,
                Protocol::Udp => UDP,
            },
            inside: to_mapped(host),
            inside_port: view.own.port(),
            outside: to_mapped(IpAddr::V4(*view.peer.ip())),
            outside_port: view.peer.port(),
            ..FlowKey::default()
        };
        let verdict = Verdict {
            kind: kind::SKYPE,
            role: view.role.number(),
            class: view.class.number(),
            confidence: confidence.number(),
            ..Verdict::default()
        };
        let met = self.met(standing, view.own);
        let decided = standing.decide(&key, met, view.called, &verdict);
        let subnet = standing
            .of(met, &key.inside)
            .map_or(0, |(entry, _)| entry.subnet);
        match decided {
            Some(decided) => Decision {
                policy: Some(decided.policy.name.clone()),
                action: decided.action,
                budgets: decided
                    .budgets
                    .into_iter()
                    .map(|budget| Limit {
                        budget: budget.clone(),
                        host,
                        subnet,
                    })
                    .collect(),
                doubt: None,
            },
            None => Decision {
                policy: None,
                action: Action::Allow,
                budgets: Vec::new(),
                doubt: None,
            },
        }
    }

    /// Where the gateway meets an inside host.
    fn met(&self, standing: &Standing, host: SocketAddrV4) -> Met {
        let mut inside = self.scenario.inside();
        let network = inside.position(|network| network.subnet.contains(host.ip()));
        let name = network.map(gateway_inside);
        let mut known = standing.set().interfaces.iter();
        let interface = known.position(|known| Some(known) == name.as_ref());
        Met {
            interface: interface.map_or(0, |place| place as u16 + 1),
            vlan: 0,
        }
    }
}
