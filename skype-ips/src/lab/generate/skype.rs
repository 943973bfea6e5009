//! Classic Skype, as clients of 2006 to 2015 are known to speak.
//!
//! Sources: Biondi & Desclaux, "Silver Needle in the Skype" (2006); Ehlert et al., "Analysis and
//! Signature of Skype VoIP Session Traffic" (2006); Baset & Schulzrinne (2004); and the open
//! captures of Wireshark and nDPI. What is encrypted on the wire is random here.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use skype_ips_common::lcg;

use super::traffic::{Connection, Conversation, From, MS, Random, Traffic};

/// The address that peers see: the client's network has a translator further out.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

/// The SSLv2-framed hello of the fake TLS, without its challenge.
const FAKE_CLIENT: [u8; 56] = [
    0x80, 0x46, 0x01, 0x03, 0x01, 0x00, 0x2d, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x05, 0x00, 0x00,
    0x04, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x09, 0x00, 0x00, 0x64, 0x00, 0x00, 0x62, 0x00, 0x00, 0x08,
    0x00, 0x00, 0x03, 0x00, 0x00, 0x06, 0x01, 0x00, 0x80, 0x07, 0x00, 0xc0, 0x03, 0x00, 0x80, 0x06,
    0x00, 0x40, 0x02, 0x00, 0x80, 0x04, 0x00, 0x80,
];

/// The ServerHello of the fake TLS, whose time and random never change.
const FAKE_SERVER: [u8; 79] = [
    0x16, 0x03, 0x01, 0x00, 0x4a, 0x02, 0x00, 0x00, 0x46, 0x03, 0x01, 0x40, 0x1b, 0xe4, 0x86, 0x02,
    0xad, 0xe0, 0x29, 0xe1, 0x77, 0x74, 0xe5, 0x44, 0xb9, 0xc9, 0x9c, 0xb4, 0x31, 0x31, 0x5e, 0x02,
    0xdd, 0x77, 0x9d, 0x15, 0x4a, 0x96, 0x09, 0xba, 0x5d, 0xa8, 0x70, 0x20, 0x1c, 0xa0, 0xe4, 0xf6,
    0x4c, 0x63, 0x51, 0xae, 0x2f, 0x8e, 0x4e, 0xe1, 0xe6, 0x76, 0x6a, 0x0a, 0x88, 0xd5, 0xd8, 0xc5,
    0x5c, 0xae, 0x98, 0xc5, 0xe4, 0x81, 0xf2, 0x2a, 0x69, 0xbf, 0x90, 0x58, 0x00, 0x05, 0x00,
];

/// A running Skype program.
struct Process {
    address: Ipv4Addr,
    /// The port that it listens on, and sends all of its UDP from.
    port: u16,
    /// Its random generator.
    state: u32,
    /// Its next message.
    id: u16,
    next_port: u16,
}

impl Process {
    fn new(address: [u8; 4], random: &mut Random) -> Self {
        Self {
            address: address.into(),
            port: random.between(1024, 65_000) as u16,
            state: random.word(),
            id: random.next() as u16,
            next_port: random.between(49_152, 60_000) as u16,
        }
    }

    /// The generator's next state, a few draws on.
    fn draw(&mut self, random: &mut Random) -> u32 {
        for _ in 0..random.between(1, 4) {
            self.state = lcg::next(self.state);
        }
        self.state
    }

    /// Padding: low bytes of successive states.
    fn pad(&mut self, len: usize) -> Vec<u8> {
        let bytes = (0..len).map(|_| {
            self.state = lcg::next(self.state);
            self.state as u8
        });
        bytes.collect()
    }

    fn next_id(&mut self) -> [u8; 2] {
        self.id = self.id.wrapping_add(2);
        self.id.to_be_bytes()
    }

    fn connect(
        &mut self,
        traffic: &mut Traffic,
        random: &mut Random,
        time: u64,
        server: SocketAddrV4,
        ground: &'static str,
    ) -> Connection {
        self.next_port += 1;
        let client = SocketAddrV4::new(self.address, self.next_port);
        Connection::open(traffic, random, time, (client, server), ("skype", ground))
    }
}

