//! What got through of a conversation, for those who measure detection.

use std::net::IpAddr;

use serde::Serialize;

/// What came through before the deciding packet; all of a conversation that was found out only
/// after its last packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Packets, both directions.
    pub passed_pkts: u64,
    /// Bytes of IP packets, both directions.
    pub passed_bytes: u64,
    /// TCP: those of them that carried payload from the server, which is the end that did not
    /// open the connection. Absent where no opening was seen, and on UDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_server_payloads: Option<u64>,
}

/// The inside UDP endpoint whose proof decided a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProvedEndpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Datagrams shaped like Skype's type 2 that it had sent when it was proved, the deciding one
    /// among them.
    pub sent: u64,
    /// The same that it had received.
    pub received: u64,
}

/// How the payload of a conversation begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PayloadHeads {
    /// Payload bytes sent by `src`, retransmissions too.
    pub bytes_toserver: u64,
    /// Payload bytes sent by `dest`, retransmissions too.
    pub bytes_toclient: u64,
    /// The first of them in hexadecimal, at most 16: of the first datagram, or of the stream.
    pub head_toserver: String,
    /// The same of what `dest` sent.
    pub head_toclient: String,
    /// TCP: whether the opening (SYN) of either end is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening_seen: Option<bool>,
}
