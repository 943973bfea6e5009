//! A session with a login, event or contact server: blank records, a request, an answer.

use super::super::Generation;
use crate::simulator::net::program::{Connection, Host};

/// How far a client has come with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The server has more to say.
    Waiting,
    /// The server has said yes; what is left is to close.
    Done,
    /// The other end is no such server, or has said no.
    Refused,
}

/// The client's side.
#[derive(Clone, Debug)]
pub struct Login {
    connection: Connection,
}

impl Login {
    /// Begins over a connection that has just opened (through a proxy whose dialogue is over).
    pub fn begin(
        _host: &mut dyn Host,
        connection: Connection,
        _generation: Generation,
        _user: u32,
    ) -> Self {
        Self { connection }
    }

    /// Its connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Bytes have come, in pieces of any size.
    pub fn receive(&mut self, _host: &mut dyn Host, _bytes: &[u8]) -> Progress {
        Progress::Waiting
    }
}
