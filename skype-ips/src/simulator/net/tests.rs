//! Hosts that talk through links, translators and a simulated gateway.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use super::program::{Connection, Datagram, Event, Failure, Ground, Host, Instant, Program};
use super::*;
use crate::simulator::gateway::Gateway;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TALK: Ground = Ground::other("talk");
const MS: Duration = Duration::from_millis(1);

type Log = Rc<RefCell<Vec<String>>>;

/// Says what it was told to at its start, and writes down what it hears.
struct Talker {
    port: u16,
    datagrams: Vec<SocketAddrV4>,
    connections: Vec<SocketAddrV4>,
    /// What it sends over each connection, its own and those of others.
    speech: Vec<u8>,
    heard: usize,
    log: Log,
}

impl Program for Talker {
    fn start(&mut self, host: &mut dyn Host) {
        assert_eq!(host.bind(self.port, TALK), Some(self.port));
        assert!(host.listen(self.port));
        for to in &self.datagrams {
            host.send(self.port, *to, b"hello", None);
        }
        for to in &self.connections {
            host.connect(*to, TALK);
        }
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        let text = String::from_utf8_lossy(datagram.payload).into_owned();
        self.log
            .borrow_mut()
            .push(format!("{} from {}: {text}", host.address(), datagram.from));
        if datagram.payload == b"hello" {
            host.send(datagram.port, datagram.from, b"yes", None);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        let address = host.address();
        let note = |text: String| self.log.borrow_mut().push(format!("{address} {text}"));
        match event {
            Event::Connected | Event::Accepted { .. } => {
                host.write(connection, &self.speech);
                host.close(connection);
            }
            Event::Received(bytes) => self.heard += bytes.len(),
            Event::Finished => note(format!("heard {}", self.heard)),
            Event::Failed(failure) => note(format!("{failure:?}")),
        }
    }
}

struct Net {
    world: World<Talker>,
    gateway: Gateway,
    log: Log,
    seen: Vec<(Header, Ground)>,
}

fn end(text: &str) -> SocketAddrV4 {
    text.parse().expect("an address and port")
}

impl Net {
    /// Inside 10.1.0.0/24 (translated) and 198.51.100.0/24 (not), outside 203.0.113.0/24 and a
    /// home 192.168.1.0/24 behind 203.0.113.99.
    fn new(kind: NatKind, blocked: Blocked, hosts: Vec<(&str, LinkSpec, Talker)>) -> Self {
        let log = Log::default();
        let mut world = World::new(WorldSpec {
            seed: 1,
            gateway: GATEWAY,
        });
        let network = |side, subnet: &str, translated| NetworkSpec {
            side,
            subnet: subnet.parse().expect("a network"),
            router: None,
            translated,
            blocked: Blocked::default(),
        };
        let networks = [
            NetworkSpec {
                blocked,
                ..network(Side::Inside, "10.1.0.0/24", true)
            },
            network(Side::Inside, "198.51.100.0/24", false),
            network(Side::Outside, "203.0.113.0/24", false),
            NetworkSpec {
                router: Some((Ipv4Addr::new(203, 0, 113, 99), kind)),
                ..network(Side::Outside, "192.168.1.0/24", false)
            },
        ];
        let ids = networks.map(|spec| world.add_network(spec));
        for (address, link, mut talker) in hosts {
            let address: Ipv4Addr = address.parse().expect("an address");
            let index = networks
                .iter()
                .position(|network| network.subnet.contains(&address));
            talker.log = Rc::clone(&log);
            let host = world.add_host(HostSpec {
                address,
                network: ids[index.expect("a network for it")],
                up: link,
                down: link,
            });
            world.add_program(host, Box::new(talker), Instant::ZERO);
        }
        Self {
            gateway: Gateway::new(&world),
            world,
            log,
            seen: Vec::new(),
        }
    }

    fn run(&mut self, until: Duration) -> Vec<String> {
        while self.world.next_event().is_some_and(|at| at <= until) {
            self.world.step();
            for crossing in self.world.take_crossing() {
                let mut see = |seen: crate::simulator::gateway::Seen<'_>| {
                    let header = Header::read(seen.packet).expect("a packet");
                    self.seen.push((header, seen.ground));
                    true
                };
                if let Some((side, packet)) = self.gateway.forward(crossing, &mut see) {
                    self.world.arrived(side, packet);
                }
            }
        }
        self.log.take()
    }
}

fn talker(port: u16) -> Talker {
    Talker {
        port,
        datagrams: Vec::new(),
        connections: Vec::new(),
        speech: Vec::new(),
        heard: 0,
        log: Log::default(),
    }
}

fn delayed() -> LinkSpec {
    LinkSpec {
        delay: 10 * MS,
        ..LinkSpec::PERFECT
    }
}

