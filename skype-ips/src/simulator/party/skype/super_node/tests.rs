use std::net::Ipv4Addr;

use super::super::super::Roles;
use super::super::endpoint;
use super::super::fake::FakeNet;
use super::super::message::{Talk, What};
use super::*;

const NODES: [SocketAddrV4; 3] = [node(1, 33_033), node(2, 40_002), node(3, 40_003)];
const PORT: u16 = 35_990;

const fn node(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, last), port)
}

fn address(user: u32) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, user as u8)
}

const BOTH: Roles = Roles {
    directory: true,
    relay: true,
};

/// A user's program: asks its super node over both ways, and keeps what comes.
struct Person {
    user: u32,
    node: SocketAddrV4,
    endpoint: Endpoint,
    session: Option<Session>,
    received: Vec<Received>,
    heard: Vec<Heard>,
    over: bool,
    visitors: u32,
    mute: bool,
}

impl Person {
    fn new(user: u32, node: SocketAddrV4) -> Self {
        let process = Process::client(&mut fastrand::Rng::with_seed(user.into()));
        Self {
            user,
            node,
            endpoint: Endpoint::new(process, Generation::Y2006, None),
            session: None,
            received: Vec::new(),
            heard: Vec::new(),
            over: false,
            visitors: 0,
            mute: false,
        }
    }
}