/// A message of type 2: ID, IV, checksum of its contents, contents.
fn message(id: [u8; 2], iv: u32, sum: [u8; 4], contents: &[u8]) -> Vec<u8> {
    [&id[..], &[0x02], &iv.to_be_bytes(), &sum, contents].concat()
}

/// Two clients: one of 2015 that probes and falls back to TCP, one of 2006 with the old streams.
pub(super) fn sessions(traffic: &mut Traffic, random: &mut Random) {
    let mut late = Process::new([192, 168, 7, 20], random);
    probing(traffic, random, &mut late, 2000 * MS, 60);
    let mut tcp = 3000 * MS;
    for _ in 0..6 {
        let server = peer(random);
        key_exchange(traffic, random, &mut late, tcp, server);
        fake_tls(
            traffic,
            random,
            &mut late,
            tcp + 1610 * MS,
            SocketAddrV4::new(*server.ip(), 443),
        );
        tcp += 900 * MS;
    }
    login(traffic, random, &mut late, 9000 * MS);
    let mut early = Process::new([192, 168, 7, 21], random);
    probing(traffic, random, &mut early, 4000 * MS, 20);
    for index in 0..3 {
        let server = peer(random);
        legacy_stream(
            traffic,
            random,
            &mut early,
            5000 * MS + index * 700 * MS,
            server,
        );
    }
}

/// A host of one of the networks for documentation, and its port.
fn peer(random: &mut Random) -> SocketAddrV4 {
    let [a, b, c] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]][random.between(0, 2) as usize];
    let address = Ipv4Addr::new(a, b, c, random.between(1, 49) as u8);
    SocketAddrV4::new(address, random.between(1025, 65_000) as u16)
}

/// A message that is sent once more.
struct Repeat {
    due: u64,
    conversation: Conversation,
    id: [u8; 2],
    sum: [u8; 4],
    /// Bytes of contents.
    len: usize,
}

/// UDP probing, five destinations per second. Most are silent, and some of those are asked again;
/// others answer, or tell the client its address first.
fn probing(
    traffic: &mut Traffic,
    random: &mut Random,
    process: &mut Process,
    start: u64,
    count: u64,
) {
    let client = SocketAddrV4::new(process.address, process.port);
    let mut repeats: VecDeque<Repeat> = VecDeque::new();
    for index in 0..count {
        let time = start + index * 200 * MS;
        // Retransmissions that are due: the same message under a new IV.
        while repeats.front().is_some_and(|repeat| repeat.due <= time)
            && let Some(repeat) = repeats.pop_front()
        {
            let Repeat {
                due,
                conversation,
                id,
                sum,
                len,
            } = repeat;
            let again = message(id, process.draw(random), sum, &random.bytes(len));
            traffic.datagram(conversation, due, From::Client, &again);
        }
        let server = peer(random);
        let conversation = traffic.udp(client, server, "skype", "probing");
        let (id, sum) = (process.next_id(), random.word().to_be_bytes());
        let len = random.between(7, 26) as usize;
        let probe = message(id, process.draw(random), sum, &random.bytes(len));
        traffic.datagram(conversation, time, From::Client, &probe);
        let answered = time + random.between(40, 150) * MS;
        let noise = (random.between(0, 7) as u8) << 4;
        match index % 5 {
            0 => {
                let challenge = random.word().to_be_bytes();
                let nack = [&id[..], &[noise | 0x07], &PUBLIC.octets(), &challenge].concat();
                traffic.datagram(conversation, answered, From::Server, &nack);
                let resend = [
                    &id[..],
                    &[0x03, 0x01],
                    &challenge,
                    &server.ip().octets(),
                    &sum,
                    &random.bytes(len),
                ];
                traffic.datagram(conversation, answered + MS, From::Client, &resend.concat());
                let mut theirs = Process::new(server.ip().octets(), random);
                let answer = message(
                    theirs.next_id(),
                    theirs.draw(random),
                    random.word().to_be_bytes(),
                    &random.bytes(40),
                );
                traffic.datagram(conversation, answered + 60 * MS, From::Server, &answer);
            }
            1 => {
                let token = random.word().to_be_bytes();
                let ack = [&id[..], &[noise | 0x05], &PUBLIC.octets(), &token].concat();
                traffic.datagram(conversation, answered, From::Server, &ack);
            }
            2 => repeats.push_back(Repeat {
                due: time + 2050 * MS,
                conversation,
                id,
                sum,
                len,
            }),
            _ => {}
        }
    }
}

