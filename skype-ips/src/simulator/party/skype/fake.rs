//! Hosts for tests, each with one program, on a network without loss or queues: what one sends is
//! with the other [`DELAY`] later, TCP in pieces as small as a test asks.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::simulator::net::program::{
    Connection, Datagram, Event, Failure, Ground, Host, Instant, Program,
};

/// One way, from host to host.
pub(crate) const DELAY: Duration = Duration::from_millis(20);

pub(crate) trait AnyProgram: Program + Any {}
impl<T: Program + Any> AnyProgram for T {}

#[derive(Debug)]
enum Wish {
    Datagram(u16, SocketAddrV4, Vec<u8>),
    Connect(Connection, SocketAddrV4),
    Write(Connection, Vec<u8>),
    Close(Connection),
    Abort(Connection),
    Timer(Duration, u64),
}

/// A host: what its program wants done waits in it.
#[derive(Debug)]
pub(crate) struct FakeHost {
    address: Ipv4Addr,
    rng: fastrand::Rng,
    now: Instant,
    bound: BTreeSet<u16>,
    pub(crate) listens: BTreeSet<u16>,
    wishes: Vec<Wish>,
    next: u64,
}

impl Host for FakeHost {
    fn now(&self) -> Instant {
        self.now
    }

    fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    fn bind(&mut self, port: u16, _ground: Ground) -> Option<u16> {
        let port = if port == 0 { 50_000 } else { port };
        self.bound.insert(port).then_some(port)
    }

    fn send(&mut self, port: u16, to: SocketAddrV4, payload: &[u8], _ground: Option<Ground>) {
        assert!(self.bound.contains(&port), "port {port} is bound");
        assert!(payload.len() <= 1472, "a datagram of {}", payload.len());
        let wish = Wish::Datagram(port, to, payload.to_vec());
        self.wishes.push(wish);
    }

    fn listen(&mut self, port: u16) -> bool {
        self.listens.insert(port)
    }

    fn connect(&mut self, to: SocketAddrV4, _ground: Ground) -> Connection {
        self.next += 1;
        let connection = Connection(self.next);
        self.wishes.push(Wish::Connect(connection, to));
        connection
    }

    fn write(&mut self, connection: Connection, bytes: &[u8]) {
        self.wishes.push(Wish::Write(connection, bytes.to_vec()));
    }

    fn waiting(&self, _connection: Connection) -> usize {
        0
    }

    fn close(&mut self, connection: Connection) {
        self.wishes.push(Wish::Close(connection));
    }

    fn abort(&mut self, connection: Connection) {
        self.wishes.push(Wish::Abort(connection));
    }

    fn timer(&mut self, after: Duration, token: u64) {
        self.wishes.push(Wish::Timer(after, token));
    }
}

#[derive(Debug)]
enum Happening {
    Datagram(usize, u16, SocketAddrV4, Vec<u8>),
    Connection(usize, Connection, Event),
    Timer(usize, u64),
}

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) at: Instant,
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) payload: Vec<u8>,
}

/// Bytes that one end wrote at a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) host: usize,
    pub(crate) connection: Connection,
    pub(crate) bytes: Vec<u8>,
}

/// The network.
pub(crate) struct FakeNet {
    hosts: Vec<(FakeHost, Box<dyn AnyProgram>)>,
    /// What others see a host as, by host.
    seen_as: Vec<Ipv4Addr>,
    queue: BTreeMap<(Instant, u64), Happening>,
    ends: BTreeMap<(usize, Connection), (usize, Connection)>,
    count: u64,
    /// Numbers of the datagrams, from 0 in the order in which they are sent, that get lost.
    pub(crate) lose: BTreeSet<usize>,
    /// Bytes of TCP that arrive at a stretch.
    pub(crate) piece: usize,
    /// All datagrams that were sent.
    pub(crate) datagrams: Vec<Crossing>,
    /// All bytes that were written.
    pub(crate) segments: Vec<Segment>,
}

