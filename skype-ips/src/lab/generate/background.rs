//! Everyday traffic, some of it from the same hosts as Skype's.

use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;

use super::traffic::{Connection, MS, Traffic};
use crate::simulator::speech::Speaker::{Client, Server};
use crate::simulator::speech::tls::{self, Hello};
use crate::simulator::speech::{dns, noise};

const NAMES: [&str; 6] = [
    "www.example.com",
    "mail.example.org",
    "cdn.example.net",
    "time.example.com",
    "news.example.org",
    "api.example.net",
];

/// All of it.
pub(super) fn everyday(traffic: &mut Traffic, rng: &mut Rng) {
    let hosts = [20, 21, 30, 31].map(|last| Ipv4Addr::new(192, 168, 7, last));
    for round in 0..6 {
        for (index, host) in (0..).zip(hosts) {
            let time = round * 2500 * MS + index * 310 * MS;
            let name = NAMES[rng.usize(0..6)];
            let server = Ipv4Addr::new(192, 0, 2, rng.u8(100..=140));
            look_up(traffic, rng, time, host, name, server);
            let client = SocketAddrV4::new(host, rng.u16(32_768..=49_000));
            match round % 3 {
                0 => http(traffic, rng, time + 90 * MS, client, name, server),
                _ => secured(traffic, rng, time + 90 * MS, client, name, server),
            }
        }
    }
    media(traffic, rng, 1000 * MS, hosts[2]);
    media(traffic, rng, 6000 * MS, hosts[0]);
    counter(traffic, 1500 * MS, hosts[3]);
}

fn look_up(
    traffic: &mut Traffic,
    rng: &mut Rng,
    time: u64,
    host: Ipv4Addr,
    name: &str,
    answer: Ipv4Addr,
) {
    let client = SocketAddrV4::new(host, rng.u16(50_000..=65_000));
    let server = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 53), 53);
    let conversation = traffic.udp(client, server, "other", "DNS");
    let id = rng.u16(..);
    traffic.datagram(conversation, time, Client, &dns::query(id, name));
    let response = dns::response(id, name, answer);
    traffic.datagram(conversation, time + 30 * MS, Server, &response);
}

fn http(
    traffic: &mut Traffic,
    rng: &mut Rng,
    time: u64,
    client: SocketAddrV4,
    name: &str,
    server: Ipv4Addr,
) {
    let ends = (client, SocketAddrV4::new(server, 80));
    let mut connection = Connection::open(traffic, rng, time, ends, ("other", "HTTP"));
    let request = format!("GET /index.html HTTP/1.1\r\nHost: {name}\r\nAccept: */*\r\n\r\n");
    connection.send(traffic, Client, request.as_bytes());
    let size = rng.usize(300..=9000);
    let body = noise(rng, size);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.send(traffic, Server, &[head.as_bytes(), &body].concat());
    connection.close(traffic);
}

/// A handshake of TLS with a server name, then application data.
fn secured(
    traffic: &mut Traffic,
    rng: &mut Rng,
    time: u64,
    client: SocketAddrV4,
    name: &str,
    server: Ipv4Addr,
) {
    let ends = (client, SocketAddrV4::new(server, 443));
    let mut connection = Connection::open(traffic, rng, time, ends, ("other", "TLS"));
    let record = |kind: u8, body: &[u8]| {
        let len = (body.len() as u16).to_be_bytes();
        [&[kind, 0x03, 0x03][..], &len, body].concat()
    };
    let hello = tls::client_hello(rng, Hello::Plain, name);
    connection.send(traffic, Client, &tls::records(&hello, hello.len()));
    // ServerHello of TLS 1.2: version, random, no session, one cipher.
    let head = [2, 0, 0, 38, 0x03, 0x03];
    let server_hello = [&head[..], &noise(rng, 32), &[0, 0xc0, 0x2f, 0]].concat();
    let certificate = [&[11, 0, 9, 0x60][..], &noise(rng, 2400)].concat();
    let flight = [record(22, &server_hello), record(22, &certificate)].concat();
    connection.send(traffic, Server, &flight);
    let key = [&[16, 0, 0, 66][..], &noise(rng, 66)].concat();
    connection.send(traffic, Client, &record(22, &key));
    for turn in 0..rng.usize(2..=8) {
        let from = [Client, Server][turn % 2];
        let size = rng.usize(40..=4000);
        connection.send(traffic, from, &record(23, &noise(rng, size)));
    }
    connection.close(traffic);
}

/// A call of another program: RTP both ways, 50 packets per second.
fn media(traffic: &mut Traffic, rng: &mut Rng, start: u64, host: Ipv4Addr) {
    let client = SocketAddrV4::new(host, rng.u16(16_384..=32_766));
    let server = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 150), 20_002);
    let conversation = traffic.udp(client, server, "other", "media");
    let sources = [noise(rng, 4), noise(rng, 4)];
    for index in 0..100_u16 {
        let time = start + u64::from(index) * 20 * MS;
        for (from, source) in [Client, Server].into_iter().zip(&sources) {
            let stamp = (u32::from(index) * 160).to_be_bytes();
            let head = [&[0x80, 0x00][..], &index.to_be_bytes(), &stamp, source].concat();
            let packet = [&head[..], &noise(rng, 160)].concat();
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
            Client,
            &report,
        );
    }
}
