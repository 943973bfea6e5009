use super::super::cipher::{Keystream, checksum};
use crate::simulator::party::Opening;
use crate::simulator::speech::fake_tls::{CHALLENGE_LEN, CLIENT_HELLO, SERVER_HELLO, client_hello};
use crate::simulator::speech::key_exchange::{self, HASH_LEN, KEY_LEN, MAX_PADDING};
use crate::simulator::speech::{Generator, Process, http, legacy};

/// Padding of a legacy opening, bytes (measured: first segments of 26 to 73 bytes).
const LEGACY_PADDING: std::ops::RangeInclusive<usize> = 10..=57;
/// Padding of a listener's first segment of a key exchange (measured: 49 to 108 bytes in all).
const LISTENER_PADDING: std::ops::RangeInclusive<usize> = 1..=60;
/// Of a hundred answers to a disguised opening, those with the start of an inner stream (Ehlert).
const AT_ONCE_PERCENT: u8 = 40;

/// What both ends go on with.
#[derive(Debug)]
pub(super) struct Opened {
    /// What the streams are seeded by.
    pub(super) seed: u32,
    /// Whether each direction begins with an IV in clear.
    pub(super) with_iv: bool,
    /// What has come behind the opening.
    pub(super) rest: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// More bytes are needed.
    Going,
    /// Done.
    Open(Opened),
    /// The other end speaks something else.
    Foreign,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// Connecting: the other's fake hello, behind which this opening begins.
    Hello(Opening),
    /// Listening: whatever comes first; `inner`: behind the fake hello.
    Anything { inner: bool },
    /// The other's legacy opening; `sent`: this end's.
    Legacy { sent: Option<Vec<u8>> },
    /// The other's value and padding; this end's value is out.
    Value([u8; KEY_LEN]),
    /// The other's hash.
    Hash(u32),
}

/// One end of an opening. It decides nothing by time and knows no connection: bytes in, bytes out.
#[derive(Debug)]
pub(super) struct Opener {
    connecting: bool,
    stage: Stage,
    inbox: Vec<u8>,
}

/// What an opener draws from.
pub(super) struct Source<'a> {
    pub(super) process: &'a mut Process,
    pub(super) rng: &'a mut fastrand::Rng,
}

impl Source<'_> {
    fn generator(&mut self) -> &mut Generator {
        &mut self.process.generator
    }

    /// A value of a key exchange with its padding. In our stand-in the value's last byte says how
    /// long that is, covered by a checksum of the others, so that it looks random too.
    fn value(&mut self, padding: usize) -> ([u8; KEY_LEN], Vec<u8>) {
        let mut key = [0; KEY_LEN];
        self.rng.fill(&mut key);
        key[KEY_LEN - 1] = cover_of_padding(&key) ^ padding as u8;
        let bytes = key_exchange::opening(&key, self.generator(), padding);
        (key, bytes)
    }

    /// A legacy opening; without `padding` one of 14 bytes. In our stand-in the number's lowest bit
    /// says whether a second message follows.
    fn legacy(&mut self, padding: Option<usize>) -> Vec<u8> {
        let opening = legacy::Opening {
            iv: self.process.iv(self.rng),
            sequence: self.rng.u16(..) & !1 | u16::from(padding.is_some()),
            kind: match padding {
                Some(_) => legacy::Kind([0x01, 0x03, 0x0f][self.rng.usize(0..3)]),
                None => legacy::Kind(0x03),
            },
            unknown: self.rng.u8(..),
            padding: padding.map(|len| self.generator().low_bytes(len)),
        };
        opening.encode(&legacy_keystream(opening.iv).take(64))
    }
}

fn cover_of_padding(key: &[u8; KEY_LEN]) -> u8 {
    checksum(&key[..KEY_LEN - 1]) as u8
}

fn padding_of(key: &[u8; KEY_LEN]) -> usize {
    usize::from(cover_of_padding(key) ^ key[KEY_LEN - 1]) & MAX_PADDING
}

