//! What the engine knows, for those who ask.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use skype_ips_common::layout::{EndpointKey, FlowKey, UDP};

use super::{Engine, Finding};
use crate::detect::path::MediaPath;
use crate::policy::{Class, Confidence, Role, from_mapped};

/// What is known of an inside host. Times are nanoseconds of the engine's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// Its zone.
    pub zone: u16,
    /// Its address.
    pub host: IpAddr,
    /// What it is to others; empty where it is nothing but its user's client.
    pub roles: Vec<RoleView>,
    /// Its UDP endpoints that are known to be Skype's.
    pub endpoints: Vec<EndpointView>,
    /// TCP ports on which Skype listens.
    pub listening: Vec<ListeningView>,
    /// Flows of Skype that were seen lately, by role and class.
    pub flows: Vec<FlowsView>,
    /// Bytes of those flows as IP packets: sent, received.
    pub bytes: [u64; 2],
}

/// A role of a host, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleView {
    /// The role.
    pub role: Role,
    /// Since when.
    pub since: u64,
    /// Why, in words.
    pub evidence: Vec<EvidenceView>,
}

/// A piece of evidence in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceView {
    /// Its name in the catalogue.
    pub name: &'static str,
    /// What it rests on.
    pub says: Vec<String>,
}

/// A UDP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointView {
    /// Its port.
    pub port: u16,
    /// What it was found to be.
    pub role: Role,
    /// How sure it is that it is Skype's.
    pub confidence: Confidence,
}

/// A TCP port on which Skype listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListeningView {
    /// The port.
    pub port: u16,
    /// Whether Skype's datagrams leave from the same number; else it has answered there.
    pub of_udp: bool,
}

/// How many flows of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowsView {
    /// What the host is in them.
    pub role: Role,
    /// What they carry.
    pub class: Class,
    /// How many.
    pub count: usize,
    /// How many of them came about how, where they carry media and that is known.
    pub paths: BTreeMap<MediaPath, usize>,
}

/// What is known of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowView {
    /// Its zone.
    pub zone: u16,
    /// `TCP` or `UDP`.
    pub proto: &'static str,
    /// Its inside end.
    pub inside: SocketAddr,
    /// Its outside end.
    pub outside: SocketAddr,
    /// What it carries.
    pub class: Class,
    /// What the inside host is in it.
    pub role: Role,
    /// How its media came about; `null` if it has none or that isn't known.
    pub path: Option<MediaPath>,
    /// How sure it is that it is Skype.
    pub confidence: Confidence,
    /// Number of its session, 0 where it is one by itself.
    pub session: u32,
    /// Whether the outside end opened it.
    pub called: bool,
    /// Packets sent and received, as the gate counted them last.
    pub packets: [u64; 2],
    /// Bytes of IP packets sent and received, likewise.
    pub bytes: [u64; 2],
    /// When it was first watched.
    pub since: u64,
    /// When its last packet came.
    pub seen: u64,
}

