//! The tunnel that a conversation of a capture was found in.

use std::net::IpAddr;

use serde::Serialize;

/// The outermost packet around the first packet of a conversation, in Suricata EVE's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tunnel {
    /// Who sent it.
    pub src_ip: IpAddr,
    /// Its port; 0 if the tunnel has none.
    pub src_port: u16,
    /// Whom it was sent to.
    pub dest_ip: IpAddr,
    /// Its port; 0 if the tunnel has none.
    pub dest_port: u16,
    /// Protocol of the outer packet: `GRE`, `IPv4`, `IPv6` or `UDP`.
    pub proto: &'static str,
    /// Tunnels around the conversation, from 1.
    pub depth: u8,
    /// The innermost of them: `gre`, `ip-in-ip`, `teredo` or `vxlan`.
    pub kind: &'static str,
}
