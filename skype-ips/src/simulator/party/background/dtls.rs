//! DTLS 1.2 (RFC 6347) as a WebRTC call begins with it: both ends show a certificate, and agree on
//! SRTP (RFC 5764).

use std::time::Duration;

use fastrand::Rng;

use super::seal::Seal;
use super::tls::{
    ALERT, CALLER, CHANGE_CIPHER_SPEC, HANDSHAKE, Signer, certificate, extension, prefixed,
    server_hello, server_key_exchange, signature,
};
use crate::simulator::net::program::Instant;
use crate::simulator::speech::noise;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const FINISHED: u8 = 20;
const VERSION: [u8; 2] = [0xfe, 0xfd];
/// Bytes in front of a record's body, and of a handshake message's.
const RECORD_HEAD: usize = 13;
const MESSAGE_HEAD: usize = 12;
/// Where the random stands in a hello with both.
const RANDOM: std::ops::Range<usize> = MESSAGE_HEAD + 2..MESSAGE_HEAD + 34;
/// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
const CIPHER: u16 = 0xc02b;
/// AEAD_AES_128_GCM of SRTP (RFC 7714).
const SRTP: [u8; 5] = [0, 2, 0, 7, 0];
/// A flight that isn't answered goes again after this, then after twice as long, and so on.
const AGAIN: Duration = Duration::from_secs(1);
const FLIGHTS: u32 = 5;

/// Whether a datagram may be DTLS' (RFC 7983).
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.len() > RECORD_HEAD && (20..64).contains(&bytes[0])
}

/// The records of a datagram: kind, epoch, number, body.
fn records(mut bytes: &[u8]) -> Vec<(u8, u16, u64, &[u8])> {
    let mut records = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<RECORD_HEAD>() {
        let len = usize::from(u16::from_be_bytes([head[11], head[12]]));
        let Some((body, behind)) = rest.split_at_checked(len) else {
            break;
        };
        let epoch = u16::from_be_bytes([head[3], head[4]]);
        let mut number = [0; 8];
        number[2..].copy_from_slice(&head[5..11]);
        records.push((head[0], epoch, u64::from_be_bytes(number), body));
        bytes = behind;
    }
    records
}

/// One end of the handshake. A flight of either end fits a datagram.
#[derive(Clone, Debug)]
pub(super) struct Dtls {
    server: bool,
    random: Vec<u8>,
    /// The other end's.
    other: Option<Vec<u8>>,
    /// The body of this end's messages, which are the same when they are sent again.
    flight: Vec<(u8, Vec<u8>)>,
    /// The number of the flight's first message.
    first: u16,
    /// Records sent in clear, and protected.
    sent: [u64; 2],
    done: bool,
    tries: u32,
    again: Option<Instant>,
}

impl Dtls {
    /// An end that waits for the other, or begins when it acts.
    pub(super) fn new(rng: &mut Rng, server: bool, now: Instant) -> Self {
        let random = noise(rng, 32);
        let mut dtls = Self {
            server,
            random,
            other: None,
            flight: Vec::new(),
            first: 0,
            sent: [0; 2],
            done: false,
            tries: 0,
            again: None,
        };
        if !server {
            let extensions = [
                extension(10, &prefixed(2, &[0x00, 0x1d, 0x00, 0x17])),
                extension(11, &[1, 0]),
                extension(13, &prefixed(2, &[4, 3, 8, 4, 4, 1])),
                extension(14, &SRTP),
                extension(23, &[]),
                extension(0xff01, &[0]),
            ];
            let hello = [
                &VERSION[..],
                &dtls.random,
                // Neither a session nor a cookie.
                &[0, 0],
                &prefixed(2, &[0xc0, 0x2b, 0xc0, 0x2f, 0xcc, 0xa9]),
                &[1, 0],
                &prefixed(2, &extensions.concat()),
            ];
            dtls.flight = vec![(CLIENT_HELLO, hello.concat())];
            dtls.again = Some(now);
        }
        dtls
    }

    /// Whether both ends have finished, as far as this end knows.
    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// Whether the other end doesn't answer.
    pub(super) fn gave_up(&self) -> bool {
        self.tries > FLIGHTS
    }

    /// What the keys of everything after the handshake are made from: the randoms of client and
    /// server.
    pub(super) fn seal(&self, purpose: &[u8]) -> Option<Seal> {
        let other = self.other.as_deref()?;
        let (client, server) = match self.server {
            true => (other, &self.random[..]),
            false => (&self.random[..], other),
        };
        Some(Seal::new(&[purpose, client, server]))
    }

    fn record(&mut self, kind: u8, protected: bool, body: &[u8]) -> Vec<u8> {
        let epoch = usize::from(protected);
        let number = self.sent[epoch];
        self.sent[epoch] += 1;
        // A first hello still says version 1.0, as old servers want it.
        let hello = !self.server && !protected && body.first() == Some(&CLIENT_HELLO);
        let version = if hello { [0xfe, 0xff] } else { VERSION };
        let body = match self.seal(b"dtls") {
            Some(seal) if protected => {
                let explicit = (1_u64 << 48 | number).to_be_bytes();
                let number = number << 1 | u64::from(self.server);
                [&explicit[..], &seal.seal(number, &[kind], body)].concat()
            }
            _ => body.to_vec(),
        };
        [
            &[kind][..],
            &version,
            &(epoch as u16).to_be_bytes(),
            &number.to_be_bytes()[2..],
            &prefixed(2, &body),
        ]
        .concat()
    }

