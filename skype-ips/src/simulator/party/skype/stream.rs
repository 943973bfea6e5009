//! One TCP connection of Skype's, from either end: an opening, then messages and media under the
//! keystreams that follow from it.

use super::message::Message;
use crate::simulator::net::program::{Connection, Host};
use crate::simulator::party::Opening;
use crate::simulator::speech::Process;

/// What has come over a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The opening is done: both ends may speak.
    Open,
    /// A message.
    Message {
        /// Its number; an answer has that of what it answers.
        number: u16,
        /// It.
        message: Message,
    },
    /// Media.
    Media {
        /// Of which session.
        session: u32,
        /// They.
        body: Vec<u8>,
    },
    /// The other end does not speak Skype (any more). It has been answered as a listener does;
    /// what is left is to close.
    Foreign,
}

/// Bytes of a message with media beyond the media themselves.
pub const MEDIA_HEAD: usize = 6;

/// One connection.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    open: bool,
}

impl Session {
    /// The end that has connected (through a proxy whose dialogue is over): writes the first bytes.
    /// `disguise`: as TLS.
    pub fn connect(
        _host: &mut dyn Host,
        connection: Connection,
        _process: &mut Process,
        _opening: Opening,
        _disguise: bool,
    ) -> Self {
        Self {
            connection,
            open: false,
        }
    }

    /// The end that listens, which answers any opening.
    pub fn accept(connection: Connection) -> Self {
        Self {
            connection,
            open: false,
        }
    }

    /// Its connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether the opening is done.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Bytes have come, in pieces of any size.
    pub fn receive(
        &mut self,
        _host: &mut dyn Host,
        _process: &mut Process,
        _bytes: &[u8],
    ) -> Vec<Heard> {
        Vec::new()
    }

    /// Says something, as soon as the session is open, and returns its number.
    pub fn tell(&mut self, _host: &mut dyn Host, _message: &Message) -> u16 {
        0
    }

    /// Answers the message of that number.
    pub fn answer(&mut self, _host: &mut dyn Host, _number: u16, _message: &Message) {}

    /// Sends media, once open: a segment with [`MEDIA_HEAD`] bytes more than `body`.
    pub fn media(&mut self, _host: &mut dyn Host, _session: u32, _body: &[u8]) {}
}
