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
pub const RSA_LEN: usize = 192;

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0x03, 0x01];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The request of versions 1 and 2: an RSA block, then the encrypted rest in another record.
pub fn old_request(rng: &mut fastrand::Rng, rest: usize) -> Vec<u8> {
    let rest = noise(rng, rest);
    old_request_with(rng, &rest)
}

/// The same with this rest.
pub fn old_request_with(rng: &mut fastrand::Rng, rest: &[u8]) -> Vec<u8> {
    let mut block = [0; RSA_LEN];
    rng.fill(&mut block);
    old_request_of(&block, rest)
}

/// The same with this block, too.
pub fn old_request_of(block: &[u8; RSA_LEN], rest: &[u8]) -> Vec<u8> {
    let body = [&OLD_HEAD[..], block, &OLD_TAIL].concat();
    [record(0x16, &body), record(0x17, rest)].concat()
}

/// The request of versions 4 to 7, in a record of `length` bytes: one of [`NEW_LENGTHS`].
pub fn new_request(rng: &mut fastrand::Rng, length: u8) -> Vec<u8> {
    let rest = usize::from(length).saturating_sub(NEW_HEAD.len());
    new_request_with(&noise(rng, rest))
}

/// The same with these bytes behind its head of 8.
pub fn new_request_with(rest: &[u8]) -> Vec<u8> {
    record(0x16, &[&NEW_HEAD[..], rest].concat())
}

/// The server's answer.
pub fn answer(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    answer_with(&noise(rng, len))
}

/// The same with these bytes.
pub fn answer_with(body: &[u8]) -> Vec<u8> {
    record(0x17, body)
}

/// What an end of a session has said so far begins with, and how many bytes that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Not enough of anything.
    More,
    /// [`CLIENT_BLANK`] or [`SERVER_BLANK`].
    Blank(usize),
    /// The request of versions 1 and 2, with its rest.
    OldRequest(usize, &'a [u8]),
    /// The request of versions 4 to 7, with what is behind its head.
    NewRequest(usize, &'a [u8]),
    /// A part of an answer.
    Answer(usize, &'a [u8]),
    /// Nothing of these.
    Foreign,
}

/// Takes apart what an end has said so far.
pub fn said(bytes: &[u8]) -> Said<'_> {
    let head = [0x03, 0x01];
    let (kind, len) = match bytes {
        [kind @ (0x16 | 0x17), 0x03, 0x01, high, low, ..] => {
            (*kind, usize::from(u16::from_be_bytes([*high, *low])))
        }
        [] | [0x16 | 0x17] => return Said::More,
        [0x16 | 0x17, rest @ ..] if head.starts_with(rest) || rest.starts_with(&head) => {
            return Said::More;
        }
        _ => return Said::Foreign,
    };
    let Some(body) = bytes.get(5..5 + len) else {
        return Said::More;
    };
    let (end, rest) = (5 + len, &bytes[5 + len..]);
    match (kind, body) {
        (_, []) => Said::Blank(end),
        (0x17, body) => Said::Answer(end, body),
        (_, body) if body.starts_with(&OLD_HEAD) => match said(rest) {
            Said::Answer(len, rest) => Said::OldRequest(end + len, rest),
            Said::More => Said::More,
            _ => Said::Foreign,
        },
        (_, body) => match body.strip_prefix(&NEW_HEAD) {
            Some(rest) => Said::NewRequest(end, rest),
            None => Said::Foreign,
        },
    }
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

    #[test]
    fn what_was_said_is_taken_apart() {
        let mut rng = fastrand::Rng::with_seed(1);
        let old = old_request_with(&mut rng, b"old");
        assert_eq!(said(&old), Said::OldRequest(old.len(), b"old"));
        let new = new_request_with(b"new");
        assert_eq!(said(&new), Said::NewRequest(new.len(), b"new"));
        let answer = answer_with(b"yes");
        assert_eq!(said(&answer), Said::Answer(answer.len(), b"yes"));
        for bytes in [&old, &new, &answer, &CLIENT_BLANK.to_vec()] {
            for cut in 0..bytes.len() {
                assert_eq!(said(&bytes[..cut]), Said::More, "{cut} of {}", bytes.len());
            }
            let more = [&bytes[..], b"more"].concat();
            assert_eq!(said(&more), said(bytes));
        }
        assert_eq!(said(&SERVER_BLANK), Said::Blank(5));
        assert_eq!(said(b"GET "), Said::Foreign);
        assert_eq!(said(&record(0x16, b"a hello")), Said::Foreign);
    }
}
