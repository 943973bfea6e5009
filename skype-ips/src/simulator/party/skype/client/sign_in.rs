//! Signing in: a super node that takes this client, then the login server, then the event server;
//! and staying so.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::super::login::Progress;
use super::super::message::Message;
use super::ladder::{Ladder, Step};
use super::lines::{Language, Purpose};
use super::{Asked, ClientProgram};
use crate::simulator::net::program::{Connection, Host, Instant};
use crate::simulator::party::ServerKind;

/// How long a super node is given to take a client that is connected.
const REGISTER_PATIENCE: Duration = Duration::from_secs(6);
/// How long a server is given, opening and all.
const SERVER_PATIENCE: Duration = Duration::from_secs(6);
/// A client that has given up tries again after so long, later after longer.
const RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: u32 = 10;
/// Servers that don't answer are tried again after so long.
const SERVER_RETRY: Duration = Duration::from_secs(30);
/// Between two signs of life over TCP (Baset: about a minute).
const TCP_ALIVE: Duration = Duration::from_secs(60);
/// How long the answer to one may take before the super node is taken for gone.
const TCP_PATIENCE: Duration = Duration::from_secs(12);
/// Seconds between two datagrams that keep the way to the super nodes open (spikes at 20 s, Rossi
/// 2008).
const UDP_ALIVE: std::ops::RangeInclusive<u64> = 18..=24;
/// Super nodes that are asked in turn whether they are still there.
const WATCHED: usize = 8;
/// Seconds between two announcements, of which the first comes soon after signing in.
const ANNOUNCE: std::ops::RangeInclusive<u64> = 240..=420;

/// The super node that has taken this client.
#[derive(Clone, Copy, Debug)]
struct Home {
    line: Connection,
    /// Where it listens.
    address: SocketAddrV4,
    /// Under which address it sees this client.
    seen: Ipv4Addr,
    next_alive: Instant,
    /// Something that must come by then shows that it lives.
    expected: Option<Instant>,
}

/// A server of the service, while it is being asked.
#[derive(Clone, Debug, Default)]
struct Asking {
    /// Where it is tried next.
    next: usize,
    line: Option<Connection>,
    /// When the present try has failed, or the next one begins.
    until: Instant,
    done: bool,
}

/// How far a client has come with signing in.
#[derive(Debug, Default)]
pub(super) struct SignIn {
    ladder: Option<Ladder>,
    next_step: Instant,
    attempts: u32,
    /// Ways that this attempt has tried.
    ways: Vec<&'static str>,
    retry: Option<Instant>,
    /// The connection over which a super node was asked, and when that is given up.
    registering: Option<(Connection, Instant)>,
    home: Option<Home>,
    login: Asking,
    event: Asking,
    next_ping: Instant,
    next_announcement: Instant,
    pinged: usize,
    /// When it was signed in first.
    pub(super) first: Option<Instant>,
    /// Ways that were tried, of all attempts.
    pub(super) tried: Vec<&'static str>,
}

impl SignIn {
    /// All is forgotten but what the figures say.
    pub(super) fn reset(&mut self) {
        *self = Self {
            first: self.first,
            tried: std::mem::take(&mut self.tried),
            ..Self::default()
        };
    }

    /// When something is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        let step = self.ladder.as_ref().map(|_| self.next_step);
        let registering = self.registering.map(|(_, until)| until);
        let home = self.home.map(|home| {
            let alive = home.expected.unwrap_or(home.next_alive);
            let asking = match (self.login.done, self.event.done) {
                (false, _) => self.login.until,
                (true, false) => self.event.until,
                (true, true) => alive,
            };
            alive
                .min(asking)
                .min(self.next_ping)
                .min(self.next_announcement)
        });
        let due = [step, registering, home, self.retry];
        due.into_iter().flatten().min()
    }
}

impl ClientProgram {
    /// Whether a super node has taken this client and the login server has let it in.
    pub(super) fn is_registered(&self) -> bool {
        self.sign_in.home.is_some() && self.sign_in.login.done
    }

    /// Where the own super node listens.
    pub(super) fn super_node(&self) -> Option<SocketAddrV4> {
        self.sign_in.home.map(|home| home.address)
    }

