//! One program's datagrams: everything leaves from its one listening port and comes to it.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::super::Generation;
use super::message::Message;
use crate::simulator::net::program::{Datagram, Ground, Host};
use crate::simulator::speech::Process;

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request(pub u64);

/// What has come, or has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message that is no answer to a request of ours. Repetitions of one that was answered or
    /// acknowledged are answered by the endpoint and not told.
    Message {
        /// Who sent it.
        from: SocketAddrV4,
        /// Its ID: [`Endpoint::answer`] and [`Endpoint::acknowledge`] want it back.
        id: u16,
        /// It.
        message: Message,
    },
    /// The answer to a request, in one datagram or in fragments.
    Answer {
        /// Which request.
        request: Request,
        /// Who answered.
        from: SocketAddrV4,
        /// The answer.
        message: Message,
    },
    /// A request has been acknowledged (type 5). No answer follows.
    Acknowledged {
        /// Which request.
        request: Request,
        /// Who acknowledged.
        from: SocketAddrV4,
    },
    /// A request was not answered in time, however often it was sent.
    GivenUp {
        /// Which request.
        request: Request,
        /// Whom it was sent to.
        to: SocketAddrV4,
    },
    /// Somebody has told this program's own public address, and it is new.
    Named {
        /// The address.
        address: Ipv4Addr,
        /// Who told it.
        by: SocketAddrV4,
    },
    /// Media (type d).
    Media {
        /// Who sent them.
        from: SocketAddrV4,
        /// Of which session.
        session: u32,
        /// They.
        body: Vec<u8>,
    },
    /// Three bytes that keep a path open.
    KeepAlive {
        /// Who sent them.
        from: SocketAddrV4,
    },
}

/// Timers of endpoints have this bit in their token; no other timer of a program may.
pub const TIMER: u64 = 1 << 63;
/// Payload bytes of a datagram with media beyond the media themselves.
pub const MEDIA_HEAD: usize = 11;

/// One program's UDP side.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The program's generator and message IDs. TCP sessions draw from it too.
    pub process: Process,
    generation: Generation,
    port: u16,
    public: Option<Ipv4Addr>,
}

impl Endpoint {
    /// An endpoint that is not bound yet. `public` is the program's address as others see it, if
    /// it knows already; a client that starts does not.
    pub fn new(process: Process, generation: Generation, public: Option<Ipv4Addr>) -> Self {
        Self {
            process,
            generation,
            port: 0,
            public,
        }
    }

    /// Takes its port; `false` if another program has it. Without, everything sent is lost.
    pub fn bind(&mut self, host: &mut dyn Host, port: u16, ground: Ground) -> bool {
        self.port = port;
        host.bind(port, ground).is_some()
    }

    /// The program's address as others see it, as far as anybody has told.
    pub fn public(&self) -> Option<Ipv4Addr> {
        self.public
    }

    /// Which generation it speaks.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Sends a message that must be answered or acknowledged, and again at +2.05 s and +6.06 s
    /// (measured) until it is. [`Received::Answer`], [`Received::Acknowledged`] or
    /// [`Received::GivenUp`] follows.
    pub fn request(
        &mut self,
        _host: &mut dyn Host,
        _to: SocketAddrV4,
        _message: &Message,
    ) -> Request {
        Request(0)
    }

    /// The same, sent only once, and given up after `patience`.
    pub fn ask_once(
        &mut self,
        _host: &mut dyn Host,
        _to: SocketAddrV4,
        _message: &Message,
    ) -> Request {
        Request(0)
    }

    /// Forgets a request: whatever follows is nobody's business, and it is not sent again.
    pub fn forget(&mut self, _request: Request) {}

    /// Answers a message by another in one datagram, which nobody acknowledges.
    pub fn answer(
        &mut self,
        _host: &mut dyn Host,
        _to: SocketAddrV4,
        _id: u16,
        _message: &Message,
    ) {
    }

    /// Answers a message by `len` bytes in two sets of fragments, as searches are answered.
    pub fn answer_in_fragments(
        &mut self,
        _host: &mut dyn Host,
        _to: SocketAddrV4,
        _id: u16,
        _message: &Message,
        _len: usize,
    ) {
    }

    /// Acknowledges a message (type 5).
    pub fn acknowledge(&mut self, _host: &mut dyn Host, _to: SocketAddrV4, _id: u16) {}

    /// Sends media of a session (type d): a datagram with [`MEDIA_HEAD`] bytes more than `body`.
    pub fn media(&mut self, _host: &mut dyn Host, _to: SocketAddrV4, _session: u32, _body: &[u8]) {}

    /// Sends the three bytes that keep a path open.
    pub fn keep_alive(&mut self, _host: &mut dyn Host, _to: SocketAddrV4) {}

    /// A datagram has come to the port. What can't be read is refused (NACK) here, a NACK answered
    /// by sending again.
    pub fn receive(&mut self, _host: &mut dyn Host, _datagram: Datagram<'_>) -> Vec<Received> {
        Vec::new()
    }

    /// A timer has run out: `None` if it is not an endpoint's.
    pub fn timer(&mut self, _host: &mut dyn Host, token: u64) -> Option<Vec<Received>> {
        (token & TIMER != 0).then(Vec::new)
    }
}