impl Program for Person {
    fn start(&mut self, host: &mut dyn Host) {
        assert!(self.endpoint.bind(host, PORT, Ground::skype("client")));
        host.listen(PORT);
        host.connect(self.node, Ground::skype("client"));
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        for received in self.endpoint.receive(host, datagram) {
            if let Received::Message { from, id, .. } = &received {
                self.endpoint.acknowledge(host, *from, *id);
            }
            self.received.push(received);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Connected => {
                let (process, opening) = (&mut self.endpoint.process, Opening::OldLegacy);
                let mut session = Session::connect(host, connection, process, opening, false);
                let register = Message::Register {
                    user: self.user,
                    candidates: vec![SocketAddrV4::new(host.address(), PORT)],
                };
                session.tell(host, &register);
                self.session = Some(session);
            }
            Event::Accepted { .. } => self.visitors += 1,
            Event::Received(bytes) => {
                let Some(session) = &mut self.session else {
                    return;
                };
                if session.connection() != connection {
                    return;
                }
                for heard in session.receive(host, &mut self.endpoint.process, &bytes) {
                    match heard {
                        Heard::Message {
                            number,
                            message: Message::Ping,
                        } if !self.mute => session.answer(host, number, &Message::Pong),
                        heard => self.heard.push(heard),
                    }
                }
            }
            Event::Finished | Event::Failed(_) => self.over = true,
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        let received = self.endpoint.timer(host, token);
        self.received.extend(received.into_iter().flatten());
    }
}

/// As many nodes, which know each other, with these roles.
fn nodes(all: &[Roles]) -> FakeNet {
    let mut net = FakeNet::new();
    for (index, roles) in all.iter().enumerate() {
        let others = NODES[..all.len()].iter();
        let peers = others.filter(|peer| **peer != NODES[index]).copied();
        let settings = SuperNode {
            port: NODES[index].port(),
            roles: *roles,
            peers: peers.collect(),
            generation: Generation::Y2006,
        };
        let address = *NODES[index].ip();
        net.add(address, address, SuperNodeProgram::new(settings));
    }
    net
}

fn add(net: &mut FakeNet, user: u32, node: SocketAddrV4) -> usize {
    let index = net.add(address(user), address(user), Person::new(user, node));
    net.run(Duration::from_secs(1));
    index
}

fn ask(net: &mut FakeNet, person: usize, to: SocketAddrV4, message: &Message) {
    net.with(person, |person: &mut Person, host| {
        person.endpoint.request(host, to, message);
    });
}

fn tell(net: &mut FakeNet, person: usize, message: &Message) {
    net.with(person, |person: &mut Person, host| {
        let session = person.session.as_mut().expect("connected");
        session.tell(host, message);
    });
}

/// Messages over TCP since the last time.
fn heard(net: &mut FakeNet, person: usize) -> Vec<Message> {
    let heard = net.with(person, |person: &mut Person, _| {
        std::mem::take(&mut person.heard)
    });
    let messages = heard.into_iter().filter_map(|heard| match heard {
        Heard::Message { message, .. } => Some(message),
        _ => None,
    });
    messages.collect()
}

/// Answers by datagram since the last time.
fn answers(net: &mut FakeNet, person: usize) -> Vec<Message> {
    let received = net.with(person, |person: &mut Person, _| {
        std::mem::take(&mut person.received)
    });
    let answers = received.into_iter().filter_map(|received| match received {
        Received::Answer { message, .. } => Some(message),
        _ => None,
    });
    answers.collect()
}

fn figures(net: &mut FakeNet, node: usize) -> Figures {
    net.with(node, |node: &mut SuperNodeProgram, host| {
        node.figures(host.now())
    })
}

#[test]
fn a_client_is_taken_after_the_first_exchange() {
    let mut net = nodes(&[BOTH]);
    let person = add(&mut net, 1, NODES[0]);
    net.datagrams.clear();
    ask(&mut net, person, NODES[0], &Message::Probe);
    net.run(Duration::from_millis(100));
    let sent: Vec<_> = net.datagrams.iter().map(|one| one.payload.len()).collect();
    assert_eq!(sent, [18, 11, 23, 18]);
    assert_eq!(answers(&mut net, person), [Message::Accept]);
    let [Message::Registered { seen }] = heard(&mut net, person)[..] else {
        panic!("registered");
    };
    assert_eq!(*seen.ip(), address(1));
}

#[test]
fn who_takes_no_clients_names_others() {
    let no_directory = Roles {
        directory: false,
        relay: true,
    };
    let mut net = nodes(&[no_directory, BOTH, BOTH]);
    net.run(Duration::from_secs(5));
    let person = add(&mut net, 1, NODES[0]);
    let Some(Message::Refused { mut others }) = heard(&mut net, person).pop() else {
        panic!("refused");
    };
    others.sort();
    assert_eq!(others, NODES[1..]);
    assert!(net.with(person, |person: &mut Person, _| person.over));
    let refusal = net.segments.last().expect("written");
    assert_eq!(refusal.bytes.len(), 339);
    ask(&mut net, person, NODES[0], &Message::Probe);
    net.run(Duration::from_secs(1));
    let answers = answers(&mut net, person);
    assert!(matches!(&answers[..], [Message::Redirect { others }] if others.len() == 2));
}

#[test]
fn users_of_other_nodes_are_found_and_told_in_fragments() {
    let mut net = nodes(&[BOTH; 3]);
    let person = add(&mut net, 1, NODES[0]);
    add(&mut net, 2, NODES[2]);
    net.datagrams.clear();
    ask(&mut net, person, NODES[0], &Message::Search { user: 2 });
    net.run(Duration::from_secs(5));
    let found = Message::Found {
        user: 2,
        at: NODES[2],
        candidates: vec![SocketAddrV4::new(address(2), PORT)],
    };
    assert_eq!(answers(&mut net, person).first(), Some(&found));
    let big = net.datagrams.iter().filter(|one| one.payload.len() == 1355);
    assert_eq!(big.count(), 16);
    tell(&mut net, person, &Message::Search { user: 2 });
    net.run(Duration::from_secs(5));
    assert_eq!(heard(&mut net, person).last(), Some(&found));
    assert_eq!(figures(&mut net, 0).served.asked, 2);
    assert_eq!(figures(&mut net, 0).served.answered, 2);
    assert_eq!(figures(&mut net, 2).served, Searches::default());
}

#[test]
fn a_user_whom_nobody_knows_is_not_here() {
    let mut net = nodes(&[BOTH; 2]);
    let person = add(&mut net, 1, NODES[0]);
    ask(&mut net, person, NODES[0], &Message::Search { user: 9 });
    net.run(Duration::from_secs(5));
    let not_here = Message::NotHere { user: 9 };
    assert_eq!(answers(&mut net, person), [not_here]);
    assert_eq!(figures(&mut net, 0).served.answered, 1);
}

fn hang_up(from: u32, to: u32, at: Option<SocketAddrV4>) -> Message {
    Message::Forward {
        from,
        to,
        at,
        talk: Talk::HangUp { session: 7 },
    }
}

#[test]
fn words_find_their_way_there_and_back() {
    let mut net = nodes(&[BOTH; 2]);
    let one = add(&mut net, 1, NODES[0]);
    let two = add(&mut net, 2, NODES[1]);
    let three = add(&mut net, 3, NODES[0]);
    for person in [one, two, three] {
        heard(&mut net, person);
    }
    tell(&mut net, one, &hang_up(1, 2, Some(NODES[1])));
    net.run(Duration::from_secs(1));
    let back = Some(NODES[0]);
    assert_eq!(heard(&mut net, two), [hang_up(1, 2, back)]);
    tell(&mut net, two, &hang_up(2, 1, back));
    net.run(Duration::from_secs(1));
    assert_eq!(heard(&mut net, one), [hang_up(2, 1, Some(NODES[1]))]);
    tell(&mut net, one, &hang_up(1, 3, None));
    net.run(Duration::from_secs(1));
    assert_eq!(heard(&mut net, three), [hang_up(1, 3, None)]);
}

#[test]
fn a_word_is_passed_on_once_even_if_its_acknowledgement_is_lost() {
    let mut net = nodes(&[BOTH; 2]);
    let one = add(&mut net, 1, NODES[0]);
    let two = add(&mut net, 2, NODES[1]);
    net.run(Duration::from_secs(10));
    heard(&mut net, two);
    net.datagrams.clear();
    net.lose = [1].into();
    tell(&mut net, one, &hang_up(1, 2, Some(NODES[1])));
    net.run(Duration::from_secs(20));
    assert_eq!(net.datagrams.len(), 4, "told, acknowledged, and again");
    assert_eq!(heard(&mut net, two).len(), 1);
}

#[test]
fn words_that_can_not_be_delivered_come_back() {
    let mut net = nodes(&[BOTH; 2]);
    let one = add(&mut net, 1, NODES[0]);
    heard(&mut net, one);
    for (at, seconds) in [
        (Some(NODES[1]), 1),
        (None, 1),
        // Nobody there.
        (Some(NODES[2]), 12),
    ] {
        tell(&mut net, one, &hang_up(1, 2, at));
        net.run(Duration::from_secs(seconds));
        let unreachable = Message::Unreachable { user: 2 };
        assert_eq!(heard(&mut net, one), [unreachable], "{at:?}");
    }
    // Nobody speaks for others.
    tell(&mut net, one, &hang_up(5, 1, None));
    net.run(Duration::from_secs(1));
    assert_eq!(heard(&mut net, one), []);
}

#[test]
fn relays_announce_themselves_and_are_named() {
    let no_relay = Roles {
        directory: true,
        relay: false,
    };
    let mut net = nodes(&[no_relay, BOTH]);
    net.run(Duration::from_secs(5));
    let sizes = net.datagrams.iter().map(|one| one.payload.len());
    assert_eq!(sizes.clone().filter(|len| *len == 346).count(), 2);
    assert_eq!(sizes.filter(|len| *len == 11).count(), 2);
    let one = add(&mut net, 1, NODES[0]);
    heard(&mut net, one);
    tell(&mut net, one, &Message::RelayWanted { what: What::Voice });
    net.run(Duration::from_secs(1));
    let relays = vec![NODES[1]];
    assert_eq!(heard(&mut net, one), [Message::Relays { relays }]);
}

fn join(user: u32) -> Message {
    Message::Join {
        session: 7,
        user,
        what: What::Voice,
    }
}

#[test]
fn a_relay_carries_between_a_connection_and_datagrams() {
    let mut net = nodes(&[BOTH]);
    let one = add(&mut net, 1, NODES[0]);
    let two = add(&mut net, 2, NODES[0]);
    heard(&mut net, one);
    tell(&mut net, one, &join(1));
    net.run(Duration::from_secs(1));
    let joined = |both| Message::Joined { session: 7, both };
    assert_eq!(heard(&mut net, one), [joined(false)]);
    ask(&mut net, two, NODES[0], &join(2));
    net.run(Duration::from_secs(1));
    assert_eq!(answers(&mut net, two), [joined(true)]);
    assert_eq!(heard(&mut net, one), [joined(true)]);
    net.with(one, |person: &mut Person, host| {
        let session = person.session.as_mut().expect("connected");
        session.media(host, 7, &[1; 60]);
    });
    net.with(two, |person: &mut Person, host| {
        person.endpoint.media(host, NODES[0], 7, &[2; 50]);
        person.endpoint.media(host, NODES[0], 8, &[2; 50]);
    });
    net.run(Duration::from_secs(1));
    net.with(one, |person: &mut Person, _| {
        let media = Heard::Media {
            session: 7,
            body: vec![2; 50],
        };
        assert_eq!(person.heard, [media]);
    });
    net.with(two, |person: &mut Person, _| {
        let media = Received::Media {
            from: NODES[0],
            session: 7,
            body: vec![1; 60],
        };
        assert_eq!(person.received[0], media);
    });
    let figures = figures(&mut net, 0);
    let packets = [60, 50].map(|len| len + 28 + endpoint::MEDIA_HEAD as u64);
    assert_eq!(figures.relayed_bytes, packets.iter().sum::<u64>());
    assert_eq!(figures.relayed_sessions, 1);
}

#[test]
fn who_is_no_relay_carries_nothing() {
    let no_relay = Roles {
        directory: true,
        relay: false,
    };
    let mut net = nodes(&[no_relay, BOTH]);
    net.run(Duration::from_secs(5));
    let one = add(&mut net, 1, NODES[0]);
    ask(&mut net, one, NODES[0], &join(1));
    net.run(Duration::from_secs(1));
    let others = vec![NODES[1]];
    assert_eq!(answers(&mut net, one), [Message::Redirect { others }]);
}

#[test]
fn a_client_that_says_it_is_public_is_visited() {
    let mut net = nodes(&[BOTH]);
    let one = add(&mut net, 1, NODES[0]);
    net.datagrams.clear();
    net.run(Duration::from_secs(10));
    let sizes: Vec<_> = net.datagrams.iter().map(|one| one.payload.len()).collect();
    assert!(sizes.contains(&20) && sizes.contains(&11), "{sizes:?}");
    assert_eq!(net.with(one, |person: &mut Person, _| person.visitors), 1);
}

#[test]
fn a_silent_client_is_asked_and_then_let_go() {
    let mut net = nodes(&[BOTH]);
    let one = add(&mut net, 1, NODES[0]);
    let two = add(&mut net, 2, NODES[0]);
    net.with(two, |person: &mut Person, _| person.mute = true);
    net.run(Duration::from_secs(400));
    let over = |net: &mut FakeNet, index| net.with(index, |person: &mut Person, _| person.over);
    assert!(!over(&mut net, one) && over(&mut net, two));
    let pings = net.segments.iter().filter(|one| one.bytes.len() == 4);
    assert!(pings.count() > 8, "the shortest messages keep it open");
    ask(&mut net, one, NODES[0], &Message::Search { user: 2 });
    net.run(Duration::from_secs(5));
    assert_eq!(answers(&mut net, one), [Message::NotHere { user: 2 }]);
}

#[test]
fn strangers_are_answered_and_let_go() {
    struct Stranger(bool);
    impl Program for Stranger {
        fn start(&mut self, host: &mut dyn Host) {
            let to = SocketAddrV4::new(*NODES[0].ip(), 80);
            host.connect(to, Ground::other("probe"));
        }
        fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
            match event {
                Event::Connected => host.write(connection, b"GET / HTTP/1.0\r\n\r\n"),
                Event::Finished => self.0 = true,
                _ => {}
            }
        }
    }
    let mut net = nodes(&[BOTH]);
    let stranger = net.add(address(9), address(9), Stranger(false));
    net.run(Duration::from_secs(1));
    assert!(net.segments[1].bytes.starts_with(b"HTTP/1.0 501 "));
    assert!(net.with(stranger, |stranger: &mut Stranger, _| stranger.0));
}
