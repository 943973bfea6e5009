//! Conversations packet by packet, with their labels.

use std::net::SocketAddrV4;

use skype_ips_common::layout::{TCP, UDP};

use crate::lab::packet::Packet;
use crate::simulator::speech::Speaker;

/// One millisecond in the capture's unit.
pub(super) const MS: u64 = 1_000_000;
/// Payload of a full segment, bytes.
const SEGMENT: usize = 1460;
/// Speaker a packet to its answer: the way to the other side and back.
const ROUND_TRIP: u64 = 40 * MS;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PSH_ACK: u8 = 0x18;
const FIN_ACK: u8 = 0x11;

/// A conversation as its label says it.
#[derive(Debug)]
struct Label {
    protocol: u8,
    client: SocketAddrV4,
    server: SocketAddrV4,
    packets: [u64; 2],
    payload: [u64; 2],
    label: &'static str,
    ground: &'static str,
}

/// A conversation in [`Traffic`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation(usize);

/// Everything that was sent.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    frames: Vec<(u64, Vec<u8>)>,
    labels: Vec<Label>,
}

impl Traffic {
    /// A conversation over UDP.
    pub(super) fn udp(
        &mut self,
        client: SocketAddrV4,
        server: SocketAddrV4,
        label: &'static str,
        ground: &'static str,
    ) -> Conversation {
        self.begin(UDP, client, server, label, ground)
    }

    /// The conversation between these ends, a new one the first time.
    fn begin(
        &mut self,
        protocol: u8,
        client: SocketAddrV4,
        server: SocketAddrV4,
        label: &'static str,
        ground: &'static str,
    ) -> Conversation {
        let known = self.labels.iter().position(|label| {
            (label.protocol, label.client, label.server) == (protocol, client, server)
        });
        if let Some(known) = known {
            return Conversation(known);
        }
        let (packets, payload) = ([0; 2], [0; 2]);
        self.labels.push(Label {
            protocol,
            client,
            server,
            packets,
            payload,
            label,
            ground,
        });
        Conversation(self.labels.len() - 1)
    }

    /// A datagram, `time` nanoseconds after the start.
    pub(super) fn datagram(
        &mut self,
        conversation: Conversation,
        time: u64,
        from: Speaker,
        payload: &[u8],
    ) {
        let len = (payload.len() as u16 + 8).to_be_bytes();
        // The checksum is written with the IP header's; one of zero would mean none.
        self.add(
            conversation,
            time,
            from,
            &[len[0], len[1], 0xff, 0xff],
            payload,
        );
    }

    /// Adds a packet: `rest` is the transport header behind the ports.
    fn add(
        &mut self,
        conversation: Conversation,
        time: u64,
        from: Speaker,
        rest: &[u8],
        payload: &[u8],
    ) {
        let label = &mut self.labels[conversation.0];
        let (source, destination, ttl) = match from {
            Speaker::Client => (label.client, label.server, 64),
            Speaker::Server => (label.server, label.client, 50),
        };
        label.packets[from as usize] += 1;
        label.payload[from as usize] += payload.len() as u64;
        let len = (24 + rest.len() + payload.len()) as u16;
        let id = self.frames.len() as u16;
        let mut bytes = vec![0x45, 0];
        bytes.extend(len.to_be_bytes());
        bytes.extend(id.to_be_bytes());
        bytes.extend([0x40, 0, ttl, label.protocol, 0, 0]);
        bytes.extend(source.ip().octets());
        bytes.extend(destination.ip().octets());
        bytes.extend(source.port().to_be_bytes());
        bytes.extend(destination.port().to_be_bytes());
        bytes.extend(rest);
        bytes.extend(payload);
        let packet = Packet::complete(bytes).expect("the headers above are whole");
        let (near, far) = ([2, 0, 0, 0, 0, 0x10], [2, 0, 0, 0, 0, 0x20]);
        let frame = match from {
            Speaker::Client => packet.frame(near, far),
            Speaker::Server => packet.frame(far, near),
        };
        self.frames.push((time, frame));
    }

