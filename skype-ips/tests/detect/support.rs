//! Packets without a network.

use skype_ips::engine::{Answer, Engine, Event, Packet, Settings, Subject};
use skype_ips_common::layout::{FlowKey, TCP, UDP, mapped};
use skype_ips_common::lcg;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Inside 192.168.1.2:35990 unless said otherwise.
pub(crate) fn flow(protocol: u8, outside: [u8; 4], outside_port: u16) -> FlowKey {
    FlowKey {
        zone: 0,
        protocol,
        reserved: 0,
        inside_port: 35_990,
        outside_port,
        inside: mapped([192, 168, 1, 2]),
        outside: mapped(outside),
    }
}

pub(crate) fn udp(outside: [u8; 4], outside_port: u16) -> FlowKey {
    flow(UDP, outside, outside_port)
}

pub(crate) fn tcp(outside_port: u16) -> FlowKey {
    flow(TCP, [198, 51, 100, 9], outside_port)
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

pub(crate) fn steps(mut state: u32, count: u32) -> u32 {
    for _ in 0..count {
        state = lcg::next(state);
    }
    state
}

/// A run of the generator's low bytes.
pub(crate) fn padding(first: u8, len: usize) -> Vec<u8> {
    std::iter::successors(Some(first), |byte| Some(lcg::next_byte(*byte)))
        .take(len)
        .collect()
}

/// A type-2 datagram of 18 bytes.
pub(crate) fn probe(id: u16, iv: u32) -> Vec<u8> {
    let mut payload = id.to_be_bytes().to_vec();
    payload.push(2);
    payload.extend(iv.to_be_bytes());
    payload.extend((iv.rotate_left(11) ^ u32::from(id)).to_be_bytes());
    payload.extend([0x5a; 7]);
    payload
}

/// An engine and what it said.
pub(crate) struct Trial {
    pub(crate) engine: Engine,
    pub(crate) events: Vec<Event>,
    pub(crate) now: u64,
    /// Packets so far; the next one's number is one more.
    pub(crate) packets: u64,
    /// Whether the outside end opens the connections that come.
    pub(crate) called: bool,
}

impl Trial {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            engine: Engine::new(settings),
            events: Vec::new(),
            now: 1_000 * SECOND,
            packets: 0,
            called: false,
        }
    }

    pub(crate) fn later(&mut self, time: u64) {
        self.now += time;
        self.engine.tick(self.now, &mut self.events);
    }

    pub(crate) fn datagram(&mut self, key: FlowKey, outbound: bool, payload: &[u8]) -> Answer {
        self.segment(key, outbound, 0, payload)
    }

    pub(crate) fn segment(
        &mut self,
        key: FlowKey,
        outbound: bool,
        seq: u32,
        payload: &[u8],
    ) -> Answer {
        self.judge(key, outbound, (seq, None), payload)
    }

    /// A segment so many bytes behind the start of its stream, whose SYN was seen.
    pub(crate) fn piece(
        &mut self,
        key: FlowKey,
        outbound: bool,
        base: u32,
        at: u32,
        payload: &[u8],
    ) -> Answer {
        let seq = base.wrapping_add(at);
        self.judge(key, outbound, (seq, Some(base)), payload)
    }

    /// The one place where a packet is made.
    fn judge(
        &mut self,
        key: FlowKey,
        outbound: bool,
        (tcp_seq, tcp_base): (u32, Option<u32>),
        payload: &[u8],
    ) -> Answer {
        self.packets += 1;
        let packet = Packet {
            number: self.packets,
            now: self.now,
            key,
            outbound,
            called: self.called,
            tcp_seq,
            tcp_base,
            payload,
            payload_len: payload.len() as u32,
        };
        self.engine.packet(&packet, &mut self.events)
    }

    /// Names of the evidence of all findings, and whether they are about endpoints.
    pub(crate) fn found(&self) -> Vec<(&'static str, bool)> {
        let found = self.events.iter().filter_map(|event| match event {
            Event::Found {
                subject, evidence, ..
            } => Some((evidence, matches!(subject, Subject::Endpoint(_)))),
            _ => None,
        });
        found
            .flat_map(|(evidence, endpoint)| evidence.iter().map(move |one| (one.name, endpoint)))
            .collect()
    }

    /// Everything that the evidence of all findings cites: packet, where in its payload, and words.
    pub(crate) fn cited(&self) -> Vec<(u64, std::ops::Range<u32>, String)> {
        let evidence = self.events.iter().filter_map(|event| match event {
            Event::Found { evidence, .. } => Some(evidence),
            _ => None,
        });
        let cited = evidence.flatten().flat_map(|one| &one.cited);
        cited
            .map(|one| {
                let bytes = one.offset..one.offset + one.len;
                (one.packet, bytes, one.says.to_string())
            })
            .collect()
    }

    pub(crate) fn forgotten(&self) -> usize {
        let forgotten = |event: &&Event| matches!(event, Event::Forgotten(_));
        self.events.iter().filter(forgotten).count()
    }
}
