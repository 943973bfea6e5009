//! The Community ID of a flow, version 1: one hash for one conversation, whichever tool names it.
//!
//! Specification: <https://github.com/corelight/community-id-spec>.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The Community ID (seed 0) of a TCP or UDP conversation; the order of the ends doesn't matter.
pub fn community_id(a: SocketAddr, b: SocketAddr, protocol: u8) -> String {
    format!("1:{}", STANDARD.encode(digest(a, b, protocol, &[])))
}

/// A number for one conversation that starts at `start` (nanoseconds since the epoch): the same
/// for the same input, and small enough (51 bits, as Suricata's) for JSON readers that keep
/// numbers as doubles.
pub fn flow_id(a: SocketAddr, b: SocketAddr, protocol: u8, start: u64) -> u64 {
    let digest = digest(a, b, protocol, &start.to_be_bytes());
    let head = digest[..8].try_into().expect("a SHA-1 digest has 20 bytes");
    u64::from_be_bytes(head) >> 13
}

fn digest(a: SocketAddr, b: SocketAddr, protocol: u8, suffix: &[u8]) -> [u8; 20] {
    let (first, second) = if (a.ip(), a.port()) <= (b.ip(), b.port()) {
        (a, b)
    } else {
        (b, a)
    };
    let mut hash = Sha1::new();
    hash.update([0; 2]);
    for end in [first, second] {
        match end.ip() {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update(address.octets()),
        }
    }
    hash.update([protocol, 0]);
    hash.update(first.port().to_be_bytes());
    hash.update(second.port().to_be_bytes());
    hash.update(suffix);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(a: &str, b: &str, protocol: u8) -> String {
        let parse = |end: &str| end.parse().expect("an address and a port");
        community_id(parse(a), parse(b), protocol)
    }

    // Values of the specification's baseline files.
    #[test]
    fn agrees_with_the_specification() {
        let http = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(id("128.232.110.120:34855", "66.35.250.204:80", 6), http);
        assert_eq!(id("66.35.250.204:80", "128.232.110.120:34855", 6), http);
        let dns = "1:d/FP5EW3wiY1vCndhwleRRKHowQ=";
        assert_eq!(id("192.168.1.52:54585", "8.8.8.8:53", 17), dns);
    }

    #[test]
    fn flow_ids_are_exact_as_doubles_and_differ_by_start() {
        let (a, b) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into());
        let first = flow_id(a, b, 17, 1);
        assert_eq!(first, flow_id(b, a, 17, 1));
        assert_ne!(first, flow_id(a, b, 17, 2));
        assert!(first < 1 << 51);
    }
}
