//! TCP connections of a session, packet by packet.

use std::net::SocketAddrV4;

use skype_ips::simulator::speech::{Speaker, Turn, dns, encrypted, tls};

use crate::script::{Host, MS, SECOND, Script};
use crate::wire::{ACK, Body, FIN, Flow, Note, PSH, Packet, SYN, TCP, UDP};

/// Payload of a full segment, bytes.
const SEGMENT: usize = 1460;
/// From one end to the other.
const WAY: u64 = 20 * MS;

/// What in a connection's opening proves it, whatever else may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The first so many bytes of a stream.
    Head(Speaker, usize),
    /// Padding in the first segment of either end, behind this many bytes.
    Padding(usize),
    /// The first five bytes of both streams.
    Blanks,
}

/// A connection of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) flow: Flow,
    /// Whether the inside host opened it.
    pub(crate) outgoing: bool,
    /// Any of these; none where nothing shows by itself.
    pub(crate) proofs: &'static [Proof],
    /// Bytes of what the client and the server say first.
    pub(crate) first: [usize; 2],
    /// Bytes of a dialogue with a proxy in front of that, of each end.
    pub(crate) behind: [usize; 2],
}

impl Connection {
    /// Whether what an end says leaves the inside network.
    pub(crate) fn outbound(&self, speaker: Speaker) -> bool {
        (speaker == Speaker::Client) == self.outgoing
    }
}

impl Script {
    /// A connection, from its first packet to its last; returns when it ends.
    pub(crate) fn connect(&mut self, time: u64, connection: Connection, turns: &[Turn]) -> u64 {
        self.connect_behind(time, connection, &[], turns)
    }

    /// The same behind a dialogue with a proxy.
    pub(crate) fn connect_behind(
        &mut self,
        time: u64,
        mut connection: Connection,
        dialogue: &[Turn],
        turns: &[Turn],
    ) -> u64 {
        let lens = |turns: &[Turn], from| -> Vec<usize> {
            let own = turns.iter().filter(|turn| turn.from == from);
            own.map(|turn| turn.bytes.len()).collect()
        };
        let ends = [Speaker::Client, Speaker::Server];
        connection.first = ends.map(|from| lens(turns, from).first().copied().unwrap_or(0));
        connection.behind = ends.map(|from| lens(dialogue, from).iter().sum());
        self.session.connections.push(connection);
        self.stream(time, connection, &[dialogue, turns].concat())
    }

    /// A connection of another program.
    pub(crate) fn innocent(&mut self, time: u64, connection: Connection, turns: &[Turn]) -> u64 {
        self.session.innocent.push(connection.flow);
        self.stream(time, connection, turns)
    }

    fn stream(&mut self, mut time: u64, connection: Connection, turns: &[Turn]) -> u64 {
        let mut next = [self.rng.u32(..), self.rng.u32(..)];
        let packets = &mut self.session.packets;
        let mut send = |time, from: Speaker, flags: u8, payload: &[u8]| {
            let (own, other) = (from as usize, from.other() as usize);
            let ack = if flags & ACK == 0 { 0 } else { next[other] };
            packets.push(Packet {
                time,
                flow: connection.flow,
                outbound: connection.outbound(from),
                body: Body::Segment {
                    flags,
                    seq: next[own],
                    ack,
                    payload: payload.to_vec(),
                },
                note: Note::default(),
            });
            let counted = u32::from(flags & (SYN | FIN) != 0) + payload.len() as u32;
            next[own] = next[own].wrapping_add(counted);
        };
        for (from, flags) in [
            (Speaker::Client, SYN),
            (Speaker::Server, SYN | ACK),
            (Speaker::Client, ACK),
        ] {
            send(time, from, flags, &[]);
            time += WAY;
        }
        for turn in turns {
            for part in turn.bytes.chunks(SEGMENT) {
                send(time, turn.from, PSH | ACK, part);
                time += MS / 10;
            }
            time += WAY;
            send(time, turn.from.other(), ACK, &[]);
            time += self.rng.u64(1..30) * MS;
        }
        for from in [Speaker::Client, Speaker::Server] {
            send(time, from, FIN | ACK, &[]);
            time += WAY;
        }
        time
    }

    /// An outgoing connection of the host.
    pub(crate) fn outgoing(
        host: &mut Host,
        peer: SocketAddrV4,
        proofs: &'static [Proof],
    ) -> Connection {
        Connection {
            flow: Flow {
                protocol: TCP,
                inside: host.ephemeral().into(),
                outside: peer.into(),
            },
            outgoing: true,
            proofs,
            first: [0; 2],
            behind: [0; 2],
        }
    }

    /// A connection to the port on which the host listens.
    pub(crate) fn incoming(
        host: &Host,
        peer: SocketAddrV4,
        proofs: &'static [Proof],
    ) -> Connection {
        Connection {
            flow: Flow {
                protocol: TCP,
                inside: host.end.into(),
                outside: peer.into(),
            },
            outgoing: false,
            proofs,
            first: [0; 2],
            behind: [0; 2],
        }
    }

    /// Everyday traffic of the same hosts meanwhile: a name looked up, a page read.
    pub(crate) fn everyday(&mut self, host: &mut Host) {
        for index in 0..self.rng.u64(1..4) {
            let (time, server) = (index * 5 * SECOND, self.peer());
            let (id, name) = (self.rng.u16(..), "www.example.com");
            let ends = (host.ephemeral(), SocketAddrV4::new(*server.ip(), 53));
            self.session.innocent.push(Flow {
                protocol: UDP,
                inside: ends.0.into(),
                outside: ends.1.into(),
            });
            let answer = dns::response(id, name, *server.ip());
            self.datagram(time, ends, true, dns::query(id, name), Note::default());
            self.datagram(time + 30 * MS, ends, false, answer, Note::default());
            let hello = tls::client_hello(&mut self.rng, tls::Hello::Plain, name);
            let mut turns = vec![Turn::client(tls::records(&hello, hello.len()))];
            turns.extend(encrypted(&mut self.rng, 4));
            let to = SocketAddrV4::new(*server.ip(), 443);
            let page = Self::outgoing(host, to, &[]);
            self.innocent(time + 40 * MS, page, &turns);
        }
    }
}
