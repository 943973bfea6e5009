//! From a plan to a world.

use std::net::Ipv4Addr;

use super::judge::Achieved;
use super::model::{self, Nat, Scenario};
use super::plan::{Plan, Program, plan};
use super::vocabulary::Blocked;
use crate::simulator::net::program::Instant;
use crate::simulator::net::{self, HostId, HostSpec, NetworkSpec, ProgramId, World, WorldSpec};
use crate::simulator::party::skype::client::ClientProgram;
use crate::simulator::party::skype::proxy_server::ProxyServer;
use crate::simulator::party::skype::servers::{LoginServer, WebServer};
use crate::simulator::party::skype::serving::ServingUser;
use crate::simulator::party::skype::super_node::SuperNodeProgram;
use crate::simulator::party::{Party, ServerKind, background};
use crate::simulator::play::{Schedule, Scheduled};

/// The gateway's own outside address, under which translated hosts are seen. No scenario may have
/// an address of its /24, a network for benchmarks (RFC 2544).
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 1);

/// A scenario's world, and what is to happen in it.
#[derive(Debug)]
pub struct Built {
    /// Hosts, networks and programs.
    pub world: World<dyn Party>,
    /// What programs are told.
    pub schedule: Schedule,
    /// When it is over.
    pub until: Instant,
    /// The host of each party, in the scenario's order.
    pub hosts: Vec<HostId>,
    /// Every program, and whose doing it is: the number of a party.
    pub programs: Vec<(usize, ProgramId)>,
}

/// Builds a scenario's world. The same seed builds the same.
pub fn build(scenario: &Scenario, seed: u64) -> Built {
    let Plan { hosts, orders } = plan(scenario, seed);
    let mut world: World<dyn Party> = World::new(WorldSpec {
        seed,
        gateway: GATEWAY,
    });
    let networks = scenario.networks.iter().map(network);
    let networks: Vec<_> = networks.map(|spec| world.add_network(spec)).collect();
    let mut host_ids = Vec::new();
    let mut programs = Vec::new();
    let mut by_host: Vec<Vec<ProgramId>> = Vec::new();
    for (party, host) in scenario.parties.iter().zip(hosts) {
        let id = world.add_host(HostSpec {
            address: party.address,
            network: networks[party.network],
            up: host.up,
            down: host.down,
        });
        host_ids.push(id);
        let mut own = Vec::new();
        for plan in host.programs {
            let program = world.add_program(id, plan.program.make(), Instant::ZERO);
            programs.push((plan.party, program));
            own.push(program);
        }
        by_host.push(own);
    }
    let orders = orders.into_iter().map(|planned| Scheduled {
        at: planned.at,
        program: by_host[planned.host][planned.program],
        order: planned.order,
    });
    Built {
        schedule: Schedule::new(orders.collect()),
        world,
        until: scenario.duration,
        hosts: host_ids,
        programs,
    }
}

impl Built {
    /// What has been achieved so far, for [`judge`](super::judge()).
    pub fn achieved(&self) -> Vec<Achieved> {
        achieved(&self.world, &self.programs)
    }
}

/// As [`Built::achieved`], where the world and the programs were taken out.
pub fn achieved(world: &World<dyn Party>, programs: &[(usize, ProgramId)]) -> Vec<Achieved> {
    let figures = programs.iter().map(|(party, program)| Achieved {
        party: *party,
        figures: world.program(*program).figures(world.now()),
    });
    figures.collect()
}

fn network(network: &model::Network) -> NetworkSpec {
    NetworkSpec {
        side: network.side.into(),
        subnet: network.subnet,
        router: match network.nat {
            Nat::Home { address, kind } => Some((address, kind.into())),
            Nat::None | Nat::Gateway => None,
        },
        translated: network.nat == Nat::Gateway,
        blocked: net::Blocked {
            udp: network.blocked.contains(&Blocked::Udp),
            tcp_high: network.blocked.contains(&Blocked::TcpHigh),
        },
    }
}

impl Program {
    /// The program itself.
    fn make(self) -> Box<dyn Party> {
        match self {
            Self::Resolver(names) => background::resolver(names),
            Self::Background(program) => {
                background::client(program.kind, program.sites, program.resolver)
            }
            Self::BackgroundServer(kind) => background::server(kind),
            Self::LookAlike(program) => background::look_alike(program.which, program.peers),
            Self::Client(settings) => Box::new(ClientProgram::new(*settings)),
            Self::Server(server) if server.kind == ServerKind::Web => Box::new(WebServer::new()),
            Self::Server(server) => Box::new(LoginServer::new(server)),
            Self::Proxy { password, skype } => Box::new(ProxyServer::new(password, skype)),
            Self::Serving(node, user) => Box::new(ServingUser::new(node, *user)),
            Self::SuperNode(settings) => Box::new(SuperNodeProgram::new(settings)),
        }
    }
}
