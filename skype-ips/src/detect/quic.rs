//! The server name in a QUIC client's first packets. Their keys are public: they follow from a
//! connection ID that stands in clear.
//!
//! RFC 9000 (packets and frames), RFC 9001, section 5 (keys of version 1), RFC 9369 (version 2),
//! and drafts 29 to 32 of version 1.

use aes::Aes128;
use aes::cipher::{BlockEncrypt as _, KeyInit as _};
use aes_gcm::{AeadInPlace as _, Aes128Gcm};
use hkdf::Hkdf;
use sha2::Sha256;

use super::client_hello::{self, Hello};
use super::tls_records::Cursor;

/// Most bytes of a hello that are put together.
pub const LONGEST: usize = 16 * 1024;
/// Most separate stretches of it; browsers cut a hello into a dozen on purpose.
const MOST_PARTS: usize = 64;
/// Initial packets of one datagram that are looked at.
const COALESCED: usize = 3;
/// Longest connection ID (RFC 9000, section 17.2).
const LONGEST_ID: usize = 20;
/// Bytes of the tag behind a packet.
const TAG: usize = 16;

/// A version whose Initial keys are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
    Drafts,
}

impl Version {
    fn of(number: usize) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            0x6b33_43cf => Some(Self::Two),
            0xff00_001d..=0xff00_0020 => Some(Self::Drafts),
            _ => None,
        }
    }

    const fn salt(self) -> [u8; 20] {
        match self {
            Self::One => [
                0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
            ],
            Self::Two => [
                0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
                0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
            ],
            Self::Drafts => [
                0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61,
                0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99,
            ],
        }
    }

    /// Labels of key, IV and header protection.
    const fn labels(self) -> [&'static [u8]; 3] {
        match self {
            Self::One | Self::Drafts => [b"quic key", b"quic iv", b"quic hp"],
            Self::Two => [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"],
        }
    }

    /// The two bits that say Initial.
    const fn initial(self) -> u8 {
        match self {
            Self::One | Self::Drafts => 0x00,
            Self::Two => 0x10,
        }
    }
}

/// What protects a client's Initial packets.
struct Keys {
    packet: Aes128Gcm,
    iv: [u8; 12],
    header: Aes128,
}

/// HKDF-Expand-Label with an empty context (RFC 8446, section 7.1).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> [u8; N] {
    let name = [b"tls13 ", label].concat();
    let len = (N as u16).to_be_bytes();
    let mut bytes = [0; N];
    secret
        .expand_multi_info(&[&len, &[name.len() as u8], &name, &[0]], &mut bytes)
        .expect("under 255 hashes long");
    bytes
}

impl Keys {
    fn of_client(version: Version, id: &[u8]) -> Self {
        let initial = Hkdf::<Sha256>::new(Some(&version.salt()), id);
        let client: [u8; 32] = expand(&initial, b"client in");
        let client = Hkdf::<Sha256>::from_prk(&client).expect("as long as the hash");
        let [key, iv, header] = version.labels();
        Self {
            packet: Aes128Gcm::new(&expand::<16>(&client, key).into()),
            iv: expand(&client, iv),
            header: Aes128::new(&expand::<16>(&client, header).into()),
        }
    }

    /// The frames of a packet whose number stands at `number`; `None` if these are not its keys.
    fn open(&self, packet: &[u8], number: usize) -> Option<Vec<u8>> {
        let mut mask = [0; 16].into();
        let sample: [u8; 16] = packet.get(number + 4..number + 20)?.try_into().ok()?;
        self.header.encrypt_block_b2b(&sample.into(), &mut mask);
        let mut header = packet[..number].to_vec();
        header[0] ^= mask[0] & 0x0f;
        let number_len = usize::from(header[0] & 3) + 1;
        let protected = &packet[number..number + number_len];
        header.extend(
            protected
                .iter()
                .zip(&mask[1..])
                .map(|(byte, mask)| byte ^ mask),
        );
        let mut nonce = self.iv;
        let place = nonce.len() - number_len;
        for (byte, number) in nonce[place..].iter_mut().zip(&header[number..]) {
            *byte ^= number;
        }
        let sealed = packet.get(number + number_len..)?;
        let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG)?)?;
        let mut text = text.to_vec();
        self.packet
            .decrypt_in_place_detached(&nonce.into(), &header, &mut text, tag.into())
            .ok()?;
        Some(text)
    }
}

/// An Initial packet, still sealed.
struct Sealed<'a> {
    version: Version,
    /// The connection ID that it is sent to.
    id: &'a [u8],
    bytes: &'a [u8],
    /// Where its number stands.
    number: usize,
}

/// A variable-length integer (RFC 9000, section 16).
fn varint(cursor: &mut Cursor<'_>) -> Option<usize> {
    let first = *cursor.0.first()?;
    let bytes = cursor.take(1 << (first >> 6))?;
    let value = bytes[1..]
        .iter()
        .fold(u64::from(first & 0x3f), |all, byte| {
            all << 8 | u64::from(*byte)
        });
    usize::try_from(value).ok()
}