#[test]
fn a_translated_host_is_seen_under_the_gateways_address() {
    let asks = Talker {
        datagrams: vec![end("203.0.113.7:99")],
        ..talker(4000)
    };
    let hosts = vec![
        ("10.1.0.2", delayed(), asks),
        ("203.0.113.7", delayed(), talker(99)),
    ];
    let mut net = Net::new(NatKind::PortRestricted, Blocked::default(), hosts);
    let log = net.run(MS * 1000);
    assert_eq!(
        log,
        [
            "203.0.113.7 from 192.0.2.1:4000: hello",
            "10.1.0.2 from 203.0.113.7:99: yes"
        ]
    );
    // The inside interface sees the host's own address both ways.
    let ends: Vec<_> = net
        .seen
        .iter()
        .map(|(header, _)| (header.source, header.destination))
        .collect();
    let (host, server) = (end("10.1.0.2:4000"), end("203.0.113.7:99"));
    assert_eq!(ends, [(host, server), (server, host)]);
    let crossed = net.world.accounts().crossed()[&TALK];
    assert_eq!(crossed.handed, crossed.emerged);
    assert_eq!(
        (crossed.handed[0].payload, crossed.handed[1].payload),
        (5, 3)
    );
    assert_eq!(net.world.accounts().strays, 0);
}

#[test]
fn nobody_reaches_a_translated_host_first() {
    let asks = Talker {
        datagrams: vec![end("192.0.2.1:4000"), end("198.51.100.2:5")],
        connections: vec![end("192.0.2.1:4000")],
        ..talker(1)
    };
    let hosts = vec![
        ("10.1.0.2", delayed(), talker(4000)),
        ("198.51.100.2", delayed(), talker(5)),
        ("203.0.113.7", delayed(), asks),
    ];
    let log = Net::new(NatKind::PortRestricted, Blocked::default(), hosts).run(MS * 60_000);
    assert_eq!(
        log,
        [
            "198.51.100.2 from 203.0.113.7:1: hello",
            "203.0.113.7 from 198.51.100.2:5: yes",
            "203.0.113.7 TimedOut"
        ]
    );
}

#[test]
fn two_homes_punch_a_hole_but_not_through_a_symmetric_router() {
    for (kind, punched) in [(NatKind::PortRestricted, true), (NatKind::Symmetric, false)] {
        let inside = Talker {
            datagrams: vec![end("203.0.113.99:6000")],
            ..talker(4000)
        };
        let home = Talker {
            datagrams: vec![end("192.0.2.1:4000")],
            ..talker(6000)
        };
        let hosts = vec![
            ("10.1.0.2", delayed(), inside),
            (
                "192.168.1.5",
                LinkSpec {
                    delay: 30 * MS,
                    ..LinkSpec::PERFECT
                },
                home,
            ),
        ];
        let log = Net::new(kind, Blocked::default(), hosts).run(MS * 1000);
        let heard = log.iter().any(|line| line.starts_with("10.1.0.2"));
        assert_eq!(heard, punched, "{kind:?}: {log:?}");
    }
}

#[test]
fn connections_carry_everything_over_a_lossy_link() {
    let size = 300_000;
    let asks = Talker {
        connections: vec![end("203.0.113.7:80"), end("203.0.113.7:81")],
        speech: vec![7; size],
        ..talker(1)
    };
    let lossy = LinkSpec {
        rate: Some(500_000),
        loss: 0.01,
        jitter: 2 * MS,
        reorder: 0.01,
        ..delayed()
    };
    let serves = Talker {
        speech: vec![9; 100],
        ..talker(80)
    };
    let hosts = vec![
        ("10.1.0.2", lossy, asks),
        ("203.0.113.7", delayed(), serves),
    ];
    let mut net = Net::new(NatKind::PortRestricted, Blocked::default(), hosts);
    let mut log = net.run(MS * 120_000);
    log.sort();
    assert_eq!(
        log,
        [
            "10.1.0.2 Reset",
            "10.1.0.2 heard 100",
            &format!("203.0.113.7 heard {size}")
        ]
    );
}

#[test]
fn a_firewall_further_out_stops_what_the_gateway_has_seen() {
    let asks = Talker {
        datagrams: vec![end("203.0.113.7:8000")],
        connections: vec![end("203.0.113.7:8000")],
        ..talker(4000)
    };
    let blocked = Blocked {
        udp: true,
        tcp_high: true,
    };
    let hosts = vec![
        ("10.1.0.2", delayed(), asks),
        ("203.0.113.7", delayed(), talker(8000)),
    ];
    let mut net = Net::new(NatKind::PortRestricted, blocked, hosts);
    assert_eq!(net.run(MS * 60_000), ["10.1.0.2 TimedOut"]);
    assert!(net.seen.len() >= 3, "the datagram and some SYNs");
    let crossed = net.world.accounts().crossed()[&TALK];
    assert_eq!(crossed.handed, crossed.emerged);
}

