//! What paths and captures do to packets.

use fastrand::Rng;
use proptest::prelude::*;

use crate::script::{MS, Session};
use crate::wire::{Body, FIN, Packet, Path, SYN, TCP};

/// What happens to a session. Shares are in percent of the packets.
#[derive(Clone, Debug)]
pub(crate) struct Mangle {
    pub(crate) seed: u64,
    /// Never captured.
    pub(crate) loss: u8,
    /// Captured twice, up to three packets apart.
    pub(crate) duplicates: u8,
    /// Overtaken by up to three packets.
    pub(crate) delays: u8,
    /// TCP segments that the sender has to send again, once or in other pieces.
    pub(crate) retransmissions: u8,
    /// The only direction that is captured.
    pub(crate) only_outbound: Option<bool>,
    /// Packets whose time stamp is up to 5 ms early.
    pub(crate) jitter: u8,
    pub(crate) ipv6: bool,
    /// Whether packets with a SYN, too, come twice and late.
    pub(crate) mixed_handshakes: bool,
    /// Bytes of the shortest piece in which a segment is sent again.
    pub(crate) shortest_piece: usize,
    pub(crate) path: Path,
}

impl Mangle {
    /// Nothing happens.
    pub(crate) fn none() -> Self {
        Self {
            seed: 0,
            loss: 0,
            duplicates: 0,
            delays: 0,
            retransmissions: 0,
            only_outbound: None,
            jitter: 0,
            ipv6: false,
            mixed_handshakes: false,
            shortest_piece: 1,
            path: Path {
                vlan: Vec::new(),
                snap: None,
                mtu: 1500,
            },
        }
    }

    /// Anything, all at once.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let often_none = |most: u8| prop_oneof![Just(0), 0..=most];
        let shares = (
            often_none(20),
            often_none(10),
            often_none(20),
            often_none(30),
        );
        let only = prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
        let snap = prop_oneof![3 => Just(None), 2 => (64..=160_usize).prop_map(Some)];
        let pieces = (any::<bool>(), prop::sample::select(vec![1, 16]));
        let vlan = prop::collection::vec(1..4095_u16, 0..=2);
        let path = (vlan, snap, prop::sample::select(vec![1500, 1006, 576]));
        (
            any::<u64>(),
            shares,
            only,
            often_none(20),
            (any::<bool>(), pieces),
            path,
        )
            .prop_map(
                |(seed, (loss, duplicates, delays, retransmissions), only, jitter, how, path)| {
                    let (ipv6, (mixed_handshakes, shortest_piece)) = how;
                    Self {
                        seed,
                        loss,
                        duplicates,
                        delays,
                        retransmissions,
                        only_outbound: only,
                        jitter,
                        ipv6,
                        mixed_handshakes,
                        shortest_piece,
                        path: Path {
                            vlan: path.0,
                            snap: path.1,
                            mtu: path.2,
                        },
                    }
                },
            )
    }

    /// The session as a capture has it, in the order of the packets' arrival. A time stamp may
    /// lie before the one in front of it.
    pub(crate) fn apply(&self, session: &Session) -> Vec<Packet> {
        let rng = &mut Rng::with_seed(self.seed);
        let mut packets = session.packets.clone();
        if self.ipv6 {
            for packet in &mut packets {
                packet.flow = packet.flow.over_ipv6();
            }
        }
        self.retransmit(rng, session, &mut packets);
        packets.sort_by_key(|packet| packet.time);
        packets.retain(|packet| {
            self.only_outbound
                .is_none_or(|only| packet.outbound == only)
                && !happens(rng, self.loss)
        });
        self.reorder(rng, &mut packets);
        for packet in &mut packets {
            if happens(rng, self.jitter) {
                packet.time = packet.time.saturating_sub(rng.u64(1..=5) * MS);
            }
        }
        packets
    }

    /// Arrival: places change, the times of arrival don't.
    fn reorder(&self, rng: &mut Rng, packets: &mut Vec<Packet>) {
        let mut places: Vec<(usize, Packet)> = Vec::new();
        for (index, packet) in packets.drain(..).enumerate() {
            // Half places fall behind the packet that was there.
            let delay = |rng: &mut Rng, share| match happens(rng, share) {
                true => 2 * rng.usize(1..=3) + 1,
                false => 0,
            };
            let spared = !self.mixed_handshakes && has_syn(&packet);
            if happens(rng, self.duplicates) && !spared {
                places.push((2 * index + 2 * rng.usize(0..=3) + 1, packet.clone()));
            }
            let delay = if spared { 0 } else { delay(rng, self.delays) };
            places.push((2 * index + delay, packet));
        }
        places.sort_by_key(|(place, _)| *place);
        let mut times: Vec<u64> = places.iter().map(|(_, packet)| packet.time).collect();
        times.sort_unstable();
        packets.extend(places.into_iter().zip(times).map(|((_, packet), time)| {
            let mut packet = packet;
            packet.time = time;
            packet
        }));
    }

    /// Segments that are lost on the way, before or behind the capture, and what the sender does.
    /// All that follows in the connection comes later.
    fn retransmit(&self, rng: &mut Rng, session: &Session, packets: &mut Vec<Packet>) {
        for connection in &session.connections {
            let mut flow = connection.flow;
            if self.ipv6 {
                flow = flow.over_ipv6();
            }
            debug_assert_eq!(flow.protocol, TCP);
            let (own, rest): (Vec<_>, Vec<_>) =
                packets.drain(..).partition(|packet| packet.flow == flow);
            *packets = rest;
            let mut late = 0;
            for (index, packet) in own.iter().enumerate() {
                let sent = |packet: &Packet, late| Packet {
                    time: packet.time + late,
                    ..packet.clone()
                };
                if !happens(rng, self.retransmissions) || !carries(packet) {
                    packets.push(sent(packet, late));
                    continue;
                }
                if rng.bool() {
                    packets.push(sent(packet, late));
                }
                late += rng.u64(200..1500) * MS;
                for copy in again(rng, &own[..=index], self.shortest_piece) {
                    packets.push(sent(&copy, late));
                }
            }
        }
    }
}

