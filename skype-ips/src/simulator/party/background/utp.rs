//! uTP (BEP 29): a stream over datagrams that makes way for others.

use std::time::Duration;

use fastrand::Rng;

use super::reliable::{Receiver, Sender};
use super::streams::Answer;
use super::talks::{Accept, Around, Talk};
use crate::simulator::net::program::{Ground, Instant};

/// What these conversations are.
pub(super) const UTP: Ground = Ground::other("uTP");

const DATA: u8 = 0;
const FIN: u8 = 1;
const STATE: u8 = 2;
const RESET: u8 = 3;
const SYN: u8 = 4;
const VERSION: u8 = 1;
const HEAD: usize = 20;
/// The extension that says which packets beyond a gap have come.
const SELECTIVE: u8 = 1;
/// Bytes of payload in a packet: with the head as libutp's under Ethernet's MTU.
const PAYLOAD: usize = 1382;
/// Bytes that this end takes at once.
const WINDOW: u32 = 1 << 20;
/// A SYN that isn't answered is sent again after this, so many times at most.
const SYN_AGAIN: Duration = Duration::from_secs(3);
const SYNS: u32 = 6;
/// When the other end is silent for so long it is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Whether a datagram may be uTP's.
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD && bytes[0] & 0x0f == VERSION && bytes[0] >> 4 <= SYN
}

