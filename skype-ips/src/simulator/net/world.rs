//! Hosts, networks, and what happens when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use fastrand::Rng;
use rustc_hash::FxBuildHasher;

use super::account::{Accounts, Rates};
use super::host::View;
use super::link::Link;
use super::nat::Nat;
use super::packet::{self, Header, Protocol};
use super::program::{Between, Connection, Datagram, Doing, Ground, Host, Instant, Program};
use super::spec::{
    Blocked, Crossing, HostId, HostSpec, NetworkId, NetworkSpec, ProgramId, Side, WorldSpec,
};
use super::tcp::Stack;

struct Network {
    spec: NetworkSpec,
    router: Option<Nat>,
}

/// What a host is made of.
pub(super) struct HostState {
    pub(super) address: Ipv4Addr,
    pub(super) rng: Rng,
    pub(super) stack: Stack,
    network: usize,
    up: Link,
    down: Link,
    udp: BTreeMap<u16, (usize, Ground)>,
    listeners: BTreeMap<u16, usize>,
    conversations: HashMap<(u16, SocketAddrV4), Ground, FxBuildHasher>,
    identification: u16,
    poll_due: Option<Instant>,
    /// What the last TCP packet was of that came: a reset of no connection is that too.
    last_tcp: Ground,
    rates: Rates,
}

impl HostState {
    pub(super) fn bind(&mut self, port: u16, program: usize, ground: Ground) -> Option<u16> {
        let port = match port {
            0 => (0..1000)
                .map(|_| self.rng.u16(49_152..=65_535))
                .find(|port| !self.udp.contains_key(port))?,
            port => port,
        };
        match self.udp.get(&port) {
            Some((owner, _)) if *owner != program => None,
            _ => {
                self.udp.insert(port, (program, ground));
                Some(port)
            }
        }
    }

    pub(super) fn listen(&mut self, port: u16, program: usize) -> bool {
        *self.listeners.entry(port).or_insert(program) == program
    }
}

enum What {
    /// A packet has gone up a host's link.
    Left {
        host: usize,
        packet: Vec<u8>,
        ground: Ground,
    },
    /// A packet has come down a host's link.
    Came {
        host: usize,
        packet: Vec<u8>,
        ground: Ground,
    },
    /// A host's TCP has something to do.
    Poll { host: usize },
    /// A program's timer.
    Timer { program: usize, token: u64 },
    /// A program begins.
    Start { program: usize },
}

struct Due {
    at: Instant,
    number: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The network with all that runs on it. `P` is the programs' trait.
pub struct World<P: Program + ?Sized> {
    spec: WorldSpec,
    now: Instant,
    networks: Vec<Network>,
    pub(super) hosts: Vec<HostState>,
    /// Hosts by address, and by their home network if they have one: homes share addresses.
    by_address: HashMap<(Option<usize>, Ipv4Addr), usize, FxBuildHasher>,
    routers: HashMap<Ipv4Addr, usize, FxBuildHasher>,
    /// Each with its host; taken out while it is at work.
    programs: Vec<(usize, Option<Box<P>>)>,
    due: BinaryHeap<Reverse<Due>>,
    next_number: u64,
    next_connection: u64,
    crossing: Vec<Crossing>,
    accounts: Accounts,
}

impl<P: Program + ?Sized> std::fmt::Debug for World<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("hosts", &self.hosts.len())
            .field("programs", &self.programs.len())
            .finish_non_exhaustive()
    }
}

impl<P: Program + ?Sized> World<P> {
    /// An empty one, at time 0.
    pub fn new(spec: WorldSpec) -> Self {
        Self {
            spec,
            now: Instant::ZERO,
            networks: Vec::new(),
            hosts: Vec::new(),
            by_address: HashMap::default(),
            routers: HashMap::default(),
            programs: Vec::new(),
            due: BinaryHeap::new(),
            next_number: 0,
            next_connection: 0,
            crossing: Vec::new(),
            accounts: Accounts::default(),
        }
    }

    /// Adds a network. That networks don't overlap is the caller's business.
    pub fn add_network(&mut self, spec: NetworkSpec) -> NetworkId {
        let number = self.networks.len();
        if let Some((public, _)) = spec.router {
            self.routers.insert(public, number);
        }
        self.networks.push(Network {
            spec,
            router: spec.router.map(|(public, kind)| Nat::new(public, kind)),
        });
        NetworkId(number)
    }

