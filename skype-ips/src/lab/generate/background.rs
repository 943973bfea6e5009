//! Everyday traffic, some of it from the same hosts as Skype's.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::traffic::{Connection, From, MS, Random, Traffic};

const NAMES: [&str; 6] = [
    "www.example.com",
    "mail.example.org",
    "cdn.example.net",
    "time.example.com",
    "news.example.org",
    "api.example.net",
];

/// All of it.
pub(super) fn everyday(traffic: &mut Traffic, random: &mut Random) {
    let hosts = [20, 21, 30, 31].map(|last| Ipv4Addr::new(192, 168, 7, last));
    for round in 0..6 {
        for (index, host) in (0..).zip(hosts) {
            let time = round * 2500 * MS + index * 310 * MS;
            let name = NAMES[random.between(0, 5) as usize];
            let server = Ipv4Addr::new(192, 0, 2, random.between(100, 140) as u8);
            dns(traffic, random, time, host, name, server);
            let client = SocketAddrV4::new(host, random.between(32_768, 49_000) as u16);
            match round % 3 {
                0 => http(traffic, random, time + 90 * MS, client, name, server),
                _ => tls(traffic, random, time + 90 * MS, client, name, server),
            }
        }
    }
    media(traffic, random, 1000 * MS, hosts[2]);
    media(traffic, random, 6000 * MS, hosts[0]);
    counter(traffic, 1500 * MS, hosts[3]);
}

fn dns(
    traffic: &mut Traffic,
    random: &mut Random,
    time: u64,
    host: Ipv4Addr,
    name: &str,
    answer: Ipv4Addr,
) {
    let client = SocketAddrV4::new(host, random.between(50_000, 65_000) as u16);
    let server = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 53), 53);
    let conversation = traffic.udp(client, server, "other", "DNS");
    let id = random.bytes(2);
    let labels = name
        .split('.')
        .flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    let question: Vec<u8> = labels.chain([0, 0, 1, 0, 1]).collect();
    let query = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question].concat();
    traffic.datagram(conversation, time, From::Client, &query);
    // Type A, class IN, five minutes, four bytes.
    let record = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4];
    let head = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    let response = [&id[..], &head, &question, &record, &answer.octets()].concat();
    traffic.datagram(conversation, time + 30 * MS, From::Server, &response);
}

fn http(
    traffic: &mut Traffic,
    random: &mut Random,
    time: u64,
    client: SocketAddrV4,
    name: &str,
    server: Ipv4Addr,
) {
    let ends = (client, SocketAddrV4::new(server, 80));
    let mut connection = Connection::open(traffic, random, time, ends, ("other", "HTTP"));
    let request = format!("GET /index.html HTTP/1.1\r\nHost: {name}\r\nAccept: */*\r\n\r\n");
    connection.send(traffic, From::Client, request.as_bytes());
    let size = random.between(300, 9000) as usize;
    let body = random.bytes(size);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.send(traffic, From::Server, &[head.as_bytes(), &body].concat());
    connection.close(traffic);
}

/// A handshake of TLS 1.2 with a server name, then application data.
fn tls(
    traffic: &mut Traffic,
    random: &mut Random,
    time: u64,
    client: SocketAddrV4,
    name: &str,
    server: Ipv4Addr,
) {
    let ends = (client, SocketAddrV4::new(server, 443));
    let mut connection = Connection::open(traffic, random, time, ends, ("other", "TLS"));
    let len = |bytes: &[u8]| (bytes.len() as u16).to_be_bytes();
    let record = |kind: u8, body: &[u8]| [&[kind, 0x03, 0x03][..], &len(body), body].concat();
    let handshake =
        |kind: u8, body: &[u8]| record(0x16, &[&[kind, 0][..], &len(body), body].concat());
    let host = [&[0][..], &len(name.as_bytes()), name.as_bytes()].concat();
    let list = [&len(&host)[..], &host].concat();
    let extension = [&[0, 0][..], &len(&list), &list].concat();
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x13, 0x00, 0x9c];
    let hello = [
        &[0x03, 0x03][..],
        &random.bytes(32),
        &[0],
        &len(&ciphers),
        &ciphers,
        &[1, 0],
        &len(&extension),
        &extension,
    ];
    connection.send(traffic, From::Client, &handshake(1, &hello.concat()));
    let server_hello = [&[0x03, 0x03][..], &random.bytes(32), &[0, 0xc0, 0x2f, 0]].concat();
    let certificate = random.bytes(2400);
    let flight = [handshake(2, &server_hello), handshake(11, &certificate)].concat();
    connection.send(traffic, From::Server, &flight);
    connection.send(traffic, From::Client, &handshake(16, &random.bytes(66)));
    for turn in 0..random.between(2, 8) {
        let from = if turn % 2 == 0 {
            From::Client
        } else {
            From::Server
        };
        let size = random.between(40, 4000) as usize;
        connection.send(traffic, from, &record(0x17, &random.bytes(size)));
    }
    connection.close(traffic);
}

/// A call of another program: RTP both ways, 50 packets per second.
fn media(traffic: &mut Traffic, random: &mut Random, start: u64, host: Ipv4Addr) {
    let client = SocketAddrV4::new(host, random.between(16_384, 32_766) as u16);
    let server = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 150), 20_002);
    let conversation = traffic.udp(client, server, "other", "media");
    let sources = [random.bytes(4), random.bytes(4)];
    for index in 0..100_u16 {
        let time = start + u64::from(index) * 20 * MS;
        for (from, source) in [From::Client, From::Server].into_iter().zip(&sources) {
            let stamp = (u32::from(index) * 160).to_be_bytes();
            let head = [&[0x80, 0x00][..], &index.to_be_bytes(), &stamp, source].concat();
            let packet = [&head[..], &random.bytes(160)].concat();
            traffic.datagram(conversation, time + 5 * MS * from as u64, from, &packet);
        }
    }
}

/// A telemetry protocol that looks like Skype's probing at first sight: type byte 2, a changing
/// number where the IV would be.
fn counter(traffic: &mut Traffic, start: u64, host: Ipv4Addr) {
    let client = SocketAddrV4::new(host, 7000);
    for index in 0..30_u32 {
        let server = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 160 + index as u8 % 10), 7000);
        let conversation = traffic.udp(client, server, "other", "counter");
        let number = (0x1000_0000 + index * 3).to_be_bytes();
        let report = [&[0x4d, 0x54, 0x02][..], &number, &[0; 17]].concat();
        traffic.datagram(
            conversation,
            start + u64::from(index) * 250 * MS,
            From::Client,
            &report,
        );
    }
}
