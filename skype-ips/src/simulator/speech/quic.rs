//! A QUIC client's first flight (RFC 9000, RFC 9001, RFC 9369): the ClientHello of [`tls`] without
//! records, in Initial packets of 1200 bytes.
//!
//! [`tls`]: super::tls

use aes::Aes128;
use aes::cipher::{BlockEncrypt as _, KeyInit as _};
use aes_gcm::aead::Payload;
use aes_gcm::{Aes128Gcm, aead::Aead as _};
use hkdf::Hkdf;
use sha2::Sha256;

use super::{Speaker, noise};

/// Bytes of a client's first datagrams (RFC 9000, section 14.1).
pub const DATAGRAM: usize = 1200;
/// Bytes that the packet number, the length and the tag take.
const NUMBER: usize = 4;
const LENGTH: usize = 2;
const TAG: usize = 16;

/// A version of QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 9000.
    One,
    /// RFC 9369.
    Two,
    /// The last drafts with keys of their own: 29 to 32.
    Draft(u8),
}

impl Version {
    /// Its number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 0x6b33_43cf,
            Self::Draft(draft) => 0xff00_0000 | draft as u32,
        }
    }

    const fn salt(self) -> &'static str {
        match self {
            Self::One => "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
            Self::Two => "0dede3def700a6db819381be6e269dcbf9bd2ed9",
            Self::Draft(_) => "afbfec289993d24c9e9786f19c6111e04390a899",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::One | Self::Draft(_) => "quic",
            Self::Two => "quicv2",
        }
    }

    /// First byte of an Initial packet whose number has four bytes, before it is protected.
    const fn first_byte(self) -> u8 {
        match self {
            Self::One | Self::Draft(_) => 0xc3,
            Self::Two => 0xd3,
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.filter_map(byte).collect()
}

/// HKDF-Expand-Label of RFC 8446, section 7.1.
fn expand(secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    let mut info = (len as u16).to_be_bytes().to_vec();
    info.push(6 + label.len() as u8);
    info.extend(b"tls13 ");
    info.extend(label.as_bytes());
    info.push(0);
    let mut key = vec![0; len];
    let hkdf = Hkdf::<Sha256>::from_prk(secret).expect("a secret of 32 bytes");
    hkdf.expand(&info, &mut key).expect("a short key");
    key
}

/// What one end's packets of a kind are protected with (RFC 9001, section 5).
pub struct Keys {
    key: Aes128Gcm,
    iv: Vec<u8>,
    mask: Aes128,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys")
    }
}

impl Keys {
    /// Those of an end's Initial packets, which come from the connection ID that the client chose
    /// for the server.
    pub fn initial(version: Version, id: &[u8], speaker: Speaker) -> Self {
        let (initial, _) = Hkdf::<Sha256>::extract(Some(&bytes(version.salt())), id);
        let label = match speaker {
            Speaker::Client => "client in",
            Speaker::Server => "server in",
        };
        Self::of(version, &expand(&initial, label, 32))
    }

    /// Those that follow from a secret of 32 bytes.
    pub fn of(version: Version, secret: &[u8]) -> Self {
        let key = |name: &str, len| expand(secret, &format!("{} {name}", version.label()), len);
        Self {
            key: Aes128Gcm::new_from_slice(&key("key", 16)).expect("16 bytes"),
            iv: key("iv", 12),
            mask: Aes128::new_from_slice(&key("hp", 16)).expect("16 bytes"),
        }
    }

    fn nonce(&self, number: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv.clone();
        for (byte, number) in nonce[8..].iter_mut().zip(number) {
            *byte ^= number;
        }
        nonce
    }

