//! Downloads over [QUIC](super::quic).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::browser::{LONGEST, Part};
use super::pace::pause;
use super::quic::{CHUNK, Header, Kind, Link, SERVER_ID, frame, part, varint};
use super::seal::made_from;
use super::talks::{Accept, Around, Open, Talk};
use super::tls::{extension, message, prefixed, server_hello};
use crate::simulator::net::program::{Ground, Instant};
use crate::simulator::speech::quic::{self, DATAGRAM, Version};
use crate::simulator::speech::tls::{Hello, client_hello};
use crate::simulator::speech::{Speaker, noise};

const QUIC: Ground = Ground::other("QUIC");
/// A first flight that isn't answered goes again after this, then after twice as long (RFC 9002),
/// so many times at most.
const AGAIN: Duration = Duration::from_secs(1);
const FLIGHTS: u32 = 6;
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of a question: seed, length, and padding as compressed headers take it.
const QUESTION: usize = 160;
/// Most questions of a connection, and mean seconds between two.
const QUESTIONS: u32 = 8;
const THOUGHT: f64 = 1.0;
/// Bytes of a server's hidden flight: extensions, certificates, a signature.
const HIDDEN: usize = 2600;

#[derive(Debug)]
enum Stage {
    /// The first flight has gone out so many times.
    Greeting(u32),
    /// Waits with the next question until then.
    Thinking(Instant),
    Downloading(Part),
    Over,
}

/// The client's end.
#[derive(Debug)]
pub(super) struct Client {
    until: Instant,
    opening: quic::Client,
    hello: Vec<u8>,
    scrambled: bool,
    link: Option<Link>,
    /// Parts of the server's hidden flight that have come.
    parts: BTreeSet<u8>,
    stage: Stage,
    again: Instant,
    questions: u32,
    heard: Instant,
    bytes: Vec<u8>,
}

impl Client {
    fn greet(&mut self, around: &mut Around<'_>, tries: u32) {
        if tries == 0 {
            around.tally.begun(QUIC.what, 1);
        }
        if tries == FLIGHTS {
            self.stage = Stage::Over;
            return;
        }
        let flight = self.opening.hello(around.rng, &self.hello, self.scrambled);
        if self.link.is_none()
            && let Some(header) = flight.first().and_then(|first| Header::read(first, 0))
        {
            let link = Link::new(Speaker::Client, &header.to, header.from, header.to.clone());
            self.link = Some(link);
        }
        around.out.extend(flight);
        self.stage = Stage::Greeting(tries + 1);
        self.again = around.now + AGAIN * (1 << tries);
    }

    /// The server's flight is here: the client's second.
    fn finish(around: &mut Around<'_>, link: &mut Link) {
        // Largest number 0, no delay, one packet.
        let ack = [frame::ACK, 0, 0, 0, 0];
        let finished = [&[frame::CRYPTO, 0, 1][..], &noise(around.rng, 36)].concat();
        let first = link.long(Kind::Initial, &ack, 0);
        let second = link.long(Kind::Handshake, &finished, DATAGRAM - first.len());
        around.out.push([first, second].concat());
    }

    fn stream(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let Stage::Downloading(part) = self.stage else {
            return;
        };
        self.bytes.extend(bytes);
        if self.bytes.len() < part.len {
            return;
        }
        let unchanged = std::mem::take(&mut self.bytes) == made_from(part.seed, part.len);
        around.tally.done(QUIC.what, u64::from(unchanged));
        self.stage = Stage::Thinking(around.now + pause(around.rng, THOUGHT));
    }

    fn ask(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else {
            return;
        };
        if self.questions == 0 || around.now >= self.until {
            around.out.push(link.close(around.rng));
            self.stage = Stage::Over;
            return;
        }
        self.questions -= 1;
        let part = Part::some(around.rng, true);
        around.tally.begun(QUIC.what, 1);
        let mut question = part.seed.to_be_bytes().to_vec();
        question.extend((part.len as u32).to_be_bytes());
        question.extend(noise(around.rng, QUESTION - question.len()));
        link.sender.push(&question, CHUNK);
        self.stage = Stage::Downloading(part);
    }
}

