//! Clients in a world: they sign in over every rung, call, send files, and say so when they can't.

mod calls;
mod files;
mod policies;
mod signing_in;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::super::proxy_server::ProxyServer;
use super::super::servers::{LoginServer, WebServer};
use super::super::super_node::SuperNodeProgram;
use super::*;
use crate::simulator::gateway::{Gateway, Seen};
use crate::simulator::net::{
    Blocked, Header, HostSpec, LinkSpec, NatKind, NetworkId, NetworkSpec, ProgramId, Side, World,
    WorldSpec,
};
use crate::simulator::party::{
    Generation, ProxyUse, Roles, Server, ServerKind, SuperNode, User, background,
};
use crate::simulator::play::{Schedule, Scheduled};

const SECOND: Duration = Duration::from_secs(1);
const NODES: [&str; 3] = [
    "203.0.113.10:40010",
    "203.0.113.11:40011",
    "203.0.113.12:40012",
];
const LOGIN: &str = "203.0.113.20:33033";
const EVENT: &str = "203.0.113.21:12350";
const WEB: &str = "203.0.113.22:80";
const RESOLVER: &str = "203.0.113.23:53";
/// Without and with a password.
const PROXIES: [Ipv4Addr; 2] = [
    Ipv4Addr::new(203, 0, 113, 24),
    Ipv4Addr::new(203, 0, 113, 25),
];

fn end(text: &str) -> SocketAddrV4 {
    text.parse().expect("an address and port")
}

/// A home link: 20 ms each way, a megabyte a second.
const LINK: LinkSpec = LinkSpec {
    rate: Some(1_000_000),
    delay: Duration::from_millis(10),
    ..LinkSpec::PERFECT
};

/// Where a client is.
#[derive(Clone, Copy)]
enum Place {
    /// Inside, its address translated by the gateway.
    Translated,
    /// Inside, with a public address.
    Public,
    /// Outside, with a public address.
    Outside,
    /// Outside behind a home router.
    Home(NatKind),
}

/// Whether the gateway drops a packet, by its time, header and ground.
type Drops = dyn FnMut(Instant, &Header, Ground) -> bool;

struct Net {
    world: World<dyn Party>,
    orders: Vec<Scheduled>,
    clients: Vec<ProgramId>,
    outside: NetworkId,
    blocked: Blocked,
    link: LinkSpec,
    dropped: Box<Drops>,
    /// All packets that crossed, with their time.
    seen: Vec<(Instant, Vec<u8>)>,
}

impl Net {
    /// With the service and its super nodes, of which the second and third relay.
    fn new(seed: u64, blocked: Blocked, link: LinkSpec) -> Self {
        let gateway = Ipv4Addr::new(192, 0, 2, 1);
        let mut world: World<dyn Party> = World::new(WorldSpec { seed, gateway });
        let outside = world.add_network(NetworkSpec {
            side: Side::Outside,
            subnet: "203.0.113.0/24".parse().expect("a network"),
            router: None,
            translated: false,
            blocked: Blocked::default(),
        });
        let mut net = Self {
            world,
            orders: Vec::new(),
            clients: Vec::new(),
            outside,
            blocked,
            link,
            dropped: Box::new(|_, _, _| false),
            seen: Vec::new(),
        };
        for (index, node) in NODES.into_iter().enumerate() {
            let others = NODES.iter().filter(|other| **other != node);
            let program = SuperNodeProgram::new(SuperNode {
                port: end(node).port(),
                roles: Roles {
                    directory: true,
                    relay: index > 0,
                },
                peers: others.map(|other| end(other)).collect(),
                generation: Generation::Y2015,
            });
            net.serve(*end(node).ip(), Box::new(program));
        }
        for (kind, address) in [(ServerKind::Login, LOGIN), (ServerKind::Event, EVENT)] {
            let address = end(address);
            let server = LoginServer::new(Server { kind, address });
            net.serve(*address.ip(), Box::new(server));
        }
        net.serve(*end(WEB).ip(), Box::new(WebServer::new()));
        let names = vec![("ui.skype.com".to_owned(), *end(WEB).ip())];
        net.serve(*end(RESOLVER).ip(), background::resolver(names));
        let skype = [NODES[0], NODES[1], NODES[2], LOGIN, EVENT, WEB];
        let skype: BTreeSet<_> = skype.iter().map(|address| *end(address).ip()).collect();
        for (address, password) in PROXIES.into_iter().zip([false, true]) {
            let proxy = ProxyServer::new(password, skype.clone());
            net.serve(address, Box::new(proxy));
        }
        net
    }

