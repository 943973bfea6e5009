//! What crossed the gateway, and what each host sent and received, second by second.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;

use rustc_hash::FxBuildHasher;

use super::packet::{Header, Protocol};
use super::program::{Ground, Instant};
use super::world::Side;

/// Packets and their payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes of TCP's and UDP's payload.
    pub payload: u64,
}

impl Count {
    fn add(&mut self, payload: usize) {
        self.packets += 1;
        self.payload += payload as u64;
    }
}

/// What crossed the gateway of one kind of conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Handed to the gateway, by the side that it came from: inside, outside.
    pub handed: [Count; 2],
    /// Came out of it, by the side that it came from.
    pub emerged: [Count; 2],
}

/// Bytes of IP packets that a host sent and received in each second of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of Skype: sent, received.
    pub skype: [Vec<u64>; 2],
    /// Of all else: sent, received.
    pub other: [Vec<u64>; 2],
}

impl Rates {
    pub(super) fn add(&mut self, now: Instant, received: bool, skype: bool, bytes: usize) {
        let kind = if skype {
            &mut self.skype
        } else {
            &mut self.other
        };
        let seconds = &mut kind[usize::from(received)];
        let second = now.as_secs() as usize;
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        seconds[second] += bytes as u64;
    }
}

/// One end of a conversation that no translator of ours changes: the outside one, or both if
/// both are inside; with the inside one where it is known.
type Ends = (Protocol, SocketAddrV4, Option<SocketAddrV4>);

/// The accounts of a run.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    by_ground: BTreeMap<Ground, Crossed>,
    grounds: HashMap<Ends, Ground, FxBuildHasher>,
    /// Packets that came out of the gateway and are for nobody here, such as its own.
    pub strays: u64,
}

impl Accounts {
    /// What crossed, by kind.
    pub fn crossed(&self) -> &BTreeMap<Ground, Crossed> {
        &self.by_ground
    }

    pub(super) fn handed(&mut self, side: Side, header: &Header, ground: Ground) {
        let (inside, outside) = side.ends(header);
        let protocol = header.protocol;
        self.grounds
            .entry((protocol, outside, Some(inside)))
            .or_insert(ground);
        self.grounds
            .entry((protocol, outside, None))
            .or_insert(ground);
        let crossed = self.by_ground.entry(ground).or_default();
        crossed.handed[side as usize].add(header.payload);
    }

    /// What a packet is that came out on `side`.
    pub(super) fn ground(&self, side: Side, header: &Header) -> Option<Ground> {
        // What comes out inside came from outside, and the other way round; but of two inside
        // hosts either may be taken for the outside one.
        let (inside, outside) = side.other().ends(header);
        [
            (outside, Some(inside)),
            (inside, Some(outside)),
            (outside, None),
        ]
        .into_iter()
        .find_map(|(outside, inside)| self.grounds.get(&(header.protocol, outside, inside)))
        .copied()
    }

    /// `from` is the side that the packet came from.
    pub(super) fn emerged(&mut self, from: Side, header: &Header, ground: Ground) {
        let crossed = self.by_ground.entry(ground).or_default();
        crossed.emerged[from as usize].add(header.payload);
    }
}
