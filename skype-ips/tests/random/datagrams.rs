//! Datagrams of other programs, and of none.

use skype_ips::simulator::speech::udp::{self, Noise};
use skype_ips_common::layout::UDP;

use crate::shard::Shard;

/// What an endpoint sends. Where the third byte could be other than 02, it is 02: that is what
/// looks alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datagrams {
    /// Any bytes at all.
    Random,
    /// Random but for the third byte.
    RandomType2,
    /// A counter, 02, then random bytes.
    Counter,
    /// The same head in front of random bytes that keep a word.
    Constant,
    /// A counter where an IV would be.
    Ticks,
    /// Where an IV would be the state of another generator, some of the same multiplier.
    Generators,
    /// Asks and is answered, field by field but for the address and the challenge.
    Answers,
    /// RTP with sequence numbers of 02xx.
    Rtp,
    /// DNS whose answers are truncated: flags 02xx.
    Dns,
    /// BitTorrent: DHT in bencoding, and uTP with connections of 02xx.
    BitTorrent,
    /// QUIC's short header with a connection whose second byte is 02.
    Quic,
    /// WireGuard: type, three zeros, index, counter.
    WireGuard,
    /// SNMP: a sequence whose first element is an integer, 30 .. 02.
    Snmp,
    /// A game: number of the packet, 02, time, coordinates.
    Game,
}

impl Datagrams {
    pub(crate) const ALL: [Self; 14] = [
        Self::Random,
        Self::RandomType2,
        Self::Counter,
        Self::Constant,
        Self::Ticks,
        Self::Generators,
        Self::Answers,
        Self::Rtp,
        Self::Dns,
        Self::BitTorrent,
        Self::Quic,
        Self::WireGuard,
        Self::Snmp,
        Self::Game,
    ];

    /// Eight datagrams of one endpoint: to eight peers, or with answers from one.
    pub(crate) fn endpoint(self, shard: &mut Shard) {
        let first = shard.host(UDP);
        let to_one = matches!(
            self,
            Self::Answers | Self::Rtp | Self::Quic | Self::WireGuard | Self::Game
        );
        let (base, word) = (shard.rng.u16(..), shard.rng.u32(..));
        let mut state = shard.rng.u32(..);
        let len = shard.rng.usize(18..100);
        for index in 0..8_u16 {
            let flow = match index {
                0 => first,
                _ if to_one => first,
                _ => shard.another(first),
            };
            let mut bytes = vec![0; len];
            shard.rng.fill(&mut bytes);
            let id = base.wrapping_add(index);
            match self {
                Self::Random => bytes.truncate(shard.rng.usize(0..=len)),
                Self::RandomType2 => bytes[2] = 2,
                Self::Counter => head(&mut bytes, &id.to_be_bytes(), &[2]),
                Self::Constant => {
                    head(&mut bytes, &base.to_be_bytes(), &[2]);
                    bytes[7..11].copy_from_slice(&word.to_be_bytes());
                }
                Self::Ticks => {
                    let step = [1, 20, 160, 960, 0x100, 0x1_0000][usize::from(base) % 6];
                    state = state.wrapping_add(step);
                    iv(&mut bytes, id, state);
                }
                Self::Generators => {
                    state = other_generator(base, state);
                    iv(&mut bytes, id, state);
                }
                Self::Answers => {
                    bytes[2] = 2;
                    shard.datagram(flow, true, &bytes);
                    answer(shard, flow, &bytes);
                    continue;
                }
                Self::Rtp => {
                    let sequence = 0x0200_u16.wrapping_add(index).to_be_bytes();
                    head(&mut bytes, &[0x80, base as u8 & 0x7f], &sequence);
                    let stamp = state.wrapping_add(u32::from(index) * 160);
                    bytes[4..8].copy_from_slice(&stamp.to_be_bytes());
                    bytes[8..12].copy_from_slice(&word.to_be_bytes());
                }
                Self::Dns => {
                    let flags = [2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3];
                    head(&mut bytes, &shard.rng.u16(..).to_be_bytes(), &flags);
                }
                Self::BitTorrent if base.is_multiple_of(2) => {
                    bytes = [b"d1:ad2:id20:".as_slice(), &bytes].concat();
                }
                Self::BitTorrent => {
                    let connection = [2, word as u8];
                    head(&mut bytes, &[0x01 | (base as u8 & 0x40), 0], &connection);
                    let time = state.wrapping_add(u32::from(index) * 1013);
                    bytes[4..8].copy_from_slice(&time.to_be_bytes());
                }
                Self::Quic => {
                    bytes[0] = 0x40 | (bytes[0] & 0x3f);
                    bytes[1..9].copy_from_slice(&[base as u8, 2, 1, 7, 7, 9, 8, 5]);
                }
                Self::WireGuard => {
                    let counter = u64::from(index).to_le_bytes();
                    head(&mut bytes, &[4, 0], &[0, 0]);
                    bytes[4..8].copy_from_slice(&word.to_le_bytes());
                    bytes[8..16].copy_from_slice(&counter);
                }
                Self::Snmp => {
                    let request = [2, 1, 1, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0];
                    head(&mut bytes, &[0x30, len as u8 - 2], &request);
                }
                Self::Game => {
                    let time = state.wrapping_add(u32::from(index) * 33);
                    iv(&mut bytes, id.swap_bytes(), time.swap_bytes());
                }
            }
            shard.datagram(flow, index % 2 == 0 || !to_one, &bytes);
        }
    }
}

fn head(bytes: &mut [u8], first: &[u8; 2], then: &[u8]) {
    bytes[..2].copy_from_slice(first);
    bytes[2..2 + then.len()].copy_from_slice(then);
}

fn iv(bytes: &mut [u8], id: u16, word: u32) {
    head(bytes, &id.to_be_bytes(), &[2]);
    bytes[3..7].copy_from_slice(&word.to_be_bytes());
}

/// Known generators with one word of state: Numerical Recipes, C libraries, VAX and KISS.
fn other_generator(which: u16, state: u32) -> u32 {
    let (multiplier, increment) = [
        (1_664_525, 1_013_904_223),
        (1_103_515_245, 12_345),
        (214_013, 2_531_011),
        (69_069, 1),
        (69_069, 1_234_567),
    ][usize::from(which) % 5];
    state.wrapping_mul(multiplier).wrapping_add(increment)
}

/// The peer answers with the message's ID but another address; the host sends it again with the
/// answer's challenge, to another address.
fn answer(shard: &mut Shard, flow: skype_ips_common::layout::FlowKey, asked: &[u8]) {
    let id = u16::from_be_bytes([asked[0], asked[1]]);
    let check = u32::from_be_bytes([asked[7], asked[8], asked[9], asked[10]]);
    let named = shard.rng.u32(..).into();
    let (noise, challenge) = (Noise::some(&mut shard.rng), shard.rng.u32(..));
    let nack = udp::nack(id, noise, named, challenge);
    shard.datagram(flow, false, &nack);
    let again = udp::resend(id, noise, challenge, named, check, &asked[11..]);
    shard.datagram(flow, true, &again);
}
