//! Writes sessions: who sends what to whom, when, and what gives it away.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use fastrand::Rng;
use skype_ips::simulator::speech::udp::{self, Noise};
use skype_ips::simulator::speech::{Process, Sent};

use crate::connections::Connection;
use crate::wire::{Body, Flow, Note, Packet, Step, UDP};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// The address under which inside hosts are seen outside.
pub(crate) const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);

/// A session: all packets, and which ends and connections are Skype's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) packets: Vec<Packet>,
    /// Inside addresses and ports of which every UDP flow is Skype.
    pub(crate) endpoints: Vec<SocketAddr>,
    pub(crate) connections: Vec<Connection>,
    /// Flows of other programs, some of the same hosts.
    pub(crate) innocent: Vec<Flow>,
}

/// An inside host that runs Skype.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Where it listens, and what it sends all UDP from.
    pub(crate) end: SocketAddrV4,
    pub(crate) process: Process,
    next_port: u16,
}

impl Host {
    pub(crate) fn client(rng: &mut Rng) -> Self {
        let process = Process::client(rng);
        Self::with(rng, process)
    }

    pub(crate) fn super_node(rng: &mut Rng) -> Self {
        let process = Process::super_node(rng);
        Self::with(rng, process)
    }

    fn with(rng: &mut Rng, process: Process) -> Self {
        let address = Ipv4Addr::new(192, 168, 7, rng.u8(2..250));
        Self {
            end: SocketAddrV4::new(address, rng.u16(1024..49_000)),
            process,
            next_port: rng.u16(49_152..60_000),
        }
    }

    /// An ordinary port for an outgoing connection.
    pub(crate) fn ephemeral(&mut self) -> SocketAddrV4 {
        self.next_port += 1;
        SocketAddrV4::new(*self.end.ip(), self.next_port)
    }
}

/// A session being written.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) rng: Rng,
    pub(crate) session: Session,
    exchanges: u32,
    draws: u32,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            session: Session::default(),
            exchanges: 0,
            draws: 0,
        }
    }

    pub(crate) fn end(mut self) -> Session {
        self.session.packets.sort_by_key(|packet| packet.time);
        self.session
    }

    /// An outside peer: a new address nearly every time.
    pub(crate) fn peer(&mut self) -> SocketAddrV4 {
        let rng = &mut self.rng;
        let address = Ipv4Addr::new(rng.u8(64..100), rng.u8(..), rng.u8(..), rng.u8(1..255));
        SocketAddrV4::new(address, rng.u16(1025..65_000))
    }

    /// All UDP of the host's port is Skype.
    pub(crate) fn listens(&mut self, host: &Host) {
        self.session.endpoints.push(host.end.into());
    }

    /// A new exchange's number.
    pub(crate) fn exchange(&mut self) -> u32 {
        self.exchanges += 1;
        self.exchanges
    }

    /// Notes that a state was drawn just now.
    pub(crate) fn drawn(&mut self) -> Option<u32> {
        self.draws += 1;
        Some(self.draws)
    }

    pub(crate) fn datagram(
        &mut self,
        time: u64,
        (inside, outside): (SocketAddrV4, SocketAddrV4),
        outbound: bool,
        payload: Vec<u8>,
        note: Note,
    ) {
        self.session.packets.push(Packet {
            time,
            flow: Flow {
                protocol: UDP,
                inside: inside.into(),
                outside: outside.into(),
            },
            outbound,
            body: Body::Datagram(payload),
            note,
        });
    }

    /// The host sends a message of `len` bytes of contents, which asks for an answer.
    pub(crate) fn ask(
        &mut self,
        time: u64,
        host: &mut Host,
        peer: SocketAddrV4,
        len: usize,
    ) -> (u32, Sent) {
        host.process.wait_until(time);
        let exchange = self.exchange();
        let sent = host.process.message(&mut self.rng, len);
        let note = Note {
            state: self.drawn(),
            step: Some((exchange, Step::Ask)),
        };
        let ends = (host.end, peer);
        self.datagram(time, ends, true, sent.datagram.clone(), note);
        (exchange, sent)
    }

    /// The host sends a message again.
    pub(crate) fn repeat(&mut self, time: u64, host: &mut Host, peer: SocketAddrV4, sent: &Sent) {
        host.process.wait_until(time);
        let again = host.process.repeat(&mut self.rng, sent);
        let note = Note {
            state: self.drawn(),
            step: None,
        };
        self.datagram(time, (host.end, peer), true, again, note);
    }

    /// The peer can't read it and says whom it sees; the host sends it once more.
    pub(crate) fn nack(
        &mut self,
        time: u64,
        host: &mut Host,
        peer: SocketAddrV4,
        (exchange, sent): &(u32, Sent),
    ) {
        let challenge = self.rng.u32(..);
        let nack = udp::nack(sent.id, Noise::some(&mut self.rng), PUBLIC, challenge);
        let ends = (host.end, peer);
        let note = |step| Note {
            state: None,
            step: Some((*exchange, step)),
        };
        self.datagram(time, ends, false, nack, note(Step::Answer));
        let rng = &mut self.rng;
        let resend = host.process.resend(rng, sent, challenge, *peer.ip());
        self.datagram(time + MS, ends, true, resend, note(Step::Resend));
    }

    /// The peer has it, and says whom it sees.
    pub(crate) fn ack(
        &mut self,
        time: u64,
        host: &Host,
        peer: SocketAddrV4,
        (exchange, sent): &(u32, Sent),
    ) {
        let noise = Noise::some(&mut self.rng);
        let ack = udp::ack(sent.id, noise, PUBLIC, self.rng.u32(..));
        let note = Note {
            state: None,
            step: Some((*exchange, Step::Answer)),
        };
        self.datagram(time, (host.end, peer), false, ack, note);
    }
}