impl Engine {
    /// What is known of all hosts, in the order of their addresses.
    pub fn hosts(&self) -> Vec<HostView> {
        let mut hosts = BTreeMap::new();
        for (endpoint, finding) in self.endpoints.proved() {
            let host = host(&mut hosts, endpoint);
            host.endpoints.push(EndpointView {
                port: endpoint.port,
                role: finding.role,
                confidence: finding.confidence,
            });
            if let Some(listener) = endpoint.listener() {
                host.listening.push(ListeningView {
                    port: listener.port,
                    of_udp: true,
                });
            }
            if let Some((since, says, _)) = self.services.get(endpoint).and_then(|one| one.since())
            {
                let evidence = ("super-node-service", says.to_owned());
                host.plays(Role::SuperNode, since, evidence);
            }
        }
        for (endpoint, _) in self.listeners.listening() {
            host(&mut hosts, endpoint).listening.push(ListeningView {
                port: endpoint.port,
                of_udp: false,
            });
        }
        for flow in self.flows() {
            let view = hosts.entry((flow.zone, flow.inside.ip()));
            let view = view.or_insert_with(|| HostView::new(flow.zone, flow.inside.ip()));
            view.bytes = [0, 1].map(|way| view.bytes[way] + flow.bytes[way]);
            let same = |some: &FlowsView| (some.role, some.class) == (flow.role, flow.class);
            let place = view.flows.iter().position(same);
            let place = place.unwrap_or_else(|| {
                view.flows.push(FlowsView {
                    role: flow.role,
                    class: flow.class,
                    count: 0,
                    paths: BTreeMap::new(),
                });
                view.flows.len() - 1
            });
            let some = &mut view.flows[place];
            some.count += 1;
            if let Some(path) = flow.path {
                *some.paths.entry(path).or_default() += 1;
            }
        }
        for (key, leg) in self.relays.iter() {
            let host = host(&mut hosts, &key.endpoint());
            let to = SocketAddr::new(from_mapped(&leg.other.outside), leg.other.outside_port);
            let from = SocketAddr::new(from_mapped(&key.outside), key.outside_port);
            // Each session once.
            if from < to {
                let says = format!("between {from} and {to}: {}", leg.says);
                host.plays(Role::Relay, leg.since, ("relay-legs", says));
            }
        }
        let mut hosts: Vec<_> = hosts.into_values().collect();
        for host in &mut hosts {
            host.endpoints.sort_unstable_by_key(|one| one.port);
            host.listening.sort_unstable_by_key(|one| one.port);
            host.flows.sort_unstable_by_key(|one| (one.role, one.class));
            host.roles.sort_by_key(|one| one.role);
        }
        hosts
    }

    /// The flows that are watched, in the order of their inside ends.
    pub fn flows(&self) -> Vec<FlowView> {
        let views = self.watches.iter().filter_map(|(key, watched)| {
            let finding = self.finding(key)?;
            // What its endpoint is to others, a flow that the host opened itself is not.
            let served = finding.role != Role::SuperNode || watched.called || key.protocol != UDP;
            Some(FlowView {
                zone: key.zone,
                proto: if key.protocol == UDP { "UDP" } else { "TCP" },
                inside: SocketAddr::new(from_mapped(&key.inside), key.inside_port),
                outside: SocketAddr::new(from_mapped(&key.outside), key.outside_port),
                class: finding.class,
                role: if served { finding.role } else { Role::Client },
                path: self.path(key),
                confidence: finding.confidence,
                session: self.relays.session(key),
                called: watched.called,
                packets: watched.counters.packets,
                bytes: watched.counters.bytes,
                since: watched.since,
                seen: watched.seen,
            })
        });
        let mut views: Vec<_> = views.collect();
        views.sort_unstable_by_key(|flow| (flow.zone, flow.inside, flow.proto, flow.outside));
        views
    }

    /// What a flow is known to be, as the gate's tables have it.
    pub fn known(&self, key: &FlowKey) -> Option<(Finding, u32)> {
        Some((self.finding(key)?, self.relays.session(key)))
    }
}

fn host<'a>(
    hosts: &'a mut BTreeMap<(u16, IpAddr), HostView>,
    endpoint: &EndpointKey,
) -> &'a mut HostView {
    let address = from_mapped(&endpoint.inside);
    let host = hosts.entry((endpoint.zone, address));
    host.or_insert_with(|| HostView::new(endpoint.zone, address))
}

impl HostView {
    const fn new(zone: u16, host: IpAddr) -> Self {
        Self {
            zone,
            host,
            roles: Vec::new(),
            endpoints: Vec::new(),
            listening: Vec::new(),
            flows: Vec::new(),
            bytes: [0; 2],
        }
    }

    /// It plays a role, since then and for that.
    fn plays(&mut self, role: Role, since: u64, (name, says): (&'static str, String)) {
        let known = self.roles.iter_mut().find(|known| known.role == role);
        let evidence = EvidenceView {
            name,
            says: vec![says.clone()],
        };
        match known {
            Some(known) => {
                known.since = known.since.min(since);
                match known.evidence.iter_mut().find(|one| one.name == name) {
                    Some(one) => one.says.push(says),
                    None => known.evidence.push(evidence),
                }
            }
            None => self.roles.push(RoleView {
                role,
                since,
                evidence: vec![evidence],
            }),
        }
    }
}
