//! What has come through of a conversation, and how its payload begins.

use std::fmt::Write as _;

use skype_ips_common::layout::{TCP, UDP};
use skype_ips_common::parse::{ACK, Headers, SYN};

use super::conversations::{TO_CLIENT, TO_SERVER};
use crate::telemetry::passage::{Passed, PayloadHeads};

/// Payload bytes kept per direction.
const HEAD: usize = 16;

/// The first payload bytes of one direction.
#[derive(Clone, Debug, Default)]
struct Head {
    bytes: Vec<u8>,
    /// TCP: the sequence number that continues them.
    next: Option<u32>,
}

impl Head {
    fn take(&mut self, protocol: u8, seq: u32, payload: &[u8]) {
        // Retransmitted or out of order; datagrams don't continue one another.
        let continues = match protocol {
            TCP => self.next.is_none_or(|next| next == seq),
            _ => self.bytes.is_empty(),
        };
        if !continues || payload.is_empty() || self.bytes.len() == HEAD {
            return;
        }
        let room = HEAD - self.bytes.len();
        self.bytes.extend(payload.iter().take(room));
        self.next = Some(seq.wrapping_add(payload.len() as u32));
    }

    fn hex(&self) -> String {
        self.bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    packets: u64,
    bytes: u64,
    /// Packets with payload, by direction.
    payloads: [u64; 2],
}

/// What has come through of a conversation so far, and before its decision.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    protocol: u8,
    /// Direction in which the end that opened the connection sends.
    opener: Option<usize>,
    /// Direction of the last packet.
    direction: usize,
    all: Counts,
    /// All but the last packet.
    before_last: Counts,
    before_decision: Option<Counts>,
    payload_bytes: [u64; 2],
    heads: [Head; 2],
}

impl Passage {
    /// Counts a packet of a direction ([`TO_SERVER`] or [`TO_CLIENT`]).
    pub(super) fn packet(&mut self, direction: usize, headers: &Headers) {
        self.protocol = headers.protocol;
        self.direction = direction;
        if headers.tcp_flags & SYN != 0 {
            let answers = headers.tcp_flags & ACK != 0;
            self.opener
                .get_or_insert(if answers { 1 - direction } else { direction });
        }
        self.before_last = self.all;
        self.all.packets += 1;
        self.all.bytes += u64::from(headers.ip_len);
        self.all.payloads[direction] += u64::from(headers.payload_len > 0);
        self.payload_bytes[direction] += u64::from(headers.payload_len);
    }

    /// Keeps how the payload of the packet just counted begins.
    pub(super) fn payload(&mut self, headers: &Headers, payload: &[u8]) {
        self.heads[self.direction].take(headers.protocol, headers.tcp_seq, payload);
    }

    /// The packet just counted decides the conversation.
    pub(super) fn decide(&mut self) {
        self.before_decision.get_or_insert(self.before_last);
    }

    /// The conversation is decided after its last packet.
    pub(super) fn decide_in_retrospect(&mut self) {
        self.before_decision.get_or_insert(self.all);
    }

    /// What came through before the decision; `None` if there was none.
    pub fn before_decision(&self) -> Option<Passed> {
        let counts = self.before_decision?;
        let server = self.opener.map(|direction| 1 - direction);
        Some(Passed {
            passed_pkts: counts.packets,
            passed_bytes: counts.bytes,
            passed_server_payloads: server.map(|direction| counts.payloads[direction]),
        })
    }

    /// How much payload there is, and how it begins.
    pub fn payload_heads(&self) -> PayloadHeads {
        PayloadHeads {
            bytes_toserver: self.payload_bytes[TO_SERVER],
            bytes_toclient: self.payload_bytes[TO_CLIENT],
            head_toserver: self.heads[TO_SERVER].hex(),
            head_toclient: self.heads[TO_CLIENT].hex(),
            opening_seen: (self.protocol != UDP).then_some(self.opener.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(protocol: u8, tcp_flags: u16, tcp_seq: u32, payload_len: u32) -> Headers {
        Headers {
            protocol,
            tcp_flags,
            tcp_seq,
            payload_len,
            ip_len: 40 + payload_len,
            ..Headers::default()
        }
    }

    fn send(passage: &mut Passage, direction: usize, headers: &Headers, payload: &[u8]) {
        passage.packet(direction, headers);
        passage.payload(headers, payload);
    }

    #[test]
    fn the_deciding_packet_is_not_among_those_before_it() {
        let mut passage = Passage::default();
        assert_eq!(passage.before_decision(), None);
        for (direction, len) in [(TO_SERVER, 5), (TO_CLIENT, 7), (TO_SERVER, 1)] {
            passage.packet(direction, &headers(UDP, 0, 0, len));
        }
        passage.decide();
        passage.packet(TO_SERVER, &headers(UDP, 0, 0, 9));
        passage.decide();
        let passed = passage.before_decision().expect("decided");
        assert_eq!((passed.passed_pkts, passed.passed_bytes), (2, 92));
        assert_eq!(passed.passed_server_payloads, None);
    }

    #[test]
    fn in_retrospect_all_came_through() {
        let mut passage = Passage::default();
        passage.packet(TO_SERVER, &headers(UDP, 0, 0, 2));
        passage.decide_in_retrospect();
        let passed = passage.before_decision().expect("decided");
        assert_eq!((passed.passed_pkts, passed.passed_bytes), (1, 42));
    }

    #[test]
    fn the_server_is_the_end_that_did_not_open() {
        // The capture begins with the server's answer: `src` is the server.
        let mut passage = Passage::default();
        passage.packet(TO_SERVER, &headers(TCP, SYN | ACK, 0, 0));
        passage.packet(TO_CLIENT, &headers(TCP, ACK, 1, 10));
        passage.packet(TO_SERVER, &headers(TCP, ACK, 1, 10));
        passage.packet(TO_CLIENT, &headers(TCP, ACK, 11, 10));
        passage.decide();
        let passed = passage.before_decision().expect("decided");
        assert_eq!(passed.passed_server_payloads, Some(1));
    }

    #[test]
    fn heads_are_of_one_datagram_or_of_the_stream_in_order() {
        let mut stream = Passage::default();
        send(&mut stream, 0, &headers(TCP, ACK, 7, 2), &[1, 2]);
        send(&mut stream, 0, &headers(TCP, ACK, 7, 2), &[1, 2]);
        send(&mut stream, 0, &headers(TCP, ACK, 9, 20), &[3; 20]);
        send(&mut stream, 0, &headers(TCP, ACK, 29, 1), &[4]);
        let heads = stream.payload_heads();
        assert_eq!(heads.head_toserver, format!("0102{}", "03".repeat(14)));
        assert_eq!((heads.bytes_toserver, heads.bytes_toclient), (25, 0));
        assert_eq!(heads.opening_seen, Some(false));

        let mut datagrams = Passage::default();
        send(&mut datagrams, 1, &headers(UDP, 0, 0, 1), &[0xab]);
        send(&mut datagrams, 1, &headers(UDP, 0, 0, 1), &[0xcd]);
        let heads = datagrams.payload_heads();
        assert_eq!(
            (heads.head_toclient.as_str(), heads.opening_seen),
            ("ab", None)
        );
    }
}