    fn perfect() -> Self {
        Self::new(1, Blocked::default(), LINK)
    }

    fn serve(&mut self, address: Ipv4Addr, program: Box<dyn Party>) {
        let host = self.world.add_host(HostSpec {
            address,
            network: self.outside,
            up: LinkSpec::PERFECT,
            down: LinkSpec::PERFECT,
        });
        self.world.add_program(host, program, Instant::ZERO);
    }

    /// A client, which signs in after a second. Users are numbered from 1.
    fn client(&mut self, place: Place, change: impl FnOnce(&mut Client)) -> usize {
        let number = self.clients.len() as u8 + 1;
        let (subnet, router, address) = match place {
            Place::Translated => ("10.1.{}.0/24", None, "10.1.{}.2"),
            Place::Public => ("198.51.{}.0/24", None, "198.51.{}.2"),
            Place::Outside => ("192.88.{}.0/24", None, "192.88.{}.2"),
            Place::Home(kind) => {
                let public = Ipv4Addr::new(203, 0, 114, number);
                ("192.168.{}.0/24", Some((public, kind)), "192.168.{}.2")
            }
        };
        let fill = |text: &str| text.replace("{}", &number.to_string());
        let inside = matches!(place, Place::Translated | Place::Public);
        let network = self.world.add_network(NetworkSpec {
            side: if inside { Side::Inside } else { Side::Outside },
            subnet: fill(subnet).parse().expect("a network"),
            router,
            translated: matches!(place, Place::Translated),
            blocked: if inside {
                self.blocked
            } else {
                Blocked::default()
            },
        });
        let host = self.world.add_host(HostSpec {
            address: fill(address).parse().expect("an address"),
            network,
            up: self.link,
            down: self.link,
        });
        let server = |kind, address| Server {
            kind,
            address: end(address),
        };
        let mut settings = Client {
            user: user(number.into()),
            generation: Generation::Y2015,
            port: 0,
            udp: true,
            proxy: None,
            host_cache: vec![end(NODES[0])],
            bootstrap: Vec::new(),
            servers: vec![
                server(ServerKind::Login, LOGIN),
                server(ServerKind::Event, EVENT),
                server(ServerKind::Web, WEB),
            ],
            resolver: end(RESOLVER),
            users: (1..=4).map(user).collect(),
        };
        change(&mut settings);
        let program = Box::new(ClientProgram::new(settings));
        let program = self.world.add_program(host, program, Instant::ZERO);
        self.clients.push(program);
        let client = self.clients.len() - 1;
        self.order(1, client, Order::SignIn);
        client
    }

    fn order(&mut self, second: u64, client: usize, order: Order) {
        self.orders.push(Scheduled {
            at: Duration::from_secs(second),
            program: self.clients[client],
            order,
        });
    }

    /// From now on the gateway drops what this says of a packet's time, header and ground.
    fn drop_what(&mut self, what: impl FnMut(Instant, &Header, Ground) -> bool + 'static) {
        self.dropped = Box::new(what);
    }

    fn play(&mut self, seconds: u64) {
        let until = Duration::from_secs(seconds);
        let mut schedule = Schedule::new(std::mem::take(&mut self.orders));
        let mut gateway = Gateway::new(&self.world);
        while schedule.step(&mut self.world, |at| at < until).is_some() {
            for crossing in self.world.take_crossing() {
                let now = self.world.now();
                let header = Header::read(&crossing.packet).expect("a packet");
                if (self.dropped)(now, &header, crossing.ground) {
                    continue;
                }
                let mut see = |seen: Seen<'_>| {
                    self.seen.push((now, seen.packet.to_vec()));
                    true
                };
                if let Some((side, packet)) = gateway.forward(crossing, &mut see) {
                    self.world.arrived(side, packet);
                }
            }
        }
        self.world.advance(until);
    }

    fn figures(&self, client: usize) -> Figures {
        let program = self.world.program(self.clients[client]);
        program.figures(self.world.now())
    }
}

fn user(number: u32) -> User {
    User {
        number,
        name: format!("user{number}"),
    }
}
