//! The ClientHello of late Skype: an ordinary one (RFC 8446), whose server name gives it away.

use super::noise;

/// How a ClientHello is made and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A few hundred bytes, the name among the first extensions.
    Plain,
    /// With a post-quantum key share (X25519MLKEM768, 1216 bytes) in front of the name, so that
    /// the name is in the second segment.
    PostQuantum,
}

/// Longest server name, bytes: as DNS has it (RFC 1035).
pub const MAX_NAME: usize = 253;
/// Bytes of the post-quantum key share and of the classic one.
const HYBRID_SHARE: usize = 1216;
const X25519_SHARE: usize = 32;

fn prefixed(len_bytes: usize, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&len[4 - len_bytes..], body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &prefixed(2, body)].concat()
}

fn server_name(name: &str) -> Vec<u8> {
    let entry = [&[0][..], &prefixed(2, name.as_bytes())].concat();
    extension(0, &prefixed(2, &entry))
}

fn key_share(rng: &mut fastrand::Rng, hello: Hello) -> Vec<u8> {
    let mut shares = Vec::new();
    if hello == Hello::PostQuantum {
        shares.extend([0x11, 0xec]);
        shares.extend(prefixed(2, &noise(rng, HYBRID_SHARE)));
    }
    shares.extend([0x00, 0x1d]);
    shares.extend(prefixed(2, &noise(rng, X25519_SHARE)));
    extension(51, &prefixed(2, &shares))
}

/// The handshake message, without records. `name` is at most [`MAX_NAME`] bytes.
pub fn client_hello(rng: &mut fastrand::Rng, hello: Hello, name: &str) -> Vec<u8> {
    let groups = [0x11, 0xec, 0x00, 0x1d, 0x00, 0x17];
    let share = key_share(rng, hello);
    let name = server_name(name);
    let common = [
        extension(10, &prefixed(2, &groups)),
        extension(11, &[1, 0]),
        extension(13, &prefixed(2, &[4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1])),
        extension(16, &prefixed(2, b"\x02h2\x08http/1.1")),
        extension(23, &[]),
        extension(43, &[4, 3, 4, 3, 3]),
    ]
    .concat();
    let extensions = match hello {
        Hello::Plain => [name, common, share].concat(),
        Hello::PostQuantum => [common, share, name].concat(),
    };
    let ciphers = [0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f];
    let body = [
        vec![3, 3],
        noise(rng, 32),
        prefixed(1, &noise(rng, 32)),
        prefixed(2, &ciphers),
        vec![1, 0],
        prefixed(2, &extensions),
    ]
    .concat();
    [&[1][..], &prefixed(3, &body)].concat()
}

/// A handshake message in records of at most `most` bytes each: 16,384 at most, and at least 1.
pub fn records(message: &[u8], most: usize) -> Vec<u8> {
    let parts = message.chunks(most.clamp(1, 1 << 14));
    let records = parts.map(|part| [&[22, 3, 1][..], &prefixed(2, part)].concat());
    records.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bytes: &[u8], name: &str) -> usize {
        let mut windows = bytes.windows(name.len());
        windows
            .position(|window| window == name.as_bytes())
            .expect("the name is there")
    }

    #[test]
    fn a_post_quantum_name_is_beyond_the_first_segment_of_ipv6() {
        let mut rng = fastrand::Rng::with_seed(1);
        let name = "api.skype.com";
        let plain = client_hello(&mut rng, Hello::Plain, name);
        assert!(place(&plain, name) < 200 && plain.len() < 400);
        let large = client_hello(&mut rng, Hello::PostQuantum, name);
        assert!(place(&large, name) > 1300);
    }

    #[test]
    fn records_hold_the_message_in_parts() {
        let message: Vec<u8> = (0..100).collect();
        let records = records(&message, 40);
        assert_eq!(records.len(), 100 + 3 * 5);
        assert_eq!(records[..5], [22, 3, 1, 0, 40]);
        assert_eq!(records[90..95], [22, 3, 1, 0, 20]);
    }
}