    /// Adds a host. Its address must be its own among public and inside ones, and within a home.
    pub fn add_host(&mut self, spec: HostSpec) -> HostId {
        let number = self.hosts.len();
        // Every host draws from its own source: one more host changes nothing for the others.
        let mut rng = Rng::with_seed(self.spec.seed ^ u64::from(spec.address.to_bits()) << 20);
        let home = self.home(spec.network.0);
        self.by_address.insert((home, spec.address), number);
        self.hosts.push(HostState {
            address: spec.address,
            stack: Stack::new(spec.address, &mut rng),
            network: spec.network.0,
            up: Link::new(spec.up, rng.fork()),
            down: Link::new(spec.down, rng.fork()),
            udp: BTreeMap::new(),
            listeners: BTreeMap::new(),
            conversations: HashMap::default(),
            identification: rng.u16(..),
            poll_due: None,
            last_tcp: Ground::other("TCP"),
            rates: Rates::default(),
            rng,
        });
        HostId(number)
    }

    /// Puts a program on a host; it starts `at` that time.
    pub fn add_program(&mut self, host: HostId, program: Box<P>, at: Instant) -> ProgramId {
        let number = self.programs.len();
        self.programs.push((host.0, Some(program)));
        self.schedule(at, What::Start { program: number });
        ProgramId(number)
    }

    /// The time that it has been told last.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A program, to ask it for its figures.
    pub fn program(&self, id: ProgramId) -> &P {
        let (_, program) = &self.programs[id.0];
        program.as_deref().expect("no program is at work")
    }

    /// Has a program do something now.
    pub fn with_program<R>(
        &mut self,
        id: ProgramId,
        work: impl FnOnce(&mut P, &mut dyn Host) -> R,
    ) -> R {
        self.at_work(id.0, work)
    }

    /// A host's own address.
    pub fn address(&self, host: HostId) -> Ipv4Addr {
        self.hosts[host.0].address
    }

    /// Bytes that a host sent and received, second by second.
    pub fn rates(&self, host: HostId) -> &Rates {
        &self.hosts[host.0].rates
    }

    /// What crossed the gateway so far.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Has the accounts keep a [`Ledger`](super::Ledger) from now on.
    pub fn keep_ledger(&mut self) {
        self.accounts.keep_ledger();
    }

    /// The gateway's own outside address.
    pub fn gateway(&self) -> Ipv4Addr {
        self.spec.gateway
    }

    /// The networks, in the order in which they were added.
    pub fn networks(&self) -> impl Iterator<Item = &NetworkSpec> {
        self.networks.iter().map(|network| &network.spec)
    }

    /// When something happens next by itself.
    pub fn next_event(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    /// It is `now`: everything happens that is due by then. Time doesn't go back.
    pub fn advance(&mut self, now: Instant) {
        while self.next_event().is_some_and(|at| at <= now)
            && let Some(Reverse(due)) = self.due.pop()
        {
            self.now = self.now.max(due.at);
            self.happen(due.what);
        }
        self.now = self.now.max(now);
    }

    /// It is `now`, and nothing happens yet that isn't past due: time passes up to the next event
    /// at the most.
    pub fn pass(&mut self, now: Instant) {
        let limit = self.next_event().unwrap_or(now);
        self.now = self.now.max(now.min(limit));
    }

    /// As [`World::advance`], but one event at the most, so that a simulated gateway can take what
    /// crosses at its time.
    pub fn step(&mut self) {
        if let Some(Reverse(due)) = self.due.pop() {
            self.now = self.now.max(due.at);
            self.happen(due.what);
        }
    }

    /// What the gateway is to forward, in order.
    pub fn take_crossing(&mut self) -> Vec<Crossing> {
        std::mem::take(&mut self.crossing)
    }

    /// A packet has come out of the gateway on `side` now. Says what its conversation is, if it is
    /// of one.
    pub fn arrived(&mut self, side: Side, mut packet: Vec<u8>) -> Option<Ground> {
        let Some(header) = Header::read(&packet) else {
            self.accounts.strays += 1;
            return None;
        };
        let from = match (side, self.inside_network(*header.source.ip())) {
            (_, Some(_)) => Side::Inside,
            (Side::Inside, None) => Side::Outside,
            (Side::Outside, None) => Side::Inside,
        };
        let Some(ground) = self
            .accounts
            .emerged((self.now, side), from, &header, &packet)
        else {
            self.accounts.strays += 1;
            return None;
        };
        let blocked = side == Side::Outside && self.blocked_for(*header.source.ip()).stops(&header);
        if !blocked {
            self.deliver(&header, &mut packet, ground);
        }
        Some(ground)
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Left {
                host,
                packet,
                ground,
            } => self.left(host, packet, ground),
            What::Came {
                host,
                packet,
                ground,
            } => self.came(host, packet, ground),
            What::Poll { host } => {
                if self.hosts[host].poll_due.is_some_and(|at| at <= self.now) {
                    self.hosts[host].poll_due = None;
                    self.poll(host);
                }
            }
            What::Timer { program, token } => {
                self.at_work(program, |program, host| program.timer(host, token));
            }
            What::Start { program } => self.at_work(program, |program, host| program.start(host)),
        }
    }

