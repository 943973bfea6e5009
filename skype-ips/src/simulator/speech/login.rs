//! Sessions with the login, event and contact servers, on ports 33033, 12350, 13392, 443 and 80
//! (Ehlert; Baset; measured in 2006 and 2015).

use super::{Turn, noise};

/// What the client sends first, by itself: a handshake record of length zero.
pub const CLIENT_BLANK: [u8; 5] = [0x16, 0x03, 0x01, 0x00, 0x00];
/// What the server answers, by itself: an application record of length zero.
pub const SERVER_BLANK: [u8; 5] = [0x17, 0x03, 0x01, 0x00, 0x00];
/// Low bytes of the record's length in the request of versions 4 to 7 (measured).
pub const NEW_LENGTHS: [u8; 7] = [0xdf, 0xe7, 0xe9, 0xeb, 0xed, 0xf0, 0xfd];

const OLD_HEAD: [u8; 10] = [0x41, 0x03, 0x00, 0x09, 0x80, 0x40, 0x04, 0x08, 0xc0, 0x01];
const OLD_TAIL: [u8; 3] = [0x00, 0x0c, 0x01];
const NEW_HEAD: [u8; 8] = [0x42, 0xcd, 0xef, 0xe7, 0x40, 0xd7, 0x2f, 0x1d];
/// Bytes of the RSA block that holds the session's key.
const RSA_LEN: usize = 192;

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0x03, 0x01];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The request of versions 1 and 2: an RSA block, then the encrypted rest in another record.
pub fn old_request(rng: &mut fastrand::Rng, rest: usize) -> Vec<u8> {
    let body = [&OLD_HEAD[..], &noise(rng, RSA_LEN), &OLD_TAIL].concat();
    [record(0x16, &body), record(0x17, &noise(rng, rest))].concat()
}

/// The request of versions 4 to 7, in a record of `length` bytes: one of [`NEW_LENGTHS`].
pub fn new_request(rng: &mut fastrand::Rng, length: u8) -> Vec<u8> {
    let rest = usize::from(length).saturating_sub(NEW_HEAD.len());
    record(0x16, &[&NEW_HEAD[..], &noise(rng, rest)].concat())
}

/// The server's answer.
pub fn answer(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    record(0x17, &noise(rng, len))
}

/// A session around a request: blank records first, then the request, then the answer.
pub fn session(rng: &mut fastrand::Rng, request: Vec<u8>) -> Vec<Turn> {
    let len = rng.usize(16..=400);
    vec![
        Turn::client(CLIENT_BLANK),
        Turn::server(SERVER_BLANK),
        Turn::client(request),
        Turn::server(answer(rng, len)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_captures() {
        let mut rng = fastrand::Rng::with_seed(1);
        let old = old_request(&mut rng, 0xe3);
        assert_eq!(old[..5], [0x16, 0x03, 0x01, 0x00, 0xcd]);
        assert_eq!(old[207..214], [0x00, 0x0c, 0x01, 0x17, 0x03, 0x01, 0x00]);
        assert_eq!(old.len(), 5 + 0xcd + 5 + 0xe3);
        let new = new_request(&mut rng, 0xeb);
        assert_eq!((new[4], new.len()), (0xeb, 5 + 0xeb));
    }
}
