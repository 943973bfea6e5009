//! How other programs open TCP connections.

use std::net::{Ipv4Addr, SocketAddrV4};

use skype_ips::simulator::speech::fake_tls::{CLIENT_HELLO, SERVER_HELLO};
use skype_ips::simulator::speech::proxy::Proxy;
use skype_ips::simulator::speech::tls::{self, Hello};
use skype_ips::simulator::speech::{Speaker, noise};
use skype_ips_common::layout::{FlowKey, TCP};

use crate::shard::Shard;

/// What both ends say first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Openings {
    /// Random bytes, as many as of a key exchange: 48 to 111.
    KeySized,
    /// Random bytes, 14 to 120.
    StreamSized,
    /// One byte over and over, or few.
    Repeating,
    /// A ClientHello and the start of an answer.
    Tls,
    /// The same, framed as by SSLv2, with the ciphers of the fake one and an honest challenge.
    OldTls,
    /// Records of TLS that are nearly those of a login.
    NearlyLogin,
    Http,
    Ssh,
    /// Random bytes, 1 to 200, in pieces of any size that come in any order, more than once.
    Pieces,
    /// The same behind a proxy's consent, or what takes its place.
    Proxied,
}

impl Openings {
    pub(crate) const ALL: [Self; 10] = [
        Self::KeySized,
        Self::StreamSized,
        Self::Repeating,
        Self::Tls,
        Self::OldTls,
        Self::NearlyLogin,
        Self::Http,
        Self::Ssh,
        Self::Pieces,
        Self::Proxied,
    ];

    /// A connection: an opening of each end, and a bit more.
    pub(crate) fn connection(self, shard: &mut Shard) {
        let flow = shard.host(TCP);
        let (client, server) = self.speak(&mut shard.rng);
        let outgoing = shard.rng.bool();
        if matches!(self, Self::Pieces | Self::Proxied) {
            pieces(shard, flow, outgoing, [&client, &server]);
            return;
        }
        say(shard, flow, outgoing, &client);
        say(shard, flow, !outgoing, &server);
    }

    fn speak(self, rng: &mut fastrand::Rng) -> (Vec<u8>, Vec<u8>) {
        let mut random = |from: usize, to: usize| {
            let len = rng.usize(from..=to);
            noise(rng, len)
        };
        match self {
            Self::KeySized => (random(48, 111), random(48, 111)),
            Self::StreamSized => (random(14, 120), random(14, 120)),
            Self::Pieces => (random(1, 200), random(1, 200)),
            Self::Proxied => {
                let (client, server) = (random(1, 200), random(1, 200));
                let [to, from] = dialogue(rng);
                ([to, client].concat(), [from, server].concat())
            }
            Self::Repeating => {
                let (unit, other) = (random(1, 12), random(1, 12));
                (unit.repeat(10), other.repeat(10))
            }
            Self::Tls => {
                let name = format!("{}.example.com", rng.u32(..));
                let hello = tls::client_hello(rng, Hello::Plain, &name);
                let answer = [
                    &[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3][..],
                    &noise(rng, 116),
                ];
                (tls::records(&hello, hello.len()), answer.concat())
            }
            Self::OldTls => {
                let hello = [&CLIENT_HELLO[..], &random(16, 16)].concat();
                // An honest server has another time and random.
                let answer = [&SERVER_HELLO[..11], &random(32, 32), &SERVER_HELLO[43..]];
                (hello, answer.concat())
            }
            Self::NearlyLogin => {
                let alerts: [&[u8]; 3] = [&[21, 3, 1, 0, 2], &[22, 3, 1, 0, 0], &[22, 3, 1, 0, 1]];
                let request = [alerts[rng.usize(0..3)], &noise(rng, 40)].concat();
                let answers: [&[u8]; 3] = [&[21, 3, 1, 0, 2, 2], &[23, 3, 1, 0, 1], &[23, 3, 3]];
                (
                    request,
                    [answers[rng.usize(0..3)], &noise(rng, 20)].concat(),
                )
            }
            Self::Http => (
                format!("GET /{} HTTP/1.1\r\nHost: example.com\r\n\r\n", rng.u64(..)).into(),
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", rng.u16(..)).into(),
            ),
            Self::Ssh => (
                [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], &random(30, 60)].concat(),
                [&b"SSH-2.0-dropbear_2022.83\r\n"[..], &random(30, 60)].concat(),
            ),
        }
    }
}

/// What a client and a proxy say first; every fourth has a byte that it should not have.
fn dialogue(rng: &mut fastrand::Rng) -> [Vec<u8>; 2] {
    let target = SocketAddrV4::new(Ipv4Addr::from_bits(rng.u32(..)), rng.u16(..));
    let turns = Proxy::ALL[rng.usize(0..Proxy::ALL.len())].dialogue(target);
    let mut words = [Speaker::Client, Speaker::Server].map(|speaker| {
        let own = turns.iter().filter(|turn| turn.from == speaker);
        own.flat_map(|turn| turn.bytes.clone()).collect::<Vec<u8>>()
    });
    if rng.u8(0..4) == 0 {
        let words = &mut words[rng.usize(0..2)];
        let at = rng.usize(0..words.len());
        words[at] = rng.u8(..);
    }
    words
}

/// Both streams, cut and mixed.
fn pieces(shard: &mut Shard, flow: FlowKey, outgoing: bool, streams: [&[u8]; 2]) {
    let bases = [shard.rng.u32(..), shard.rng.u32(..)];
    let told = shard.rng.u8(0..4) > 0;
    let mut cut = Vec::new();
    for (end, stream) in streams.into_iter().enumerate() {
        let mut from = 0;
        while from < stream.len() {
            let to = shard.rng.usize(from + 1..=stream.len());
            let again = from - shard.rng.usize(0..=from.min(20));
            cut.push((end, again, to));
            from = to;
        }
    }
    if shard.rng.bool() {
        shard.rng.shuffle(&mut cut);
    }
    for (end, from, to) in cut {
        let base = bases[end];
        let seq = base.wrapping_add(from as u32);
        let outbound = outgoing == (end == 0);
        let base = told.then_some(base);
        shard.piece(flow, outbound, (seq, base), &streams[end][from..to]);
    }
}

/// One segment or two.
fn say(shard: &mut Shard, flow: FlowKey, outbound: bool, bytes: &[u8]) {
    let seq = shard.rng.u32(..);
    let cut = match shard.rng.u8(0..4) {
        0 => shard.rng.usize(1..=bytes.len()),
        _ => bytes.len(),
    };
    let (first, rest) = bytes.split_at(cut);
    shard.segment(flow, outbound, seq, first);
    if !rest.is_empty() {
        shard.segment(flow, outbound, seq.wrapping_add(cut as u32), rest);
    }
}
