//! Requests to a NAT to let a port of the sender's be reached from outside: NAT-PMP (RFC 6886,
//! section 3.3) and PCP's MAP (RFC 6887, sections 7.1 and 11.1).
//!
//! Skype asks for the port on which it listens when it starts (measured in 2015); so do many other
//! programs.

use std::ops::Range;

use skype_ips_common::layout::{TCP, UDP};

/// Size of a MAP request without options.
const PCP_LEN: usize = 60;
const NAT_PMP_LEN: u32 = 12;

/// A request to map a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// IP protocol number, TCP or UDP.
    pub protocol: u8,
    /// The sender's port.
    pub port: u16,
    /// For how long, seconds; 0 ends the mapping.
    pub lifetime: u32,
    /// What it speaks.
    pub language: &'static str,
    /// Where in the payload the port stands.
    pub place: Range<u32>,
}

/// Reads a request of `len` bytes; `None` if it is none.
pub fn read(payload: &[u8], len: u32) -> Option<Request> {
    let half = |at: usize| {
        Some(u16::from_be_bytes(
            payload.get(at..at + 2)?.try_into().ok()?,
        ))
    };
    let word = |at: usize| {
        Some(u32::from_be_bytes(
            payload.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    let request = match (payload.first()?, payload.get(1)?) {
        (0, operation @ 1..=2) if len == NAT_PMP_LEN => Request {
            protocol: if *operation == 1 { UDP } else { TCP },
            port: half(4)?,
            lifetime: word(8)?,
            language: "NAT-PMP",
            place: 4..6,
        },
        (2, 1) if payload.len() >= PCP_LEN => Request {
            protocol: *payload.get(36)?,
            port: half(40)?,
            lifetime: word(4)?,
            language: "PCP",
            place: 40..42,
        },
        _ => return None,
    };
    ([TCP, UDP].contains(&request.protocol) && request.port != 0).then_some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nat_pmp_request_names_its_port() {
        let bytes = [0, 1, 0, 0, 0x8c, 0x96, 0x8c, 0x96, 0, 0, 0x1c, 0x20];
        let request = read(&bytes, 12).expect("RFC 6886, section 3.3");
        assert_eq!((request.protocol, request.port), (UDP, 35_990));
        assert_eq!((request.lifetime, request.place), (7200, 4..6));
        // The question for the public address, an answer, one that is cut off.
        assert_eq!(read(&[0, 0], 2), None);
        assert_eq!(
            read(
                &[0, 129, 0, 0, 0x8c, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                16
            ),
            None
        );
        assert_eq!(read(&bytes[..5], 12), None);
    }

    #[test]
    fn a_pcp_map_names_its_port() {
        let mut bytes = [0; 60];
        (bytes[0], bytes[1], bytes[36]) = (2, 1, TCP);
        bytes[4..8].copy_from_slice(&600_u32.to_be_bytes());
        bytes[40..42].copy_from_slice(&35_990_u16.to_be_bytes());
        let request = read(&bytes, 60).expect("RFC 6887, section 11.1");
        assert_eq!((request.protocol, request.port), (TCP, 35_990));
        assert_eq!((request.lifetime, request.language), (600, "PCP"));
        // All ports of all protocols; another protocol; PEER.
        bytes[36] = 0;
        assert_eq!(read(&bytes, 60), None);
        bytes[36] = 50;
        assert_eq!(read(&bytes, 60), None);
        (bytes[1], bytes[36]) = (2, UDP);
        assert_eq!(read(&bytes, 60), None);
    }
}