fn happens(rng: &mut Rng, share: u8) -> bool {
    rng.u8(0..100) < share
}

fn has_syn(packet: &Packet) -> bool {
    matches!(packet.body, Body::Segment { flags, .. } if flags & SYN != 0)
}

/// Whether it has to arrive.
fn carries(packet: &Packet) -> bool {
    matches!(&packet.body, Body::Segment { flags, payload, .. }
        if flags & (SYN | FIN) != 0 || !payload.is_empty())
}

/// How the last of a connection's packets is sent again: as it was, with bytes of the one before
/// it in front, or in two pieces that may overlap.
fn again(rng: &mut Rng, sent: &[Packet], shortest: usize) -> Vec<Packet> {
    let Some((last, before)) = sent.split_last() else {
        return Vec::new();
    };
    let Body::Segment {
        flags,
        seq,
        ack,
        payload,
    } = &last.body
    else {
        return vec![last.clone()];
    };
    let piece = |seq: u32, payload: Vec<u8>| Packet {
        body: Body::Segment {
            flags: *flags,
            seq,
            ack: *ack,
            payload,
        },
        ..last.clone()
    };
    let len = payload.len();
    match rng.u8(0..3) {
        0 if len >= 2 * shortest => {
            let cut = rng.usize(shortest..=len - shortest);
            let overlap = rng.usize(0..=cut.min(8));
            let start = cut - overlap;
            vec![
                piece(*seq, payload[..cut].to_vec()),
                piece(seq.wrapping_add(start as u32), payload[start..].to_vec()),
            ]
        }
        1 if len > 0 => {
            let mut own = before
                .iter()
                .rev()
                .filter(|packet| packet.outbound == last.outbound && !packet.payload().is_empty());
            let joined = own.next().filter(|packet| follows(packet, *seq));
            let back = joined.map_or(&[][..], Packet::payload);
            let back = &back[back.len() - rng.usize(0..=back.len())..];
            let seq = seq.wrapping_sub(back.len() as u32);
            vec![piece(seq, [back, payload].concat())]
        }
        _ => vec![last.clone()],
    }
}

fn follows(packet: &Packet, next: u32) -> bool {
    matches!(&packet.body, Body::Segment { seq, payload, .. }
        if seq.wrapping_add(payload.len() as u32) == next)
}