fn legacy_keystream(iv: u32) -> Keystream {
    Keystream::new(checksum(&iv.to_be_bytes()))
}

impl Opener {
    /// The end that has connected, and its first bytes.
    pub(super) fn connect(
        mut source: Source<'_>,
        opening: Opening,
        disguise: bool,
    ) -> (Self, Vec<u8>) {
        let (stage, bytes) = if disguise {
            // In our stand-in the challenge's lowest bit says what follows behind it: a listener
            // may begin an inner legacy stream at once. Low bits of the generator alternate.
            let generator = source.generator();
            let next = generator.clone().word();
            let legacy = opening != Opening::KeyExchange;
            generator.advance(u32::from((next & 1 == 1) != legacy));
            (Stage::Hello(opening), client_hello(generator))
        } else {
            Self::begin(&mut source, opening)
        };
        let opener = Self {
            connecting: true,
            stage,
            inbox: Vec::new(),
        };
        (opener, bytes)
    }

    /// The end that listens.
    pub(super) fn accept() -> Self {
        Self {
            connecting: false,
            stage: Stage::Anything { inner: false },
            inbox: Vec::new(),
        }
    }

    fn begin(source: &mut Source<'_>, opening: Opening) -> (Stage, Vec<u8>) {
        match opening {
            Opening::KeyExchange => {
                let padding = source.rng.usize(0..=MAX_PADDING);
                let (key, bytes) = source.value(padding);
                (Stage::Value(key), bytes)
            }
            Opening::Legacy | Opening::OldLegacy => {
                let padding = match opening {
                    Opening::OldLegacy => None,
                    _ => Some(source.rng.usize(LEGACY_PADDING)),
                };
                let bytes = source.legacy(padding);
                let sent = Some(bytes.clone());
                (Stage::Legacy { sent }, bytes)
            }
        }
    }

    /// Bytes have come; pushes what is to be written, each at a stretch.
    pub(super) fn receive(
        &mut self,
        mut source: Source<'_>,
        bytes: &[u8],
        out: &mut Vec<Vec<u8>>,
    ) -> Step {
        self.inbox.extend(bytes);
        loop {
            let before = (std::mem::discriminant(&self.stage), self.inbox.len());
            match self.step(&mut source, out) {
                Step::Going => {}
                done => return done,
            }
            if before == (std::mem::discriminant(&self.stage), self.inbox.len()) {
                return Step::Going;
            }
        }
    }

    fn step(&mut self, source: &mut Source<'_>, out: &mut Vec<Vec<u8>>) -> Step {
        match &self.stage {
            Stage::Hello(opening) => {
                let hello = &SERVER_HELLO[..];
                if let Some(rest) = self.inbox.strip_prefix(hello) {
                    let rest = rest.to_vec();
                    let (stage, bytes) = Self::begin(source, *opening);
                    out.push(bytes);
                    self.stage = stage;
                    self.inbox = rest;
                } else if !hello.starts_with(&self.inbox) {
                    return Step::Foreign;
                }
                Step::Going
            }
            Stage::Anything { inner } => self.judge(*inner, source, out),
            Stage::Legacy { sent } => {
                let sent = sent.clone();
                self.legacy(sent, source, out)
            }
            Stage::Value(own) => {
                let Some(theirs) = self.inbox.first_chunk::<KEY_LEN>() else {
                    return Step::Going;
                };
                let len = KEY_LEN + padding_of(theirs);
                if self.inbox.len() < len {
                    return Step::Going;
                }
                let values = match self.connecting {
                    true => [*own, *theirs],
                    false => [*theirs, *own],
                };
                let seed = checksum(values.as_flattened());
                self.inbox.drain(..len);
                if self.connecting {
                    out.push(self.hash(seed, true));
                }
                self.stage = Stage::Hash(seed);
                Step::Going
            }
            &Stage::Hash(seed) => {
                let Some(hash) = self.inbox.first_chunk::<HASH_LEN>() else {
                    return Step::Going;
                };
                if self.hash(seed, false) != hash {
                    return Step::Foreign;
                }
                if !self.connecting {
                    out.push(self.hash(seed, true));
                }
                Step::Open(Opened {
                    seed,
                    with_iv: true,
                    rest: self.inbox.split_off(HASH_LEN),
                })
            }
        }
    }