    fn message(kind: u8, number: u16, body: &[u8]) -> Vec<u8> {
        let len = &(body.len() as u32).to_be_bytes()[1..];
        let number = number.to_be_bytes();
        // In one fragment.
        [&[kind][..], len, &number, &[0, 0, 0], len, body].concat()
    }

    /// This end's flight, once more or for the first time.
    fn send(&mut self) -> Vec<u8> {
        let mut datagram = Vec::new();
        for (number, (kind, body)) in (self.first..).zip(self.flight.clone()) {
            let message = Self::message(kind, number, &body);
            if kind == FINISHED {
                datagram.extend(self.record(CHANGE_CIPHER_SPEC, false, &[1]));
            }
            datagram.extend(self.record(HANDSHAKE, kind == FINISHED, &message));
        }
        datagram
    }

    /// The flight of a client, sent until it is answered.
    pub(super) fn act(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.again.is_none_or(|again| again > now) {
            return None;
        }
        self.again = Some(now + AGAIN * (1 << self.tries));
        self.tries += 1;
        Some(self.send())
    }

    /// When the client's flight goes again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }

    /// Hears a datagram, and says the answer.
    pub(super) fn hear(&mut self, rng: &mut Rng, now: Instant, bytes: &[u8]) -> Option<Vec<u8>> {
        let records = records(bytes);
        let &(kind, epoch, _, body) = records.first()?;
        match (kind, epoch, body.first()?) {
            (HANDSHAKE, 0, &CLIENT_HELLO) if self.server && !self.done => {
                if self.other.is_none() {
                    self.other = Some(body.get(RANDOM)?.to_vec());
                    self.flight = self.hello(rng);
                }
                self.first = 0;
                Some(self.send())
            }
            (HANDSHAKE, 0, &SERVER_HELLO) if !self.server && self.other.is_none() => {
                self.other = Some(body.get(RANDOM)?.to_vec());
                self.flight = vec![
                    (CERTIFICATE, certificate(&CALLER)),
                    (CLIENT_KEY_EXCHANGE, prefixed(1, &noise(rng, 32))),
                    (CERTIFICATE_VERIFY, signature(rng, Signer::Ecdsa)),
                    (FINISHED, noise(rng, 12)),
                ];
                (self.first, self.tries, self.again) = (1, 0, Some(now));
                self.act(now)
            }
            (HANDSHAKE, 0, &CERTIFICATE) if self.server => {
                self.finished(&records)?;
                if !self.done {
                    self.done = true;
                    self.flight = vec![(FINISHED, noise(rng, 12))];
                }
                self.first = 5;
                Some(self.send())
            }
            (CHANGE_CIPHER_SPEC, 0, _) if !self.server => {
                self.finished(&records)?;
                self.done = true;
                self.again = None;
                None
            }
            _ => None,
        }
    }

    /// The other end's Finished is the last record, and unchanged.
    fn finished(&self, records: &[(u8, u16, u64, &[u8])]) -> Option<()> {
        let &(kind, epoch, number, body) = records.last()?;
        let number = number << 1 | u64::from(!self.server);
        let seal = self.seal(b"dtls")?;
        let plain = seal.open(number, &[kind], body.get(8..)?)?;
        (epoch == 1 && plain.first() == Some(&FINISHED)).then_some(())
    }

    /// A server's first flight.
    fn hello(&self, rng: &mut Rng) -> Vec<(u8, Vec<u8>)> {
        let extensions = [
            extension(11, &[1, 0]),
            extension(14, &SRTP),
            extension(23, &[]),
            extension(0xff01, &[0]),
        ];
        let hello = server_hello(VERSION, &self.random, &[], CIPHER, &extensions);
        // ECDSA certificates with these signatures, of any authority.
        let request = [&[1, 64][..], &prefixed(2, &[4, 3, 8, 4]), &[0, 0]].concat();
        vec![
            (SERVER_HELLO, hello),
            (CERTIFICATE, certificate(&CALLER)),
            (SERVER_KEY_EXCHANGE, server_key_exchange(rng, Signer::Ecdsa)),
            (CERTIFICATE_REQUEST, request),
            (SERVER_HELLO_DONE, Vec::new()),
        ]
    }

    /// Says that this end sends no more.
    pub(super) fn farewell(&mut self) -> Vec<u8> {
        self.record(ALERT, true, &[1, 0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_flights_are_sent_again_until_both_ends_are_done() {
        for seed in 0..20 {
            let mut rng = Rng::with_seed(seed);
            let mut now = Duration::ZERO;
            let mut client = Dtls::new(&mut rng, false, now);
            let mut server = Dtls::new(&mut rng, true, now);
            while !client.done() && !client.gave_up() {
                now = client.due().expect("it isn't done");
                let mut flight = client.act(now);
                while let Some(bytes) = flight.take_if(|_| rng.u8(0..4) > 0) {
                    assert!(is(&bytes) && bytes.len() < 1200);
                    let answer = server.hear(&mut rng, now, &bytes);
                    let Some(bytes) = answer.filter(|_| rng.u8(0..4) > 0) else {
                        break;
                    };
                    flight = client.hear(&mut rng, now, &bytes);
                }
            }
            assert!(client.done() && server.done(), "seed {seed}");
            let sealed = client.seal(b"srtp").expect("done").seal(1, b"", b"voice");
            let opened = server.seal(b"srtp").expect("done").open(1, b"", &sealed);
            assert_eq!(opened.as_deref(), Some(&b"voice"[..]));
        }
    }
}
