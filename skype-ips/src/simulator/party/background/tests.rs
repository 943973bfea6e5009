//! Every kind over links of all sorts, in simulated time.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::{Kind, LookAlike, Site, client, look_alike, resolver, server};
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
/// Inside, and not translated.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const VISITOR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
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
    networks: [crate::simulator::net::NetworkId; 3],
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
            network(Side::Inside, "198.51.100.0/24", false),
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
        let number = match address.octets()[0] {
            10 => 0,
            198 => 1,
            _ => 2,
        };
        let network = self.networks[number];
        // The outside's own links are perfect, so that what a test says of a link holds once.
        let link = if number < 2 {
            self.link
        } else {
            LinkSpec::PERFECT
        };
        let (up, down) = (link, link);
        let host = self.world.add_host(HostSpec {
            address,
            network,
            up,
            down,
        });
        self.world.add_program(host, program, Duration::ZERO)
    }
}

fn site(name: &str, address: Ipv4Addr, kind: Kind) -> Site {
    Site {
        name: name.to_owned(),
        address: SocketAddrV4::new(address, kind.port()),
    }
}

/// What runs on both servers, as the client knows them.
fn sites(kind: Kind) -> [(Site, Kind); 2] {
    let second = match kind {
        // A TURN server, and who is called through it.
        Kind::Turn => Kind::WebRtc,
        kind => kind,
    };
    [
        (site("www.example.com", SERVERS[0], kind), kind),
        (site("www.example.net", SERVERS[1], second), second),
    ]
}

/// Lets these programs run for so many seconds, the first as ordered, then time enough to finish.
fn play_out(mut net: Net, programs: &[ProgramId], ordered: ProgramId, lasting: u64) -> Outcome {
    let order = Scheduled {
        at: Duration::from_secs(1),
        program: ordered,
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
        client: figures(ordered),
        servers: programs.iter().copied().flat_map(figures).collect(),
        packets,
    }
}

/// A client inside.
fn run(kind: Kind, seed: u64, link: LinkSpec, lasting: u64) -> Outcome {
    let mut net = Net::new(seed, link);
    let sites = sites(kind);
    let servers = [0, 1].map(|index| net.add(SERVERS[index], server(sites[index].1)));
    let sites: Vec<Site> = sites.into_iter().map(|(site, _)| site).collect();
    let names = sites.iter();
    let names = names.map(|site| (site.name.clone(), *site.address.ip()));
    net.add(RESOLVER, resolver(names.collect()));
    let resolver = SocketAddrV4::new(RESOLVER, 53);
    let client = net.add(CLIENT, client(kind, sites, Some(resolver)));
    play_out(net, &servers, client, lasting)
}

/// What looks like a relay on an inside host with a public address, its peers and a visitor
/// outside.
fn run_look_alike(which: LookAlike, seed: u64) -> Outcome {
    let mut net = Net::new(seed, HOME);
    let mut programs = Vec::new();
    let mut peers = Vec::new();
    if let Some(kind) = which.peers() {
        for address in SERVERS {
            programs.push(net.add(address, server(kind)));
            peers.push(site("peer.example.org", address, kind));
        }
    }
    let itself = net.add(PUBLIC, look_alike(which, peers.clone()));
    let Some(kind) = which.visitors() else {
        return play_out(net, &programs, itself, 60);
    };
    programs.push(itself);
    let mut sites = vec![site("relay.example.org", PUBLIC, kind)];
    if kind == Kind::Turn {
        sites.extend(peers);
    }
    let visitor = net.add(VISITOR, client(kind, sites, None));
    play_out(net, &programs, visitor, 60)
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
        (Kind::Quic, "QUIC"),
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

#[test]
fn what_looks_like_a_relay_completes_all_exchanges() {
    for which in LookAlike::ALL {
        for seed in 0..3 {
            let outcome = run_look_alike(which, seed);
            let Outcome {
                client, servers, ..
            } = &outcome;
            assert!(!client.is_empty(), "{which:?}");
            assert!(outcome.whole(), "{which:?}: {client:?} {servers:?}");
        }
    }
}

#[test]
fn words_name_their_kinds() {
    for kind in Kind::ALL {
        assert_eq!(Kind::named(kind.word()), Some(kind));
    }
    for which in LookAlike::ALL {
        assert_eq!(LookAlike::named(which.word()), Some(which));
    }
    assert_eq!(Kind::named("skype"), None);
}
