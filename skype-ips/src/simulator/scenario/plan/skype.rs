//! Skype's programs, its servers, and proxies.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;

use super::super::model::{self, Scenario, Settings};
use super::super::vocabulary::Kind;
use super::{HostPlan, Program, ProgramPlan, user};
use crate::simulator::party::skype::servers::{EVENT_PORTS, LOGIN_PORTS, WEB_PORT};
use crate::simulator::party::{self, ProxyUse, Roles, Server, ServerKind, User};
use crate::simulator::speech::proxy::Proxy;

/// Listening ports are drawn from these: above the ports of services, below those that hosts take
/// for connections (RFC 6335).
const PORTS: std::ops::RangeInclusive<u16> = 10_000..=48_000;
/// The resolvers' port.
const DNS: u16 = 53;

/// A server of the service, where it is looked for first.
const fn server(kind: ServerKind, address: Ipv4Addr) -> Server {
    let port = match kind {
        ServerKind::Login => LOGIN_PORTS[0],
        ServerKind::Event => EVENT_PORTS[0],
        ServerKind::Web => WEB_PORT,
    };
    Server {
        kind,
        address: SocketAddrV4::new(address, port),
    }
}

/// Whether the clients of a proxy have passwords: all of them or none, as was checked.
fn wants_password(scenario: &Scenario, proxy: usize) -> bool {
    let mut parties = scenario.parties.iter();
    parties.any(|party| match &party.settings {
        Settings::Client(client) => client
            .proxy
            .is_some_and(|(kind, party)| party == proxy && kind.password() == Some(true)),
        _ => false,
    })
}

/// The addresses of everything that is Skype.
fn skype(scenario: &Scenario) -> BTreeSet<Ipv4Addr> {
    let parties = scenario.parties.iter();
    let skype = parties
        .filter(|party| party.kind.server().is_some() || !matches!(party.settings, Settings::None));
    skype.map(|party| party.address).collect()
}

/// Whether one of two super nodes is the one that the other's user keeps to: they don't speak as super
/// nodes, so that the user's half can tell what is its own.
fn is_users(scenario: &Scenario, one: usize, other: usize) -> bool {
    let keeps_to = |node: usize, to: usize| match &scenario.parties[node].settings {
        Settings::SuperNode(node) => {
            let user = node.user.as_ref();
            user.is_some_and(|user| user.host_cache.contains(&to))
        }
        _ => false,
    };
    keeps_to(one, other) || keeps_to(other, one)
}

/// Adds them.
pub(super) fn add(scenario: &Scenario, sources: &mut [Rng], hosts: &mut [HostPlan]) {
    let nodes: Vec<_> = scenario
        .parties
        .iter()
        .zip(sources.iter_mut())
        .map(|(party, rng)| {
            let Settings::SuperNode(node) = &party.settings else {
                return None;
            };
            let port = match node.port {
                0 => rng.u16(PORTS),
                port => port,
            };
            Some(SocketAddrV4::new(party.address, port))
        })
        .collect();
    let service = Service::of(scenario);
    for (number, party) in scenario.parties.iter().enumerate() {
        let program = match (&party.settings, party.kind) {
            (Settings::Client(client), _) => {
                let client = service.client(scenario, number, client, &nodes);
                Program::Client(Box::new(client))
            }
            (Settings::SuperNode(node), _) => {
                let others = nodes.iter().enumerate();
                let others = others
                    .filter(|(other, _)| *other != number && !is_users(scenario, number, *other));
                let serving = party::SuperNode {
                    port: nodes[number].map_or(node.port, |own| own.port()),
                    roles: Roles {
                        directory: node.directory,
                        relay: node.relay,
                    },
                    peers: others.filter_map(|(_, address)| *address).collect(),
                    generation: node.generation.into(),
                };
                match &node.user {
                    Some(user) => {
                        let user = service.client(scenario, number, user, &nodes);
                        Program::Serving(serving, Box::new(user))
                    }
                    None => Program::SuperNode(serving),
                }
            }
            (Settings::None, Kind::Proxy) => Program::Proxy {
                password: wants_password(scenario, number),
                skype: skype(scenario),
            },
            (Settings::None, kind) => match kind.server() {
                Some(kind) => Program::Server(server(kind, party.address)),
                None => continue,
            },
        };
        hosts[number].programs.push(ProgramPlan {
            party: number,
            program,
        });
    }
}

/// What all clients are told.
struct Service {
    servers: Vec<Server>,
    resolver: Option<SocketAddrV4>,
    users: Vec<User>,
}

impl Service {
    fn of(scenario: &Scenario) -> Self {
        let servers = scenario
            .parties
            .iter()
            .filter_map(|party| Some(server(party.kind.server()?, party.address)));
        let users = (0..scenario.parties.len()).filter(|party| scenario.is_user(*party));
        Self {
            servers: servers.collect(),
            resolver: resolver(scenario),
            users: users.map(|number| user(scenario, number)).collect(),
        }
    }

    fn client(
        &self,
        scenario: &Scenario,
        number: usize,
        client: &model::Client,
        nodes: &[Option<SocketAddrV4>],
    ) -> party::Client {
        let addresses = |list: &[usize]| list.iter().filter_map(|node| nodes[*node]).collect();
        party::Client {
            user: user(scenario, number),
            generation: client.generation.into(),
            port: client.port,
            udp: client.udp,
            proxy: client.proxy.map(|(kind, party)| {
                let kind = Proxy::from(kind);
                let address = SocketAddrV4::new(scenario.parties[party].address, kind.port());
                ProxyUse { kind, address }
            }),
            host_cache: addresses(&client.host_cache),
            bootstrap: addresses(&client.bootstrap),
            servers: self.servers.clone(),
            resolver: self
                .resolver
                .expect("a scenario with a client has a resolver: it was checked"),
            users: self.users.clone(),
        }
    }
}

/// The first resolver.
pub(super) fn resolver(scenario: &Scenario) -> Option<SocketAddrV4> {
    let mut parties = scenario.parties.iter();
    let party = parties.find(|party| party.kind == Kind::Resolver)?;
    Some(SocketAddrV4::new(party.address, DNS))
}