    /// The address under which the super node sees this client: not if a proxy is in between.
    pub(super) fn seen_by_super_node(&self) -> Option<Ipv4Addr> {
        let home = self.sign_in.home.filter(|_| self.settings.proxy.is_none());
        home.map(|home| home.seen)
    }

    /// Says something to the super node over TCP; `None`: there is none.
    pub(super) fn tell_super_node(
        &mut self,
        host: &mut dyn Host,
        message: &Message,
    ) -> Option<u16> {
        let home = self.sign_in.home.as_mut()?;
        if let Message::Search { .. } | Message::RelayWanted { .. } | Message::Ping = message {
            let by = host.now() + TCP_PATIENCE;
            home.expected = home.expected.or(Some(by));
        }
        let line = home.line;
        self.lines.tell(host, line, message)
    }

    /// Begins to look for a super node.
    pub(super) fn look_for_super_node(&mut self, host: &mut dyn Host) {
        let mut cache = self.nodes.clone();
        let mut known: Vec<_> = (self.settings.host_cache.iter().copied())
            .filter(|node| !cache.contains(node))
            .collect();
        host.rng().shuffle(&mut known);
        cache.extend(known);
        let bootstrap = self.settings.bootstrap.clone();
        let (generation, udp) = (self.settings.generation, self.settings.udp);
        self.sign_in.attempts += 1;
        self.sign_in.ways.clear();
        self.sign_in.retry = None;
        self.sign_in.ladder = Some(Ladder::new(generation, udp, cache, bootstrap));
        self.sign_in.next_step = host.now();
    }

    /// Does what is due.
    pub(super) fn poll_sign_in(&mut self, host: &mut dyn Host) {
        let now = host.now();
        if self.sign_in.retry.is_some_and(|retry| retry <= now) {
            self.look_for_super_node(host);
        }
        if let Some((line, until)) = self.sign_in.registering
            && until <= now
        {
            self.lines.abort(host, line);
            self.super_node_line_over(host, line);
        }
        while self.sign_in.next_step <= now
            && let Some(ladder) = &mut self.sign_in.ladder
        {
            match ladder.step() {
                Some(step) => {
                    self.sign_in.next_step = now + step.pause;
                    self.take(host, step);
                }
                None => self.give_up(host),
            }
        }
        if self.sign_in.home.is_some() {
            self.stay(host);
            self.ask_servers(host);
        }
    }

    fn take(&mut self, host: &mut dyn Host, step: Step) {
        let name = step.way.name(self.settings.proxy.is_some());
        if !self.sign_in.ways.contains(&name) {
            self.sign_in.ways.push(name);
            self.sign_in.tried.push(name);
        }
        for node in step.hosts {
            if step.connect {
                let purpose = Purpose::SuperNode(node);
                self.open(host, purpose, step.way.to(node), step.way.disguised());
            } else {
                self.probe(host, node);
            }
        }
    }

    fn probe(&mut self, host: &mut dyn Host, node: SocketAddrV4) {
        let request = self.endpoint.request(host, node, &Message::Probe);
        self.asked.insert(request, Asked::Probe);
    }

    /// All ways have been tried in vain. Clients try again later, at longer and longer intervals.
    fn give_up(&mut self, host: &mut dyn Host) {
        self.sign_in.ladder = None;
        let after = RETRY * self.sign_in.attempts.min(LONGEST_RETRY);
        self.sign_in.retry = Some(host.now() + after.mul_f64(0.9 + 0.2 * host.rng().f64()));
        self.drop_candidates(host);
    }

    /// Ends all connections with super nodes that have not taken this client.
    fn drop_candidates(&mut self, host: &mut dyn Host) {
        let home = self.sign_in.home.map(|home| home.line);
        let asked = |purpose| matches!(purpose, Purpose::SuperNode(_));
        for line in self.lines.with(asked) {
            if home == Some(line) {
                continue;
            }
            if self.lines.is_open(line) {
                self.lines.close(host, line);
            } else {
                self.lines.abort(host, line);
            }
        }
    }

    /// A super node has accepted a probe.
    pub(super) fn accepted(&mut self, host: &mut dyn Host, node: SocketAddrV4) {
        self.know(node);
        if let Some(ladder) = &mut self.sign_in.ladder
            && ladder.accepted(node)
        {
            self.sign_in.next_step = host.now();
        }
    }

