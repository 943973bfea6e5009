//! A super node: somebody's client that serves others as directory and relay.

mod directory;
mod messages;
mod relay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::{Figures, Generation, Opening, Order, Party, Searches, SuperNode};
use super::endpoint::{Endpoint, Received, Request};
use super::message::Message;
use super::stream::{Heard, Session};
use crate::simulator::net::program::{Connection, Datagram, Event, Ground, Host, Instant, Program};
use crate::simulator::speech::Process;
use directory::{Directory, Peers};
use relay::Relay;

/// TCP ports that a super node listens on beside its own (Baset).
const OTHER_PORTS: [u16; 2] = [80, 443];
/// The look around: who has gone, and whose turn it is to be asked.
const TICK: u64 = 1;
const TICK_EVERY: Duration = Duration::from_secs(10);
/// The next announcement.
const ANNOUNCE: u64 = 2;
/// Seconds to the first announcement and, about every hour, to the next (Rossi).
const FIRST_ANNOUNCEMENT: std::ops::Range<f64> = 0.5..3.0;
const NEXT_ANNOUNCEMENT: std::ops::Range<f64> = 3300.0..3900.0;
/// Tokens of looks whether a client can be reached begin here.
const REACH: u64 = 16;
/// Seconds after its registration that one is tried.
const REACH_AFTER: std::ops::Range<f64> = 2.0..6.0;
/// Via its consent to the connection (measured: 0.13 s).
const REACH_DELAY: Duration = Duration::from_millis(130);
/// A client that is silent for so long is asked, and later let go (Baset: a minute between signs of
/// life).
const ASK_AFTER: Duration = Duration::from_secs(65);
const DROP_AFTER: Duration = Duration::from_secs(180);
/// A stranger who says nothing that a super node understands is let go after so long.
const STRANGER_PATIENCE: Duration = Duration::from_secs(30);

/// What waits for the answer to a request.
#[derive(Clone, Debug)]
enum Asked {
    /// A look elsewhere for a user.
    Query,
    /// A word from a client to a user of another super node.
    Forward { connection: Connection, to: u32 },
    /// Whether a client can be reached at that address.
    Reach(SocketAddrV4),
}

/// A TCP connection.
#[derive(Debug)]
struct Line {
    session: Session,
    /// Who has connected, as seen here.
    peer: SocketAddrV4,
    user: Option<u32>,
    /// Whether a session is carried over it.
    carries: bool,
    heard: Instant,
}

/// What is due at a timer of [`REACH`].
#[derive(Clone, Copy, Debug)]
enum Reach {
    Ask(SocketAddrV4),
    Connect(SocketAddrV4),
}

/// A super node.
#[derive(Debug)]
pub struct SuperNodeProgram {
    settings: SuperNode,
    endpoint: Option<Endpoint>,
    own: Option<SocketAddrV4>,
    directory: Directory,
    peers: Peers,
    relay: Relay,
    lines: BTreeMap<Connection, Line>,
    /// Connections of its own that look whether a client can be reached.
    looking: BTreeMap<Connection, Option<Session>>,
    asked: BTreeMap<Request, Asked>,
    reaches: BTreeMap<u64, Reach>,
    served: Searches,
    next: u64,
}

/// Which way a message has come, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    /// By a datagram of that ID.
    Udp(SocketAddrV4, u16),
    /// By a message of that number.
    Tcp(Connection, u16),
}

impl SuperNodeProgram {
    /// It begins to serve when it is started, at its host's own address, which must be public.
    pub fn new(settings: SuperNode) -> Self {
        let peers = settings
            .peers
            .iter()
            .map(|peer| (*peer, directory::Peer::default()));
        Self {
            peers: Peers(peers.collect()),
            settings,
            endpoint: None,
            own: None,
            directory: Directory::default(),
            relay: Relay::default(),
            lines: BTreeMap::new(),
            looking: BTreeMap::new(),
            asked: BTreeMap::new(),
            reaches: BTreeMap::new(),
            served: Searches::default(),
            next: REACH,
        }
    }

