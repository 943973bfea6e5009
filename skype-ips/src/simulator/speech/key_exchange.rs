//! The key exchange with which clients of versions 4 to 7 open TCP connections on any port
//! (measured in 78 flows of 2015).

use super::{Generator, Turn, noise};

/// Bytes of the Diffie-Hellman value.
pub const KEY_LEN: usize = 48;
/// Most bytes of padding behind it.
pub const MAX_PADDING: usize = 63;
/// Bytes of the hash in the second turn of either end.
pub const HASH_LEN: usize = 8;

/// The first segment of either end: its value, then `padding` bytes that the generator drew.
pub fn opening(key: &[u8; KEY_LEN], generator: &mut Generator, padding: usize) -> Vec<u8> {
    [&key[..], &generator.low_bytes(padding)].concat()
}

/// The whole exchange: values, then hashes. `padding` is the client's and the server's.
pub fn exchange(
    client: &mut Generator,
    server: &mut Generator,
    rng: &mut fastrand::Rng,
    padding: [usize; 2],
) -> Vec<Turn> {
    let mut value = |generator, padding| {
        let mut key = [0; KEY_LEN];
        rng.fill(&mut key);
        opening(&key, generator, padding)
    };
    let values = [value(client, padding[0]), value(server, padding[1])];
    let [first, second] = values;
    vec![
        Turn::client(first),
        Turn::server(second),
        Turn::client(noise(rng, HASH_LEN)),
        Turn::server(noise(rng, HASH_LEN)),
    ]
}
