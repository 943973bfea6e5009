//! What crossed the gateway, and what each host sent and received, second by second.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::net::SocketAddrV4;

use rustc_hash::FxBuildHasher;

use super::ledger::{Ledger, Place};
use super::packet::{Header, Protocol};
use super::program::{Doing, Ground, Instant};
use super::spec::Side;

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

/// Equal packets within the gateway.
#[derive(Clone, Debug)]
struct Within {
    ground: Ground,
    count: u32,
    /// Of those that are in the ledger, the last first.
    places: Vec<Place>,
}

/// The accounts of a run.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    by_ground: BTreeMap<Ground, Crossed>,
    grounds: HashMap<Ends, Ground, FxBuildHasher>,
    /// What was handed to the gateway and hasn't come out, by [`fingerprint`].
    within: HashMap<u64, Within, FxBuildHasher>,
    ledger: Option<Ledger>,
    /// Packets that came out of the gateway and are for nobody here, such as its own.
    pub strays: u64,
}

impl Accounts {
    /// What crossed, by kind.
    pub fn crossed(&self) -> &BTreeMap<Ground, Crossed> {
        &self.by_ground
    }

    /// Keeps a ledger from now on.
    pub(super) fn keep_ledger(&mut self) {
        self.ledger = Some(Ledger::default());
    }

    /// The ledger, if one was asked for.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// An inside program says what it does in a conversation.
    pub(super) fn note(
        &mut self,
        now: Instant,
        protocol: Protocol,
        ends: (SocketAddrV4, SocketAddrV4),
        doing: Doing,
    ) {
        if let Some(ledger) = &mut self.ledger {
            ledger.note(now, protocol, ends, doing);
        }
    }

    /// A packet is handed to the gateway; `public` says that it is for the gateway's own address,
    /// behind which translated hosts are.
    pub(super) fn handed(
        &mut self,
        (now, side): (Instant, Side),
        header: &Header,
        packet: &[u8],
        (ground, public): (Ground, bool),
    ) {
        let (inside, outside) = side.ends(header);
        let key = fingerprint(header.protocol, outside, packet);
        let within = self.within.entry(key).or_insert_with(|| Within {
            ground,
            count: 0,
            places: Vec::new(),
        });
        within.count += 1;
        if let Some(ledger) = self.ledger.as_mut().filter(|_| ground.skype) {
            let place = ledger.handed(now, side, header, packet.len(), (ground, public));
            if let Some(place) = place {
                within.places.insert(0, place);
            }
        }
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

    /// What a packet is that came out on `side`; `from` is the side that it came from. It counts if
    /// it was handed to the gateway: what a gateway says by itself in somebody's name doesn't.
    pub(super) fn emerged(
        &mut self,
        (now, side): (Instant, Side),
        from: Side,
        header: &Header,
        packet: &[u8],
    ) -> Option<Ground> {
        let (_, outside) = from.ends(header);
        let key = fingerprint(header.protocol, outside, packet);
        if let Some(within) = self.within.get_mut(&key) {
            let ground = within.ground;
            if let (Some(ledger), Some(place)) = (&mut self.ledger, within.places.pop()) {
                ledger.emerged(now, place, from, header);
            }
            within.count -= 1;
            if within.count == 0 {
                self.within.remove(&key);
            }
            let crossed = self.by_ground.entry(ground).or_default();
            crossed.emerged[from as usize].add(header.payload);
            return Some(ground);
        }
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
}

/// What a packet keeps on its way through routers and translators: the end that no translator of
/// ours changes, and all behind ports and checksums.
fn fingerprint(protocol: Protocol, outside: SocketAddrV4, packet: &[u8]) -> u64 {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let kept = &packet[(header_len + 4).min(packet.len())..];
    let (before, after) = match protocol {
        // The length; the checksum lies between it and the payload.
        Protocol::Udp => (0..2, 4),
        // Numbers, flags and window.
        Protocol::Tcp => (0..12, 14),
    };
    let kept = (kept.get(before), kept.get(after..));
    FxBuildHasher.hash_one((protocol, outside, &packet[4..6], kept))
}

#[cfg(test)]
mod tests {
    use super::super::packet::udp;
    use super::*;

    const NOW: Instant = Instant::ZERO;

    fn end(text: &str) -> SocketAddrV4 {
        text.parse().expect("an address and port")
    }

    #[test]
    fn what_comes_out_translated_is_what_was_handed_in() {
        const FIRST: Ground = Ground::skype("probing");
        const SECOND: Ground = Ground::other("DHT");
        let (peer, public) = (end("198.51.100.7:4000"), end("192.0.2.1:6000"));
        let mut accounts = Accounts::default();
        // Two hosts say something to the same peer, and the gateway shows both under its address.
        for (host, ground, payload) in [
            ("10.1.0.2:1", FIRST, b"one"),
            ("10.1.0.3:1", SECOND, b"two"),
        ] {
            let packet = udp(end(host), peer, 1, payload);
            let header = Header::read(&packet).expect("a datagram");
            accounts.handed((NOW, Side::Inside), &header, &packet, (ground, false));
        }
        let mut emerged = |payload: &[u8]| {
            let packet = udp(public, peer, 1, payload);
            let header = Header::read(&packet).expect("a datagram");
            accounts.emerged((NOW, Side::Outside), Side::Inside, &header, &packet)
        };
        assert_eq!(emerged(b"two"), Some(SECOND));
        assert_eq!(emerged(b"one"), Some(FIRST));
        // Nobody has said that, or said it twice; of what it is the peer gives an idea.
        assert_eq!(emerged(b"one"), Some(FIRST));
        let counts = [FIRST, SECOND].map(|ground| accounts.crossed()[&ground].emerged[0].packets);
        assert_eq!(counts, [1, 1]);
    }
}