    /// That one is there.
    pub(super) fn know(&mut self, node: SocketAddrV4) {
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
    }

    /// A super node has named others instead of itself.
    pub(super) fn redirected(&mut self, host: &mut dyn Host, others: &[SocketAddrV4]) {
        let new = match &mut self.sign_in.ladder {
            Some(ladder) => ladder.redirect(others),
            None => Vec::new(),
        };
        if self.settings.udp {
            for node in new {
                self.probe(host, node);
            }
        }
    }

    /// A connection with a super node is open.
    pub(super) fn super_node_line_open(&mut self, host: &mut dyn Host, line: Connection) {
        if self.sign_in.home.is_some() {
            self.lines.close(host, line);
        } else if self.sign_in.registering.is_none() {
            let register = Message::Register {
                user: self.settings.user.number,
                candidates: self.candidates(host),
            };
            self.lines.tell(host, line, &register);
            self.sign_in.registering = Some((line, host.now() + REGISTER_PATIENCE));
        }
    }

    /// A super node has taken this client.
    pub(super) fn registered(&mut self, host: &mut dyn Host, line: Connection, seen: SocketAddrV4) {
        let Some(Purpose::SuperNode(address)) = self.lines.purpose(line) else {
            return;
        };
        if self.sign_in.home.is_some() {
            return;
        }
        let now = host.now();
        self.sign_in.registering = None;
        self.sign_in.ladder = None;
        self.sign_in.home = Some(Home {
            line,
            address,
            seen: *seen.ip(),
            next_alive: now + TCP_ALIVE,
            expected: None,
        });
        self.nodes.retain(|node| *node != address);
        self.nodes.insert(0, address);
        self.drop_candidates(host);
        self.sign_in.next_ping = now + Duration::from_secs(host.rng().u64(UDP_ALIVE));
        self.sign_in.next_announcement = now + Duration::from_secs(host.rng().u64(5..20));
        self.sign_in.login.until = now;
        self.sign_in.event.until = now;
    }

    /// A super node has not taken this client, and names others.
    pub(super) fn refused(
        &mut self,
        host: &mut dyn Host,
        line: Connection,
        others: &[SocketAddrV4],
    ) {
        self.lines.close(host, line);
        self.super_node_line_over(host, line);
        self.redirected(host, others);
    }

    /// Something has come over a super node's connection: it lives.
    pub(super) fn super_node_lives(&mut self, line: Connection) {
        if let Some(home) = self.sign_in.home.as_mut().filter(|home| home.line == line) {
            home.expected = None;
        }
    }

    /// A connection with a super node is over.
    pub(super) fn super_node_line_over(&mut self, host: &mut dyn Host, line: Connection) {
        if self.sign_in.home.is_some_and(|home| home.line == line) {
            let gone = self.sign_in.home.take().map(|home| home.address);
            self.nodes.retain(|node| Some(*node) != gone);
            self.look_for_super_node(host);
        }
        if (self.sign_in.registering).is_some_and(|(registering, _)| registering == line) {
            self.sign_in.registering = None;
            let others = |purpose| matches!(purpose, Purpose::SuperNode(_));
            let others = self.lines.with(others).into_iter();
            if let Some(other) = others.into_iter().find(|other| self.lines.is_open(*other)) {
                self.super_node_line_open(host, other);
            }
        }
    }

    /// Signs of life to the super node and others, and a look whether it is still there.
    fn stay(&mut self, host: &mut dyn Host) {
        let now = host.now();
        let Some(home) = &mut self.sign_in.home else {
            return;
        };
        if home.expected.is_some_and(|by| by <= now) {
            let line = home.line;
            self.lines.abort(host, line);
            self.super_node_line_over(host, line);
            return;
        }
        if home.next_alive <= now {
            home.next_alive = now + TCP_ALIVE;
            self.tell_super_node(host, &Message::Ping);
        }
        if self.sign_in.next_ping <= now {
            self.sign_in.next_ping = now + Duration::from_secs(host.rng().u64(UDP_ALIVE));
            self.ping(host);
        }
        if self.sign_in.next_announcement <= now {
            self.sign_in.next_announcement = now + Duration::from_secs(host.rng().u64(ANNOUNCE));
            if let Some(home) = self.super_node().filter(|_| self.settings.udp) {
                let announcement = Message::Announce {
                    directory: false,
                    relay: false,
                };
                let request = self.endpoint.request(host, home, &announcement);
                self.asked.insert(request, Asked::Nothing);
            }
        }
    }

