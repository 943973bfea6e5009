//! Classic Skype sessions: who talks to whom, when. What they say is in [`crate::simulator::speech`].

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;

use super::traffic::{Connection, Conversation, MS, Traffic};
use crate::simulator::speech::Speaker::{Client, Server};
use crate::simulator::speech::udp::{self, Noise};
use crate::simulator::speech::{
    Process, Sent, Turn, encrypted, fake_tls, key_exchange, legacy, login,
};

/// The address that peers see: the client's network has a translator further out.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

/// A host that runs Skype.
struct Host {
    address: Ipv4Addr,
    /// The port that it listens on, and sends all of its UDP from.
    port: u16,
    process: Process,
    next_port: u16,
}

impl Host {
    fn new(address: [u8; 4], rng: &mut Rng) -> Self {
        Self {
            address: address.into(),
            port: rng.u16(1024..65_000),
            process: Process::client(rng),
            next_port: rng.u16(49_152..60_000),
        }
    }

    /// A connection that begins with `opening` and goes on encrypted.
    fn connect(
        &mut self,
        traffic: &mut Traffic,
        rng: &mut Rng,
        (time, server): (u64, SocketAddrV4),
        ground: &'static str,
        opening: &[Turn],
    ) {
        self.next_port += 1;
        let client = SocketAddrV4::new(self.address, self.next_port);
        let ends = (client, server);
        let mut connection = Connection::open(traffic, rng, time, ends, ("skype", ground));
        for turn in opening {
            connection.send(traffic, turn.from, &turn.bytes);
        }
        let turns = rng.usize(4..=10);
        for turn in encrypted(rng, turns) {
            connection.pause(rng.u64(20..=400) * MS);
            connection.send(traffic, turn.from, &turn.bytes);
        }
        connection.close(traffic);
    }
}

/// Two clients: one of 2015 that probes and falls back to TCP, one of 2006 with the old streams.
pub(super) fn sessions(traffic: &mut Traffic, rng: &mut Rng) {
    let mut late = Host::new([192, 168, 7, 20], rng);
    probing(traffic, rng, &mut late, 2000 * MS, 60);
    let mut time = 3000 * MS;
    for _ in 0..6 {
        let server = peer(rng);
        let opening = keys(rng, &mut late);
        late.connect(traffic, rng, (time, server), "key exchange", &opening);
        let disguised = fake_tls::disguised(&mut late.process.generator, Vec::new(), None);
        let server = SocketAddrV4::new(*server.ip(), 443);
        let later = (time + 1610 * MS, server);
        late.connect(traffic, rng, later, "fake TLS", &disguised);
        time += 900 * MS;
    }
    let server = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 200), 33_033);
    let request = login::new_request(rng, login::NEW_LENGTHS[0]);
    let opening = login::session(rng, request);
    late.connect(traffic, rng, (9000 * MS, server), "login", &opening);

    let mut early = Host::new([192, 168, 7, 21], rng);
    probing(traffic, rng, &mut early, 4000 * MS, 20);
    for index in 0..3 {
        let at = (5000 * MS + index * 700 * MS, peer(rng));
        let padding = [rng.usize(10..=40), rng.usize(10..=40)];
        let mut theirs = Process::super_node(rng).generator;
        let opening = legacy::exchange(&mut early.process.generator, &mut theirs, rng, padding);
        early.connect(traffic, rng, at, "legacy stream", &opening);
    }
}

/// A key exchange with enough padding to be told by.
fn keys(rng: &mut Rng, host: &mut Host) -> Vec<Turn> {
    let padding = [(); 2].map(|()| rng.usize(5..=key_exchange::MAX_PADDING));
    let mut theirs = Process::super_node(rng).generator;
    key_exchange::exchange(&mut host.process.generator, &mut theirs, rng, padding)
}

/// A host of one of the networks for documentation, and its port.
fn peer(rng: &mut Rng) -> SocketAddrV4 {
    let [a, b, c] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]][rng.usize(0..3)];
    let address = Ipv4Addr::new(a, b, c, rng.u8(1..50));
    SocketAddrV4::new(address, rng.u16(1025..65_000))
}

/// A message that is sent once more.
struct Repeat {
    due: u64,
    conversation: Conversation,
    sent: Sent,
}

/// UDP probing, five destinations per second. Most are silent, and some of those are asked again;
/// others answer, or tell the client its address first.
fn probing(traffic: &mut Traffic, rng: &mut Rng, host: &mut Host, start: u64, count: u64) {
    let client = SocketAddrV4::new(host.address, host.port);
    let mut repeats: VecDeque<Repeat> = VecDeque::new();
    for index in 0..count {
        let time = start + index * 200 * MS;
        host.process.wait_until(time);
        while repeats.front().is_some_and(|repeat| repeat.due <= time)
            && let Some(repeat) = repeats.pop_front()
        {
            let again = host.process.repeat(rng, &repeat.sent);
            traffic.datagram(repeat.conversation, repeat.due, Client, &again);
        }
        let server = peer(rng);
        let conversation = traffic.udp(client, server, "skype", "probing");
        let len = rng.usize(7..=26);
        let sent = host.process.message(rng, len);
        traffic.datagram(conversation, time, Client, &sent.datagram);
        let answered = time + rng.u64(40..=150) * MS;
        let noise = Noise::some(rng);
        match index % 5 {
            0 => {
                let challenge = rng.u32(..);
                let nack = udp::nack(sent.id, noise, PUBLIC, challenge);
                traffic.datagram(conversation, answered, Server, &nack);
                let resend = host.process.resend(rng, &sent, challenge, *server.ip());
                traffic.datagram(conversation, answered + MS, Client, &resend);
                let answer = Process::super_node(rng).message(rng, 40).datagram;
                traffic.datagram(conversation, answered + 60 * MS, Server, &answer);
            }
            1 => {
                let ack = udp::ack(sent.id, noise, PUBLIC, rng.u32(..));
                traffic.datagram(conversation, answered, Server, &ack);
            }
            2 => repeats.push_back(Repeat {
                due: time + 2050 * MS,
                conversation,
                sent,
            }),
            _ => {}
        }
    }
}
