//! The TCP of one host: smoltcp behind events.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use rustc_hash::FxBuildHasher;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};

use super::packet::{Header, MTU, Segment, renumber};
use super::program::{Connection, Event, Failure, Ground, Instant};

/// Bytes of a connection's window either way: what hosts of the time began with.
const BUFFER: usize = 64 * 1024;
/// How long a SYN is repeated: Windows' three tries took 21 s.
const CONNECT_LIMIT: time::Duration = time::Duration::from_secs(21);
/// How long bytes are repeated before a connection is given up; systems take minutes, programs
/// less.
const SILENCE_LIMIT: time::Duration = time::Duration::from_secs(60);
/// Ports that connections leave from (RFC 6335).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// What happened, and to which program's connection.
#[derive(Debug)]
pub(super) struct Happened {
    pub(super) program: usize,
    pub(super) connection: Connection,
    pub(super) event: Event,
}

struct Entry {
    handle: SocketHandle,
    program: usize,
    port: u16,
    peer: SocketAddrV4,
    accepted: bool,
    opened: bool,
    finished: bool,
    closing: bool,
    reset: bool,
    /// Pieces that don't fit the socket's buffer yet.
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
}

/// The stack.
pub(super) struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    device: Queues,
    entries: BTreeMap<Connection, Entry>,
    by_ends: BTreeMap<(u16, SocketAddrV4), Connection>,
    /// What connections are, and were: resets come when they are over.
    grounds: HashMap<(u16, SocketAddrV4), Ground, FxBuildHasher>,
    /// The sequence number behind all that was sent.
    next: HashMap<(u16, SocketAddrV4), u32, FxBuildHasher>,
    address: Ipv4Addr,
    next_port: u16,
    /// Connections that can't be asked for.
    refused: Vec<Happened>,
}