/// The 48-byte key exchange with padding, hashes, then an encrypted stream.
fn key_exchange(
    traffic: &mut Traffic,
    random: &mut Random,
    process: &mut Process,
    time: u64,
    server: SocketAddrV4,
) {
    let mut connection = process.connect(traffic, random, time, server, "key exchange");
    let mut theirs = Process::new(server.ip().octets(), random);
    for (from, process) in [(From::Client, process), (From::Server, &mut theirs)] {
        let len = random.between(5, 63) as usize;
        let opening = [random.bytes(48), process.pad(len)].concat();
        connection.send(traffic, from, &opening);
    }
    for from in [From::Client, From::Server] {
        connection.send(traffic, from, &random.bytes(8));
    }
    stream(traffic, random, connection);
}

/// The hello of another age, answered with one that never changes.
fn fake_tls(
    traffic: &mut Traffic,
    random: &mut Random,
    process: &mut Process,
    time: u64,
    server: SocketAddrV4,
) {
    let mut connection = process.connect(traffic, random, time, server, "fake TLS");
    let hello = [&FAKE_CLIENT[..], &process.pad(16)].concat();
    connection.send(traffic, From::Client, &hello);
    connection.send(traffic, From::Server, &FAKE_SERVER);
    stream(traffic, random, connection);
}

/// The old stream: its keystream starts anew after ten bytes.
fn legacy_stream(
    traffic: &mut Traffic,
    random: &mut Random,
    process: &mut Process,
    time: u64,
    server: SocketAddrV4,
) {
    let mut connection = process.connect(traffic, random, time, server, "legacy stream");
    let mut theirs = Process::new(server.ip().octets(), random);
    for (from, process) in [(From::Client, process), (From::Server, &mut theirs)] {
        let iv = process.draw(random).to_be_bytes();
        let sequence = random.bytes(2);
        let head = [&sequence[..], &[0, 0, 0, 1, 0, 0, 0, 3]].concat();
        let pad = process.pad(random.between(10, 40) as usize);
        let len = (pad.len() as u8 + 1) * 2;
        let body = [&[len, 0x03][..], &pad].concat();
        let key = random.bytes(body.len());
        let cover = |plain: &[u8]| -> Vec<u8> {
            plain
                .iter()
                .zip(&key)
                .map(|(plain, key)| plain ^ key)
                .collect()
        };
        let opening = [&iv[..], &cover(&head), &cover(&body)].concat();
        connection.send(traffic, from, &opening);
    }
    stream(traffic, random, connection);
}

/// Signing in: two empty records, which real TLS never begins with, then the request.
fn login(traffic: &mut Traffic, random: &mut Random, process: &mut Process, time: u64) {
    let server = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 200), 33_033);
    let mut connection = process.connect(traffic, random, time, server, "login");
    connection.send(traffic, From::Client, &[0x16, 0x03, 0x01, 0, 0]);
    connection.send(traffic, From::Server, &[0x17, 0x03, 0x01, 0, 0]);
    let request = [
        &[
            0x16, 0x03, 0x01, 0, 0xdf, 0x42, 0xcd, 0xef, 0xe7, 0x40, 0xd7, 0x2f, 0x1d,
        ][..],
        &random.bytes(215),
    ];
    connection.send(traffic, From::Client, &request.concat());
    let answer = [&[0x17, 0x03, 0x01, 0x01, 0x90][..], &random.bytes(0x190)].concat();
    connection.send(traffic, From::Server, &answer);
    connection.close(traffic);
}

/// What follows an opening, encrypted.
fn stream(traffic: &mut Traffic, random: &mut Random, mut connection: Connection) {
    for turn in 0..random.between(4, 10) {
        connection.pause(random.between(20, 400) * MS);
        let from = if turn % 2 == 0 {
            From::Client
        } else {
            From::Server
        };
        let len = random.between(4, 600) as usize;
        connection.send(traffic, from, &random.bytes(len));
    }
    connection.close(traffic);
}