/// The first packet of a datagram if it is an Initial one, and what follows it.
fn split(datagram: &[u8]) -> Option<(Sealed<'_>, &[u8])> {
    let mut cursor = Cursor(datagram);
    let first = cursor.number(1)? as u8;
    let version = Version::of(cursor.number(4)?)?;
    if first & 0xf0 != 0xc0 | version.initial() {
        return None;
    }
    let id = cursor.counted(1)?;
    let other_id = cursor.counted(1)?;
    if id.len() > LONGEST_ID || other_id.len() > LONGEST_ID {
        return None;
    }
    let token = varint(&mut cursor)?;
    cursor.take(token)?;
    let len = varint(&mut cursor)?;
    let number = datagram.len() - cursor.0.len();
    let (bytes, rest) = datagram.split_at_checked(number.checked_add(len)?)?;
    let sealed = Sealed {
        version,
        id,
        bytes,
        number,
    };
    Some((sealed, rest))
}

/// Whether a datagram begins with an Initial packet of a version whose keys are known.
pub fn is_initial(datagram: &[u8]) -> bool {
    split(datagram).is_some()
}

/// The CRYPTO frames of a packet: offset and bytes (RFC 9000, section 19).
fn crypto(frames: &[u8]) -> Vec<(usize, &[u8])> {
    let mut cursor = Cursor(frames);
    let mut found = Vec::new();
    while let Some(kind) = cursor.number(1) {
        let read = match kind {
            0x00 | 0x01 => Some(()),
            0x02 | 0x03 => acknowledgement(&mut cursor, kind == 0x03),
            0x06 => (|| {
                let offset = varint(&mut cursor)?;
                let len = varint(&mut cursor)?;
                found.push((offset, cursor.take(len)?));
                Some(())
            })(),
            // No other frame that may stand here is followed by a hello.
            _ => None,
        };
        if read.is_none() {
            break;
        }
    }
    found
}

/// Steps over an ACK frame.
fn acknowledgement(cursor: &mut Cursor<'_>, counts: bool) -> Option<()> {
    varint(cursor)?;
    varint(cursor)?;
    let ranges = varint(cursor)?;
    varint(cursor)?;
    for _ in 0..ranges {
        varint(cursor)?;
        varint(cursor)?;
    }
    for _ in 0..if counts { 3 } else { 0 } {
        varint(cursor)?;
    }
    Some(())
}

/// The opening of a QUIC connection, put together from the client's datagrams.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Version, and the connection ID that the keys come from: the client's first choice, also
    /// after the server has chosen another.
    keys_from: Option<(Version, Vec<u8>)>,
    message: Vec<u8>,
    /// Which stretches of it are there: apart, in order.
    parts: Vec<(usize, usize)>,
}

impl Opening {
    /// Takes in a datagram of the client's and says what its hello asks for, as far as it is
    /// there. [`Hello::No`] if the datagram brought nothing.
    pub fn datagram(&mut self, mut payload: &[u8]) -> Hello {
        let mut new = false;
        for _ in 0..COALESCED {
            let Some((sealed, rest)) = split(payload) else {
                break;
            };
            if let Some(frames) = self.open(&sealed) {
                for (offset, bytes) in crypto(&frames) {
                    new |= self.place(offset, bytes);
                }
            }
            payload = rest;
        }
        match self.parts.first() {
            Some((0, end)) if new => client_hello::message(&self.message[..*end]),
            _ if new => Hello::Short,
            _ => Hello::No,
        }
    }

    fn open(&mut self, sealed: &Sealed<'_>) -> Option<Vec<u8>> {
        if let Some((version, id)) = &self.keys_from
            && *version == sealed.version
            && let Some(frames) = Keys::of_client(*version, id).open(sealed.bytes, sealed.number)
        {
            return Some(frames);
        }
        let keys = Keys::of_client(sealed.version, sealed.id);
        let frames = keys.open(sealed.bytes, sealed.number)?;
        // A new connection, or the same one after a Retry: its hello begins again.
        *self = Self {
            keys_from: Some((sealed.version, sealed.id.to_vec())),
            ..Self::default()
        };
        Some(frames)
    }

    /// Puts bytes in their place; true if some of them are new.
    fn place(&mut self, start: usize, bytes: &[u8]) -> bool {
        let Some(end) = start.checked_add(bytes.len()).filter(|end| *end <= LONGEST) else {
            return false;
        };
        if bytes.is_empty()
            || self
                .parts
                .iter()
                .any(|part| part.0 <= start && end <= part.1)
        {
            return false;
        }
        if self.message.len() < end {
            self.message.resize(end, 0);
        }
        self.message[start..end].copy_from_slice(bytes);
        let (mut whole, mut apart) = ((start, end), Vec::new());
        for part in self.parts.drain(..) {
            if part.1 < whole.0 || whole.1 < part.0 {
                apart.push(part);
            } else {
                whole = (whole.0.min(part.0), whole.1.max(part.1));
            }
        }
        if apart.len() < MOST_PARTS {
            apart.push(whole);
        }
        apart.sort_unstable();
        self.parts = apart;
        true
    }
}

#[cfg(test)]
mod tests;
