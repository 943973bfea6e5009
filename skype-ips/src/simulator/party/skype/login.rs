//! A session with a login, event or contact server: blank records, a request, an answer.
//!
//! What is encrypted in a record begins with four random bytes, the seed of our stand-in.

use super::super::{Generation, ServerKind};
use super::cipher::Keystream;
use super::message::Message;
use crate::simulator::net::program::{Connection, Host};
use crate::simulator::speech::login::{self, Said};
use crate::simulator::speech::noise;

/// How far a client has come with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The server has more to say.
    Waiting,
    /// The server has said yes; what is left is to close.
    Done,
    /// The other end is no such server, or has said no.
    Refused,
}

/// Bytes of a record's contents in front of the message.
const SEED_LEN: usize = 4;
/// Bytes of the encrypted rest of an old request: room for the message, and then some.
const OLD_REST: std::ops::RangeInclusive<usize> = 40..=227;

fn seal(rng: &mut fastrand::Rng, message: &Message, len: usize) -> Vec<u8> {
    let seed = rng.u32(..);
    let mut bytes = message.encode(0, len - SEED_LEN);
    Keystream::new(seed).apply(&mut bytes);
    [&seed.to_be_bytes()[..], &bytes].concat()
}

fn open(bytes: &[u8]) -> Option<Message> {
    let (seed, bytes) = bytes.split_first_chunk::<SEED_LEN>()?;
    let mut clear = bytes.to_vec();
    Keystream::new(u32::from_be_bytes(*seed)).apply(&mut clear);
    Message::decode(&clear).ok().map(|(_, message)| message)
}

/// The client's side.
#[derive(Clone, Debug)]
pub struct Login {
    connection: Connection,
    generation: Generation,
    user: u32,
    asked: bool,
    inbox: Vec<u8>,
}

impl Login {
    /// Begins over a connection that has just opened (through a proxy whose dialogue is over).
    pub fn begin(
        host: &mut dyn Host,
        connection: Connection,
        generation: Generation,
        user: u32,
    ) -> Self {
        host.write(connection, &login::CLIENT_BLANK);
        Self {
            connection,
            generation,
            user,
            asked: false,
            inbox: Vec::new(),
        }
    }

    /// Its connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Bytes have come, in pieces of any size.
    pub fn receive(&mut self, host: &mut dyn Host, bytes: &[u8]) -> Progress {
        self.inbox.extend(bytes);
        loop {
            let len = match (login::said(&self.inbox), self.asked) {
                (Said::More, _) => return Progress::Waiting,
                (Said::Blank(len), false) => {
                    let request = self.request(host.rng());
                    host.write(self.connection, &request);
                    self.asked = true;
                    len
                }
                (Said::Answer(len, body), true) => {
                    let user = self.user;
                    if open(body) == Some(Message::SignedIn { user }) {
                        return Progress::Done;
                    }
                    len
                }
                _ => return Progress::Refused,
            };
            self.inbox.drain(..len);
        }
    }

    fn request(&self, rng: &mut fastrand::Rng) -> Vec<u8> {
        let message = Message::SignIn { user: self.user };
        match self.generation {
            Generation::Y2006 => {
                let len = rng.usize(OLD_REST);
                let rest = seal(rng, &message, len);
                login::old_request_with(rng, &rest)
            }
            Generation::Y2015 => {
                let len = login::NEW_LENGTHS[rng.usize(..login::NEW_LENGTHS.len())];
                login::new_request_with(&seal(rng, &message, usize::from(len) - 8))
            }
        }
    }
}

/// The server's side of one connection.
#[derive(Debug, Default)]
pub(super) struct Served {
    inbox: Vec<u8>,
}

impl Served {
    /// Bytes have come, in pieces of any size; pushes what is to be written. `false`: the other end
    /// is no client.
    pub(super) fn receive(
        &mut self,
        rng: &mut fastrand::Rng,
        kind: ServerKind,
        bytes: &[u8],
        out: &mut Vec<Vec<u8>>,
    ) -> bool {
        self.inbox.extend(bytes);
        loop {
            let (len, generation, body) = match login::said(&self.inbox) {
                Said::More => return true,
                Said::Blank(len) => {
                    // One client was seen to send its blank twice.
                    out.push(login::SERVER_BLANK.into());
                    self.inbox.drain(..len);
                    continue;
                }
                Said::OldRequest(len, body) => (len, Generation::Y2006, body),
                Said::NewRequest(len, body) => (len, Generation::Y2015, body),
                Said::Answer(..) | Said::Foreign => return false,
            };
            let Some(Message::SignIn { user }) = open(body) else {
                return false;
            };
            self.inbox.drain(..len);
            out.extend(answers(rng, kind, generation, user));
        }
    }
}

/// The answer, in records of the measured lengths; the last one holds the consent.
fn answers(
    rng: &mut fastrand::Rng,
    kind: ServerKind,
    generation: Generation,
    user: u32,
) -> Vec<Vec<u8>> {
    let (first, last) = match (generation, kind) {
        (Generation::Y2006, ServerKind::Login) => (None, 0xe3),
        (Generation::Y2006, _) => (Some(0x0b), [0x13, 0x30][rng.usize(..2)]),
        (Generation::Y2015, _) => (Some(0x17), 0x10),
    };
    let consent = seal(rng, &Message::SignedIn { user }, last);
    let first = first.map(|len| noise(rng, len));
    let bodies = first.into_iter().chain([consent]);
    bodies.map(|body| login::answer_with(&body)).collect()
}