    /// Protects the header, or takes the protection away: of the first byte what is not the same
    /// in all packets of the kind, and the number at `place`.
    fn cover(&self, packet: &mut [u8], place: usize) {
        let sample = packet[place + NUMBER..].first_chunk::<16>();
        let mut mask = *sample.expect("a tag at least is behind the number");
        self.mask.encrypt_block((&mut mask).into());
        let long = packet[0] & 0x80 != 0;
        packet[0] ^= mask[0] & if long { 0x0f } else { 0x1f };
        for (byte, mask) in packet[place..place + NUMBER].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
        }
    }

    /// A packet: `header` is clear and ends with the number, which has four bytes.
    pub fn seal(&self, header: &[u8], frames: &[u8]) -> Vec<u8> {
        let place = header.len() - NUMBER;
        let nonce = self.nonce(&header[place..]);
        let payload = Payload {
            msg: frames,
            aad: header,
        };
        let sealed = self.key.encrypt(nonce.as_slice().into(), payload);
        let mut packet = [header, &sealed.expect("a packet is short")].concat();
        self.cover(&mut packet, place);
        packet
    }

    /// What is in a packet whose number is at `place`: the number and the frames; `None` if
    /// anything was changed.
    pub fn open(&self, packet: &[u8], place: usize) -> Option<(u32, Vec<u8>)> {
        if packet.len() < place + NUMBER + TAG {
            return None;
        }
        let mut packet = packet.to_vec();
        self.cover(&mut packet, place);
        let (header, sealed) = packet.split_at(place + NUMBER);
        let number = *header.last_chunk()?;
        let nonce = self.nonce(&number);
        let payload = Payload {
            msg: sealed,
            aad: header,
        };
        let frames = self.key.decrypt(nonce.as_slice().into(), payload).ok()?;
        Some((u32::from_be_bytes(number), frames))
    }
}

/// A client's Initial packet: `header` is clear and ends with the number, which has four bytes;
/// `id` is the connection ID that the client chose for the server.
pub fn seal(version: Version, id: &[u8], header: &[u8], frames: &[u8]) -> Vec<u8> {
    Keys::initial(version, id, Speaker::Client).seal(header, frames)
}

/// A number under 16,384 in two bytes.
fn varint(value: usize) -> [u8; 2] {
    (value as u16 | 0x4000).to_be_bytes()
}

/// A CRYPTO frame.
pub fn crypto(offset: usize, part: &[u8]) -> Vec<u8> {
    [&[0x06][..], &varint(offset), &varint(part.len()), part].concat()
}

/// A client that opens a connection.
#[derive(Clone, Debug)]
pub struct Client {
    version: Version,
    /// The ID that the keys come from.
    chosen: Vec<u8>,
    /// The ID that the server is called by: another after its first answer.
    server: Vec<u8>,
    own: Vec<u8>,
    number: u32,
}

impl Client {
    /// One that has said nothing yet.
    pub fn new(rng: &mut fastrand::Rng, version: Version) -> Self {
        let chosen = noise(rng, 8);
        Self {
            version,
            server: chosen.clone(),
            chosen,
            own: noise(rng, 5),
            number: 0,
        }
    }

    /// From now on the server is called by the ID that it chose itself.
    pub fn answered(&mut self, rng: &mut fastrand::Rng) {
        self.server = noise(rng, 12);
    }

    fn header(&self, token: usize) -> Vec<u8> {
        let version = self.version.number().to_be_bytes();
        let ids = [&self.server, &self.own];
        let ids = ids.map(|id| [&[id.len() as u8][..], id].concat());
        let head = [&[self.version.first_byte()][..], &version, &ids.concat()].concat();
        [head, varint(token).to_vec(), vec![0x55; token]].concat()
    }

    /// A datagram with these frames, padded to the length that a client has to send. `token` bytes
    /// came with a Retry of the server's.
    pub fn datagram(&mut self, frames: &[u8], token: usize) -> Vec<u8> {
        let mut header = self.header(token);
        let room = DATAGRAM - header.len() - LENGTH;
        header.extend(varint(room));
        header.extend(self.number.to_be_bytes());
        self.number += 1;
        let mut padded = frames.to_vec();
        padded.resize(room - NUMBER - TAG, 0);
        seal(self.version, &self.chosen, &header, &padded)
    }

