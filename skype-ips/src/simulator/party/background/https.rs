//! The same pages over TLS 1.2 (RFC 5246) and 1.3 (RFC 8446), as both look on the wire.

use fastrand::Rng;

use super::browser::{Fetch, Heard, LONGEST, Part};
use super::seal::made_from;
use super::streams::Answer;
use super::tally::Tally;
use super::tls::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, Channel, HANDSHAKE, Records, SERVER, Signer,
    certificate, extension, message, prefixed, record, server_hello, server_key_exchange,
    signature,
};
use crate::simulator::net::program::Ground;
use crate::simulator::speech::noise;
use crate::simulator::speech::tls::{Hello, client_hello, records};

const TLS: Ground = Ground::other("TLS");
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const NEW_SESSION_TICKET: u8 = 4;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const FINISHED: u8 = 20;
/// Where the random stands in a hello, with the message's head.
const RANDOM: std::ops::Range<usize> = 6..38;
/// Where the session's ID stands behind it, if it has 32 bytes as all clients' here.
const SESSION: std::ops::Range<usize> = 39..71;
/// Where a ServerHello's cipher stands behind that.
const CIPHER: std::ops::Range<usize> = 71..73;
/// TLS_AES_128_GCM_SHA256 of 1.3, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 of 1.2.
const NEWEST_CIPHER: u16 = 0x1301;
const OLDER_CIPHER: u16 = 0xc02f;
/// Bytes of a hello that has a post-quantum share; no other is so long.
const POST_QUANTUM: usize = 1216;
/// Bytes of a question in front of its padding: seed, length, kind.
const QUESTION: usize = 13;

/// The client's end.
#[derive(Debug)]
pub(super) struct Client {
    random: Vec<u8>,
    records: Records,
    channel: Option<Channel>,
    /// Version 1.2: whether what the server says is protected by now.
    protected: bool,
    asked: Option<Part>,
    body: Vec<u8>,
}

impl Client {
    /// A message of the handshake in clear.
    fn handshake(&mut self, rng: &mut Rng, bytes: &[u8]) -> Option<Vec<Heard>> {
        match *bytes.first()? {
            SERVER_HELLO => {
                let cipher = u16::from_be_bytes(bytes.get(CIPHER)?.try_into().ok()?);
                let newest = cipher == NEWEST_CIPHER;
                let random = bytes.get(RANDOM)?;
                self.channel = Some(Channel::new(newest, false, &self.random, random));
            }
            SERVER_HELLO_DONE => {
                let key = message(CLIENT_KEY_EXCHANGE, &prefixed(1, &noise(rng, 32)));
                let finished = message(FINISHED, &noise(rng, 12));
                let say = [
                    record(HANDSHAKE, &key),
                    record(CHANGE_CIPHER_SPEC, &[1]),
                    self.channel.as_mut()?.protect(HANDSHAKE, &finished),
                ];
                return Some(vec![Heard::Say(say.concat())]);
            }
            _ => {}
        }
        Some(Vec::new())
    }

    /// What was in a protected record.
    fn opened(&mut self, rng: &mut Rng, kind: u8, content: &[u8]) -> Option<Vec<Heard>> {
        let channel = self.channel.as_mut()?;
        match (kind, content.first()?) {
            (HANDSHAKE, &ENCRYPTED_EXTENSIONS) => {
                let finished = message(FINISHED, &noise(rng, 32));
                let say = [
                    record(CHANGE_CIPHER_SPEC, &[1]),
                    channel.protect(HANDSHAKE, &finished),
                ];
                return Some(vec![Heard::Say(say.concat()), Heard::Ready]);
            }
            (HANDSHAKE, &FINISHED) => return Some(vec![Heard::Ready]),
            (APPLICATION_DATA, _) => self.body.extend(content),
            _ => {}
        }
        match self.asked {
            Some(part) if self.body.len() >= part.len => {
                self.asked = None;
                let body = std::mem::take(&mut self.body);
                let whole = body == made_from(part.seed, part.len);
                Some(vec![Heard::Whole(whole)])
            }
            _ => Some(Vec::new()),
        }
    }
}

