//! Datagrams of classic Skype.
//!
//! All but media begin with a message ID of two bytes and a type byte, of which three bits are
//! noise except in type 2 (Biondi; Bonfiglio; measured). Numbers are big-endian. What the IV
//! encrypts is the caller's `cipher`, its checksum the caller's `check`.

use std::net::Ipv4Addr;

/// The three bits of the type byte that carry no meaning, 0 to 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise(u8);

impl Noise {
    /// Of these bits the low three.
    pub const fn new(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// Some of them.
    pub fn some(rng: &mut fastrand::Rng) -> Self {
        Self(rng.u8(0..8))
    }

    const fn with(self, kind: u8) -> u8 {
        self.0 << 4 | kind
    }
}

/// Payload bytes of all fragments of a big answer but the last (measured).
pub const FRAGMENT_LEN: usize = 1355;
/// Bytes of a fragment in front of its data.
pub const FRAGMENT_HEAD: usize = 15;

/// Bytes of a message of type 2 in front of its contents.
pub const MESSAGE_HEAD: usize = 11;
/// Shortest message of type 2.
pub const SHORTEST: usize = 18;

/// Type 2: probe, query, answer, announcement. 18 bytes or more.
pub fn message(id: u16, iv: u32, check: u32, cipher: &[u8]) -> Vec<u8> {
    let head = [id.to_be_bytes().as_slice(), &[0x02]].concat();
    let clear = [iv.to_be_bytes(), check.to_be_bytes()].concat();
    [head, clear, cipher.to_vec()].concat()
}

/// Type 7, 11 bytes: "I can't read this; you are `named`". A [`resend`] repeats the `challenge`.
pub fn nack(id: u16, noise: Noise, named: Ipv4Addr, challenge: u32) -> Vec<u8> {
    answer(id, noise.with(0x07), named, challenge)
}

/// Type 5, 11 bytes: "arrived; you are `named`". What `token` means is not known.
pub fn ack(id: u16, noise: Noise, named: Ipv4Addr, token: u32) -> Vec<u8> {
    answer(id, noise.with(0x05), named, token)
}

fn answer(id: u16, kind: u8, named: Ipv4Addr, word: u32) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(named.octets());
    bytes.extend(word.to_be_bytes());
    bytes
}

/// Type 3: a message once more after its NACK, five bytes longer than the first time. `destination`
/// is the address that it is sent to, `check` the message's.
pub fn resend(
    id: u16,
    noise: Noise,
    challenge: u32,
    destination: Ipv4Addr,
    check: u32,
    cipher: &[u8],
) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([noise.with(0x03), 0x01]);
    bytes.extend(challenge.to_be_bytes());
    bytes.extend(destination.octets());
    bytes.extend(check.to_be_bytes());
    bytes.extend(cipher);
    bytes
}

/// Where a fragment stands in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// ID of the set, the same in all its parts.
    pub id: u16,
    /// ID of the message that it answers.
    pub request: u16,
    /// 0, 1, 2, ...; below 128.
    pub index: u8,
    /// Whether it is the last.
    pub last: bool,
}

/// Type f: a part of an answer that is too big for one datagram, at most [`FRAGMENT_LEN`] bytes.
pub fn fragment(part: Part, noise: Noise, iv: u32, check: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = part.id.to_be_bytes().to_vec();
    bytes.push(noise.with(0x0f));
    bytes.extend(part.request.to_be_bytes());
    bytes.extend([part.index | u8::from(part.last) << 7, 0x02]);
    bytes.extend(iv.to_be_bytes());
    bytes.extend(check.to_be_bytes());
    bytes.extend(data);
    bytes
}

/// Type d: voice, video, chat, files between two clients; all ciphertext. More than four bytes.
pub fn data(id: u16, noise: Noise, cipher: &[u8]) -> Vec<u8> {
    [id.to_be_bytes().as_slice(), &[noise.with(0x0d)], cipher].concat()
}

