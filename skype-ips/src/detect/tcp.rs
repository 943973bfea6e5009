//! E8 and E9: how peers, super nodes and servers open a TCP connection on any port.

use skype_ips_common::lcg;

use super::Outcome;

/// Bytes of the Diffie-Hellman value that the key exchange begins with.
pub const KEY_LEN: usize = 48;
/// Most bytes of padding after it.
pub const MAX_PADDING: usize = 63;

/// Bytes of the hash that either end sends next.
const HASH_LEN: usize = 8;

/// What a stream's head has of a key exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Pairs of bytes in a row, right behind the value, of which the second follows from the first.
    pub relations: u32,
    /// Whether the first segment ends with them.
    pub whole: bool,
    /// Whether the bytes that follow can bring more.
    pub open: bool,
}

/// `tcp-key-exchange`, one direction: behind a value of 48 bytes a run of the generator's low
/// bytes. `first_len` is the length of the first segment on the wire. One that holds the value has
/// nothing behind the run, unless it was sent again together with the hash; in smaller pieces
/// nobody knows where the padding ends.
pub fn key_exchange(stream: &[u8], first_len: u32) -> Padding {
    let none = Padding::default();
    let first_len = first_len as usize;
    let Some(behind) = stream.get(KEY_LEN..) else {
        let open = !stream.is_empty() && may_be_random(stream);
        return Padding { open, ..none };
    };
    let relations = lcg::run_length(behind);
    // What a capture cut off doesn't count.
    let of_first = behind.len().min(first_len.saturating_sub(KEY_LEN));
    let padding = if relations == 0 {
        of_first.min(1)
    } else {
        relations + 1
    };
    let whole = first_len >= KEY_LEN && padding == of_first;
    let known = first_len < KEY_LEN || padding >= of_first || padding + HASH_LEN == of_first;
    if padding > MAX_PADDING || !known {
        return none;
    }
    Padding {
        relations: relations as u32,
        whole,
        open: padding >= behind.len() && may_be_random(stream),
    }
}

/// Odds as bits of the padding of both directions together: eight for each relation. Where nobody
/// knows the ends of two runs, any parts of them can make the sum: up to eight ways, three bits.
pub fn key_exchange_bits(one: Padding, other: Padding) -> u32 {
    let bits = 8 * (one.relations + other.relations);
    let known = |padding: Padding| padding.whole || padding.relations == 0;
    if known(one) && known(other) {
        bits
    } else {
        bits.saturating_sub(3)
    }
}

/// Whether bytes may be random ones: text has none over 7f, and 16 random bytes have one but for
/// once in 2^16. Only for what is worth waiting for; fewer than eight aren't told.
fn may_be_random(stream: &[u8]) -> bool {
    stream.len() < 8 || stream.iter().take(16).any(|byte| !byte.is_ascii())
}

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
        return if may_be_random(stream) {
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
