//! Every packet of Skype's that crossed the gateway, by its conversation, and what the inside
//! program did with the conversation at the time.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use rustc_hash::FxBuildHasher;

use super::packet::{Header, Protocol};
use super::program::{Doing, Ground, Instant};
use super::spec::Side;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When it was handed to the gateway.
    pub at: Instant,
    /// Whether it was for the inside end.
    pub inbound: bool,
    /// Bytes of the IP packet.
    pub len: u32,
    /// Bytes of payload.
    pub payload: u32,
    /// When it came out of the gateway; `None`: it didn't.
    pub out: Option<Instant>,
}

/// A conversation of an inside program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The inside end, with the host's own address.
    pub inside: SocketAddrV4,
    /// The other end as the inside one sees it. Where that is inside too, `inside` is the one that
    /// spoke first.
    pub outside: SocketAddrV4,
    /// What it was opened as.
    pub ground: Ground,
    /// In order of when they were handed over.
    pub packets: Vec<Passage>,
}

impl Conversation {
    /// Whether the outside end opened it: the first packet that came out was its, or the first at all
    /// where none came out.
    pub fn is_called(&self) -> bool {
        let out = self.packets.iter().find(|packet| packet.out.is_some());
        out.or(self.packets.first())
            .is_some_and(|packet| packet.inbound)
    }
}

/// What one end says of a conversation: its own end, then the other.
type Ends = (Protocol, SocketAddrV4, SocketAddrV4);

/// The place of a packet in the ledger.
pub(super) type Place = (usize, usize);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    conversations: Vec<Conversation>,
    numbers: HashMap<Ends, usize, FxBuildHasher>,
    /// Conversations by how the gateway's translator shows them outside.
    translated: HashMap<Ends, usize, FxBuildHasher>,
    doings: HashMap<Ends, Vec<(Instant, Doing)>, FxBuildHasher>,
}

impl Ledger {
    /// All conversations, in the order in which they began.
    pub fn conversations(&self) -> &[Conversation] {
        &self.conversations
    }

    /// What the program at `own` has said that it does in its conversation with `peer`, and since when,
    /// in order.
    pub fn doings(
        &self,
        protocol: Protocol,
        own: SocketAddrV4,
        peer: SocketAddrV4,
    ) -> &[(Instant, Doing)] {
        let doings = self.doings.get(&(protocol, own, peer));
        doings.map_or(&[], Vec::as_slice)
    }

    pub(super) fn note(
        &mut self,
        now: Instant,
        protocol: Protocol,
        (own, peer): (SocketAddrV4, SocketAddrV4),
        doing: Doing,
    ) {
        let doings = self.doings.entry((protocol, own, peer)).or_default();
        if doings.last().is_none_or(|(_, last)| *last != doing) {
            doings.push((now, doing));
        }
    }

    /// A packet is handed to the gateway; `None`: nobody inside has spoken to the sender through the
    /// translator.
    pub(super) fn handed(
        &mut self,
        now: Instant,
        side: Side,
        header: &Header,
        len: usize,
        (ground, public): (Ground, bool),
    ) -> Option<Place> {
        let protocol = header.protocol;
        let (inside, outside) = side.ends(header);
        let number = if public {
            *self.translated.get(&(protocol, inside, outside))?
        } else {
            let known = self
                .numbers
                .get(&(protocol, inside, outside))
                .or_else(|| self.numbers.get(&(protocol, outside, inside)));
            match known {
                Some(number) => *number,
                None => {
                    let number = self.conversations.len();
                    self.numbers.insert((protocol, inside, outside), number);
                    self.conversations.push(Conversation {
                        protocol,
                        inside,
                        outside,
                        ground,
                        packets: Vec::new(),
                    });
                    number
                }
            }
        };
        let conversation = &mut self.conversations[number];
        let packets = &mut conversation.packets;
        packets.push(Passage {
            at: now,
            // Of the gateway's own address the inside end is behind.
            inbound: public || header.source != conversation.inside,
            len: len as u32,
            payload: header.payload as u32,
            out: None,
        });
        Some((number, packets.len() - 1))
    }

    /// A packet has come out of the gateway.
    pub(super) fn emerged(&mut self, now: Instant, place: Place, from: Side, header: &Header) {
        let conversation = &mut self.conversations[place.0];
        conversation.packets[place.1].out = Some(now);
        if from == Side::Inside && header.source != conversation.inside {
            let ends = (header.protocol, header.source, header.destination);
            self.translated.entry(ends).or_insert(place.0);
        }
    }
}