/// Type d of three bytes: keeps a path open.
pub fn keep_alive(id: u16, noise: Noise) -> Vec<u8> {
    data(id, noise, &[])
}

/// SkypeOut, voice to the telephone network: no ID, no type; the flow's constant `connection`, a
/// byte that differs from packet to packet, the voice (Bonfiglio).
pub fn skype_out(connection: [u8; 4], changing: u8, voice: &[u8]) -> Vec<u8> {
    [&connection[..], &[changing], voice].concat()
}

/// A datagram taken apart again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// [`message`].
    Message {
        /// Its ID.
        id: u16,
        /// Its IV.
        iv: u32,
        /// Checksum of its contents.
        check: u32,
        /// Its contents, encrypted.
        cipher: &'a [u8],
    },
    /// [`nack`].
    Nack {
        /// ID of the message that could not be read.
        id: u16,
        /// Address of who sent that.
        named: Ipv4Addr,
        /// What its repetition shall hold.
        challenge: u32,
    },
    /// [`ack`].
    Ack {
        /// ID of the message that has arrived.
        id: u16,
        /// Address of who sent that.
        named: Ipv4Addr,
    },
    /// [`resend`].
    Resend {
        /// ID of the message.
        id: u16,
        /// Out of the NACK.
        challenge: u32,
        /// Where it is sent to.
        destination: Ipv4Addr,
        /// Checksum of the contents.
        check: u32,
        /// The contents, encrypted.
        cipher: &'a [u8],
    },
    /// [`fragment`].
    Fragment {
        /// Where it stands.
        part: Part,
        /// Its IV.
        iv: u32,
        /// Checksum of its data.
        check: u32,
        /// Its data, encrypted.
        data: &'a [u8],
    },
    /// [`data`] or, empty, [`keep_alive`].
    Data {
        /// Its ID.
        id: u16,
        /// All of the rest.
        cipher: &'a [u8],
    },
}

/// Takes a datagram apart; `None` if it has none of the shapes above.
pub fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let (&id, rest) = bytes.split_first_chunk()?;
    let id = u16::from_be_bytes(id);
    let (&[kind], rest) = rest.split_first_chunk()?;
    Some(match kind & 0x8f {
        0x02 if kind == 0x02 && bytes.len() >= SHORTEST => {
            let (iv, rest) = split_word(rest)?;
            let (check, cipher) = split_word(rest)?;
            Parsed::Message {
                id,
                iv,
                check,
                cipher,
            }
        }
        0x05 | 0x07 if rest.len() == 8 => {
            let (named, rest) = split_word(rest)?;
            let (challenge, _) = split_word(rest)?;
            let named = named.into();
            match kind & 0x8f {
                0x05 => Parsed::Ack { id, named },
                _ => Parsed::Nack {
                    id,
                    named,
                    challenge,
                },
            }
        }
        0x03 => {
            let rest = rest.strip_prefix(&[0x01])?;
            let (challenge, rest) = split_word(rest)?;
            let (destination, rest) = split_word(rest)?;
            let (check, cipher) = split_word(rest)?;
            Parsed::Resend {
                id,
                challenge,
                destination: destination.into(),
                check,
                cipher,
            }
        }
        0x0f => {
            let (&request, rest) = rest.split_first_chunk()?;
            let (&[place, 0x02], rest) = rest.split_first_chunk()? else {
                return None;
            };
            let (iv, rest) = split_word(rest)?;
            let (check, data) = split_word(rest)?;
            let part = Part {
                id,
                request: u16::from_be_bytes(request),
                index: place & 0x7f,
                last: place & 0x80 != 0,
            };
            Parsed::Fragment {
                part,
                iv,
                check,
                data,
            }
        }
        0x0d => Parsed::Data { id, cipher: rest },
        _ => return None,
    })
}

