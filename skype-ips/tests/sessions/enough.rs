//! Is there evidence enough in what was captured? Said of what the session's author noted, not of
//! what any detector makes of it.
//!
//! A UDP endpoint, any of:
//! * three different datagrams that it sent within 60 seconds, each with a state of its generator,
//!   in the order in which they were drawn; three within 15 seconds, or four, in any order;
//! * a message, then within ten seconds the answer that names the asker's address;
//! * a message, its NACK and the resend, in this order, each within ten seconds of the one before.
//!
//! A TCP connection: the SYN of an end (a connection whose opening was not seen is another's
//! business), then of what that end says first
//! * the bytes that prove it; or
//! * the first segment, with padding of which four relations show, of both ends together; or
//! * both ends' first five bytes;
//!
//! as far as a [`Patience`] goes. Bytes that the capture cut off don't count.

use std::collections::{HashMap, HashSet};

use skype_ips::lab::speech::Speaker;

use crate::connections::{Connection, Proof};
use crate::script::SECOND;
use crate::wire::{Body, Packet, Path, SYN, Step};

/// Bytes of a datagram up to its IV's end, and of what exchanges compare.
const STATE: usize = 11;
const RESEND: usize = 16;
const IN_ORDER: usize = 3;
/// As many within this time in any order: a busy node draws a thousand meanwhile at most.
const OVERTAKING: u64 = 15 * SECOND;
const ANY_ORDER: usize = 4;
const RELATIONS: usize = 4;

/// What of a UDP endpoint was captured, in the order of arrival.
#[derive(Debug, Default)]
struct Heard {
    /// When each state came, and which it was.
    states: Vec<(u64, u32)>,
    seen: HashSet<Vec<u8>>,
    /// When each exchange's last step came, and how far it has come.
    exchanges: HashMap<u32, (u64, Step)>,
    enough: bool,
}

impl Heard {
    fn hear(&mut self, packet: &Packet, at_hand: usize, addresses: bool) {
        let now = packet.time;
        let head = &packet.payload()[..at_hand];
        if let Some(drawn) = packet.note.state
            && at_hand >= STATE
            && self.seen.insert(head.to_vec())
        {
            self.states.push((now, drawn));
            self.states
                .retain(|(time, _)| now.saturating_sub(*time) <= 60 * SECOND);
            let mut last = self.states.windows(IN_ORDER);
            let shown = |states: &[(u64, u32)]| {
                let since = now.saturating_sub(states[0].0);
                states.is_sorted_by_key(|(_, drawn)| drawn) || since <= OVERTAKING
            };
            self.enough |= last.any(shown) || self.states.len() >= ANY_ORDER;
        }
        let Some((number, step)) = packet.note.step else {
            return;
        };
        let before = self.exchanges.get(&number).copied();
        let needed = if step == Step::Resend { RESEND } else { STATE };
        let in_time = |asked: u64| now.saturating_sub(asked) <= 10 * SECOND;
        let goes_on = match (before, step) {
            (None, Step::Ask) => true,
            (Some((asked, Step::Ask)), Step::Answer)
            | (Some((asked, Step::Answer)), Step::Resend) => in_time(asked),
            _ => false,
        };
        if at_hand < needed || !goes_on {
            return;
        }
        self.exchanges.insert(number, (now, step));
        self.enough |= match step {
            Step::Ask => false,
            Step::Answer => addresses,
            // What comes from outside condemns nobody.
            Step::Resend => packet.outbound,
        };
    }
}

/// The inside ends of which enough was captured. `addresses`: they are of IPv4, so answers name
/// them.
pub(crate) fn endpoints(
    packets: &[Packet],
    path: &Path,
    addresses: bool,
) -> HashSet<std::net::SocketAddr> {
    let mut heard: HashMap<_, Heard> = HashMap::new();
    for packet in packets {
        if matches!(packet.body, Body::Datagram(_)) {
            let heard = heard.entry(packet.flow.inside).or_default();
            heard.hear(packet, path.at_hand(packet), addresses);
        }
    }
    let heard = heard.into_iter();
    heard
        .filter_map(|(end, heard)| heard.enough.then_some(end))
        .collect()
}

/// How far a connection is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Packets with payload, of both directions, from the first of a stream on.
    packets: usize,
    /// Whether what comes before its turn, or after a gap that the capture's cut left, is kept
    /// until it fits.
    any_order: bool,
}

impl Patience {
    /// The first segment and three more; of each stream only what continues it, if the first
    /// segment comes first, and up to where the capture cut it off.
    pub(crate) const SHORT: Self = Self {
        packets: 4,
        any_order: false,
    };
    /// What a receiver would put together of the first segment and seven more packets.
    pub(crate) const LONG: Self = Self {
        packets: 8,
        any_order: true,
    };
}

/// What of one end's stream was captured.
#[derive(Debug, Default)]
struct Stream {
    start: Option<u32>,
    /// Payload packets of the connection since its first segment.
    packets: usize,
    /// Payload bytes at hand of the first segment.
    first: Option<usize>,
    /// From and to, by arrival.
    pieces: Vec<(usize, usize)>,
    /// Bytes without gaps.
    have: usize,
    /// Nothing more counts.
    ended: bool,
}

impl Stream {
    fn take(&mut self, packet: &Packet, at_hand: usize, patience: Patience) {
        let Body::Segment {
            flags,
            seq,
            payload,
            ..
        } = &packet.body
        else {
            return;
        };
        if flags & SYN != 0 {
            self.start = Some(seq.wrapping_add(1));
            return;
        }
        let Some(start) = self.start.filter(|_| !payload.is_empty()) else {
            return;
        };
        let offset = seq.wrapping_sub(start) as usize;
        if offset == 0 && self.first.is_none() {
            self.first = Some(at_hand);
        }
        self.pieces.push((offset, offset + at_hand));
        if patience.any_order {
            self.pieces.sort_unstable();
        } else if self.ended || self.first.is_none() {
            self.ended = true;
            return;
        }
        for (from, to) in &self.pieces {
            if *from <= self.have {
                self.have = self.have.max(*to);
            }
        }
        if !patience.any_order {
            self.pieces.clear();
            self.ended = at_hand < payload.len() && self.have == offset + at_hand;
        }
    }
}

/// Whether enough of a connection was captured; `flow` is as it was there.
pub(crate) fn connection(
    packets: &[Packet],
    path: &Path,
    connection: &Connection,
    patience: Patience,
) -> bool {
    let mut streams = [Stream::default(), Stream::default()];
    for packet in packets.iter().filter(|one| one.flow == connection.flow) {
        let of_client = packet.outbound == connection.outbound(Speaker::Client);
        let own = usize::from(!of_client);
        if streams[own].packets < patience.packets {
            streams[own].take(packet, path.at_hand(packet), patience);
        }
        for stream in &mut streams {
            stream.packets += usize::from(stream.first.is_some() && !packet.payload().is_empty());
        }
    }
    let relations = |behind: usize| -> usize {
        let ends = streams.iter().zip(connection.first);
        ends.map(|(stream, opening)| {
            let shown = match patience.any_order {
                true => stream.have.min(opening),
                false => stream.first.unwrap_or(0),
            };
            shown.saturating_sub(behind + 1)
        })
        .sum()
    };
    connection.proofs.iter().any(|proof| match proof {
        Proof::Head(from, bytes) => streams[*from as usize].have >= *bytes,
        Proof::Blanks => streams.iter().all(|stream| stream.have >= 5),
        Proof::Padding(behind) => relations(*behind) >= RELATIONS,
    })
}
