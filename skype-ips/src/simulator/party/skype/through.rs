//! The way out through a proxy: the client's side of its dialogue. The server's is
//! [`ProxyServer`].

use std::net::SocketAddrV4;

use crate::simulator::net::program::{Connection, Host};
use crate::simulator::speech::proxy::Proxy;

/// How far a dialogue has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The proxy has more to say.
    Waiting,
    /// The proxy has connected on. These bytes came behind its consent: they are the target's.
    Open(Vec<u8>),
    /// The proxy has said no, or is none.
    Refused,
}

/// A dialogue with a proxy over a connection to it.
#[derive(Clone, Debug)]
pub struct Dialogue {
    connection: Connection,
}

impl Dialogue {
    /// Begins over a connection that has just opened: `target` is wanted.
    pub fn begin(
        _host: &mut dyn Host,
        connection: Connection,
        _kind: Proxy,
        _target: SocketAddrV4,
    ) -> Self {
        Self { connection }
    }

    /// Its connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Bytes have come, in pieces of any size.
    pub fn receive(&mut self, _host: &mut dyn Host, _bytes: &[u8]) -> Passage {
        Passage::Waiting
    }
}