/// A packet that has come.
struct Packet<'a> {
    kind: u8,
    connection: u16,
    stamp: u32,
    difference: u32,
    number: u16,
    acknowledged: u16,
    /// Which have come from two beyond the acknowledged one on.
    selective: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        if !is(bytes) {
            return None;
        }
        let short = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from(short(at)) << 16 | u32::from(short(at + 2));
        let (mut extension, mut rest) = (bytes[1], &bytes[HEAD..]);
        let mut selective = &[][..];
        while extension != 0 {
            let (&[next, len], behind) = rest.split_first_chunk()?;
            let (body, behind) = behind.split_at_checked(usize::from(len))?;
            if extension == SELECTIVE {
                selective = body;
            }
            (extension, rest) = (next, behind);
        }
        Some(Self {
            kind: bytes[0] >> 4,
            connection: short(2),
            stamp: long(4),
            difference: long(8),
            number: short(16),
            acknowledged: short(18),
            selective,
            payload: rest,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The SYN has gone out so many times.
    Asking(u32),
    Open,
    Over,
}

/// One end, with what speaks over it.
#[derive(Clone, Debug)]
pub(super) struct Utp<A> {
    speaker: A,
    stage: Stage,
    /// What packets from here are marked with; those that come have one less, or one more.
    connection: u16,
    incoming: u16,
    /// The numbers of this end's SYN or first STATE, and of the other's.
    start: u16,
    other_start: u16,
    sender: Sender,
    receiver: Receiver,
    /// Where this end's clock stands at the world's zero, microseconds.
    clock: u32,
    /// What the last packet took by both clocks, as this end measures it.
    difference: u32,
    /// The least that the other end has measured of this end's packets.
    base: Option<u32>,
    /// Whether this end's FIN is queued, and the other's has come.
    ended: bool,
    other_ended: bool,
    heard: Instant,
    due: Instant,
}

impl<A: Answer> Utp<A> {
    /// One that opens the stream; the speaker's greeting goes first.
    pub(super) fn open(now: Instant, rng: &mut Rng, mut speaker: A) -> Self {
        let id = rng.u16(..);
        let greeting = speaker.greeting(rng);
        let mut utp = Self::new(now, rng, speaker, Stage::Asking(0));
        (utp.incoming, utp.connection) = (id, id.wrapping_add(1));
        utp.start = 1;
        utp.sender.push(&greeting, PAYLOAD);
        utp
    }

    fn new(now: Instant, rng: &mut Rng, speaker: A, stage: Stage) -> Self {
        Self {
            speaker,
            stage,
            connection: 0,
            incoming: 0,
            start: rng.u16(..),
            other_start: 0,
            sender: Sender::new(),
            receiver: Receiver::default(),
            clock: rng.u32(..),
            difference: 0,
            base: None,
            ended: false,
            other_ended: false,
            heard: now,
            due: now,
        }
    }

    fn stamp(&self, now: Instant) -> u32 {
        self.clock.wrapping_add(now.as_micros() as u32)
    }

    fn packet(&self, now: Instant, kind: u8, number: u16, payload: &[u8]) -> Vec<u8> {
        let acknowledged = self.other_start.wrapping_add(self.receiver.all() as u16);
        let mut selective = Vec::new();
        for number in self.receiver.beyond() {
            let bit = (number - self.receiver.all() - 2) as usize;
            // Whole words, as the document has it.
            let len = (bit / 8 + 1).next_multiple_of(4);
            if len <= 32 {
                selective.resize(len.max(selective.len()), 0_u8);
                selective[bit / 8] |= 1 << (bit % 8);
            }
        }
        // A SYN carries the number under which answers come.
        let connection = match kind {
            SYN => self.incoming,
            _ => self.connection,
        };
        let mut bytes = vec![kind << 4 | VERSION, u8::from(!selective.is_empty())];
        bytes.extend(connection.to_be_bytes());
        bytes.extend(self.stamp(now).to_be_bytes());
        bytes.extend(self.difference.to_be_bytes());
        bytes.extend(WINDOW.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.extend(acknowledged.to_be_bytes());
        if !selective.is_empty() {
            bytes.extend([0, selective.len() as u8]);
            bytes.extend(selective);
        }
        bytes.extend(payload);
        bytes
    }

    fn state(&self, around: &mut Around<'_>) {
        let number = self.start.wrapping_add(self.sender.next_number() as u16);
        around.out.push(self.packet(around.now, STATE, number, &[]));
    }

    /// Sends what may go out, and says when to look again.
    fn flow(&mut self, around: &mut Around<'_>) {
        if !self.ended && (self.speaker.over() || self.other_ended) {
            self.ended = true;
            self.sender.push_end();
        }
        while let Some((number, bytes)) = self.sender.take(around.now) {
            let number = self.start.wrapping_add(number as u16);
            let kind = if bytes.is_empty() { FIN } else { DATA };
            let packet = self.packet(around.now, kind, number, &bytes);
            around.out.push(packet);
        }
        let done = self.ended && self.other_ended && self.sender.is_idle();
        if self.sender.gave_up() || done && around.now >= self.heard + Duration::from_secs(2) {
            self.stage = Stage::Over;
        }
        // Done, it stays for a while: the other end may not know yet.
        let silence = if done {
            Duration::from_secs(2)
        } else {
            SILENCE
        };
        let silent = self.heard + silence;
        if around.now >= silent {
            self.stage = Stage::Over;
        }
        self.due = self.sender.due().unwrap_or(silent).min(silent);
    }

    /// A DATA or FIN packet.
    fn content(&mut self, around: &mut Around<'_>, packet: &Packet<'_>) {
        let number = packet.number.wrapping_sub(self.other_start);
        let ahead = number.wrapping_sub(self.receiver.all() as u16) as i16;
        let number = self.receiver.all().saturating_add_signed(i32::from(ahead));
        for bytes in self.receiver.hear(number, packet.payload.to_vec()) {
            if bytes.is_empty() {
                self.other_ended = true;
                continue;
            }
            match self.speaker.hear(around.rng, around.tally, &bytes) {
                Some(answers) => {
                    for answer in answers {
                        self.sender.push(&answer, PAYLOAD);
                    }
                }
                None => {
                    let number = self.start;
                    let reset = self.packet(around.now, RESET, number, &[]);
                    around.out.push(reset);
                    self.stage = Stage::Over;
                }
            }
        }
        self.state(around);
    }
}

impl<A: Answer> Talk for Utp<A> {
    const GROUND: Ground = UTP;

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let Some(packet) = Packet::read(bytes) else {
            return;
        };
        if packet.kind == SYN {
            // Its own answer was lost.
            if packet.connection.wrapping_add(1) == self.incoming {
                self.difference = self.stamp(around.now).wrapping_sub(packet.stamp);
                around
                    .out
                    .push(self.packet(around.now, STATE, self.start, &[]));
            }
            return;
        }
        if packet.connection != self.incoming {
            return;
        }
        self.heard = around.now;
        self.difference = self.stamp(around.now).wrapping_sub(packet.stamp);
        if packet.kind == RESET {
            self.stage = Stage::Over;
            return;
        }
        if let Stage::Asking(_) = self.stage {
            if packet.kind != STATE {
                return;
            }
            self.stage = Stage::Open;
            self.other_start = packet.number;
        }
        let all = packet.acknowledged.wrapping_sub(self.start);
        let under_way = self.sender.next_number() as u16;
        // An acknowledgement of what was never sent says nothing.
        if all < under_way {
            let bits = (0..packet.selective.len() * 8)
                .filter(|bit| packet.selective[bit / 8] >> (bit % 8) & 1 == 1);
            let beyond: Vec<u32> = bits.map(|bit| u32::from(all) + 2 + bit as u32).collect();
            let base = self.base.map_or(packet.difference, |base| {
                // Of two readings of a clock that goes round, the earlier one.
                match (packet.difference.wrapping_sub(base) as i32) < 0 {
                    true => packet.difference,
                    false => base,
                }
            });
            self.base = Some(base);
            let delay = Duration::from_micros(u64::from(packet.difference.wrapping_sub(base)));
            self.sender
                .acknowledged(around.now, u32::from(all), &beyond, Some(delay));
        }
        if matches!(packet.kind, DATA | FIN) {
            self.content(around, &packet);
        }
        if self.stage == Stage::Open {
            self.flow(around);
        }
    }

    fn act(&mut self, around: &mut Around<'_>) {
        match &mut self.stage {
            Stage::Asking(tries) if *tries == SYNS => self.stage = Stage::Over,
            Stage::Asking(tries) => {
                *tries += 1;
                self.due = around.now + SYN_AGAIN;
                let syn = self.packet(around.now, SYN, self.start, &[]);
                around.out.push(syn);
            }
            Stage::Open => {
                self.sender.expire(around.now);
                self.flow(around);
            }
            Stage::Over => {}
        }
    }

    fn due(&self) -> Option<Instant> {
        (self.stage != Stage::Over).then_some(self.due)
    }
}

impl<A: Answer + Default> Accept for Utp<A> {
    fn accept(now: Instant, rng: &mut Rng, bytes: &[u8]) -> Option<Self> {
        let packet = Packet::read(bytes).filter(|packet| packet.kind == SYN)?;
        let mut utp = Self::new(now, rng, A::default(), Stage::Open);
        utp.connection = packet.connection;
        utp.incoming = packet.connection.wrapping_add(1);
        utp.other_start = packet.number;
        utp.due = now + SILENCE;
        Some(utp)
    }
}
