//! A super node with what the clients need of one, and no more: all users are its own.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::super::super::endpoint::{Endpoint, Received};
use super::super::super::message::Message;
use super::super::super::stream::{Heard, Session};
use crate::simulator::net::program::{Connection, Datagram, Event, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Generation, Order, Party};
use crate::simulator::speech::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Udp(SocketAddrV4),
    Tcp(Connection),
}

#[derive(Debug)]
pub(super) struct Node {
    address: SocketAddrV4,
    relay: bool,
    relays: Vec<SocketAddrV4>,
    endpoint: Endpoint,
    lines: BTreeMap<Connection, (Session, SocketAddrV4)>,
    users: BTreeMap<u32, (Connection, Vec<SocketAddrV4>)>,
    joined: BTreeMap<u32, Vec<End>>,
    carried: u64,
}

impl Node {
    pub(super) fn new(address: SocketAddrV4, relay: bool, relays: Vec<SocketAddrV4>) -> Self {
        let process = Process::super_node(&mut fastrand::Rng::with_seed(9));
        let public = Some(*address.ip());
        Self {
            address,
            relay,
            relays,
            endpoint: Endpoint::new(process, Generation::Y2015, public),
            lines: BTreeMap::new(),
            users: BTreeMap::new(),
            joined: BTreeMap::new(),
            carried: 0,
        }
    }

    fn find(&self, user: u32) -> Message {
        match self.users.get(&user) {
            Some((_, candidates)) => Message::Found {
                user,
                at: self.address,
                candidates: candidates.clone(),
            },
            None => Message::NotHere { user },
        }
    }

    fn join(&mut self, session: u32, end: End) -> Message {
        if !self.relay {
            return Message::Redirect { others: Vec::new() };
        }
        let ends = self.joined.entry(session).or_default();
        if !ends.contains(&end) {
            ends.push(end);
        }
        Message::Joined {
            session,
            both: ends.len() > 1,
        }
    }

    fn carry(&mut self, host: &mut dyn Host, session: u32, from: End, body: &[u8]) {
        let ends = self.joined.get(&session).cloned().unwrap_or_default();
        if !ends.contains(&from) {
            return;
        }
        for end in ends.into_iter().filter(|end| *end != from) {
            self.carried += body.len() as u64;
            match end {
                End::Udp(to) => self.endpoint.media(host, to, session, body),
                End::Tcp(to) => {
                    if let Some((line, _)) = self.lines.get_mut(&to) {
                        line.media(host, session, body);
                    }
                }
            }
        }
    }

    fn received(&mut self, host: &mut dyn Host, received: Received) {
        match received {
            Received::Message { from, id, message } => match message {
                Message::Probe => self.endpoint.answer(host, from, id, &Message::Accept),
                Message::Ping => self.endpoint.answer(host, from, id, &Message::Pong),
                Message::Search { user } => {
                    let found = self.find(user);
                    self.endpoint.answer_in_fragments(host, from, id, &found);
                }
                Message::Join { session, .. } => {
                    let answer = self.join(session, End::Udp(from));
                    self.endpoint.answer(host, from, id, &answer);
                }
                _ => self.endpoint.acknowledge(host, from, id),
            },
            Received::Media {
                from,
                session,
                body,
            } => self.carry(host, session, End::Udp(from), &body),
            _ => {}
        }
    }

    fn told(&mut self, host: &mut dyn Host, line: Connection, number: u16, message: Message) {
        let answer = match message {
            Message::Register { user, candidates } => {
                let (_, peer) = &self.lines[&line];
                let seen = *peer;
                self.users.insert(user, (line, candidates));
                Message::Registered { seen }
            }
            Message::Search { user } => self.find(user),
            Message::Ping => Message::Pong,
            Message::RelayWanted { .. } => Message::Relays {
                relays: self.relays.clone(),
            },
            Message::Join { session, .. } => self.join(session, End::Tcp(line)),
            Message::Forward { from, to, talk, .. } => match self.users.get(&to) {
                Some((to_line, _)) => {
                    let forward = Message::Forward {
                        from,
                        to,
                        at: Some(self.address),
                        talk,
                    };
                    if let Some((line, _)) = self.lines.get_mut(to_line) {
                        line.tell(host, &forward);
                    }
                    return;
                }
                None => Message::Unreachable { user: to },
            },
            _ => return,
        };
        if let Some((line, _)) = self.lines.get_mut(&line) {
            line.answer(host, number, &answer);
        }
    }
}

impl Program for Node {
    fn start(&mut self, host: &mut dyn Host) {
        let port = self.address.port();
        assert!(self.endpoint.bind(host, port, Ground::skype("signaling")));
        for port in [port, 443, 80] {
            host.listen(port);
        }
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        for received in self.endpoint.receive(host, datagram) {
            self.received(host, received);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Accepted { peer, .. } => {
                let line = (Session::accept(connection), peer);
                self.lines.insert(connection, line);
            }
            Event::Received(bytes) => {
                let process = &mut self.endpoint.process;
                let Some((line, _)) = self.lines.get_mut(&connection) else {
                    return;
                };
                for heard in line.receive(host, process, &bytes) {
                    match heard {
                        Heard::Message { number, message } => {
                            self.told(host, connection, number, message);
                        }
                        Heard::Media { session, body } => {
                            self.carry(host, session, End::Tcp(connection), &body);
                        }
                        Heard::Foreign => host.close(connection),
                        Heard::Open => {}
                    }
                }
            }
            Event::Finished | Event::Failed(_) => {
                self.lines.remove(&connection);
                self.users.retain(|_, user| user.0 != connection);
                host.close(connection);
            }
            Event::Connected => {}
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        for received in self.endpoint.timer(host, token).unwrap_or_default() {
            self.received(host, received);
        }
    }
}

impl Party for Node {
    fn order(&mut self, _: &mut dyn Host, _: &Order) {}

    fn figures(&self, _: Instant) -> Figures {
        Figures {
            relayed_bytes: self.carried,
            ..Figures::default()
        }
    }
}
