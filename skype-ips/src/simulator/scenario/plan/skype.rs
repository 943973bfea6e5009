//! Skype's programs, its servers, and proxies.

use std::net::SocketAddrV4;

use fastrand::Rng;

use super::super::model::{self, Scenario, Settings};
use super::super::vocabulary::Kind;
use super::{HostPlan, Program, ProgramPlan, user};
use crate::simulator::party::{self, ProxyUse, Roles, Server, ServerKind, User};
use crate::simulator::speech::proxy::Proxy;

/// Listening ports are drawn from these: above the ports of services, below those that hosts take
/// for connections (RFC 6335).
const PORTS: std::ops::RangeInclusive<u16> = 10_000..=48_000;
/// The resolvers' port.
const DNS: u16 = 53;
/// Where each server of the service is looked for.
const fn port(kind: ServerKind) -> u16 {
    match kind {
        ServerKind::Login => 33_033,
        ServerKind::Event => 12_350,
        ServerKind::Web => 80,
    }
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
                let others = others.filter(|(other, _)| *other != number);
                Program::SuperNode(party::SuperNode {
                    port: nodes[number].map_or(node.port, |own| own.port()),
                    roles: Roles {
                        directory: node.directory,
                        relay: node.relay,
                    },
                    peers: others.filter_map(|(_, address)| *address).collect(),
                    generation: node.generation.into(),
                })
            }
            (Settings::None, Kind::Proxy) => Program::Proxy,
            (Settings::None, kind) => match kind.server() {
                Some(kind) => Program::Server(kind),
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
        let servers = scenario.parties.iter().filter_map(|party| {
            let kind = party.kind.server()?;
            Some(Server {
                kind,
                address: SocketAddrV4::new(party.address, port(kind)),
            })
        });
        let clients = scenario.parties.iter().enumerate();
        let clients = clients.filter(|(_, party)| party.kind == Kind::Client);
        Self {
            servers: servers.collect(),
            resolver: resolver(scenario),
            users: clients.map(|(number, _)| user(scenario, number)).collect(),
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