    /// A packet is on its network, past its host's link.
    fn left(&mut self, host: usize, mut packet: Vec<u8>, ground: Ground) {
        let number = self.hosts[host].network;
        let Some(mut header) = Header::read(&packet) else {
            return;
        };
        let network = &mut self.networks[number];
        if network.spec.subnet.contains(header.destination.ip()) {
            self.deliver_within(number, &header, packet, ground);
            return;
        }
        if network.spec.side == Side::Inside {
            self.cross(Side::Inside, &header, packet, ground);
            return;
        }
        if network.spec.blocked.stops(&header) {
            return;
        }
        if let Some(router) = &mut network.router {
            if !packet::hop(&mut packet) || !router.outbound(&header, &mut packet) {
                return;
            }
            header.source = match Header::read(&packet) {
                Some(header) => header.source,
                None => return,
            };
        }
        let destination = *header.destination.ip();
        let towards = self.inside_network(destination);
        if towards.is_some() || destination == self.spec.gateway {
            if !self.blocked_for(destination).stops(&header) {
                self.cross(Side::Outside, &header, packet, ground);
            }
            return;
        }
        self.deliver(&header, &mut packet, ground);
    }

    /// What the firewall between an inside address, or the gateway's, and the Internet stops.
    fn blocked_for(&self, address: Ipv4Addr) -> Blocked {
        let inside = self.networks.iter().map(|network| &network.spec);
        inside
            .filter(|spec| spec.side == Side::Inside)
            .filter(|spec| {
                spec.subnet.contains(&address) || spec.translated && address == self.spec.gateway
            })
            .fold(Blocked::default(), |all, spec| all.or(spec.blocked))
    }

    fn inside_network(&self, address: Ipv4Addr) -> Option<&Network> {
        let mut networks = self.networks.iter();
        networks.find(|network| {
            network.spec.side == Side::Inside && network.spec.subnet.contains(&address)
        })
    }

    /// A network that is a home behind a router of its own.
    fn home(&self, network: usize) -> Option<usize> {
        self.networks[network].router.is_some().then_some(network)
    }

    fn cross(&mut self, side: Side, header: &Header, packet: Vec<u8>, ground: Ground) {
        let public = *header.destination.ip() == self.spec.gateway;
        self.accounts
            .handed((self.now, side), header, &packet, (ground, public));
        self.crossing.push(Crossing {
            side,
            packet,
            ground,
        });
    }

    /// A packet that is past the gateway and the sender's router goes to its host.
    fn deliver(&mut self, header: &Header, packet: &mut Vec<u8>, ground: Ground) {
        let destination = *header.destination.ip();
        if let Some(number) = self.routers.get(&destination).copied() {
            let network = &self.networks[number];
            let Some(router) = &network.router else {
                return;
            };
            if network.spec.blocked.stops(header) || !router.inbound(header, packet) {
                return;
            }
            if packet::hop(packet)
                && let Some(header) = Header::read(packet)
            {
                self.deliver_within(number, &header, std::mem::take(packet), ground);
            }
            return;
        }
        match self.by_address.get(&(None, destination)).copied() {
            Some(host) => self.go_down(host, std::mem::take(packet), ground),
            None => self.accounts.strays += 1,
        }
    }

    fn deliver_within(&mut self, network: usize, header: &Header, packet: Vec<u8>, ground: Ground) {
        let destination = *header.destination.ip();
        let place = (self.home(network), destination);
        if let Some(host) = self.by_address.get(&place).copied() {
            self.go_down(host, packet, ground);
        }
    }

    fn go_up(&mut self, host: usize, packet: Vec<u8>, ground: Ground) {
        let now = self.now;
        let state = &mut self.hosts[host];
        state.rates.add(now, false, ground.skype, packet.len());
        if let Some(at) = state.up.carry(now, packet.len()) {
            self.schedule(
                at,
                What::Left {
                    host,
                    packet,
                    ground,
                },
            );
        }
    }

