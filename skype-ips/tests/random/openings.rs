//! How other programs open TCP connections.

use skype_ips::lab::speech::fake_tls::{CLIENT_HELLO, SERVER_HELLO};
use skype_ips::lab::speech::noise;
use skype_ips::lab::speech::tls::{self, Hello};
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
}

impl Openings {
    pub(crate) const ALL: [Self; 8] = [
        Self::KeySized,
        Self::StreamSized,
        Self::Repeating,
        Self::Tls,
        Self::OldTls,
        Self::NearlyLogin,
        Self::Http,
        Self::Ssh,
    ];

    /// A connection: an opening of each end, and a bit more.
    pub(crate) fn connection(self, shard: &mut Shard) {
        let flow = shard.host(TCP);
        let (client, server) = self.speak(&mut shard.rng);
        let outgoing = shard.rng.bool();
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