    /// Answers a message where it came from.
    fn answer(&mut self, host: &mut dyn Host, from: Via, message: &Message) {
        match from {
            Via::Udp(to, id) => {
                if let Some(endpoint) = &mut self.endpoint {
                    endpoint.answer(host, to, id, message);
                }
            }
            Via::Tcp(connection, number) => {
                if let Some(line) = self.lines.get_mut(&connection) {
                    line.session.answer(host, number, message);
                }
            }
        }
    }

    /// Asks another super node, or a client, by datagram.
    fn ask(&mut self, host: &mut dyn Host, to: SocketAddrV4, message: &Message) -> Option<Request> {
        let endpoint = self.endpoint.as_mut()?;
        Some(endpoint.request(host, to, message))
    }

    fn announce(&mut self, host: &mut dyn Host) {
        let roles = self.settings.roles;
        let message = Message::Announce {
            directory: roles.directory,
            relay: roles.relay,
        };
        for peer in self.peers.0.keys().copied().collect::<Vec<_>>() {
            self.ask(host, peer, &message);
        }
        let next = some(host.rng(), NEXT_ANNOUNCEMENT);
        host.timer(next, ANNOUNCE);
    }

    /// Looks who is silent.
    fn tick(&mut self, host: &mut dyn Host) {
        let now = host.now();
        self.relay.tidy(now);
        let mut gone = Vec::new();
        for (connection, line) in &mut self.lines {
            let silent = now.saturating_sub(line.heard);
            let known = line.user.is_some() || line.carries;
            if silent >= if known { DROP_AFTER } else { STRANGER_PATIENCE } {
                gone.push(*connection);
            } else if known && silent >= ASK_AFTER {
                line.session.tell(host, &Message::Ping);
            }
        }
        for connection in gone {
            host.abort(connection);
            self.gone(connection);
        }
        host.timer(TICK_EVERY, TICK);
    }

    /// A connection is no more.
    fn gone(&mut self, connection: Connection) {
        self.lines.remove(&connection);
        self.directory.gone(connection);
        self.relay.gone(connection);
    }

    fn reach_later(&mut self, host: &mut dyn Host, after: Duration, reach: Reach) {
        self.next += 1;
        self.reaches.insert(self.next, reach);
        host.timer(after, self.next);
    }

    fn reach(&mut self, host: &mut dyn Host, reach: Reach) {
        match reach {
            Reach::Ask(client) => {
                if let Some(request) = self.ask(host, client, &Message::Reach) {
                    self.asked.insert(request, Asked::Reach(client));
                }
            }
            Reach::Connect(client) => {
                let connection = host.connect(client, Ground::skype("call-back"));
                self.looking.insert(connection, None);
            }
        }
    }

    /// Something has happened to a connection by which this end looks whether a client is there.
    fn look(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        let Some(endpoint) = &mut self.endpoint else {
            return;
        };
        let process = &mut endpoint.process;
        match (event, self.looking.get_mut(&connection)) {
            (Event::Connected, Some(session @ None)) => {
                let opening = match self.settings.generation {
                    Generation::Y2006 => Opening::Legacy,
                    Generation::Y2015 => Opening::KeyExchange,
                };
                let mut opened = Session::connect(host, connection, process, opening, false);
                opened.tell(host, &Message::Ping);
                *session = Some(opened);
            }
            (Event::Received(bytes), Some(Some(session))) => {
                let heard = session.receive(host, process, &bytes);
                // An answer is all that was wanted.
                if heard.iter().any(|heard| *heard != Heard::Open) {
                    host.close(connection);
                    self.looking.remove(&connection);
                }
            }
            (Event::Finished, Some(_)) => {
                host.close(connection);
                self.looking.remove(&connection);
            }
            (Event::Failed(_), _) => {
                self.looking.remove(&connection);
            }
            _ => {}
        }
    }

