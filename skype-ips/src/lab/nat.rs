//! Masquerade on the gateway's outside interface, and what it made of each conversation.

use std::net::IpAddr;
use std::process::{Command, Stdio};

use rustc_hash::FxHashMap;

use super::LabError;
use super::netns::Netns;
use super::packet::{Packet, Unroutable};
use super::topology::{GATEWAY_OUTSIDE, run};

/// Makes the gateway put its own address before those of the inside, with what the machine has.
pub(super) fn masquerade(gateway: &Netns, ipv6: bool) -> Result<(), LabError> {
    let iptables = |tool: &str| {
        let mut command = Command::new(tool);
        command.args([
            "-w",
            "-t",
            "nat",
            "-A",
            "POSTROUTING",
            "-o",
            GATEWAY_OUTSIDE,
        ]);
        command
            .args(["-j", "MASQUERADE"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        run(gateway, command, None, "iptables")
    };
    match iptables("iptables") {
        Err(LabError::MissingTool { .. }) => nft(gateway),
        Ok(()) if ipv6 => iptables("ip6tables"),
        other => other,
    }
}

fn nft(gateway: &Netns) -> Result<(), LabError> {
    let rules = format!(
        "table inet lab {{ chain postrouting {{ type nat hook postrouting priority 100; \
         oifname \"{GATEWAY_OUTSIDE}\" masquerade; }} }}\n"
    );
    let mut command = Command::new("nft");
    command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    run(gateway, command, Some(rules), "nftables")
}

/// A conversation as the inside host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Conversation {
    protocol: u8,
    inside: (IpAddr, u16),
    outside: (IpAddr, u16),
}

/// What the outside host sees instead of each inside address and port.
#[derive(Debug, Default)]
pub(super) struct Translations {
    seen: FxHashMap<Conversation, (IpAddr, u16)>,
}

impl Translations {
    /// Learns from an outbound packet as it was sent and as it arrived.
    pub(super) fn learn(&mut self, sent: &Packet, arrived: &Packet) {
        if let (Some((port, outside)), Some((seen, _))) = (sent.ports(), arrived.ports()) {
            let conversation = Conversation {
                protocol: sent.protocol(),
                inside: (sent.source(), port),
                outside: (sent.destination(), outside),
            };
            self.seen.insert(conversation, (arrived.source(), seen));
        }
    }

    /// An inbound packet as the outside host has to send it.
    pub(super) fn towards_gateway(&self, packet: &Packet) -> Result<Packet, Unroutable> {
        let (outside, port) = packet.ports().ok_or(Unroutable::Protocol)?;
        let conversation = Conversation {
            protocol: packet.protocol(),
            inside: (packet.destination(), port),
            outside: (packet.source(), outside),
        };
        let (address, port) = self
            .seen
            .get(&conversation)
            .ok_or(Unroutable::NoTranslation)?;
        let mut sent = packet.clone();
        sent.redirect(*address, *port);
        Ok(sent)
    }
}