impl Talk for Client {
    const GROUND: Ground = QUIC;

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let Some(link) = &mut self.link else {
            return;
        };
        for (header, _, frames) in link.open(bytes) {
            self.heard = around.now;
            let Some(link) = &mut self.link else {
                return;
            };
            match header.kind {
                Kind::Initial => {}
                Kind::Handshake => {
                    let Some((part, parts)) = part(&frames) else {
                        continue;
                    };
                    self.parts.insert(part);
                    if self.parts.len() == usize::from(parts)
                        && let Stage::Greeting(_) = self.stage
                    {
                        around.tally.done(QUIC.what, 1);
                        Self::finish(around, link);
                        self.stage = Stage::Thinking(around.now);
                    }
                }
                Kind::Short => {
                    let came = link.hear(around.now, &frames);
                    if came.closed {
                        self.stage = Stage::Over;
                        return;
                    }
                    self.stream(around, &came.bytes);
                }
            }
        }
        self.act(around);
    }

    fn act(&mut self, around: &mut Around<'_>) {
        let now = around.now;
        match self.stage {
            Stage::Greeting(tries) if self.again <= now => self.greet(around, tries),
            Stage::Thinking(until) if until <= now => self.ask(around),
            _ => {}
        }
        let Some(link) = &mut self.link else {
            return;
        };
        if !matches!(self.stage, Stage::Greeting(_) | Stage::Over) {
            link.flow(around.rng, now, &mut around.out);
        }
        if link.sender.gave_up() || now >= self.heard + SILENCE {
            self.stage = Stage::Over;
        }
    }

    fn due(&self) -> Option<Instant> {
        let link = self.link.as_ref().and_then(Link::due);
        let silent = self.heard + SILENCE;
        let own = match self.stage {
            Stage::Over => return None,
            Stage::Greeting(_) => return Some(self.again.min(silent)),
            Stage::Thinking(until) => until,
            Stage::Downloading(_) => silent,
        };
        Some(own.min(silent).min(link.unwrap_or(silent)))
    }
}

impl Open for Client {
    type Known = ();
    const PAUSE: f64 = 6.0;

    fn open((): &(), now: Instant, until: Instant, rng: &mut Rng, site: &Site) -> Self {
        let hello = match rng.u8(0..3) {
            0 => Hello::PostQuantum,
            _ => Hello::Plain,
        };
        Self {
            until,
            opening: quic::Client::new(rng, Version::One),
            hello: client_hello(rng, hello, &site.name),
            scrambled: rng.bool(),
            link: None,
            parts: BTreeSet::new(),
            stage: Stage::Greeting(0),
            again: now,
            questions: rng.u32(1..=QUESTIONS),
            heard: now,
            bytes: Vec::new(),
        }
    }
}

/// The server's end.
#[derive(Debug)]
pub(super) struct Server {
    link: Link,
    /// Parts of the ClientHello, by where they begin.
    hello: BTreeMap<u64, Vec<u8>>,
    /// When the flight went out last.
    answered: Option<Instant>,
    bytes: Vec<u8>,
    heard: Instant,
    over: bool,
}

impl Server {
    /// The CRYPTO frames of an Initial.
    fn hear_hello(&mut self, frames: &[u8]) {
        let mut rest = frames;
        while let Some((kind, behind)) = rest.split_first() {
            rest = match *kind {
                frame::PADDING | frame::PING => behind,
                frame::CRYPTO => {
                    let Some((offset, behind)) = varint(behind) else {
                        return;
                    };
                    let Some((len, behind)) = varint(behind) else {
                        return;
                    };
                    let Some((part, behind)) = behind.split_at_checked(len as usize) else {
                        return;
                    };
                    self.hello.insert(offset, part.to_vec());
                    behind
                }
                // Acknowledgements have nothing behind them.
                _ => return,
            };
        }
    }