    fn received(&mut self, host: &mut dyn Host, received: Received) {
        match received {
            Received::Message { from, id, message } => {
                self.message(host, Via::Udp(from, id), message);
            }
            Received::Answer {
                request, message, ..
            } => {
                let found = matches!(message, Message::Found { .. });
                let delivered = !matches!(message, Message::Unreachable { .. });
                self.asked_is_answered(host, request, delivered, found.then_some(message));
            }
            Received::Acknowledged { request, .. } => {
                self.asked_is_answered(host, request, true, None);
            }
            Received::GivenUp { request, .. } => {
                self.asked_is_answered(host, request, false, None);
            }
            Received::Media {
                from,
                session,
                body,
            } => self.carry(host, session, relay::Leg::Udp(from), &body),
            Received::Named { .. } | Received::KeepAlive { .. } => {}
        }
    }
}

/// Some seconds out of a range.
fn some(rng: &mut fastrand::Rng, range: std::ops::Range<f64>) -> Duration {
    Duration::from_secs_f64(range.start + rng.f64() * (range.end - range.start))
}

impl Program for SuperNodeProgram {
    fn start(&mut self, host: &mut dyn Host) {
        let (address, port) = (host.address(), self.settings.port);
        let process = Process::super_node(host.rng());
        let mut endpoint = Endpoint::new(process, self.settings.generation, Some(address));
        if endpoint.bind(host, port, Ground::skype("super node")) {
            self.endpoint = Some(endpoint);
        }
        self.own = Some(SocketAddrV4::new(address, port));
        host.listen(port);
        for other in OTHER_PORTS {
            if other != port {
                host.listen(other);
            }
        }
        let first = some(host.rng(), FIRST_ANNOUNCEMENT);
        host.timer(first, ANNOUNCE);
        host.timer(TICK_EVERY, TICK);
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        if let Some(endpoint) = &mut self.endpoint {
            for received in endpoint.receive(host, datagram) {
                self.received(host, received);
            }
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        if self.looking.contains_key(&connection) {
            self.look(host, connection, event);
            return;
        }
        match event {
            Event::Accepted { peer, .. } => {
                let line = Line {
                    session: Session::accept(connection),
                    peer,
                    user: None,
                    carries: false,
                    heard: host.now(),
                };
                self.lines.insert(connection, line);
            }
            Event::Received(bytes) => {
                let (Some(line), Some(endpoint)) =
                    (self.lines.get_mut(&connection), &mut self.endpoint)
                else {
                    return;
                };
                line.heard = host.now();
                for heard in line.session.receive(host, &mut endpoint.process, &bytes) {
                    match heard {
                        Heard::Open => {}
                        Heard::Message { number, message } => {
                            self.message(host, Via::Tcp(connection, number), message);
                        }
                        Heard::Media { session, body } => {
                            self.carry(host, session, relay::Leg::Tcp(connection), &body);
                        }
                        Heard::Foreign => {
                            host.close(connection);
                            self.gone(connection);
                        }
                    }
                }
            }
            Event::Finished => {
                if self.lines.contains_key(&connection) {
                    host.close(connection);
                    self.gone(connection);
                }
            }
            Event::Failed(_) => self.gone(connection),
            Event::Connected => {}
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        let endpoint = self.endpoint.as_mut();
        if let Some(all) = endpoint.and_then(|endpoint| endpoint.timer(host, token)) {
            for received in all {
                self.received(host, received);
            }
            return;
        }
        match token {
            TICK => self.tick(host),
            ANNOUNCE => self.announce(host),
            token => {
                if let Some(reach) = self.reaches.remove(&token) {
                    self.reach(host, reach);
                }
            }
        }
    }
}

impl Party for SuperNodeProgram {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        Figures {
            relayed_sessions: self.relay.carried,
            relayed_bytes: self.relay.bytes,
            served: self.served,
            ..Figures::default()
        }
    }
}
