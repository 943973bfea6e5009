//! STUN and TURN in Microsoft's dialect (published as MS-TURN and MS-ICE2), which late Skype and
//! Teams share.

use super::noise;

/// Attributes that occur in this dialect only (measured; nDPI).
pub mod attribute {
    /// Version of the TURN dialect, 6.
    pub const MS_VERSION: u16 = 0x8008;
    /// Identifier of the ICE candidate.
    pub const CANDIDATE: u16 = 0x8054;
    /// Quality of service of the stream.
    pub const SERVICE_QUALITY: u16 = 0x8055;
    /// Version of the ICE implementation, 3.
    pub const IMPLEMENTATION_VERSION: u16 = 0x8070;
}

const BINDING_REQUEST: u16 = 0x0001;
const ALLOCATE_REQUEST: u16 = 0x0003;
const USERNAME: u16 = 0x0006;
const MAGIC_COOKIE_ATTRIBUTE: u16 = 0x000f;
const BANDWIDTH: u16 = 0x0010;
const PRIORITY: u16 = 0x0024;
const ICE_CONTROLLING: u16 = 0x802a;
/// The cookie: in the header since RFC 5389; in this dialect's Allocate an attribute's value,
/// with another number.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const TURN_COOKIE: [u8; 4] = [0x72, 0xc6, 0x4b, 0xc6];

/// An attribute, padded to four bytes (RFC 5389, section 15).
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend((value.len() as u16).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message with these attributes.
pub fn message(kind: u16, transaction: &[u8; 16], attributes: &[Vec<u8>]) -> Vec<u8> {
    let body = attributes.concat();
    let mut bytes = kind.to_be_bytes().to_vec();
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(transaction);
    bytes.extend(body);
    bytes
}

/// A Binding request of an ICE check, 4 characters, a colon and 4 more as user name, with both of
/// the dialect's marks that requests carry.
pub fn binding_request(rng: &mut fastrand::Rng) -> Vec<u8> {
    let marks = [
        attribute(attribute::CANDIDATE, &noise(rng, 4)),
        attribute(attribute::IMPLEMENTATION_VERSION, &[0, 0, 0, 3]),
    ];
    check(rng, &marks)
}

/// A Binding request of an ICE check with these attributes behind those that everybody's have.
pub fn check(rng: &mut fastrand::Rng, more: &[Vec<u8>]) -> Vec<u8> {
    let mut name = [(); 9].map(|()| rng.alphanumeric() as u8);
    name[4] = b':';
    let mut transaction = [0; 16];
    rng.fill(&mut transaction);
    transaction[..4].copy_from_slice(&COOKIE);
    // In conference calls the tie-breaker's upper half is zero.
    let tie_breaker = [vec![0; 4], noise(rng, 4)].concat();
    let attributes = [
        attribute(USERNAME, &name),
        attribute(PRIORITY, &noise(rng, 4)),
        attribute(ICE_CONTROLLING, &tie_breaker),
    ];
    message(BINDING_REQUEST, &transaction, &[&attributes, more].concat())
}

/// An Allocate request of the relay: the cookie first, then the dialect's version.
pub fn allocate_request(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut transaction = [0; 16];
    rng.fill(&mut transaction);
    let attributes = [
        attribute(MAGIC_COOKIE_ATTRIBUTE, &TURN_COOKIE),
        attribute(attribute::MS_VERSION, &[0, 0, 0, 6]),
        attribute(BANDWIDTH, &[0, 0, 0x2e, 0xe0]),
        attribute(attribute::SERVICE_QUALITY, &[0, 1, 0, 0]),
    ];
    message(ALLOCATE_REQUEST, &transaction, &attributes)
}

/// Media through the multiplexing relay: a mark, the length of the rest, the session, the data.
pub fn multiplexed(session: [u8; 8], data: &[u8]) -> Vec<u8> {
    let len = ((session.len() + data.len()) as u16).to_be_bytes();
    [&[0xff, 0x10][..], &len, &session, data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_what_follows_the_header() {
        let mut rng = fastrand::Rng::with_seed(1);
        for bytes in [binding_request(&mut rng), allocate_request(&mut rng)] {
            let len = u16::from_be_bytes([bytes[2], bytes[3]]);
            assert_eq!(usize::from(len), bytes.len() - 20);
            assert_eq!(len % 4, 0);
        }
        let media = multiplexed([7; 8], &[1; 100]);
        assert_eq!((media.len(), &media[..4]), (112, &[0xff, 0x10, 0, 108][..]));
    }

    #[test]
    fn an_allocate_begins_with_the_dialects_cookie() {
        let bytes = allocate_request(&mut fastrand::Rng::with_seed(2));
        assert_eq!(bytes[20..28], [0, 0x0f, 0, 4, 0x72, 0xc6, 0x4b, 0xc6]);
    }
}
