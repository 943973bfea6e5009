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
//! business), then of what that end says first, in pieces of any size and order,
//! * the bytes that prove it; or
//! * padding of which four relations show, of both ends together, if each came in one segment with
//!   nothing else behind it; five where nobody can tell where it ends; or
//! * both ends' first five bytes;
//!
//! within eight packets with payload, of both directions, from the first byte of that stream on;
//! twelve through a proxy, with all that the client says to it. Bytes that the capture cut off
//! don't count, nor a proxy's answer captured before any question.

use std::collections::{HashMap, HashSet};

use skype_ips::simulator::speech::Speaker;

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
/// Packets with payload for which a connection is followed.
const PATIENCE: usize = 8;
const THROUGH_PROXY: usize = 12;

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

/// What of one end's stream was captured.
#[derive(Debug, Default)]
struct Stream {
    start: Option<u32>,
    begun: bool,
    /// Payload packets of the connection since its first byte.
    packets: usize,
    /// Bytes in front of what the end says to the other: a proxy's dialogue.
    behind: usize,
    /// Of the segment that brought the first byte behind them: how many more were on the wire, and
    /// how many at hand.
    first: Option<(usize, usize)>,
    /// From and to.
    pieces: Vec<(usize, usize)>,
}

impl Stream {
    fn take(&mut self, packet: &Packet, at_hand: usize) {
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
        self.begun |= offset == 0;
        let after = |len: usize| (offset + len).saturating_sub(self.behind);
        if offset <= self.behind && after(at_hand) > 0 {
            let first = (after(payload.len()), after(at_hand));
            self.first.get_or_insert(first);
        }
        self.pieces.push((offset, offset + at_hand));
    }

    /// Bytes without gaps.
    fn whole(&self) -> usize {
        let mut pieces = self.pieces.clone();
        pieces.sort_unstable();
        let join = |have: usize, (from, to)| if from <= have { have.max(to) } else { have };
        pieces.into_iter().fold(0, join)
    }

    /// Of them, what the end says to the other.
    fn have(&self) -> usize {
        self.whole().saturating_sub(self.behind)
    }
}

/// Whether enough of a connection was captured; `flow` is as it was there.
pub(crate) fn connection(packets: &[Packet], path: &Path, connection: &Connection) -> bool {
    let [client, server] = connection.behind;
    let patience = if client > 0 { THROUGH_PROXY } else { PATIENCE };
    let mut streams = [client, server].map(|behind| Stream {
        behind,
        ..Stream::default()
    });
    for packet in packets.iter().filter(|one| one.flow == connection.flow) {
        let of_client = packet.outbound == connection.outbound(Speaker::Client);
        let own = usize::from(!of_client);
        let unasked = own == 1 && client > 0 && !streams[0].begun;
        if streams[own].packets < patience && (!unasked || packet.payload().is_empty()) {
            streams[own].take(packet, path.at_hand(packet));
        }
        for stream in &mut streams {
            stream.packets += usize::from(stream.begun && !packet.payload().is_empty());
        }
    }
    if streams[0].whole() < client {
        return false;
    }
    let have = [0, 1].map(|end| streams[end].have());
    connection.proofs.iter().any(|proof| match proof {
        Proof::Head(from, bytes) => have[*from as usize] >= *bytes,
        Proof::Blanks => have.iter().all(|have| *have >= 5),
        Proof::Padding(value) => {
            let ends = [0, 1].map(|end| {
                let opening = connection.first[end];
                let shown = have[end].min(opening);
                let whole = streams[end]
                    .first
                    .is_some_and(|(len, at_hand)| len == opening && at_hand >= shown);
                (shown.saturating_sub(value + 1), whole)
            });
            let known = ends.iter().all(|(shown, whole)| *shown == 0 || *whole);
            ends[0].0 + ends[1].0 >= RELATIONS + usize::from(!known)
        }
    })
}
