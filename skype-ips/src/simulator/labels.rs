//! What is in a simulated capture: a table of its conversations.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::gateway::Seen;
use super::net::program::Ground;
use super::net::{Header, Protocol};

/// A conversation's two ends in order, so that both directions find it.
type Key = (Protocol, SocketAddrV4, SocketAddrV4);

/// The conversations, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    numbers: BTreeMap<Key, usize>,
    conversations: Vec<Conversation>,
}

/// A conversation as the gateway's inside interface saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who sent the first packet.
    pub client: SocketAddrV4,
    /// To whom.
    pub server: SocketAddrV4,
    /// What it is.
    pub ground: Ground,
    /// Packets from the client and from the server.
    pub packets: [u64; 2],
    /// Bytes of payload.
    pub payload: [u64; 2],
}

impl Conversation {
    /// `skype`, `skype-no-payload` for connections that carried not a byte, `other`.
    pub fn label(&self) -> &'static str {
        match (self.ground.skype, self.payload) {
            (false, _) => "other",
            (true, [0, 0]) if self.protocol == Protocol::Tcp => "skype-no-payload",
            (true, _) => "skype",
        }
    }
}

impl Labels {
    /// Notes a packet. Says what the conversation is if this one begins it.
    pub fn note(&mut self, seen: &Seen<'_>) -> Option<Ground> {
        let header = Header::read(seen.packet)?;
        let (source, destination) = (header.source, header.destination);
        let key = (
            header.protocol,
            source.min(destination),
            source.max(destination),
        );
        let known = self.numbers.len();
        let number = *self.numbers.entry(key).or_insert(known);
        if number == known {
            self.conversations.push(Conversation {
                protocol: header.protocol,
                client: source,
                server: destination,
                ground: seen.ground,
                packets: [0; 2],
                payload: [0; 2],
            });
        }
        let conversation = &mut self.conversations[number];
        let from_server = usize::from(source != conversation.client);
        conversation.packets[from_server] += 1;
        conversation.payload[from_server] += header.payload as u64;
        (number == known).then_some(seen.ground)
    }

    /// All of them.
    pub fn conversations(&self) -> &[Conversation] {
        &self.conversations
    }

    /// As a table with tabs and a head, for the capture of that name.
    pub fn table(&self, capture: &str) -> String {
        let mut table = "capture\tproto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tpkts_toserver\t\
                         pkts_toclient\tpayload_toserver\tpayload_toclient\tlabel\tground\n"
            .to_owned();
        for conversation in &self.conversations {
            let Conversation {
                client,
                server,
                ground,
                packets: [to_server, to_client],
                payload: [payload_to_server, payload_to_client],
                ..
            } = conversation;
            let protocol = match conversation.protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
            };
            table += &format!(
                "{capture}\t{protocol}\t{}\t{}\t{}\t{}\t{to_server}\t{to_client}\t\
                 {payload_to_server}\t{payload_to_client}\t{}\t{}\n",
                client.ip(),
                client.port(),
                server.ip(),
                server.port(),
                conversation.label(),
                ground.what,
            );
        }
        table
    }
}