    fn go_down(&mut self, host: usize, packet: Vec<u8>, ground: Ground) {
        let now = self.now;
        if let Some(at) = self.hosts[host].down.carry(now, packet.len()) {
            self.schedule(
                at,
                What::Came {
                    host,
                    packet,
                    ground,
                },
            );
        }
    }

    fn came(&mut self, host: usize, packet: Vec<u8>, ground: Ground) {
        let Some(header) = Header::read(&packet) else {
            return;
        };
        let now = self.now;
        let state = &mut self.hosts[host];
        state.rates.add(now, true, ground.skype, packet.len());
        let port = header.destination.port();
        match header.protocol {
            Protocol::Udp => {
                // Behind a closed port is a firewall that says nothing.
                let Some((program, _)) = state.udp.get(&port).copied() else {
                    return;
                };
                state
                    .conversations
                    .entry((port, header.source))
                    .or_insert(ground);
                self.at_work(program, |program, view| {
                    let datagram = Datagram {
                        port,
                        from: header.source,
                        payload: packet::datagram(&packet),
                    };
                    program.datagram(view, datagram);
                });
            }
            Protocol::Tcp => {
                let id = self.new_connection();
                let state = &mut self.hosts[host];
                state.last_tcp = ground;
                let listener = state.listeners.get(&port).copied();
                state.stack.receive(&header, packet, ground, listener, id);
                self.poll(host);
            }
        }
    }

    /// Lets a host's TCP work and tells its programs what happened.
    fn poll(&mut self, host: usize) {
        let happened = self.hosts[host].stack.poll(self.now);
        self.flush(host);
        for event in happened {
            self.at_work(event.program, |program, view| {
                program.connection(view, event.connection, event.event);
            });
        }
    }

    /// Sends off what a host's TCP has to send.
    pub(super) fn flush(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        state.stack.flush(self.now);
        for (header, packet) in state.stack.sent() {
            // A reset for a packet of no connection is what that packet was.
            let state = &self.hosts[host];
            let ends = (header.source.port(), header.destination);
            let ground = state.stack.ground(ends, state.last_tcp);
            self.go_up(host, packet, ground);
        }
        let state = &mut self.hosts[host];
        if let Some(at) = state.stack.next_poll(self.now)
            && state.poll_due.is_none_or(|due| at < due)
        {
            state.poll_due = Some(at);
            self.schedule(at, What::Poll { host });
        }
    }

    pub(super) fn send_datagram(
        &mut self,
        host: usize,
        port: u16,
        to: SocketAddrV4,
        payload: &[u8],
        ground: Option<Ground>,
    ) {
        let state = &mut self.hosts[host];
        let Some((_, bound)) = state.udp.get(&port).copied() else {
            return;
        };
        let ground = *state
            .conversations
            .entry((port, to))
            .or_insert(ground.unwrap_or(bound));
        state.identification = state.identification.wrapping_add(1);
        let source = SocketAddrV4::new(state.address, port);
        let packet = packet::udp(source, to, state.identification, payload);
        self.go_up(host, packet, ground);
    }

    pub(super) fn new_connection(&mut self) -> Connection {
        self.next_connection += 1;
        Connection(self.next_connection)
    }

    pub(super) fn note(&mut self, host: usize, between: Between, doing: Doing) {
        let state = &self.hosts[host];
        let (protocol, port, peer) = match between {
            Between::Datagrams(port, peer) => (Protocol::Udp, port, peer),
            Between::Connection(connection) => match state.stack.ends(connection) {
                Some((port, peer)) => (Protocol::Tcp, port, peer),
                None => return,
            },
        };
        if self.networks[state.network].spec.side == Side::Inside {
            let own = SocketAddrV4::new(state.address, port);
            self.accounts.note(self.now, protocol, (own, peer), doing);
        }
    }

    pub(super) fn set_timer(&mut self, program: usize, after: Duration, token: u64) {
        self.schedule(self.now + after, What::Timer { program, token });
    }

    fn schedule(&mut self, at: Instant, what: What) {
        self.next_number += 1;
        self.due.push(Reverse(Due {
            at,
            number: self.next_number,
            what,
        }));
    }

    fn at_work<R>(&mut self, number: usize, work: impl FnOnce(&mut P, &mut dyn Host) -> R) -> R {
        let (host, program) = &mut self.programs[number];
        let host = *host;
        let mut program = program.take().expect("a program is at work once at a time");
        let mut view = View {
            world: self,
            host,
            program: number,
        };
        let result = work(&mut program, &mut view);
        self.programs[number].1 = Some(program);
        result
    }
}