    /// The ClientHello, once it is whole.
    fn hello(&self) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        for (offset, part) in &self.hello {
            let known = (whole.len() as u64).checked_sub(*offset)? as usize;
            whole.extend(part.get(known..).unwrap_or_default());
        }
        let head = whole.first_chunk::<4>()?;
        let len = u32::from_be_bytes(*head) & 0xff_ffff;
        (whole.len() >= 4 + len as usize).then_some(whole)
    }

    fn answer(&mut self, around: &mut Around<'_>) {
        let Some(hello) = self.hello() else {
            return;
        };
        let recently = |answered: Instant| answered + Duration::from_millis(200) > around.now;
        if self.answered.is_some_and(recently) {
            return;
        }
        self.answered = Some(around.now);
        let (group, len) = match hello.len() > 1200 {
            true => ([0x11, 0xec], 1120),
            false => ([0x00, 0x1d], 32),
        };
        let share = [&group[..], &prefixed(2, &noise(around.rng, len))].concat();
        let extensions = [extension(43, &[3, 4]), extension(51, &share)];
        let random = noise(around.rng, 32);
        let hello = message(2, &server_hello([3, 3], &random, &[], 0x1301, &extensions));
        let mut initials = Vec::new();
        for (part, at) in hello.chunks(1000).zip((0..).step_by(1000)) {
            let ack = match at {
                0 => vec![frame::ACK, 0, 0, 0, 0],
                _ => Vec::new(),
            };
            initials.push([ack, quic::crypto(at, part)].concat());
        }
        let hidden = noise(around.rng, HIDDEN);
        around.out.extend(self.link.flight(&initials, &hidden));
    }

    fn stream(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        self.bytes.extend(bytes);
        while let Some(question) = self.bytes.get(..QUESTION) {
            let seed = question.first_chunk().map(|seed| u64::from_be_bytes(*seed));
            let len = question[8..].first_chunk();
            let len = len.map(|len| u32::from_be_bytes(*len) as usize);
            let (Some(seed), Some(len)) = (seed, len) else {
                return;
            };
            around.tally.arrived(QUIC.what, len <= LONGEST as usize);
            self.bytes.drain(..QUESTION);
            let content = made_from(seed, len.min(LONGEST as usize));
            self.link.sender.push(&content, CHUNK);
        }
    }
}

impl Talk for Server {
    const GROUND: Ground = QUIC;

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        for (header, _, frames) in self.link.open(bytes) {
            self.heard = around.now;
            match header.kind {
                Kind::Initial => {
                    self.hear_hello(&frames);
                    // What only acknowledges asks for nothing.
                    if frames.first() != Some(&frame::ACK) {
                        self.answer(around);
                    }
                }
                Kind::Handshake => {}
                Kind::Short => {
                    let came = self.link.hear(around.now, &frames);
                    self.over |= came.closed;
                    self.stream(around, &came.bytes);
                }
            }
        }
        self.act(around);
    }

    fn act(&mut self, around: &mut Around<'_>) {
        if !self.over {
            self.link.flow(around.rng, around.now, &mut around.out);
        }
        self.over |= self.link.sender.gave_up() || around.now >= self.heard + SILENCE;
    }

    fn due(&self) -> Option<Instant> {
        let silent = self.heard + SILENCE;
        (!self.over).then(|| self.link.due().unwrap_or(silent).min(silent))
    }
}

impl Accept for Server {
    fn accept(now: Instant, rng: &mut Rng, bytes: &[u8]) -> Option<Self> {
        let header = Header::read(bytes, SERVER_ID).filter(|one| one.kind == Kind::Initial)?;
        let own = noise(rng, SERVER_ID);
        let mut link = Link::new(Speaker::Server, &header.to, own, header.from);
        link.agree();
        Some(Self {
            link,
            hello: BTreeMap::new(),
            answered: None,
            bytes: Vec::new(),
            heard: now,
            over: false,
        })
    }
}
