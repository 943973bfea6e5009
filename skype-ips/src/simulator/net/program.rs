//! What a program on a host is told, and what it can do.

use std::net::SocketAddrV4;
use std::time::Duration;

/// Time since the start of the run. Programs know no other.
pub type Instant = Duration;

/// What a conversation is, for its label and for the accounts: set by who opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ground {
    /// Whether it is Skype's.
    pub skype: bool,
    /// What it is, in a word or two: `probing`, `key exchange`, `DNS`.
    pub what: &'static str,
}

impl Ground {
    /// A conversation of Skype's.
    pub const fn skype(what: &'static str) -> Self {
        Self { skype: true, what }
    }

    /// Any other.
    pub const fn other(what: &'static str) -> Self {
        Self { skype: false, what }
    }
}

impl std::fmt::Display for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = if self.skype { "Skype" } else { "other" };
        write!(f, "{whose}: {}", self.what)
    }
}

/// What goes over a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matter {
    /// What programs have to say to each other.
    Words,
    /// Voice.
    Voice,
    /// Voice and video.
    Video,
    /// A file.
    File,
}

/// What a program of Skype's does in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doing {
    /// What its own user wants.
    Own(Matter),
    /// It answers others as a directory node.
    Serves,
    /// It carries a session of two others.
    Carries {
        /// The session's number.
        session: u32,
        /// What goes over it.
        matter: Matter,
    },
}

/// A conversation, as the program knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Datagrams between a port of its own and somebody.
    Datagrams(u16, SocketAddrV4),
    /// A connection.
    Connection(Connection),
}

/// A TCP connection of a host, for as long as the run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connection(pub u64);

/// A datagram that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The local port that it came to.
    pub port: u16,
    /// Who sent it, as seen here (behind translators).
    pub from: SocketAddrV4,
    /// Its payload.
    pub payload: &'a [u8],
}

/// What happens to a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection that this program asked for is open.
    Connected,
    /// Somebody has connected to a port on which this program listens.
    Accepted {
        /// The port.
        port: u16,
        /// Who, as seen here.
        peer: SocketAddrV4,
    },
    /// Bytes have come, in order.
    Received(Vec<u8>),
    /// The other end sends no more. This end may go on, and should close.
    Finished,
    /// The connection is over for a bad reason; nothing more comes of it.
    Failed(Failure),
}

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Reset, before or after it was open.
    Reset,
    /// Nobody answered.
    TimedOut,
}

/// A program on a host. All methods return at once; what they want done they tell the host.
pub trait Program {
    /// The program begins.
    fn start(&mut self, host: &mut dyn Host);

    /// A datagram has come to a port that this program has bound.
    fn datagram(&mut self, _host: &mut dyn Host, _datagram: Datagram<'_>) {}

    /// Something has happened to a connection of this program's.
    fn connection(&mut self, _host: &mut dyn Host, _connection: Connection, _event: Event) {}

    /// A timer has run out that this program set with `token`. There is no taking back: a program
    /// that has changed its mind ignores it.
    fn timer(&mut self, _host: &mut dyn Host, _token: u64) {}
}

/// What a host does for a program.
pub trait Host {
    /// Now.
    fn now(&self) -> Instant;

    /// The host's own address, which behind a translator nobody else sees.
    fn address(&self) -> std::net::Ipv4Addr;

    /// Random numbers of this host's own: the same in each run with the same seed.
    fn rng(&mut self) -> &mut fastrand::Rng;

    /// Takes a UDP port, with 0 any free one, and returns it; `None` if another program has it.
    /// Datagrams from it begin conversations that are `ground`.
    fn bind(&mut self, port: u16, ground: Ground) -> Option<u16>;

    /// Sends a datagram from a port that this program has bound; payload of at most 1472 bytes.
    /// `ground` is what the conversation is if this datagram begins it; `None`: as bound.
    fn send(&mut self, port: u16, to: SocketAddrV4, payload: &[u8], ground: Option<Ground>);

    /// Listens on a TCP port; `false` if another program does.
    fn listen(&mut self, port: u16) -> bool;

    /// Opens a connection, which is `ground`. [`Event::Connected`] or [`Event::Failed`] follows.
    fn connect(&mut self, to: SocketAddrV4, ground: Ground) -> Connection;

    /// Sends bytes over a connection, after those before. What one call writes begins a segment of
    /// its own, as far as the window is open. Any amount is taken and waits; see
    /// [`Host::waiting`].
    fn write(&mut self, connection: Connection, bytes: &[u8]);

    /// Bytes that were written and are not yet acknowledged by the other end.
    fn waiting(&self, connection: Connection) -> usize;

    /// Sends no more once everything written is out (FIN). Events go on until the other end has
    /// finished too.
    fn close(&mut self, connection: Connection);

    /// Ends a connection at once (RST); no event follows.
    fn abort(&mut self, connection: Connection);

    /// Calls [`Program::timer`] with `token` after so long.
    fn timer(&mut self, after: Duration, token: u64);

    /// Says what the program does in a conversation from now on, for the accounts.
    fn note(&mut self, _between: Between, _doing: Doing) {}
}