fn split_word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_touches_three_bits_of_the_type_only() {
        for bits in 0..=u8::MAX {
            let noise = Noise::new(bits);
            let named = Ipv4Addr::LOCALHOST;
            let part = Part {
                id: 1,
                request: 2,
                index: 0,
                last: true,
            };
            let types = [
                (nack(1, noise, named, 0), 0x07),
                (ack(1, noise, named, 0), 0x05),
                (resend(1, noise, 0, named, 0, &[]), 0x03),
                (fragment(part, noise, 0, 0, &[]), 0x0f),
                (keep_alive(1, noise), 0x0d),
            ];
            for (bytes, kind) in types {
                assert_eq!(bytes[2] & 0x8f, kind);
            }
        }
    }

    #[test]
    fn a_resend_is_five_bytes_longer_than_its_message() {
        let message = message(1, 2, 3, &[9; 7]);
        let resend = resend(1, Noise::default(), 2, Ipv4Addr::LOCALHOST, 3, &[9; 7]);
        assert_eq!((message.len(), resend.len()), (18, 23));
    }

    #[test]
    fn skype_out_keeps_four_bytes_and_changes_the_fifth() {
        let connection = [0x00, 0x6b, 0x2c, 0xf5];
        let packets = [1, 2].map(|changing| skype_out(connection, changing, &[9; 2]));
        assert_eq!(packets[0], [0x00, 0x6b, 0x2c, 0xf5, 1, 9, 9]);
        assert_eq!(packets[1][..5], [0x00, 0x6b, 0x2c, 0xf5, 2]);
    }

    #[test]
    fn the_last_fragment_says_so() {
        let part = |index, last| Part {
            id: 0xe91e,
            request: 0x1672,
            index,
            last,
        };
        let head = |part| fragment(part, Noise::new(1), 0x0f0a_b9c9, 0, &[])[..7].to_vec();
        // SkypeIRC.cap at 195.8 s.
        assert_eq!(head(part(0, false)), [0xe9, 0x1e, 0x1f, 0x16, 0x72, 0, 2]);
        assert_eq!(head(part(8, true)), [0xe9, 0x1e, 0x1f, 0x16, 0x72, 0x88, 2]);
    }

    #[test]
    fn what_was_put_together_comes_apart_again() {
        let (noise, named) = (Noise::new(5), Ipv4Addr::new(192, 0, 2, 1));
        let cipher = [9; 7];
        let part = Part {
            id: 1,
            request: 2,
            index: 3,
            last: true,
        };
        for (bytes, parsed) in [
            (
                message(1, 2, 3, &cipher),
                Parsed::Message {
                    id: 1,
                    iv: 2,
                    check: 3,
                    cipher: &cipher,
                },
            ),
            (
                nack(1, noise, named, 4),
                Parsed::Nack {
                    id: 1,
                    named,
                    challenge: 4,
                },
            ),
            (ack(1, noise, named, 4), Parsed::Ack { id: 1, named }),
            (
                resend(1, noise, 4, named, 3, &cipher),
                Parsed::Resend {
                    id: 1,
                    challenge: 4,
                    destination: named,
                    check: 3,
                    cipher: &cipher,
                },
            ),
            (
                fragment(part, noise, 2, 3, &cipher),
                Parsed::Fragment {
                    part,
                    iv: 2,
                    check: 3,
                    data: &cipher,
                },
            ),
            (
                data(1, noise, &cipher),
                Parsed::Data {
                    id: 1,
                    cipher: &cipher,
                },
            ),
        ] {
            assert_eq!(parse(&bytes), Some(parsed));
            assert_eq!(parse(&bytes[..2]), None);
        }
    }

    #[test]
    fn other_shapes_are_not_taken_apart() {
        let message = message(1, 2, 3, &[9; 7]);
        assert_eq!(parse(&message[..17]), None, "too short");
        let noisy = [&message[..2], &[0x12], &message[3..]].concat();
        assert_eq!(parse(&noisy), None, "type 2 has no noise");
        let nack = nack(1, Noise::default(), Ipv4Addr::LOCALHOST, 4);
        assert_eq!(parse(&[&nack[..], &[0]].concat()), None, "too long");
    }
}