impl Stack {
    pub(super) fn new(address: Ipv4Addr, rng: &mut fastrand::Rng) -> Self {
        let mut device = Queues::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = rng.u64(..);
        let mut interface = Interface::new(config, &mut device, time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(address), 32))
                .expect("there is room for one");
        });
        interface
            .routes_mut()
            .add_default_ipv4_route(address)
            .expect("there is room for one");
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            device,
            entries: BTreeMap::new(),
            by_ends: BTreeMap::new(),
            grounds: HashMap::default(),
            next: HashMap::default(),
            address,
            next_port: rng.u16(EPHEMERAL),
            refused: Vec::new(),
        }
    }

    /// Asks for a connection.
    pub(super) fn connect(
        &mut self,
        id: Connection,
        program: usize,
        to: SocketAddrV4,
        ground: Ground,
    ) {
        let port = loop {
            let port = self.next_port;
            self.next_port = if port == *EPHEMERAL.end() {
                *EPHEMERAL.start()
            } else {
                port + 1
            };
            if !self.by_ends.contains_key(&(port, to)) {
                break port;
            }
        };
        let mut socket = socket();
        let remote = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
        let local = (IpAddress::Ipv4(self.address), port);
        let asked = socket.connect(self.interface.context(), remote, local);
        // Port 0 or address 0: nobody answers there.
        if asked.is_err() {
            self.refused.push(Happened {
                program,
                connection: id,
                event: Event::Failed(Failure::TimedOut),
            });
            return;
        }
        self.add(id, program, socket, (port, to), ground, false);
    }

    fn add(
        &mut self,
        id: Connection,
        program: usize,
        socket: Socket<'static>,
        (port, peer): (u16, SocketAddrV4),
        ground: Ground,
        accepted: bool,
    ) {
        self.by_ends.insert((port, peer), id);
        self.grounds.insert((port, peer), ground);
        let entry = Entry {
            handle: self.sockets.add(socket),
            program,
            port,
            peer,
            accepted,
            opened: false,
            finished: false,
            closing: false,
            reset: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        };
        self.entries.insert(id, entry);
    }

    /// A packet has come. `listener` is the program that listens on its port, if one does; `id`
    /// the name of the connection that may begin.
    pub(super) fn receive(
        &mut self,
        header: &Header,
        packet: Vec<u8>,
        ground: Ground,
        listener: Option<usize>,
        id: Connection,
    ) {
        let ends = (header.destination.port(), header.source);
        match (self.by_ends.get(&ends), listener) {
            (Some(id), _) => {
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.reset |= header.resets;
                }
            }
            (None, Some(program)) if header.opens => {
                let mut socket = socket();
                if socket.listen(ends.0).is_ok() {
                    self.add(id, program, socket, ends, ground, true);
                }
            }
            _ => {}
        }
        self.device.received.push_back(packet);
    }

    pub(super) fn write(&mut self, id: Connection, bytes: &[u8]) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if !entry.closing && !bytes.is_empty() {
            entry.waiting.push_back(bytes.to_vec());
            entry.waiting_bytes += bytes.len();
            Self::fill(&mut self.sockets, entry);
            if entry.opened {
                let socket = self.sockets.get_mut::<Socket<'_>>(entry.handle);
                socket.set_timeout(Some(SILENCE_LIMIT));
            }
        }
    }

    /// Moves what waits into the socket's buffer as far as there is room.
    fn fill(sockets: &mut SocketSet<'static>, entry: &mut Entry) {
        let socket = sockets.get_mut::<Socket<'_>>(entry.handle);
        if !entry.opened || !socket.may_send() {
            return;
        }
        while let Some(piece) = entry.waiting.front_mut() {
            let taken = socket.send_slice(piece).unwrap_or(0);
            entry.waiting_bytes -= taken;
            if taken < piece.len() {
                piece.drain(..taken);
                return;
            }
            entry.waiting.pop_front();
        }
        if entry.closing {
            socket.close();
        }
    }

    /// The own port and the other end of a connection that is not over.
    pub(super) fn ends(&self, id: Connection) -> Option<(u16, SocketAddrV4)> {
        let entry = self.entries.get(&id)?;
        Some((entry.port, entry.peer))
    }

    pub(super) fn waiting(&self, id: Connection) -> usize {
        self.entries.get(&id).map_or(0, |entry| {
            let socket = self.sockets.get::<Socket<'_>>(entry.handle);
            entry.waiting_bytes + socket.send_queue()
        })
    }

    pub(super) fn close(&mut self, id: Connection) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.closing = true;
        if entry.opened {
            Self::fill(&mut self.sockets, entry);
        } else {
            self.abort(id);
        }
    }

    pub(super) fn abort(&mut self, id: Connection) {
        if let Some(entry) = self.entries.remove(&id) {
            self.by_ends.remove(&(entry.port, entry.peer));
            self.sockets.get_mut::<Socket<'_>>(entry.handle).abort();
            // The reset goes out with the next poll, which forgets the socket.
            self.device.ending.push(entry.handle);
        }
    }

    /// Lets the stack work, and says what happened.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Happened> {
        let time = stamp(now);
        self.interface
            .poll(time, &mut self.device, &mut self.sockets);
        for handle in std::mem::take(&mut self.device.ending) {
            self.sockets.remove(handle);
        }
        let mut happened = std::mem::take(&mut self.refused);
        let mut over = Vec::new();
        for (id, entry) in &mut self.entries {
            if Self::look(&mut self.sockets, *id, entry, &mut happened) {
                over.push(*id);
            }
        }
        for id in over {
            if let Some(entry) = self.entries.remove(&id) {
                self.by_ends.remove(&(entry.port, entry.peer));
                self.sockets.remove(entry.handle);
            }
        }
        // What was written meanwhile, and windows that have opened.
        self.interface
            .poll(time, &mut self.device, &mut self.sockets);
        happened
    }

    /// What has become of a connection; whether it is over.
    fn look(
        sockets: &mut SocketSet<'static>,
        id: Connection,
        entry: &mut Entry,
        happened: &mut Vec<Happened>,
    ) -> bool {
        let mut tell = |event| {
            happened.push(Happened {
                program: entry.program,
                connection: id,
                event,
            });
        };
        let socket = sockets.get_mut::<Socket<'_>>(entry.handle);
        let state = socket.state();
        let established = !matches!(
            state,
            State::Closed | State::Listen | State::SynSent | State::SynReceived
        );
        if established && !entry.opened {
            entry.opened = true;
            tell(if entry.accepted {
                Event::Accepted {
                    port: entry.port,
                    peer: entry.peer,
                }
            } else {
                Event::Connected
            });
        }
        while socket.can_recv() {
            let received = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            match received {
                Ok(bytes) if !bytes.is_empty() => tell(Event::Received(bytes)),
                _ => break,
            }
        }
        if established && !entry.finished && !socket.may_recv() {
            entry.finished = true;
            tell(Event::Finished);
        }
        if matches!(state, State::Closed | State::Listen) {
            let orderly = entry.finished && entry.closing;
            let known = entry.opened || !entry.accepted;
            if known && !orderly {
                tell(Event::Failed(if entry.reset {
                    Failure::Reset
                } else {
                    Failure::TimedOut
                }));
            }
            return true;
        }
        Self::fill(sockets, entry);
        if established {
            let socket = sockets.get_mut::<Socket<'_>>(entry.handle);
            // smoltcp's limit would end idle connections too.
            let asks = socket.send_queue() > 0
                || matches!(
                    socket.state(),
                    State::FinWait1 | State::Closing | State::LastAck
                );
            socket.set_timeout(asks.then_some(SILENCE_LIMIT));
        }
        false
    }

    /// Sends what can be sent of what was written.
    pub(super) fn flush(&mut self, now: Instant) {
        let time = stamp(now);
        self.interface
            .poll_egress(time, &mut self.device, &mut self.sockets);
    }

    /// Packets that the stack has sent since the last call.
    pub(super) fn sent(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut sent = std::mem::take(&mut self.device.sent);
        let packets = sent.drain(..).filter_map(|mut packet| {
            let header = Header::read(&packet)?;
            self.number(&header, &mut packet);
            Some((header, packet))
        });
        packets.collect()
    }

    /// Has a bare acknowledgement stand behind all that was sent, as RFC 9293 wants it (section
    /// 3.10.8: SND.NXT). smoltcp goes back to what it repeats, and takes no word from who stands
    /// behind the window: two ends that lost something at once would wait for each other for ever.
    fn number(&mut self, header: &Header, packet: &mut [u8]) {
        let segment = Segment::read(packet);
        let ends = (header.source.port(), header.destination);
        let next = self.next.entry(ends).or_insert(segment.behind);
        let ahead = segment.behind.wrapping_sub(*next) as i32;
        if ahead > 0 || segment.syn {
            *next = segment.behind;
        } else if ahead < 0 && segment.bare {
            renumber(packet, *next);
        }
    }

    /// When [`Stack::poll`] is to be called next.
    pub(super) fn next_poll(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(stamp(now), &self.sockets)?;
        let at = Duration::from_micros(at.total_micros().max(0) as u64);
        // A microsecond at least: the stack counts in whole ones.
        Some(at.max(now + Duration::from_micros(1)))
    }

    /// What a connection is or was; for packets of none, `otherwise`.
    pub(super) fn ground(&self, ends: (u16, SocketAddrV4), otherwise: Ground) -> Ground {
        self.grounds.get(&ends).copied().unwrap_or(otherwise)
    }
}

fn stamp(now: Instant) -> time::Instant {
    time::Instant::from_micros(now.as_micros() as i64)
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_congestion_control(CongestionControl::Cubic);
    socket.set_timeout(Some(CONNECT_LIMIT));
    socket
}

/// The stack's side of the link.
#[derive(Default)]
struct Queues {
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    /// Sockets that have one more packet to send.
    ending: Vec<SocketHandle>,
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: time::Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Received(packet), Sending(&mut self.sent)))
    }

    fn transmit(&mut self, _now: time::Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        let mut checksums = ChecksumCapabilities::default();
        // A real gateway may leave them to the device that there isn't.
        checksums.tcp = smoltcp::phy::Checksum::Tx;
        capabilities.checksum = checksums;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut packet = vec![0; len];
        let result = fill(&mut packet);
        self.0.push(packet);
        result
    }
}
