//! Masquerade on the gateway's outside interface, and what it made of each conversation.

use std::net::IpAddr;
use std::process::{Command, Stdio};

use ipnet::Ipv4Net;
use rustc_hash::FxHashMap;

use super::LabError;
use super::netns::Netns;
use super::packet::{Packet, Unroutable};
use super::tools::run;

/// What a router hides behind its own address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Masquerade<'a> {
    /// The interface whose address is put before others.
    pub(super) interface: &'a str,
    /// Whose addresses; empty: all that pass.
    pub(super) sources: &'a [Ipv4Net],
    /// IPv6 addresses as well.
    pub(super) ipv6: bool,
    /// A port drawn at random for each conversation, as symmetric translators do. Else the port
    /// is kept where it is free.
    pub(super) random: bool,
}

/// Makes a router masquerade, with what the machine has.
pub(super) fn masquerade(router: &Netns, what: Masquerade<'_>) -> Result<(), LabError> {
    let add = |tool: &str, source: Option<&Ipv4Net>| {
        let mut command = Command::new(tool);
        command.args(["-w", "-t", "nat", "-A", "POSTROUTING"]);
        command.args(["-o", what.interface]);
        if let Some(source) = source {
            command.arg("-s").arg(source.to_string());
        }
        command.args(["-j", "MASQUERADE"]);
        if what.random {
            command.arg("--random-fully");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        run(router, command, None, "iptables")
    };
    let first = add("iptables", what.sources.first());
    if let Err(LabError::MissingTool { .. }) = first {
        return nft(router, what);
    }
    first?;
    for source in what.sources.iter().skip(1) {
        add("iptables", Some(source))?;
    }
    if what.ipv6 {
        add("ip6tables", None)?;
    }
    Ok(())
}

fn nft(router: &Netns, what: Masquerade<'_>) -> Result<(), LabError> {
    let interface = what.interface;
    let random = if what.random { " fully-random" } else { "" };
    let sources: Vec<String> = what.sources.iter().map(ToString::to_string).collect();
    let from = match &sources[..] {
        [] => String::new(),
        some => format!("ip saddr {{ {} }} ", some.join(", ")),
    };
    let rules = format!(
        "table inet lab {{\n\
         chain postrouting {{\n\
         type nat hook postrouting priority 100\n\
         {from}oifname \"{interface}\" masquerade{random}\n\
         }}\n}}\n"
    );
    let mut command = Command::new("nft");
    command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    run(router, command, Some(rules), "nftables")
}

/// Makes a router say nothing to whoever speaks to itself, as firewalls do.
pub(super) fn silence(router: &Netns) -> Result<(), LabError> {
    let mut command = Command::new("iptables");
    command
        .args(["-w", "-A", "INPUT", "-j", "DROP"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    match run(router, command, None, "iptables") {
        Err(LabError::MissingTool { .. }) => {
            let rules = "table inet lab-input {\n\
                         chain input {\n\
                         type filter hook input priority 0; policy drop\n\
                         }\n}\n";
            let mut command = Command::new("nft");
            command
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null());
            run(router, command, Some(rules.to_owned()), "nftables")
        }
        other => other,
    }
}

/// A conversation as the inside host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Conversation {
    protocol: u8,
    inside: (IpAddr, u16),
    outside: (IpAddr, u16),
}

/// What became of an inside address and port.
#[derive(Clone, Copy, Debug)]
struct Translation {
    /// What the outside host sees instead.
    seen: (IpAddr, u16),
    /// Whether an inbound packet has come through.
    answered: bool,
}

/// What the outside host sees instead of each inside address and port.
#[derive(Debug, Default)]
pub(super) struct Translations {
    known: FxHashMap<Conversation, Translation>,
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
            let seen = (arrived.source(), seen);
            let fresh = Translation {
                seen,
                answered: false,
            };
            self.known.entry(conversation).or_insert(fresh).seen = seen;
        }
    }

    /// An inbound packet as the outside host has to send it.
    pub(super) fn towards_gateway(&self, packet: &Packet) -> Result<Packet, Unroutable> {
        let conversation = inbound(packet)?;
        let translation = self
            .known
            .get(&conversation)
            .ok_or(Unroutable::NoTranslation)?;
        let (address, port) = translation.seen;
        let mut sent = packet.clone();
        sent.redirect(address, port);
        Ok(sent)
    }

    /// Learns from an inbound packet that has arrived. Connection tracking forgets a connection
    /// whose first answer is a RST (`nf_conntrack_tcp_packet` in Linux).
    pub(super) fn answered(&mut self, packet: &Packet) {
        let Ok(conversation) = inbound(packet) else {
            return;
        };
        if let Some(translation) = self.known.get_mut(&conversation) {
            if packet.is_reset() && !translation.answered {
                self.known.remove(&conversation);
            } else {
                translation.answered = true;
            }
        }
    }
}

/// The conversation of an inbound packet as the inside host knows it.
fn inbound(packet: &Packet) -> Result<Conversation, Unroutable> {
    let (outside, port) = packet.ports().ok_or(Unroutable::Protocol)?;
    Ok(Conversation {
        protocol: packet.protocol(),
        inside: (packet.destination(), port),
        outside: (packet.source(), outside),
    })
}
