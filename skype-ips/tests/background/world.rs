//! Small worlds: an inside host with a public address, and others outside.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use skype_ips::simulator::net::{
    Blocked, HostSpec, LinkSpec, NetworkSpec, ProgramId, Side, World, WorldSpec,
};
use skype_ips::simulator::party::background::{
    Kind, LookAlike, Site, client, look_alike, resolver, server,
};
use skype_ips::simulator::party::{Order, Party};
use skype_ips::simulator::play::{Schedule, Scheduled};

const INSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const OUTSIDE: [Ipv4Addr; 3] = [
    Ipv4Addr::new(203, 0, 113, 80),
    Ipv4Addr::new(203, 0, 113, 81),
    Ipv4Addr::new(203, 0, 113, 82),
];
const RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
const LINK: LinkSpec = LinkSpec {
    rate: Some(6_250_000),
    delay: Duration::from_millis(15),
    jitter: Duration::from_millis(3),
    loss: 0.005,
    reorder: 0.005,
};
const LASTING: Duration = Duration::from_secs(12);

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    /// A client inside.
    Client(Kind),
    /// The inside host looks like a relay.
    LookAlike(LookAlike),
}

impl Subject {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let kinds = Kind::ALL.map(Self::Client);
        let look_alikes = LookAlike::ALL.map(Self::LookAlike);
        kinds.into_iter().chain(look_alikes).collect()
    }
}

/// A world that is ready to be played.
pub(crate) struct Ready {
    pub(crate) world: World<dyn Party>,
    pub(crate) schedule: Schedule,
    pub(crate) until: Duration,
}

fn site(name: &str, address: Ipv4Addr, kind: Kind) -> Site {
    Site {
        name: name.to_owned(),
        address: SocketAddrV4::new(address, kind.port()),
    }
}

/// The world of a subject.
pub(crate) fn world(subject: Subject, seed: u64) -> Ready {
    let gateway = Ipv4Addr::new(192, 0, 2, 1);
    let mut world = World::new(WorldSpec { seed, gateway });
    let network = |side, subnet: &str| NetworkSpec {
        side,
        subnet: subnet.parse().expect("a network"),
        router: None,
        translated: false,
        blocked: Blocked::default(),
    };
    let inside = world.add_network(network(Side::Inside, "198.51.100.0/24"));
    let outside = world.add_network(network(Side::Outside, "203.0.113.0/24"));
    let mut add = |address: Ipv4Addr, program: Box<dyn Party>| -> ProgramId {
        let network = if address == INSIDE { inside } else { outside };
        let (up, down) = (LINK, LINK);
        let host = world.add_host(HostSpec {
            address,
            network,
            up,
            down,
        });
        world.add_program(host, program, Duration::ZERO)
    };
    let program = match subject {
        Subject::Client(kind) => {
            let second = if kind == Kind::Turn {
                Kind::WebRtc
            } else {
                kind
            };
            let kinds = [kind, second, second];
            let names = ["www.example.com", "www.example.net", "www.example.org"];
            let mut sites = Vec::new();
            for ((address, name), kind) in OUTSIDE.into_iter().zip(names).zip(kinds) {
                add(address, server(kind));
                sites.push(site(name, address, kind));
            }
            let known = sites.iter();
            let known = known.map(|site| (site.name.clone(), *site.address.ip()));
            add(RESOLVER, resolver(known.collect()));
            let resolver = SocketAddrV4::new(RESOLVER, 53);
            add(INSIDE, client(kind, sites, Some(resolver)))
        }
        Subject::LookAlike(which) => {
            let mut peers = Vec::new();
            for address in &OUTSIDE[..2] {
                if let Some(kind) = which.peers() {
                    add(*address, server(kind));
                    peers.push(site("peer.example.org", *address, kind));
                }
            }
            let itself = add(INSIDE, look_alike(which, peers.clone()));
            match which.visitors() {
                Some(kind) => {
                    let mut sites = vec![site("host.example.org", INSIDE, kind)];
                    if kind == Kind::Turn {
                        sites.extend(peers);
                    }
                    add(OUTSIDE[2], client(kind, sites, None))
                }
                None => itself,
            }
        }
    };
    let order = Scheduled {
        at: Duration::from_secs(1),
        program,
        order: Order::Run { lasting: LASTING },
    };
    Ready {
        world,
        schedule: Schedule::new(vec![order]),
        until: LASTING + Duration::from_secs(30),
    }
}
