//! The encrypted stream of versions 1 to 7 between peers and with super nodes.
//!
//! An IV, ten bytes of RC4, then the same keystream from its start again (Biondi; measured in 17
//! flows of 2006 and 2015). The key follows from the IV by a proprietary expansion, so the
//! keystream is random here; that it is used twice is what shows.

use super::{Generator, Turn, noise};

/// Bytes of the shortest opening, which the oldest clients send by itself.
pub const SHORTEST: usize = 14;

/// What the first message says it is: 01 and 03 in 2006, 0f in 2015 (measured).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8);

/// The clear contents of one end's opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The IV.
    pub iv: u32,
    /// Number of the first message.
    pub sequence: u16,
    /// What that is.
    pub kind: Kind,
    /// A byte of the second message whose meaning is not known.
    pub unknown: u8,
    /// Padding of the second message: low bytes of the generator. `None`: there is no second.
    pub padding: Option<Vec<u8>>,
}

impl Opening {
    /// The bytes, under a keystream of which as many are used as there are; the first ten twice.
    ///
    /// # Panics
    /// If the keystream is shorter than the contents, or than ten bytes.
    pub fn encode(&self, keystream: &[u8]) -> Vec<u8> {
        let cover = |clear: &[u8]| -> Vec<u8> {
            assert!(keystream.len() >= clear.len(), "a keystream for all of it");
            let pairs = clear.iter().zip(keystream);
            pairs.map(|(clear, key)| clear ^ key).collect()
        };
        let mut first = self.sequence.to_be_bytes().to_vec();
        first.extend([0, 0, 0, 1, 0, 0, 0, self.kind.0]);
        let mut second = Vec::new();
        if let Some(padding) = &self.padding {
            // The length is twice the number of bytes after it.
            second.extend([2 * (padding.len() as u8 + 1), self.unknown]);
            second.extend(padding);
        }
        [
            self.iv.to_be_bytes().to_vec(),
            cover(&first),
            cover(&second),
        ]
        .concat()
    }
}

/// What the first message of an opening says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The IV in front of it.
    pub iv: u32,
    /// Its number.
    pub sequence: u16,
    /// What it is.
    pub kind: Kind,
}

/// Reads the first [`SHORTEST`] bytes of an opening with the first ten bytes of the keystream that
/// belongs to its IV; `None` if it is none.
pub fn first(bytes: &[u8; SHORTEST], keystream: impl FnOnce(u32) -> [u8; 10]) -> Option<First> {
    let (iv, cipher) = bytes.split_first_chunk()?;
    let iv = u32::from_be_bytes(*iv);
    let mut clear = keystream(iv);
    clear.iter_mut().zip(cipher).for_each(|(a, b)| *a ^= b);
    match clear {
        [high, low, 0, 0, 0, 1, 0, 0, 0, kind] => Some(First {
            iv,
            sequence: u16::from_be_bytes([high, low]),
            kind: Kind(kind),
        }),
        _ => None,
    }
}

/// Bytes of the second message, whose first one is this, under the first of the keystream; with
/// its length in front.
pub fn second_len(byte: u8, key: u8) -> usize {
    1 + usize::from((byte ^ key) / 2)
}

/// One end's opening with `padding` bytes, its IV and padding out of its generator.
pub fn opening(generator: &mut Generator, rng: &mut fastrand::Rng, padding: usize) -> Vec<u8> {
    let opening = Opening {
        iv: generator.word(),
        sequence: rng.u16(..),
        kind: Kind([0x01, 0x03, 0x0f][rng.usize(0..3)]),
        unknown: rng.u8(..),
        padding: Some(generator.low_bytes(padding)),
    };
    opening.encode(&noise(rng, padding.max(8) + 2))
}

/// Fourteen bytes and no more, as clients of 2006 open; their next message has no second use of
/// the keystream.
pub fn short_opening(generator: &mut Generator, rng: &mut fastrand::Rng) -> Vec<u8> {
    let opening = Opening {
        iv: generator.word(),
        sequence: rng.u16(..),
        kind: Kind(0x03),
        unknown: 0,
        padding: None,
    };
    opening.encode(&noise(rng, 10))
}

/// Both ends' openings; `padding` is the client's and the server's, 10 to 57 bytes as measured.
pub fn exchange(
    client: &mut Generator,
    server: &mut Generator,
    rng: &mut fastrand::Rng,
    padding: [usize; 2],
) -> Vec<Turn> {
    let first = opening(client, rng, padding[0]);
    let second = opening(server, rng, padding[1]);
    vec![Turn::client(first), Turn::server(second)]
}

/// The exchange of 2006: the client's 14 bytes, the server's whole opening, the client's next.
pub fn old_exchange(
    client: &mut Generator,
    server: &mut Generator,
    rng: &mut fastrand::Rng,
    padding: usize,
) -> Vec<Turn> {
    let first = short_opening(client, rng);
    let second = opening(server, rng, padding);
    let next = rng.usize(25..=57);
    vec![
        Turn::client(first),
        Turn::server(second),
        Turn::client(noise(rng, next)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_twice_that_of_what_follows() {
        let opening = Opening {
            iv: 1,
            sequence: 0,
            kind: Kind(3),
            unknown: 0,
            padding: Some(vec![7; 13]),
        };
        let bytes = opening.encode(&[0; 15]);
        assert_eq!(bytes.len(), 29);
        assert_eq!(usize::from(bytes[14]), 2 * (bytes.len() - 15));
    }

    #[test]
    fn the_oldest_send_fourteen_bytes() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut generator = Generator::new(9);
        assert_eq!(short_opening(&mut generator, &mut rng).len(), SHORTEST);
    }

    #[test]
    fn an_opening_is_read_with_its_keystream_alone() {
        let opening = Opening {
            iv: 0x0102_0304,
            sequence: 0x1234,
            kind: Kind(0x0f),
            unknown: 9,
            padding: Some(vec![7; 20]),
        };
        let keystream: Vec<u8> = (50..80).collect();
        let bytes = opening.encode(&keystream);
        let head = bytes.first_chunk().expect("long enough");
        let said = First {
            iv: opening.iv,
            sequence: opening.sequence,
            kind: opening.kind,
        };
        let key = *keystream.first_chunk().expect("long enough");
        assert_eq!(first(head, |_| key), Some(said));
        assert_eq!(first(head, |_| [0; 10]), None);
        let len = second_len(bytes[SHORTEST], keystream[0]);
        assert_eq!(bytes.len(), SHORTEST + len);
    }
}
