//! E8 and E9: how peers, super nodes and servers open a TCP connection on any port.

use skype_ips_common::lcg;

use super::Outcome;

/// Bytes of the Diffie-Hellman value that the key exchange begins with.
pub const KEY_LEN: usize = 48;
/// Most bytes of padding after it.
pub const MAX_PADDING: usize = 63;

/// `tcp-key-exchange`, one direction: `segment` is the first one as far as it is at hand, `len`
/// its length on the wire. Everything after the value is a run of the generator's low bytes.
/// Eight bits per relation; 0 to 3 bytes of padding are possible and prove little, so the caller
/// adds up both directions.
pub fn key_exchange(segment: &[u8], len: u32) -> Outcome {
    if !(KEY_LEN..=KEY_LEN + MAX_PADDING).contains(&(len as usize)) {
        return Outcome::No;
    }
    let padding = segment.get(KEY_LEN..).unwrap_or_default();
    let relations = padding.len().saturating_sub(1);
    if lcg::run_length(padding) < relations {
        Outcome::No
    } else {
        Outcome::Yes(8 * relations as u32)
    }
}

/// Length of the oldest clients' first segment, shorter than the test needs.
const SHORTEST_OPENING: usize = 14;
/// What the first message holds at stream offset 6, after a sequence number of two bytes.
const CLEAR: [u8; 7] = [0, 0, 0, 1, 0, 0, 0];
/// Where the first message's part of the keystream is, and where the same part is used again.
const FIRST_USE: usize = 6;
const SECOND_USE: usize = 16;

/// `tcp-legacy-stream`, either direction: after an IV of four bytes, ten bytes of RC4; then the
/// keystream begins anew, so the known bytes of the first part uncover the second: padding, a
/// run of the generator's low bytes.
pub fn legacy_stream(stream: &[u8]) -> Outcome {
    let Some(second) = stream.get(SECOND_USE..SECOND_USE + CLEAR.len()) else {
        return if stream.len() >= SHORTEST_OPENING {
            Outcome::Short
        } else {
            Outcome::No
        };
    };
    let first = &stream[FIRST_USE..];
    let mut padding = CLEAR;
    for (index, byte) in padding.iter_mut().enumerate() {
        *byte ^= first[index] ^ second[index];
    }
    let relations = padding.len() - 1;
    if lcg::run_length(&padding) < relations {
        Outcome::No
    } else {
        Outcome::Yes(8 * relations as u32)
    }
}
