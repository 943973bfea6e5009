//! An engine and the traffic that it judges.

use std::iter::Sum;

use fastrand::Rng;
use skype_ips::engine::{Engine, Event, Packet, Settings};
use skype_ips::policy::Config;
use skype_ips_common::layout::{FlowKey, TCP, UDP, mapped};

use crate::datagrams::Datagrams;
use crate::odds;
use crate::openings::Openings;

const MILLISECOND: u64 = 1_000_000;
/// Accusations that are told in words.
const EXAMPLES: usize = 5;

/// Bytes of a packet that are told with an accusation.
const HEAD: usize = 16;

fn told(ms: u64, head: &[u8; HEAD]) -> String {
    let digits: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\n  {ms} ms {digits}")
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Udp(Datagrams),
    Tcp(Openings),
}

impl Kind {
    pub(crate) const ALL: [Self; Datagrams::ALL.len() + Openings::ALL.len()] = {
        let mut all = [Self::Udp(Datagrams::Random); Datagrams::ALL.len() + Openings::ALL.len()];
        let mut at = 0;
        while at < Datagrams::ALL.len() {
            all[at] = Self::Udp(Datagrams::ALL[at]);
            at += 1;
        }
        while at < all.len() {
            all[at] = Self::Tcp(Openings::ALL[at - Datagrams::ALL.len()]);
            at += 1;
        }
        all
    };
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) accusations: u64,
    /// Accusations that chance alone would make.
    pub(crate) expected: f64,
    pub(crate) examples: Vec<String>,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, mut one| {
            sum.flows += one.flows;
            sum.packets += one.packets;
            sum.accusations += one.accusations;
            sum.expected += one.expected;
            sum.examples.append(&mut one.examples);
            sum.examples.truncate(EXAMPLES);
            sum
        })
    }
}

/// One engine's share.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) rng: Rng,
    engine: Engine,
    events: Vec<Event>,
    now: u64,
    next_tick: u64,
    hosts: u32,
    /// When the host at hand said what: the heads of its packets and of the answers.
    said: Vec<(u64, [u8; HEAD])>,
    pub(crate) tally: Tally,
}

impl Shard {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            engine: Engine::new(Settings {
                knowledge: Config::default_for_replay().knowledge,
                ..Settings::default()
            }),
            events: Vec::new(),
            now: 1_000_000 * MILLISECOND,
            next_tick: 0,
            hosts: 0,
            said: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub(crate) fn run(mut self, flows: u64, kinds: &[Kind]) -> Tally {
        for kind in kinds.iter().cycle() {
            if self.tally.flows >= flows {
                break;
            }
            match kind {
                Kind::Udp(datagrams) => datagrams.endpoint(&mut self),
                Kind::Tcp(openings) => openings.connection(&mut self),
            }
            self.tally.expected += odds::of(*kind);
            self.take_events(kind);
        }
        self.tally
    }

    /// What came of traffic that was fed from elsewhere.
    pub(crate) fn end(mut self, what: &str) -> Tally {
        self.take_events(&what);
        self.tally
    }

    /// A flow of a host that was never there before.
    pub(crate) fn host(&mut self, protocol: u8) -> FlowKey {
        self.hosts += 1;
        self.said.clear();
        let [_, a, b, c] = self.hosts.to_be_bytes();
        self.tally.flows += 1;
        FlowKey {
            zone: 0,
            protocol,
            reserved: 0,
            inside_port: self.rng.u16(1024..),
            outside_port: self.rng.u16(1..),
            inside: mapped([10, a, b, c]),
            outside: self.peer(),
        }
    }

    /// A flow of the same host and port to somebody else.
    pub(crate) fn another(&mut self, flow: FlowKey) -> FlowKey {
        self.tally.flows += 1;
        let (outside, outside_port) = (self.peer(), self.rng.u16(1..));
        FlowKey {
            outside,
            outside_port,
            ..flow
        }
    }

    fn peer(&mut self) -> [u8; 16] {
        let [a, b, c, d] = self.rng.u32(..).to_be_bytes();
        mapped([a.clamp(1, 223), b, c, d])
    }

    pub(crate) fn datagram(&mut self, key: FlowKey, outbound: bool, payload: &[u8]) {
        debug_assert_eq!(key.protocol, UDP);
        self.judge(key, outbound, (0, None), payload);
    }

    pub(crate) fn segment(&mut self, key: FlowKey, outbound: bool, seq: u32, payload: &[u8]) {
        debug_assert_eq!(key.protocol, TCP);
        self.judge(key, outbound, (seq, None), payload);
    }

    /// A segment, and where its stream begins if the SYN was seen.
    pub(crate) fn piece(
        &mut self,
        key: FlowKey,
        outbound: bool,
        place: (u32, Option<u32>),
        payload: &[u8],
    ) {
        debug_assert_eq!(key.protocol, TCP);
        self.judge(key, outbound, place, payload);
    }

    /// The one place where a packet is made for the engine; a few milliseconds after the last.
    fn judge(
        &mut self,
        key: FlowKey,
        outbound: bool,
        (tcp_seq, tcp_base): (u32, Option<u32>),
        payload: &[u8],
    ) {
        self.now += self.rng.u64(1..20) * MILLISECOND;
        if self.now >= self.next_tick {
            self.engine.tick(self.now, &mut self.events);
            self.next_tick = self.now + 1000 * MILLISECOND;
        }
        let packet = Packet {
            number: 1,
            now: self.now,
            key,
            outbound,
            called: false,
            tcp_seq,
            tcp_base,
            payload,
            payload_len: payload.len() as u32,
        };
        let mut head = [0; HEAD];
        let len = payload.len().min(HEAD);
        head[..len].copy_from_slice(&payload[..len]);
        self.said.push((self.now / MILLISECOND, head));
        self.tally.packets += 1;
        self.engine.packet(&packet, &mut self.events);
    }

    fn take_events(&mut self, kind: &dyn std::fmt::Debug) {
        for event in self.events.drain(..) {
            // Nor should anything come near it by chance.
            if let Event::Found { evidence, flow, .. } | Event::Ambiguous { evidence, flow, .. } =
                event
            {
                self.tally.accusations += 1;
                if self.tally.examples.len() < EXAMPLES {
                    let said: String = self.said.iter().map(|(ms, head)| told(*ms, head)).collect();
                    let example = format!("accused: {kind:?} {evidence:?} {flow:?}{said}");
                    self.tally.examples.push(example);
                }
            }
        }
    }
}