    /// This end's hash, or the other's.
    fn hash(&self, seed: u32, own: bool) -> Vec<u8> {
        let connecting = self.connecting == own;
        // Not the stream itself, of which the first bytes would be known.
        Keystream::directed(!seed, connecting).take(HASH_LEN)
    }

    /// What kind of opening this is. A listener takes whatever it can't tell for a key exchange, and
    /// answers as one (measured).
    fn judge(&mut self, inner: bool, source: &mut Source<'_>, out: &mut Vec<Vec<u8>>) -> Step {
        let hello = CLIENT_HELLO.len() + CHALLENGE_LEN;
        let begins = |what: &[u8]| what.starts_with(&self.inbox) || self.inbox.starts_with(what);
        if !inner && begins(&CLIENT_HELLO) {
            if self.inbox.len() < hello {
                return Step::Going;
            }
            let legacy = self.inbox[CLIENT_HELLO.len()] & 1 == 1;
            self.inbox.drain(..hello);
            let at_once = legacy && source.rng.u8(..100) < AT_ONCE_PERCENT;
            let sent = at_once.then(|| source.legacy(None));
            out.push([&SERVER_HELLO[..], sent.as_deref().unwrap_or_default()].concat());
            self.stage = match legacy {
                true => Stage::Legacy { sent },
                false => Stage::Anything { inner: true },
            };
            return Step::Going;
        }
        if !inner && begins(b"GET ") {
            if self.inbox.len() < 4 {
                return Step::Going;
            }
            out.push(http::NOT_IMPLEMENTED.into());
            return Step::Foreign;
        }
        let Some(head) = self.inbox.first_chunk() else {
            return Step::Going;
        };
        let keystream = |iv| *legacy_keystream(iv).take(10).first_chunk().expect("ten");
        if legacy::first(head, keystream).is_some() {
            self.stage = Stage::Legacy { sent: None };
        } else {
            let padding = source.rng.usize(LISTENER_PADDING);
            let (key, bytes) = source.value(padding);
            out.push(bytes);
            self.stage = Stage::Value(key);
        }
        Step::Going
    }

    /// The other's legacy opening, which is answered if this end's is not out yet.
    fn legacy(
        &mut self,
        sent: Option<Vec<u8>>,
        source: &mut Source<'_>,
        out: &mut Vec<Vec<u8>>,
    ) -> Step {
        let Some(head) = self.inbox.first_chunk() else {
            return Step::Going;
        };
        let keystream = |iv| *legacy_keystream(iv).take(10).first_chunk().expect("ten");
        let Some(first) = legacy::first(head, keystream) else {
            return Step::Foreign;
        };
        let mut len = legacy::SHORTEST;
        if first.sequence & 1 == 1 {
            let Some(&byte) = self.inbox.get(len) else {
                return Step::Going;
            };
            len += legacy::second_len(byte, keystream(first.iv)[0]);
        }
        if self.inbox.len() < len {
            return Step::Going;
        }
        let rest = self.inbox.split_off(len);
        let own = sent.unwrap_or_else(|| {
            let padding = source.rng.usize(LEGACY_PADDING);
            let bytes = source.legacy(Some(padding));
            out.push(bytes.clone());
            bytes
        });
        let openings = match self.connecting {
            true => [&own, &self.inbox],
            false => [&self.inbox, &own],
        };
        Step::Open(Opened {
            seed: checksum(&openings.map(Vec::as_slice).concat()),
            with_iv: false,
            rest,
        })
    }
}