impl Fetch for Client {
    const GROUND: Ground = TLS;

    fn open(rng: &mut Rng, site: &str) -> (Self, Vec<u8>) {
        // A third of the browsers' connections in 2025 (Cloudflare Radar).
        let hello = match rng.u8(0..3) {
            0 => Hello::PostQuantum,
            _ => Hello::Plain,
        };
        let hello = client_hello(rng, hello, site);
        let client = Self {
            random: hello[RANDOM].to_vec(),
            records: Records::default(),
            channel: None,
            protected: false,
            asked: None,
            body: Vec::new(),
        };
        let first = records(&hello, hello.len());
        (client, first)
    }

    fn ask(&mut self, rng: &mut Rng, part: Part) -> Vec<u8> {
        self.asked = Some(part);
        let mut question = part.seed.to_be_bytes().to_vec();
        question.extend((part.len as u32).to_be_bytes());
        question.push(u8::from(part.picture));
        let padding = rng.usize(60..500);
        question.extend(noise(rng, padding));
        let channel = self.channel.as_mut().expect("it asks when it is ready");
        channel.protect(APPLICATION_DATA, &question)
    }

    fn hear(&mut self, rng: &mut Rng, bytes: &[u8]) -> Option<Vec<Heard>> {
        self.records.extend(bytes);
        let mut heard = Vec::new();
        while let Some((kind, body)) = self.records.next().ok()? {
            let protected = kind == APPLICATION_DATA || self.protected;
            heard.extend(match kind {
                CHANGE_CIPHER_SPEC => {
                    self.protected = true;
                    continue;
                }
                _ if protected => {
                    let (kind, content) = self.channel.as_mut()?.open(kind, &body)?;
                    self.opened(rng, kind, &content)?
                }
                HANDSHAKE => self.handshake(rng, &body)?,
                _ => return None,
            });
        }
        Some(heard)
    }

    fn farewell(&mut self) -> Vec<u8> {
        // close_notify
        let channel = self.channel.as_mut();
        channel.map_or(Vec::new(), |channel| channel.protect(ALERT, &[1, 0]))
    }
}

/// The server's end.
#[derive(Debug, Default)]
pub(super) struct Server {
    records: Records,
    channel: Option<Channel>,
    /// Whether what the client says is protected by now.
    protected: bool,
}

impl Server {
    /// The server's first flight.
    fn flight(&mut self, rng: &mut Rng, hello: &[u8]) -> Option<Vec<u8>> {
        if hello.first() != Some(&CLIENT_HELLO) {
            return None;
        }
        let (random, session) = (hello.get(RANDOM)?, hello.get(SESSION)?);
        let own = noise(rng, 32);
        // Four fifths of the servers that were asked speak 1.3 (SSL Pulse, 2025).
        let newest = rng.u8(0..5) > 0;
        let mut channel = Channel::new(newest, true, random, &own);
        let flight = if newest {
            let share = match hello.len() > POST_QUANTUM {
                // X25519MLKEM768: 1088 bytes of ciphertext before the point.
                true => [&[0x11, 0xec][..], &prefixed(2, &noise(rng, 1120))].concat(),
                false => [&[0x00, 0x1d][..], &prefixed(2, &noise(rng, 32))].concat(),
            };
            let extensions = [extension(43, &[3, 4]), extension(51, &share)];
            let hello = server_hello([3, 3], &own, session, NEWEST_CIPHER, &extensions);
            let chain = SERVER.iter();
            let chain = chain.flat_map(|one| [prefixed(3, one), vec![0, 0]].concat());
            let chain = prefixed(3, &chain.collect::<Vec<u8>>());
            let alpn = extension(16, &prefixed(2, b"\x02h2"));
            let hidden = [
                message(ENCRYPTED_EXTENSIONS, &prefixed(2, &alpn)),
                message(CERTIFICATE, &[&[0][..], &chain].concat()),
                message(CERTIFICATE_VERIFY, &signature(rng, Signer::Rsa)),
                message(FINISHED, &noise(rng, 32)),
            ];
            [
                record(HANDSHAKE, &message(SERVER_HELLO, &hello)),
                record(CHANGE_CIPHER_SPEC, &[1]),
                channel.protect(HANDSHAKE, &hidden.concat()),
            ]
            .concat()
        } else {
            let extensions = [extension(0xff01, &[0]), extension(23, &[])];
            let session = noise(rng, 32);
            let hello = server_hello([3, 3], &own, &session, OLDER_CIPHER, &extensions);
            let key = server_key_exchange(rng, Signer::Rsa);
            [
                record(HANDSHAKE, &message(SERVER_HELLO, &hello)),
                record(HANDSHAKE, &message(CERTIFICATE, &certificate(&SERVER))),
                record(HANDSHAKE, &message(SERVER_KEY_EXCHANGE, &key)),
                record(HANDSHAKE, &message(SERVER_HELLO_DONE, &[])),
            ]
            .concat()
        };
        self.channel = Some(channel);
        Some(flight)
    }

