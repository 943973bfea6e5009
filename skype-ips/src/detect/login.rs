//! E10: sessions with login, event and contact servers.
//!
//! Ehlert et al. (2006), Baset & Schulzrinne (2004); measured in open captures of 2006 and 2015.

use std::ops::Range;

use super::{Outcome, begins};

/// What the client sends first: a handshake record of length zero, which TLS forbids.
pub const CLIENT_BLANK: [u8; 5] = [0x16, 0x03, 0x01, 0x00, 0x00];
/// What the server answers: an application record of length zero before any handshake.
pub const SERVER_BLANK: [u8; 5] = [0x17, 0x03, 0x01, 0x00, 0x00];
/// Head of the login message of clients 1 and 2.
pub const OLD_LOGIN: [u8; 15] = [
    0x16, 0x03, 0x01, 0x00, 0xcd, 0x41, 0x03, 0x00, 0x09, 0x80, 0x40, 0x04, 0x08, 0xc0, 0x01,
];
/// Head of the login message of later clients, after a record header.
pub const NEW_LOGIN: [u8; 8] = [0x42, 0xcd, 0xef, 0xe7, 0x40, 0xd7, 0x2f, 0x1d];
/// The record header up to the low byte of its length, which varies.
const RECORD: [u8; 4] = [0x16, 0x03, 0x01, 0x00];

/// One direction: a login message, at once or after the blank record. `Short` also says that
/// the blank record is there.
pub fn message(stream: &[u8]) -> Outcome {
    match begins(stream, &CLIENT_BLANK) {
        Outcome::Yes(_) => match head(&stream[CLIENT_BLANK.len()..]) {
            // The server's answer can still complete the pair.
            Outcome::No => Outcome::Short,
            other => other,
        },
        _ => head(stream),
    }
}

fn head(stream: &[u8]) -> Outcome {
    let old = begins(stream, &OLD_LOGIN);
    let new = match begins(stream, &RECORD) {
        Outcome::Yes(_) if stream.len() > RECORD.len() => {
            begins(&stream[RECORD.len() + 1..], &NEW_LOGIN)
        }
        Outcome::Yes(_) => Outcome::Short,
        other => other,
    };
    match (old, new) {
        (Outcome::Yes(bits), _) | (_, Outcome::Yes(bits)) => Outcome::Yes(bits),
        (Outcome::Short, _) | (_, Outcome::Short) => Outcome::Short,
        (Outcome::No, Outcome::No) => Outcome::No,
    }
}

/// Where the message stands that [`message`] or [`unanswered`] found.
pub fn place(stream: &[u8]) -> Range<usize> {
    let start = match begins(stream, &CLIENT_BLANK) {
        Outcome::Yes(_) if stream.len() > CLIENT_BLANK.len() => CLIENT_BLANK.len(),
        _ => 0,
    };
    let len = match begins(&stream[start..], &OLD_LOGIN) {
        Outcome::Yes(_) => OLD_LOGIN.len(),
        _ => RECORD.len() + 1 + NEW_LOGIN.len(),
    };
    start..(start + len).min(stream.len())
}

/// One direction: the client's blank record in a segment of its own, not yet answered. TLS forbids
/// it, but a fuzzer might send it: it counts only towards a server that is known otherwise.
pub fn unanswered(segment: &[u8], len: u32) -> Outcome {
    if len == CLIENT_BLANK.len() as u32 {
        begins(segment, &CLIENT_BLANK)
    } else {
        Outcome::No
    }
}

/// Both directions: the blank records, whichever end is the client.
pub fn blank_records(streams: [&[u8]; 2]) -> Outcome {
    let [one, other] = streams;
    for (client, server) in [(one, other), (other, one)] {
        if begins(client, &CLIENT_BLANK) == Outcome::Yes(40)
            && let Outcome::Yes(bits) = begins(server, &SERVER_BLANK)
        {
            return Outcome::Yes(40 + bits);
        }
    }
    Outcome::No
}