    /// The own super node each time, and one of the others in turn.
    fn ping(&mut self, host: &mut dyn Host) {
        if !self.settings.udp {
            return;
        }
        self.sign_in.pinged += 1;
        let watched = self.nodes.len().min(WATCHED);
        let other = self
            .nodes
            .get(self.sign_in.pinged % watched.max(1))
            .copied();
        let home = self.super_node();
        let nodes = home
            .into_iter()
            .chain(other.filter(|other| Some(*other) != home));
        for node in nodes.collect::<Vec<_>>() {
            let request = self.endpoint.request(host, node, &Message::Ping);
            self.asked.insert(request, Asked::Ping);
        }
    }

    /// Where a server of that kind may be reached, in order.
    fn servers(&self, kind: ServerKind) -> Vec<SocketAddrV4> {
        let alternates: &[u16] = match kind {
            ServerKind::Login => &[33033, 443, 80],
            ServerKind::Event => &[12350, 13392, 443],
            ServerKind::Web => &[80],
        };
        let mut addresses = Vec::new();
        for server in self
            .settings
            .servers
            .iter()
            .filter(|server| server.kind == kind)
        {
            let other = |port: &u16| SocketAddrV4::new(*server.address.ip(), *port);
            let all = [server.address].into_iter();
            for address in all.chain(alternates.iter().map(other)) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        addresses
    }

    /// The login server lets in, then the event server is told.
    fn ask_servers(&mut self, host: &mut dyn Host) {
        let now = host.now();
        for kind in [ServerKind::Login, ServerKind::Event] {
            let servers = self.servers(kind);
            let asking = match kind {
                ServerKind::Login => &mut self.sign_in.login,
                _ => &mut self.sign_in.event,
            };
            if asking.done || asking.until > now {
                continue;
            }
            if let Some(line) = asking.line.take() {
                self.lines.abort(host, line);
            }
            if servers.is_empty() {
                // Saved credentials do.
                self.let_in(host, kind);
                continue;
            }
            let Some(server) = servers.get(asking.next).copied() else {
                asking.next = 0;
                asking.until = now + SERVER_RETRY;
                continue;
            };
            asking.next += 1;
            asking.until = now + SERVER_PATIENCE;
            let (purpose, proxy) = match kind {
                ServerKind::Login => (Purpose::Login, self.settings.proxy),
                _ => (Purpose::Event, self.settings.proxy),
            };
            let generation = self.settings.generation;
            let language = Language::Server(generation, self.settings.user.number);
            let line = self.lines.open(host, proxy, purpose, server, language);
            match kind {
                ServerKind::Login => self.sign_in.login.line = Some(line),
                _ => self.sign_in.event.line = Some(line),
            }
        }
    }

    fn let_in(&mut self, host: &mut dyn Host, kind: ServerKind) {
        match kind {
            ServerKind::Login => {
                self.sign_in.login.done = true;
                self.sign_in.first.get_or_insert(host.now());
            }
            _ => self.sign_in.event.done = true,
        }
    }

    /// A server has said something, or its connection is over (`None`).
    pub(super) fn server_says(
        &mut self,
        host: &mut dyn Host,
        line: Connection,
        progress: Option<Progress>,
    ) {
        let now = host.now();
        let kinds = [ServerKind::Login, ServerKind::Event];
        let askings = [&mut self.sign_in.login, &mut self.sign_in.event];
        let asked = kinds.into_iter().zip(askings);
        let Some((kind, asking)) = asked
            .into_iter()
            .find(|(_, asking)| asking.line == Some(line))
        else {
            return;
        };
        match progress {
            Some(Progress::Waiting) => {}
            Some(Progress::Done) => {
                asking.line = None;
                self.lines.close(host, line);
                self.let_in(host, kind);
            }
            Some(Progress::Refused) | None => {
                asking.line = None;
                asking.until = now;
                self.lines.close(host, line);
            }
        }
    }
}