    /// What was in a protected record.
    fn opened(
        channel: &mut Channel,
        rng: &mut Rng,
        tally: &mut Tally,
        kind: u8,
        content: &[u8],
    ) -> Option<Vec<u8>> {
        match kind {
            HANDSHAKE if channel.newest => {
                // Two tickets, as OpenSSL sends them.
                let ticket = |rng: &mut Rng| {
                    let body = [
                        noise(rng, 8),
                        prefixed(1, &noise(rng, 8)),
                        prefixed(2, &noise(rng, 208)),
                        prefixed(2, &[]),
                    ];
                    message(NEW_SESSION_TICKET, &body.concat())
                };
                let tickets = [ticket(rng), ticket(rng)];
                let tickets = tickets.map(|ticket| channel.protect(HANDSHAKE, &ticket));
                Some(tickets.concat())
            }
            HANDSHAKE => {
                let finished = message(FINISHED, &noise(rng, 12));
                let say = [
                    record(CHANGE_CIPHER_SPEC, &[1]),
                    channel.protect(HANDSHAKE, &finished),
                ];
                Some(say.concat())
            }
            APPLICATION_DATA => {
                let (seed, rest) = content.get(..QUESTION)?.split_first_chunk()?;
                let len = u32::from_be_bytes(*rest.first_chunk()?) as usize;
                let sane = len <= LONGEST as usize;
                tally.arrived(TLS.what, sane);
                let content = made_from(u64::from_be_bytes(*seed), if sane { len } else { 0 });
                Some(channel.protect_all(&content))
            }
            // close_notify
            _ => Some(Vec::new()),
        }
    }
}

impl Answer for Server {
    fn hear(&mut self, rng: &mut Rng, tally: &mut Tally, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.records.extend(bytes);
        let mut answers = Vec::new();
        while let Some((kind, body)) = self.records.next().ok()? {
            let say = match (kind, &mut self.channel) {
                (CHANGE_CIPHER_SPEC, _) => {
                    self.protected = true;
                    continue;
                }
                (kind, Some(channel)) if self.protected => {
                    let opened = channel.open(kind, &body);
                    if opened.is_none() {
                        tally.arrived(TLS.what, false);
                    }
                    let (kind, content) = opened?;
                    Self::opened(channel, rng, tally, kind, &content)?
                }
                (HANDSHAKE, None) => self.flight(rng, &body)?,
                // ClientKeyExchange: nothing to say yet.
                (HANDSHAKE, Some(_)) => continue,
                _ => return None,
            };
            if !say.is_empty() {
                answers.push(say);
            }
        }
        Some(answers)
    }
}