    /// The datagrams that bring a ClientHello. `scrambled`: in many small frames in any order with
    /// others between them, as browsers send it.
    pub fn hello(
        &mut self,
        rng: &mut fastrand::Rng,
        message: &[u8],
        scrambled: bool,
    ) -> Vec<Vec<u8>> {
        let room = DATAGRAM - 100;
        let mut parts = Vec::new();
        let mut at = 0;
        while at < message.len() {
            let most = if scrambled {
                rng.usize(1..400)
            } else {
                room - 5
            };
            let end = message.len().min(at + most);
            let mut frame = crypto(at, &message[at..end]);
            if scrambled {
                // PING, and PADDING.
                frame.extend(vec![u8::from(rng.bool()); rng.usize(0..3)]);
            }
            parts.push(frame);
            at = end;
        }
        if scrambled {
            rng.shuffle(&mut parts);
        }
        let mut flights = vec![Vec::new()];
        for part in parts {
            let last = flights.last_mut().expect("never empty");
            if last.len() + part.len() > room {
                flights.push(part);
            } else {
                last.extend(part);
            }
        }
        let flights = flights.iter();
        flights.map(|frames| self.datagram(frames, 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001, appendix A.2: the frames of the sample packet, before its padding.
    const FRAMES: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868\
        04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578\
        616d706c652e636f6dff01000100000a00080006001d00170018001000070005\
        04616c706e000500050100000000003300260024001d00209370b2c9caa47fba\
        baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400\
        0d0010000e0403050306030203080408050806002d00020101001c0002400100\
        3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000\
        75300901100f088394c8f03e51570806048000ffff";

    /// The last 16 bytes authenticate all the others, so the whole packet is as the RFC has it.
    #[test]
    fn the_sample_packets_of_both_versions_are_as_the_rfcs_have_them() {
        let mut frames = bytes(FRAMES);
        frames.resize(1162, 0);
        let id = bytes("8394c8f03e515708");
        for (version, header, head, tag) in [
            (
                Version::One,
                "c300000001088394c8f03e5157080000449e00000002",
                "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
                "e221af44860018ab0856972e194cd934",
            ),
            (
                Version::Two,
                "d36b3343cf088394c8f03e5157080000449e00000002",
                "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
                "a18b2faa745b6fe189cf772a9f84cbfc",
            ),
        ] {
            let packet = seal(version, &id, &bytes(header), &frames);
            assert_eq!(packet.len(), DATAGRAM);
            assert_eq!(packet[..32], bytes(head));
            assert_eq!(packet[1184..], bytes(tag));
        }
    }

    #[test]
    fn a_server_has_keys_of_its_own() {
        let id = bytes("8394c8f03e515708");
        let [client, server] = [Speaker::Client, Speaker::Server]
            .map(|speaker| Keys::initial(Version::One, &id, speaker));
        // RFC 9001, appendix A.1.
        assert_eq!(server.iv, bytes("0ac1493ca1905853b0bba03e"));
        for header in ["c300000001000440740000002a", "43010203040000002a"].map(bytes) {
            let mut packet = server.seal(&header, b"frames");
            let place = header.len() - NUMBER;
            let opened = Some((0x2a, b"frames".to_vec()));
            assert_eq!(server.open(&packet, place), opened);
            assert_eq!(client.open(&packet, place), None);
            packet[0] ^= 1;
            assert_eq!(server.open(&packet, place), None);
        }
    }

    #[test]
    fn a_flight_has_datagrams_of_1200_bytes() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (len, scrambled, count) in [(300, false, 1), (1500, false, 2), (1500, true, 2)] {
            let mut client = Client::new(&mut rng, Version::One);
            let flight = client.hello(&mut rng, &vec![1; len], scrambled);
            assert!(flight.len() >= count);
            assert!(flight.iter().all(|one| one.len() == DATAGRAM));
        }
    }
}
