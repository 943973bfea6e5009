//! A world of programs that say something and count what comes back.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use skype_ips::lab::run::Played;
use skype_ips::simulator::net::program::{
    Connection, Datagram, Event, Ground, Host, Instant, Program,
};
use skype_ips::simulator::net::{HostSpec, LinkSpec, NetworkSpec, Side, World, WorldSpec};
use skype_ips::simulator::party::{Exchanges, Figures, Order, Party};
use skype_ips::simulator::play::Schedule;
use skype_ips::simulator::scenario::Built;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 1);
const ECHO: Ground = Ground::other("echo");
const BULK: Ground = Ground::other("bulk");
const PORT: u16 = 7000;
/// The parties that are called by others.
const PUBLIC: usize = 2;
const SERVER: usize = 4;
/// Bytes of a bulk transfer.
const BULK_LEN: usize = 400_000;

/// Sends datagrams and a long stream to `to`; of those it gets, sends datagrams back.
#[derive(Default)]
struct Talker {
    to: Option<SocketAddrV4>,
    asked: u64,
    answered: u64,
    heard: usize,
    port: u16,
}

impl Program for Talker {
    fn start(&mut self, host: &mut dyn Host) {
        let port = if self.to.is_some() { 0 } else { PORT };
        self.port = host.bind(port, ECHO).expect("a free port");
        match self.to {
            None => assert!(host.listen(PORT)),
            Some(to) => {
                host.connect(to, BULK);
                host.timer(Duration::from_millis(50), 0);
            }
        }
    }

    fn timer(&mut self, host: &mut dyn Host, _token: u64) {
        let to = self.to.expect("only who asks sets a timer");
        if self.asked < 20 {
            self.asked += 1;
            host.send(self.port, to, &[7; 100], None);
            host.timer(Duration::from_millis(50), 0);
        }
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        match self.to {
            Some(_) => self.answered += 1,
            None => host.send(datagram.port, datagram.from, datagram.payload, None),
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Connected => {
                host.write(connection, &vec![9; BULK_LEN]);
                host.close(connection);
            }
            Event::Received(bytes) => self.heard += bytes.len(),
            Event::Finished => host.close(connection),
            _ => {}
        }
    }
}

impl Party for Talker {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        Figures {
            exchanges: vec![
                Exchanges {
                    what: ECHO.what,
                    begun: self.asked,
                    done: self.answered,
                },
                Exchanges {
                    what: BULK.what,
                    begun: self.heard as u64,
                    done: self.heard as u64,
                },
            ],
            ..Figures::default()
        }
    }
}

/// Two inside networks, one of them translated, and a server outside. Everybody inside talks to
/// the server, and the server's neighbour to the host with a public address.
pub(crate) fn talk() -> Built {
    let mut world: World<dyn Party> = World::new(WorldSpec {
        seed: 1,
        gateway: GATEWAY,
    });
    let link = LinkSpec {
        rate: None,
        delay: Duration::from_millis(5),
        ..LinkSpec::PERFECT
    };
    let (mut host_ids, mut programs) = (Vec::new(), Vec::new());
    let server = |last| SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, last), PORT);
    let public = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 2), PORT);
    for (side, subnet, translated, hosts) in [
        (
            Side::Inside,
            "10.1.0.0/24",
            true,
            vec![("10.1.0.2", Some(server(1))), ("10.1.0.3", Some(public))],
        ),
        (
            Side::Inside,
            "198.51.100.0/24",
            false,
            vec![("198.51.100.2", None), ("198.51.100.3", Some(server(1)))],
        ),
        (
            Side::Outside,
            "203.0.113.0/24",
            false,
            vec![("203.0.113.1", None), ("203.0.113.2", Some(public))],
        ),
    ] {
        let id = world.add_network(NetworkSpec {
            side,
            subnet: subnet.parse().expect("a network"),
            router: None,
            translated,
            blocked: Default::default(),
        });
        for (address, to) in hosts {
            let address = address.parse().expect("an address");
            let host = world.add_host(HostSpec {
                address,
                network: id,
                up: link,
                down: link,
            });
            let talker = Talker {
                to,
                ..Talker::default()
            };
            let program = world.add_program(host, Box::new(talker), Duration::ZERO);
            programs.push((host_ids.len(), program));
            host_ids.push(host);
        }
    }
    Built {
        world,
        schedule: Schedule::default(),
        until: Duration::from_secs(3),
        hosts: host_ids,
        programs,
    }
}

/// Nothing is lost, and everybody has heard what was said to them.
pub(crate) fn everything_arrived(played: &Played) {
    for party in 0..played.rates.len() {
        let figures = played.figures(party);
        let [echo, bulk] = &figures.exchanges[..] else {
            panic!("two kinds")
        };
        assert_eq!(echo.begun, echo.done, "{party}");
        let expected = match party {
            PUBLIC | SERVER => 2 * BULK_LEN as u64,
            _ => 0,
        };
        assert_eq!(bulk.done, expected, "{party}");
    }
    for ground in [ECHO, BULK] {
        let (handed, lost) = played.lost(&ground);
        assert!(handed > 0, "{ground:?}");
        assert_eq!(lost, 0, "{ground:?} of {handed}");
    }
    assert_eq!(played.strays, 0);
}