    /// All frames by time, those of one time as they were made.
    pub(super) fn in_order(&mut self) -> Vec<(u64, Vec<u8>)> {
        let mut frames = std::mem::take(&mut self.frames);
        frames.sort_by_key(|(time, _)| *time);
        frames
    }

    /// The labels as a table.
    pub(super) fn labels(&self, capture: &str) -> String {
        let mut table = "capture\tproto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tpkts_toserver\t\
                         pkts_toclient\tpayload_toserver\tpayload_toclient\tlabel\tground\n"
            .to_owned();
        for label in &self.labels {
            let proto = if label.protocol == UDP { "UDP" } else { "TCP" };
            let (client, server) = (label.client, label.server);
            let [to_server, to_client] = label.packets;
            let [payload_to_server, payload_to_client] = label.payload;
            table += &format!(
                "{capture}\t{proto}\t{}\t{}\t{}\t{}\t{to_server}\t{to_client}\t\
                 {payload_to_server}\t{payload_to_client}\t{}\t{}\n",
                client.ip(),
                client.port(),
                server.ip(),
                server.port(),
                label.label,
                label.ground,
            );
        }
        table
    }
}

/// A TCP connection.
#[derive(Debug)]
pub(super) struct Connection {
    conversation: Conversation,
    /// Next sequence number of client and server.
    next: [u32; 2],
    /// When the next packet leaves.
    time: u64,
}

impl Connection {
    /// Opens it with the three-way handshake.
    pub(super) fn open(
        traffic: &mut Traffic,
        rng: &mut fastrand::Rng,
        time: u64,
        ends: (SocketAddrV4, SocketAddrV4),
        label: (&'static str, &'static str),
    ) -> Self {
        let conversation = traffic.begin(TCP, ends.0, ends.1, label.0, label.1);
        let next = [rng.u32(..), rng.u32(..)];
        let mut connection = Self {
            conversation,
            next,
            time,
        };
        connection.segment(traffic, Speaker::Client, SYN, &[]);
        connection.turn();
        connection.segment(traffic, Speaker::Server, SYN | ACK, &[]);
        connection.turn();
        connection.segment(traffic, Speaker::Client, ACK, &[]);
        connection
    }

    /// Half a round trip passes.
    fn turn(&mut self) {
        self.time += ROUND_TRIP / 2;
    }

    /// Time passes without a packet.
    pub(super) fn pause(&mut self, time: u64) {
        self.time += time;
    }

    /// Sends data, in segments, and the acknowledgement.
    pub(super) fn send(&mut self, traffic: &mut Traffic, from: Speaker, data: &[u8]) {
        for part in data.chunks(SEGMENT) {
            self.segment(traffic, from, PSH_ACK, part);
            self.time += MS / 10;
        }
        self.turn();
        self.segment(traffic, from.other(), ACK, &[]);
    }

    /// Closes it in order.
    pub(super) fn close(mut self, traffic: &mut Traffic) {
        for from in [Speaker::Client, Speaker::Server] {
            self.segment(traffic, from, FIN_ACK, &[]);
            self.turn();
        }
        self.segment(traffic, Speaker::Client, ACK, &[]);
    }

    fn segment(&mut self, traffic: &mut Traffic, from: Speaker, flags: u8, data: &[u8]) {
        let own = self.next[from as usize];
        let acknowledged = if flags & ACK == 0 {
            0
        } else {
            self.next[from.other() as usize]
        };
        let mut rest = own.to_be_bytes().to_vec();
        rest.extend(acknowledged.to_be_bytes());
        // Header length 20, window 65535; checksum and urgent pointer are zero for now.
        rest.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        traffic.add(self.conversation, self.time, from, &rest, data);
        let counted = u32::from(flags & (SYN | 1) != 0) + data.len() as u32;
        self.next[from as usize] = own.wrapping_add(counted);
    }
}