#[test]
fn silence_does_not_end_a_connection() {
    /// Writes, waits for ten minutes, writes again.
    struct Patient {
        connection: Option<Connection>,
        log: Log,
    }
    impl Program for Patient {
        fn start(&mut self, host: &mut dyn Host) {
            self.connection = Some(host.connect(end("203.0.113.7:80"), TALK));
            host.timer(600_000 * MS, 1);
        }
        fn timer(&mut self, host: &mut dyn Host, _: u64) {
            host.write(self.connection.expect("it began"), b"still there?");
        }
        fn connection(&mut self, host: &mut dyn Host, _: Connection, event: Event) {
            if !matches!(event, Event::Connected) {
                self.log
                    .borrow_mut()
                    .push(format!("{} {event:?}", host.address()));
            }
        }
    }
    struct Hears(Log);
    impl Program for Hears {
        fn start(&mut self, host: &mut dyn Host) {
            host.listen(80);
        }
        fn connection(&mut self, _: &mut dyn Host, _: Connection, event: Event) {
            if let Event::Received(bytes) = event {
                self.0
                    .borrow_mut()
                    .push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    let log = Log::default();
    let mut world: World<dyn Program> = World::new(WorldSpec {
        seed: 1,
        gateway: GATEWAY,
    });
    let network = world.add_network(NetworkSpec {
        side: Side::Outside,
        subnet: "203.0.113.0/24".parse().expect("a network"),
        router: None,
        translated: false,
        blocked: Blocked::default(),
    });
    let mut host = |last| {
        world.add_host(HostSpec {
            address: Ipv4Addr::new(203, 0, 113, last),
            network,
            up: delayed(),
            down: delayed(),
        })
    };
    let (first, second) = (host(1), host(7));
    world.add_program(second, Box::new(Hears(Rc::clone(&log))), Instant::ZERO);
    let patient = Patient {
        connection: None,
        log: Rc::clone(&log),
    };
    world.add_program(first, Box::new(patient), MS);
    world.advance(MS * 700_000);
    assert_eq!(log.take(), ["still there?"]);
}

#[test]
fn who_does_not_listen_resets_at_once() {
    let asks = Talker {
        connections: vec![end("203.0.113.7:81")],
        ..talker(1)
    };
    let hosts = vec![
        ("10.1.0.2", delayed(), asks),
        ("203.0.113.7", delayed(), talker(80)),
    ];
    let mut net = Net::new(NatKind::PortRestricted, Blocked::default(), hosts);
    let failed = format!("10.1.0.2 {:?}", Failure::Reset);
    assert_eq!(net.run(MS * 100), [failed]);
    assert!(net.seen.iter().all(|(_, ground)| *ground == TALK));
}

#[test]
fn two_ends_that_lose_something_at_once_go_on() {
    const SAID: usize = 250;
    const TIMES: usize = 500;
    /// Says something every 50 ms, to whom it asks or who asks it.
    struct Steady {
        to: Option<SocketAddrV4>,
        connection: Option<Connection>,
        left: usize,
        heard: Rc<RefCell<[usize; 2]>>,
    }
    impl Program for Steady {
        fn start(&mut self, host: &mut dyn Host) {
            host.listen(80);
            if let Some(to) = self.to {
                host.connect(to, TALK);
            }
        }
        fn timer(&mut self, host: &mut dyn Host, _: u64) {
            host.write(self.connection.expect("it is open"), &[7; SAID]);
            self.left -= 1;
            if self.left > 0 {
                host.timer(50 * MS, 0);
            }
        }
        fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
            match event {
                Event::Connected | Event::Accepted { .. } => {
                    self.connection = Some(connection);
                    host.timer(50 * MS, 0);
                }
                Event::Received(bytes) => {
                    self.heard.borrow_mut()[usize::from(self.to.is_some())] += bytes.len();
                }
                Event::Finished | Event::Failed(_) => panic!("nobody ends it"),
            }
        }
    }
    for seed in 0..30 {
        let mut world: World<Steady> = World::new(WorldSpec {
            seed,
            gateway: GATEWAY,
        });
        let network = world.add_network(NetworkSpec {
            side: Side::Outside,
            subnet: "203.0.113.0/24".parse().expect("a network"),
            router: None,
            translated: false,
            blocked: Blocked::default(),
        });
        let lossy = LinkSpec {
            loss: 0.02,
            delay: 20 * MS,
            ..LinkSpec::PERFECT
        };
        let heard = Rc::new(RefCell::new([0; 2]));
        for (last, to) in [(7, None), (1, Some(end("203.0.113.7:80")))] {
            let host = world.add_host(HostSpec {
                address: Ipv4Addr::new(203, 0, 113, last),
                network,
                up: lossy,
                down: lossy,
            });
            let steady = Steady {
                to,
                connection: None,
                left: TIMES,
                heard: Rc::clone(&heard),
            };
            world.add_program(host, Box::new(steady), Instant::ZERO);
        }
        world.advance(MS * 50 * TIMES as u32 + MS * 20_000);
        assert_eq!(*heard.borrow(), [SAID * TIMES; 2], "seed {seed}");
    }
}