impl FakeNet {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Vec::new(),
            seen_as: Vec::new(),
            queue: BTreeMap::new(),
            ends: BTreeMap::new(),
            count: 0,
            lose: BTreeSet::new(),
            piece: usize::MAX,
            datagrams: Vec::new(),
            segments: Vec::new(),
        }
    }

    /// Adds a host whose address others see as `seen_as`, and starts its program.
    pub(crate) fn add(
        &mut self,
        address: Ipv4Addr,
        seen_as: Ipv4Addr,
        program: impl AnyProgram,
    ) -> usize {
        let index = self.hosts.len();
        let host = FakeHost {
            address,
            rng: fastrand::Rng::with_seed(index as u64),
            now: self.now(),
            bound: BTreeSet::new(),
            listens: BTreeSet::new(),
            wishes: Vec::new(),
            next: 1000 * index as u64,
        };
        self.seen_as.push(seen_as);
        self.hosts.push((host, Box::new(program)));
        let (host, program) = &mut self.hosts[index];
        program.start(host);
        self.fulfil(index);
        index
    }

    /// Another seed for a host's chances than its number.
    pub(crate) fn reseed(&mut self, index: usize, seed: u64) {
        self.hosts[index].0.rng = fastrand::Rng::with_seed(seed);
    }

    fn now(&self) -> Instant {
        self.hosts
            .first()
            .map_or(Duration::ZERO, |(host, _)| host.now)
    }

    /// Lets a test speak with a program.
    pub(crate) fn with<T: Program + Any, R>(
        &mut self,
        index: usize,
        then: impl FnOnce(&mut T, &mut FakeHost) -> R,
    ) -> R {
        let (host, program) = &mut self.hosts[index];
        let program: &mut dyn Any = program.as_mut();
        let program = program.downcast_mut().expect("a program of that type");
        let result = then(program, host);
        self.fulfil(index);
        result
    }

    fn push(&mut self, after: Duration, happening: Happening) {
        self.count += 1;
        let at = self.now() + after;
        self.queue.insert((at, self.count), happening);
    }

    fn host_at(&self, address: Ipv4Addr) -> Option<usize> {
        self.seen_as.iter().position(|seen| *seen == address)
    }

    fn fulfil(&mut self, index: usize) {
        for wish in std::mem::take(&mut self.hosts[index].0.wishes) {
            match wish {
                Wish::Datagram(port, to, payload) => {
                    let from = SocketAddrV4::new(self.seen_as[index], port);
                    let lost = self.lose.contains(&self.datagrams.len());
                    self.datagrams.push(Crossing {
                        at: self.now(),
                        from,
                        to,
                        payload: payload.clone(),
                    });
                    if let Some(other) = self.host_at(*to.ip())
                        && !lost
                        && self.hosts[other].0.bound.contains(&to.port())
                    {
                        let arrival = Happening::Datagram(other, to.port(), from, payload);
                        self.push(DELAY, arrival);
                    }
                }
                Wish::Connect(connection, to) => {
                    let there = self.host_at(*to.ip());
                    let there =
                        there.filter(|there| self.hosts[*there].0.listens.contains(&to.port()));
                    let Some(there) = there else {
                        let event = Event::Failed(Failure::Reset);
                        self.push(2 * DELAY, Happening::Connection(index, connection, event));
                        continue;
                    };
                    self.hosts[there].0.next += 1;
                    let other = Connection(self.hosts[there].0.next);
                    self.ends.insert((index, connection), (there, other));
                    self.ends.insert((there, other), (index, connection));
                    let accepted = Event::Accepted {
                        port: to.port(),
                        peer: SocketAddrV4::new(self.seen_as[index], 40_000 + index as u16),
                    };
                    self.push(DELAY, Happening::Connection(there, other, accepted));
                    let event = Event::Connected;
                    self.push(2 * DELAY, Happening::Connection(index, connection, event));
                }
                Wish::Write(connection, bytes) => {
                    self.segments.push(Segment {
                        host: index,
                        connection,
                        bytes: bytes.clone(),
                    });
                    if let Some(&(there, other)) = self.ends.get(&(index, connection)) {
                        for piece in bytes.chunks(self.piece) {
                            let event = Event::Received(piece.to_vec());
                            self.push(DELAY, Happening::Connection(there, other, event));
                        }
                    }
                }
                Wish::Close(connection) => {
                    if let Some(&(there, other)) = self.ends.get(&(index, connection)) {
                        let event = Event::Finished;
                        self.push(DELAY, Happening::Connection(there, other, event));
                    }
                }
                Wish::Abort(connection) => {
                    if let Some((there, other)) = self.ends.remove(&(index, connection)) {
                        self.ends.remove(&(there, other));
                        let event = Event::Failed(Failure::Reset);
                        self.push(DELAY, Happening::Connection(there, other, event));
                    }
                }
                Wish::Timer(after, token) => self.push(after, Happening::Timer(index, token)),
            }
        }
    }

    /// Goes on for so long.
    pub(crate) fn run(&mut self, long: Duration) {
        let until = self.now() + long;
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= until
        {
            let ((at, _), happening) = entry.remove_entry();
            self.set_now(at);
            let index = match happening {
                Happening::Datagram(index, port, from, payload) => {
                    let (host, program) = &mut self.hosts[index];
                    let payload = payload.as_slice();
                    let datagram = Datagram {
                        port,
                        from,
                        payload,
                    };
                    program.datagram(host, datagram);
                    index
                }
                Happening::Connection(index, connection, event) => {
                    let (host, program) = &mut self.hosts[index];
                    program.connection(host, connection, event);
                    index
                }
                Happening::Timer(index, token) => {
                    let (host, program) = &mut self.hosts[index];
                    program.timer(host, token);
                    index
                }
            };
            self.fulfil(index);
        }
        self.set_now(until);
    }

    fn set_now(&mut self, now: Instant) {
        for (host, _) in &mut self.hosts {
            host.now = now;
        }
    }
}
