//! STUN (RFC 5389) with the attributes of ICE (RFC 8445) and TURN (RFC 8656).

use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use crate::simulator::speech::stun;

/// Methods. The class is in other bits: requests have none.
pub(super) mod method {
    pub(in super::super) const BINDING: u16 = 0x0001;
    pub(in super::super) const ALLOCATE: u16 = 0x0003;
    pub(in super::super) const REFRESH: u16 = 0x0004;
    pub(in super::super) const CREATE_PERMISSION: u16 = 0x0008;
    pub(in super::super) const CHANNEL_BIND: u16 = 0x0009;
}

/// Classes.
pub(super) const SUCCESS: u16 = 0x0100;
pub(super) const ERROR: u16 = 0x0110;

/// Attributes.
pub(super) mod attribute {
    pub(in super::super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(in super::super) const ERROR_CODE: u16 = 0x0009;
    pub(in super::super) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(in super::super) const LIFETIME: u16 = 0x000d;
    pub(in super::super) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(in super::super) const REALM: u16 = 0x0014;
    pub(in super::super) const NONCE: u16 = 0x0015;
    pub(in super::super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(in super::super) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(in super::super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(in super::super) const PRIORITY: u16 = 0x0024;
    pub(in super::super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(in super::super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(in super::super) const ICE_CONTROLLING: u16 = 0x802a;
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEAD: usize = 20;
/// Bytes of the attributes that protect a message.
const INTEGRITY: usize = 24;
const FINGERPRINT: usize = 8;
/// What a fingerprint's checksum is combined with.
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// A transaction's number.
pub(super) type Transaction = [u8; 12];

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Method and class.
    pub(super) kind: u16,
    pub(super) transaction: Transaction,
    /// Without those that protect it.
    pub(super) attributes: Vec<(u16, Vec<u8>)>,
}

impl Message {
    /// A request with a transaction of its own.
    pub(super) fn request(rng: &mut Rng, method: u16, attributes: Vec<(u16, Vec<u8>)>) -> Self {
        let mut transaction = [0; 12];
        rng.fill(&mut transaction);
        Self {
            kind: method,
            transaction,
            attributes,
        }
    }

    /// An answer to this message.
    pub(super) fn answer(&self, class: u16, attributes: Vec<(u16, Vec<u8>)>) -> Self {
        Self {
            kind: self.kind | class,
            transaction: self.transaction,
            attributes,
        }
    }

    /// The value of an attribute.
    pub(super) fn get(&self, kind: u16) -> Option<&[u8]> {
        let mut all = self.attributes.iter();
        all.find(|(other, _)| *other == kind)
            .map(|(_, value)| &value[..])
    }

    /// On the wire, with a fingerprint, and with a key authenticated too.
    pub(super) fn encode(&self, key: Option<&[u8]>) -> Vec<u8> {
        let mut transaction = [0; 16];
        transaction[..4].copy_from_slice(&COOKIE);
        transaction[4..].copy_from_slice(&self.transaction);
        let attributes = self.attributes.iter();
        let attributes: Vec<Vec<u8>> = attributes
            .map(|(kind, value)| stun::attribute(*kind, value))
            .collect();
        let mut bytes = stun::message(self.kind, &transaction, &attributes);
        if let Some(key) = key {
            set_len(&mut bytes, INTEGRITY);
            let code = integrity(key, &bytes);
            bytes.extend(stun::attribute(attribute::MESSAGE_INTEGRITY, &code));
        }
        set_len(&mut bytes, FINGERPRINT);
        let code = fingerprint(&bytes);
        bytes.extend(stun::attribute(attribute::FINGERPRINT, &code));
        bytes
    }

    /// From the wire; `None`: it is no message, or its fingerprint is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (clear, code) = bytes.split_at_checked(bytes.len().checked_sub(FINGERPRINT)?)?;
        let expected = stun::attribute(attribute::FINGERPRINT, &fingerprint(clear));
        let len = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        if bytes.get(4..8)? != COOKIE || code != expected || usize::from(len) + HEAD != bytes.len()
        {
            return None;
        }
        let mut attributes = Vec::new();
        let mut rest = clear.get(HEAD..)?;
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let kind = u16::from_be_bytes([head[0], head[1]]);
            let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = behind.get(..len)?.to_vec();
            rest = behind.get(len.next_multiple_of(4)..)?;
            if kind != attribute::MESSAGE_INTEGRITY {
                attributes.push((kind, value));
            }
        }
        Some(Self {
            kind: u16::from_be_bytes([bytes[0], bytes[1]]),
            transaction: *bytes.get(8..)?.first_chunk()?,
            attributes,
        })
    }

    /// Whether `bytes` is this message under this key.
    pub(super) fn authentic(&self, bytes: &[u8], key: &[u8]) -> bool {
        self.encode(Some(key)) == bytes
    }
}

/// Whether a datagram may be STUN's: all else on its ports begins otherwise (RFC 7983).
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD && bytes[0] < 4 && bytes[4..8] == COOKIE
}

/// The length that a message has with `more` bytes behind it.
fn set_len(bytes: &mut [u8], more: usize) {
    let len = (bytes.len() - HEAD + more) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
}

fn integrity(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut code = Hmac::<Sha1>::new_from_slice(key).expect("a key of any length");
    code.update(bytes);
    code.finalize().into_bytes().to_vec()
}

fn fingerprint(bytes: &[u8]) -> [u8; 4] {
    (crc32fast::hash(bytes) ^ FINGERPRINT_MASK).to_be_bytes()
}

/// The value of an attribute with an address, hidden from careless translators.
pub(super) fn hidden(address: SocketAddrV4) -> Vec<u8> {
    let port = address.port() ^ 0x2112;
    let ip = address.ip().to_bits() ^ u32::from_be_bytes(COOKIE);
    [&[0, 1][..], &port.to_be_bytes(), &ip.to_be_bytes()].concat()
}

/// The address in such a value.
pub(super) fn unhidden(value: &[u8]) -> Option<SocketAddrV4> {
    let &[0, 1, high, low, a, b, c, d] = value else {
        return None;
    };
    let port = u16::from_be_bytes([high, low]) ^ 0x2112;
    let ip = u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes(COOKIE);
    Some(SocketAddrV4::new(Ipv4Addr::from_bits(ip), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769, section 2.2.
    #[test]
    fn addresses_are_hidden_as_in_the_test_vectors() {
        let address = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 32853);
        let value = [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(hidden(address), value);
        assert_eq!(unhidden(&value), Some(address));
    }

    #[test]
    fn a_changed_message_is_none() {
        let mut rng = Rng::with_seed(1);
        let attributes = vec![(attribute::USERNAME, b"evtj:h6vY".to_vec())];
        let message = Message::request(&mut rng, method::BINDING, attributes);
        let mut bytes = message.encode(Some(b"VOkJxbRl1RmTxUk/WvJxBt"));
        assert_eq!(bytes.len(), HEAD + 16 + INTEGRITY + FINGERPRINT);
        assert_eq!(Message::decode(&bytes).as_ref(), Some(&message));
        assert!(message.authentic(&bytes, b"VOkJxbRl1RmTxUk/WvJxBt"));
        assert!(!message.authentic(&bytes, b"another"));
        bytes[25] ^= 1;
        assert_eq!(Message::decode(&bytes), None);
    }
}
