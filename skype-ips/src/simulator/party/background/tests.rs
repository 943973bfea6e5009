//! Every kind over links of all sorts, in simulated time.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::{Kind, Site, client, resolver, server};
use crate::simulator::net::{
    Blocked, HostSpec, LinkSpec, NetworkSpec, ProgramId, Side, World, WorldSpec,
};
use crate::simulator::party::{Exchanges, Order, Party};
use crate::simulator::play::{Schedule, Scheduled, play};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
const SERVERS: [Ipv4Addr; 2] = [
    Ipv4Addr::new(203, 0, 113, 80),
    Ipv4Addr::new(203, 0, 113, 81),
];
/// A home link: 50 Mbit/s, 15 ms.
const HOME: LinkSpec = LinkSpec {
    rate: Some(6_250_000),
    delay: Duration::from_millis(15),
    ..LinkSpec::PERFECT
};
const LOSSY: LinkSpec = LinkSpec {
    loss: 0.02,
    jitter: Duration::from_millis(5),
    reorder: 0.01,
    ..HOME
};

/// What came of a run.
struct Outcome {
    client: Vec<Exchanges>,
    servers: Vec<Exchanges>,
    /// Everything that crossed the gateway, in order.
    packets: Vec<u8>,
}

impl Outcome {
    fn of(&self, what: &str) -> Exchanges {
        let mut all = self.client.iter();
        *all.find(|kind| kind.what == what)
            .unwrap_or_else(|| panic!("no {what} in {:?}", self.client))
    }

    /// All that was begun on either side is done.
    fn whole(&self) -> bool {
        let mut all = self.client.iter().chain(&self.servers);
        all.all(|kind| kind.begun == kind.done)
    }
}

struct Net {
    world: World<dyn Party>,
    networks: [crate::simulator::net::NetworkId; 2],
    link: LinkSpec,
}

impl Net {
    fn new(seed: u64, link: LinkSpec) -> Self {
        let gateway = GATEWAY;
        let mut world = World::new(WorldSpec { seed, gateway });
        let network = |side, subnet: &str, translated| NetworkSpec {
            side,
            subnet: subnet.parse().expect("a network"),
            router: None,
            translated,
            blocked: Blocked::default(),
        };
        let networks = [
            network(Side::Inside, "10.1.0.0/24", true),
            network(Side::Outside, "203.0.113.0/24", false),
        ]
        .map(|spec| world.add_network(spec));
        Self {
            world,
            networks,
            link,
        }
    }

    fn add(&mut self, address: Ipv4Addr, program: Box<dyn Party>) -> ProgramId {
        let network = self.networks[usize::from(address.octets()[0] != 10)];
        // The servers' own links are perfect, so that what a test says of a link holds once.
        let (up, down) = match network == self.networks[0] {
            true => (self.link, self.link),
            false => (LinkSpec::PERFECT, LinkSpec::PERFECT),
        };
        let host = self.world.add_host(HostSpec {
            address,
            network,
            up,
            down,
        });
        self.world.add_program(host, program, Duration::ZERO)
    }
}

fn sites(kind: Kind) -> Vec<Site> {
    let sites = SERVERS.iter().zip(["www.example.com", "www.example.net"]);
    let sites = sites.map(|(address, name)| Site {
        name: name.to_owned(),
        address: SocketAddrV4::new(*address, kind.port()),
    });
    sites.collect()
}

/// A client for this many seconds, then time enough to finish.
fn run(kind: Kind, seed: u64, link: LinkSpec, lasting: u64) -> Outcome {
    let mut net = Net::new(seed, link);
    let servers = SERVERS.map(|address| net.add(address, server(kind)));
    let names = sites(kind);
    let names = names
        .iter()
        .map(|site| (site.name.clone(), *site.address.ip()));
    net.add(RESOLVER, resolver(names.collect()));
    let resolver = SocketAddrV4::new(RESOLVER, 53);
    let client = net.add(CLIENT, client(kind, sites(kind), Some(resolver)));
    let order = Scheduled {
        at: Duration::from_secs(1),
        program: client,
        order: Order::Run {
            lasting: Duration::from_secs(lasting),
        },
    };
    let mut packets = Vec::new();
    let until = Duration::from_secs(lasting + 120);
    play(
        &mut net.world,
        Schedule::new(vec![order]),
        until,
        &mut |_, seen| {
            packets.extend(seen.packet);
            true
        },
    );
    let figures = |id| net.world.program(id).figures(until).exchanges;
    Outcome {
        client: figures(client),
        servers: servers.into_iter().flat_map(figures).collect(),
        packets,
    }
}

#[test]
fn every_kind_completes_all_exchanges_over_a_good_link() {
    for kind in Kind::ALL {
        for seed in 0..3 {
            let outcome = run(kind, seed, HOME, 60);
            assert!(
                outcome.whole(),
                "{kind:?}, seed {seed}: {:?} {:?}",
                outcome.client,
                outcome.servers
            );
            assert!(!outcome.client.is_empty(), "{kind:?}");
        }
    }
}

#[test]
fn streams_are_whole_over_a_lossy_link_too() {
    for (kind, what) in [
        (Kind::Http, "HTTP"),
        (Kind::Https, "TLS"),
        (Kind::Ssh, "SSH"),
    ] {
        for seed in 0..3 {
            let exchanges = run(kind, seed, LOSSY, 60).of(what);
            assert!(exchanges.begun > 5, "{kind:?}: {exchanges:?}");
            assert_eq!(exchanges.begun, exchanges.done, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn what_a_lossy_link_loses_is_missed_by_its_numbers() {
    for (kind, what) in [
        (Kind::Game, "game"),
        (Kind::BitTorrent, "DHT"),
        (Kind::WebRtc, "RTP"),
    ] {
        let exchanges = run(kind, 1, LOSSY, 60).of(what);
        let share = exchanges.done as f64 / exchanges.begun as f64;
        assert!((0.93..1.0).contains(&share), "{kind:?}: {exchanges:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for kind in Kind::ALL {
        let [first, again, other] = [1, 1, 2].map(|seed| run(kind, seed, LOSSY, 20).packets);
        assert!(first == again, "{kind:?}");
        assert!(first != other, "{kind:?}");
    }
}
