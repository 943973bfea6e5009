//! What a super node does about what it is told.

use std::net::SocketAddrV4;

use super::super::endpoint::Request;
use super::super::message::{MAX_OTHERS, Message, Talk, What};
use super::directory::{Client, MAX_CLIENTS, Peer};
use super::relay::Leg;
use super::{Asked, REACH_AFTER, REACH_DELAY, Reach, SuperNodeProgram, Via, some};
use crate::simulator::net::program::{Between, Doing, Host};

/// Relays that are named to a client at most.
const MAX_RELAYS: usize = 4;
/// Addresses of a user that are told at most: what fits into the recorded length.
const MAX_CANDIDATES: usize = 5;

impl SuperNodeProgram {
    pub(super) fn message(&mut self, host: &mut dyn Host, from: Via, message: Message) {
        match message {
            Message::Probe => {
                let answer = match self.takes_clients() {
                    true => Message::Accept,
                    false => Message::Redirect {
                        others: self.others(host),
                    },
                };
                self.answer(host, from, &answer);
            }
            Message::Ping => self.answer(host, from, &Message::Pong),
            Message::Register { user, candidates } => self.register(host, from, user, candidates),
            Message::Search { user } => self.search(host, from, user),
            Message::Query { user } => {
                let answer = self.known(user).unwrap_or(Message::NotHere { user });
                self.answer(host, from, &answer);
            }
            Message::Announce { directory, relay } => {
                if let Via::Udp(peer, id) = from {
                    self.acknowledge(host, peer, id);
                    // Clients announce themselves too, and serve nobody.
                    if directory || relay {
                        let directory = Some(directory);
                        self.peers.0.insert(peer, Peer { directory, relay });
                    }
                }
            }
            Message::Forward {
                from: user,
                to,
                at,
                talk,
            } => {
                self.forward(host, from, (user, to), at, talk);
            }
            Message::RelayWanted { .. } => {
                let own = self.own.filter(|_| self.settings.roles.relay);
                let mut relays: Vec<_> = own.into_iter().chain(self.peers.relays()).collect();
                host.rng().shuffle(&mut relays);
                relays.truncate(MAX_RELAYS);
                self.answer(host, from, &Message::Relays { relays });
            }
            Message::Join {
                session,
                user,
                what,
            } => self.join(host, from, session, what, user),
            Message::Leave { session } => {
                let leg = leg_of(from);
                if let Some(other) = self.relay.other(session, leg) {
                    for leg in [leg, other] {
                        self.note(host, leg, Doing::Serves);
                    }
                }
                self.relay.leave(session, leg);
                if let Via::Udp(peer, id) = from {
                    self.acknowledge(host, peer, id);
                }
            }
            // Whatever else may be asked is heard, and no more.
            other => {
                if let Via::Udp(peer, id) = from
                    && !other.is_answer()
                {
                    self.acknowledge(host, peer, id);
                }
            }
        }
    }

