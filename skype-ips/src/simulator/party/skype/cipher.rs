//! A stand-in for Skype's encryption. The checksum and what the seeds are made of are the real ones
//! (Biondi; Schlatterbeck); the expansion of a seed to a keystream, which is proprietary, is
//! replaced by a random generator that is no cipher.

use std::net::Ipv4Addr;

use crate::simulator::speech::noise;

/// The checksum that stands in clear: CRC-32 of Ethernet, without the final inversion.
pub fn checksum(clear: &[u8]) -> u32 {
    !crc32fast::hash(clear)
}

/// The stream that bytes are XORed with.
#[derive(Clone, Debug)]
pub struct Keystream {
    rng: fastrand::Rng,
    word: [u8; 8],
    used: usize,
}

impl Keystream {
    /// The stream of a seed.
    pub fn new(seed: u32) -> Self {
        Self::of(seed, 0)
    }

    /// Of the two streams of a TCP connection's seed, that of the end that has connected, or of the
    /// other.
    pub fn directed(seed: u32, connecting: bool) -> Self {
        Self::of(seed, if connecting { 1 } else { 2 })
    }

    fn of(seed: u32, lane: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(lane << 32 | u64::from(seed)),
            word: [0; 8],
            used: 8,
        }
    }

    /// Covers the next bytes, or uncovers them.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.word.len() {
                self.word = self.rng.u64(..).to_le_bytes();
                self.used = 0;
            }
            *byte ^= self.word[self.used];
            self.used += 1;
        }
    }

    /// The next bytes of the stream itself.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.apply(&mut bytes);
        bytes
    }
}

/// What a datagram's keystream depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's public address, as the sender believes; 0.0.0.0 while nobody has told it.
    pub source: Ipv4Addr,
    /// Where the datagram is sent to.
    pub destination: Ipv4Addr,
    /// The message's ID.
    pub id: u16,
    /// The IV, or what a NACK has asked for.
    pub iv: u32,
}

impl Envelope {
    fn keystream(self) -> Keystream {
        let ends = [self.source.octets(), self.destination.octets()].concat();
        let text = [&ends[..], &self.id.to_be_bytes(), &[0; 2]].concat();
        Keystream::new(checksum(&text) ^ self.iv)
    }

    /// Encrypts the contents.
    pub fn seal(self, clear: &[u8]) -> Vec<u8> {
        let mut bytes = clear.to_vec();
        self.keystream().apply(&mut bytes);
        bytes
    }

    /// Decrypts the contents; `None` if the checksum is not theirs.
    pub fn open(self, cipher: &[u8], check: u32) -> Option<Vec<u8>> {
        let clear = self.seal(cipher);
        (checksum(&clear) == check).then_some(clear)
    }
}

/// Random bytes behind media, which their keystream depends on.
pub const TAIL: usize = 4;

fn media_keystream(id: u16, tail: &[u8]) -> Keystream {
    Keystream::new(checksum(&[&id.to_be_bytes()[..], tail].concat()))
}

/// Encrypts media (type d). They have no IV in clear: the ID and [`TAIL`] random bytes behind the
/// rest are one.
pub fn seal_media(rng: &mut fastrand::Rng, id: u16, clear: &[u8]) -> Vec<u8> {
    let tail = noise(rng, TAIL);
    let mut bytes = clear.to_vec();
    media_keystream(id, &tail).apply(&mut bytes);
    bytes.extend(tail);
    bytes
}

/// Decrypts media; `None` if they are too short.
pub fn open_media(id: u16, cipher: &[u8]) -> Option<Vec<u8>> {
    let (bytes, tail) = cipher.split_last_chunk::<TAIL>()?;
    let mut bytes = bytes.to_vec();
    media_keystream(id, tail).apply(&mut bytes);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: Envelope = Envelope {
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(192, 0, 2, 2),
        id: 3,
        iv: 4,
    };

    #[test]
    fn the_checksum_is_that_of_ethernet_not_inverted() {
        // The check value of CRC-32/JAMCRC.
        assert_eq!(checksum(b"123456789"), 0x340b_c6d9);
    }

    #[test]
    fn everything_in_the_envelope_is_needed_to_read() {
        let clear = b"hello";
        let (cipher, check) = (ENVELOPE.seal(clear), checksum(clear));
        assert_eq!(ENVELOPE.open(&cipher, check), Some(clear.to_vec()));
        for other in [
            Envelope {
                source: Ipv4Addr::UNSPECIFIED,
                ..ENVELOPE
            },
            Envelope {
                destination: Ipv4Addr::UNSPECIFIED,
                ..ENVELOPE
            },
            Envelope { id: 5, ..ENVELOPE },
            Envelope { iv: 5, ..ENVELOPE },
        ] {
            assert_eq!(other.open(&cipher, check), None);
        }
    }

    #[test]
    fn pieces_are_covered_as_the_whole_is() {
        let mut pieces = vec![0; 100];
        let mut keystream = Keystream::new(1);
        for piece in pieces.chunks_mut(7) {
            keystream.apply(piece);
        }
        assert_eq!(pieces, Keystream::new(1).take(100));
        let [there, back] = [true, false].map(|from| Keystream::directed(1, from).take(100));
        assert!(there != back && there != pieces && back != pieces);
    }

    #[test]
    fn the_same_media_look_different_each_time() {
        let mut rng = fastrand::Rng::with_seed(1);
        let [one, two] = [(); 2].map(|()| seal_media(&mut rng, 7, &[0; 60]));
        assert!(one.iter().zip(&two).filter(|(a, b)| a == b).count() < 10);
        assert_eq!(open_media(7, &one), Some(vec![0; 60]));
        assert_eq!(open_media(7, &one[..3]), None);
    }
}
