//! A super node with the user that it has: two programs of one Skype, at one port.
//!
//! Who is spoken to by the user's half first is the user's, everybody else is the super node's. The
//! two don't know the same super nodes, so that nobody speaks to both.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::client::ClientProgram;
use super::super_node::SuperNodeProgram;
use crate::simulator::net::program::{
    Between, Connection, Datagram, Doing, Event, Ground, Host, Instant, Program,
};
use crate::simulator::party::{Client, Figures, Order, Party, SuperNode};

/// Marks tokens of the user's timers; the halves use lower bits, and the two above.
const USERS: u64 = 1 << 61;

/// See the module.
#[derive(Debug)]
pub struct ServingUser {
    port: u16,
    node: SuperNodeProgram,
    user: ClientProgram,
    users: Users,
}

/// What is the user's.
#[derive(Debug, Default)]
struct Users {
    peers: BTreeSet<SocketAddrV4>,
    connections: BTreeSet<Connection>,
}

/// The host in the hands of the user's half.
struct Hand<'a> {
    host: &'a mut dyn Host,
    port: u16,
    users: &'a mut Users,
}

impl ServingUser {
    /// Of a super node, and of the client that is its user's.
    pub fn new(node: SuperNode, user: Client) -> Self {
        Self {
            port: node.port,
            user: ClientProgram::new(Client {
                port: node.port,
                ..user
            }),
            node: SuperNodeProgram::new(node),
            users: Users::default(),
        }
    }

    fn with_user(
        &mut self,
        host: &mut dyn Host,
        work: impl FnOnce(&mut ClientProgram, &mut dyn Host),
    ) {
        let mut hand = Hand {
            host,
            port: self.port,
            users: &mut self.users,
        };
        work(&mut self.user, &mut hand);
    }
}

impl Program for ServingUser {
    fn start(&mut self, host: &mut dyn Host) {
        self.node.start(host);
        self.with_user(host, |user, host| user.start(host));
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        if datagram.port != self.port || self.users.peers.contains(&datagram.from) {
            self.with_user(host, |user, host| user.datagram(host, datagram));
        } else {
            self.node.datagram(host, datagram);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        if self.users.connections.contains(&connection) {
            self.with_user(host, |user, host| user.connection(host, connection, event));
        } else {
            self.node.connection(host, connection, event);
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        if token & USERS == 0 {
            self.node.timer(host, token);
        } else {
            self.with_user(host, |user, host| user.timer(host, token & !USERS));
        }
    }
}

impl Party for ServingUser {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        self.with_user(host, |user, host| user.order(host, order));
    }

    fn figures(&self, now: Instant) -> Figures {
        let node = self.node.figures(now);
        Figures {
            relayed_sessions: node.relayed_sessions,
            relayed_bytes: node.relayed_bytes,
            served: node.served,
            ..self.user.figures(now)
        }
    }
}

impl Host for Hand<'_> {
    fn now(&self) -> Instant {
        self.host.now()
    }

    fn address(&self) -> Ipv4Addr {
        self.host.address()
    }

    fn rng(&mut self) -> &mut fastrand::Rng {
        self.host.rng()
    }

    fn bind(&mut self, port: u16, ground: Ground) -> Option<u16> {
        self.host.bind(port, ground)
    }

    fn send(&mut self, port: u16, to: SocketAddrV4, payload: &[u8], ground: Option<Ground>) {
        if port == self.port {
            self.users.peers.insert(to);
        }
        self.host.send(port, to, payload, ground);
    }

    fn listen(&mut self, port: u16) -> bool {
        self.host.listen(port)
    }

    fn connect(&mut self, to: SocketAddrV4, ground: Ground) -> Connection {
        let connection = self.host.connect(to, ground);
        self.users.connections.insert(connection);
        connection
    }

    fn write(&mut self, connection: Connection, bytes: &[u8]) {
        self.host.write(connection, bytes);
    }

    fn waiting(&self, connection: Connection) -> usize {
        self.host.waiting(connection)
    }

    fn close(&mut self, connection: Connection) {
        self.host.close(connection);
    }

    fn abort(&mut self, connection: Connection) {
        self.host.abort(connection);
    }

    fn timer(&mut self, after: Duration, token: u64) {
        self.host.timer(after, token | USERS);
    }

    fn note(&mut self, between: Between, doing: Doing) {
        self.host.note(between, doing);
    }
}