    fn acknowledge(&mut self, host: &mut dyn Host, to: SocketAddrV4, id: u16) {
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.acknowledge(host, to, id);
        }
    }

    fn takes_clients(&self) -> bool {
        self.settings.roles.directory && self.directory.clients.len() < MAX_CLIENTS
    }

    /// Super nodes to try instead of this one.
    fn others(&self, host: &mut dyn Host) -> Vec<SocketAddrV4> {
        let mut others: Vec<_> = self.peers.directories().collect();
        host.rng().shuffle(&mut others);
        others.truncate(MAX_OTHERS);
        others
    }

    fn register(
        &mut self,
        host: &mut dyn Host,
        from: Via,
        user: u32,
        mut candidates: Vec<SocketAddrV4>,
    ) {
        let Via::Tcp(connection, _) = from else {
            return;
        };
        if !self.takes_clients() {
            let others = self.others(host);
            self.answer(host, from, &Message::Refused { others });
            host.close(connection);
            self.gone(connection);
            return;
        }
        let Some(line) = self.lines.get_mut(&connection) else {
            return;
        };
        line.user = Some(user);
        let seen = line.peer;
        self.answer(host, from, &Message::Registered { seen });
        if let Some(first) = candidates.first().copied() {
            let seen = SocketAddrV4::new(*seen.ip(), first.port());
            if first == seen {
                // It says that nothing lies in between: is that so?
                let after = some(host.rng(), REACH_AFTER);
                self.reach_later(host, after, Reach::Ask(seen));
            } else if !candidates.contains(&seen) {
                candidates.push(seen);
            }
        }
        candidates.truncate(MAX_CANDIDATES);
        let client = Client {
            connection,
            candidates,
        };
        self.directory.clients.insert(user, client);
    }

    /// What is known of a user here.
    fn known(&self, user: u32) -> Option<Message> {
        let client = self.directory.clients.get(&user)?;
        Some(Message::Found {
            user,
            at: self.own?,
            candidates: client.candidates.clone(),
        })
    }

    fn search(&mut self, host: &mut dyn Host, from: Via, user: u32) {
        self.served.asked += 1;
        if let Some(found) = self.known(user) {
            self.found(host, from, &found);
            return;
        }
        let mut requests = Vec::new();
        for peer in self.peers.directories().collect::<Vec<_>>() {
            if let Some(request) = self.ask(host, peer, &Message::Query { user }) {
                self.asked.insert(request, Asked::Query);
                requests.push(request);
            }
        }
        if requests.is_empty() {
            self.found(host, from, &Message::NotHere { user });
        } else {
            self.directory.wait(from, user, requests);
        }
    }

    /// Answers a search.
    fn found(&mut self, host: &mut dyn Host, asker: Via, answer: &Message) {
        self.served.answered += 1;
        match (asker, answer, &mut self.endpoint) {
            (Via::Udp(to, id), Message::Found { .. }, Some(endpoint)) => {
                endpoint.answer_in_fragments(host, to, id, answer);
            }
            _ => self.answer(host, asker, answer),
        }
    }

    /// Something that was asked by datagram has come to an end.
    pub(super) fn asked_is_answered(
        &mut self,
        host: &mut dyn Host,
        request: Request,
        good: bool,
        found: Option<Message>,
    ) {
        match self.asked.remove(&request) {
            Some(Asked::Query) => {
                let over = self.directory.answered(request, found.is_some());
                if let Some((asker, user, rest)) = over {
                    for request in rest {
                        self.asked.remove(&request);
                        if let Some(endpoint) = &mut self.endpoint {
                            endpoint.forget(request);
                        }
                    }
                    self.found(host, asker, &found.unwrap_or(Message::NotHere { user }));
                }
            }
            Some(Asked::Forward { connection, to }) if !good => {
                if let Some(line) = self.lines.get_mut(&connection) {
                    line.session.tell(host, &Message::Unreachable { user: to });
                }
            }
            Some(Asked::Reach(client)) if good => {
                self.reach_later(host, REACH_DELAY, Reach::Connect(client));
            }
            Some(Asked::Forward { .. } | Asked::Reach(_)) | None => {}
        }
    }

    /// Via one of its clients to anybody, or from another super node to one of its clients.
    fn forward(
        &mut self,
        host: &mut dyn Host,
        from: Via,
        (user, to): (u32, u32),
        at: Option<SocketAddrV4>,
        talk: Talk,
    ) {
        let back = match from {
            Via::Udp(peer, _) => Some(peer),
            // A client speaks for itself alone.
            Via::Tcp(connection, _) => match self.lines.get(&connection) {
                Some(line) if line.user == Some(user) => None,
                _ => return,
            },
        };
        let client = self.directory.clients.get(&to);
        let line = client.and_then(|client| self.lines.get_mut(&client.connection));
        if let Some(line) = line {
            let (from_user, at) = (user, back);
            let message = Message::Forward {
                from: from_user,
                to,
                at,
                talk,
            };
            line.session.tell(host, &message);
            if let Via::Udp(peer, id) = from {
                self.acknowledge(host, peer, id);
            }
            return;
        }
        let elsewhere = at.filter(|at| Some(*at) != self.own);
        match (from, elsewhere) {
            (Via::Tcp(connection, _), Some(node)) => {
                let message = Message::Forward {
                    from: user,
                    to,
                    at: None,
                    talk,
                };
                if let Some(request) = self.ask(host, node, &message) {
                    self.asked
                        .insert(request, Asked::Forward { connection, to });
                }
            }
            _ => self.answer(host, from, &Message::Unreachable { user: to }),
        }
    }

    fn join(&mut self, host: &mut dyn Host, from: Via, session: u32, what: What, user: u32) {
        let (now, leg) = (host.now(), leg_of(from));
        let joined = self.settings.roles.relay.then_some(());
        let both = joined.and_then(|()| self.relay.join(now, session, what, user, leg));
        let Some(both) = both else {
            let others = self.peers.relays().take(MAX_OTHERS).collect();
            self.answer(host, from, &Message::Redirect { others });
            return;
        };
        if let Via::Tcp(connection, _) = from
            && let Some(line) = self.lines.get_mut(&connection)
        {
            line.carries = true;
        }
        self.answer(host, from, &Message::Joined { session, both });
        // Who has waited over a connection hears of it at once; others ask again.
        if let (true, Some(Leg::Tcp(other))) = (both, self.relay.other(session, leg))
            && let Some(line) = self.lines.get_mut(&other)
        {
            line.session.tell(host, &Message::Joined { session, both });
        }
    }

    /// For the accounts: what is done on a leg from now on.
    fn note(&self, host: &mut dyn Host, leg: Leg, doing: Doing) {
        let between = match leg {
            Leg::Udp(peer) => Between::Datagrams(self.settings.port, peer),
            Leg::Tcp(connection) => Between::Connection(connection),
        };
        host.note(between, doing);
    }

    /// Media of a session that is carried.
    pub(super) fn carry(&mut self, host: &mut dyn Host, session: u32, from: Leg, body: &[u8]) {
        let to = self.relay.carry(host.now(), session, from, body.len());
        if let (Some(to), Some(matter)) = (to, self.relay.matter(session)) {
            for leg in [from, to] {
                self.note(host, leg, Doing::Carries { session, matter });
            }
        }
        match to {
            Some(Leg::Udp(to)) => {
                if let Some(endpoint) = &mut self.endpoint {
                    endpoint.media(host, to, session, body);
                }
            }
            Some(Leg::Tcp(to)) => {
                if let Some(line) = self.lines.get_mut(&to) {
                    line.session.media(host, session, body);
                }
            }
            None => {}
        }
    }
}

fn leg_of(from: Via) -> Leg {
    match from {
        Via::Udp(peer, _) => Leg::Udp(peer),
        Via::Tcp(connection, _) => Leg::Tcp(connection),
    }
}
