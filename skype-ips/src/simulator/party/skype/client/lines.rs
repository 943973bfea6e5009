//! A client's TCP connections: through the proxy if there is one, then the opening, then what is
//! said.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::super::login::{Login, Progress};
use super::super::message::Message;
use super::super::stream::{Heard, Session};
use super::super::through::{Dialogue, Passage};
use crate::simulator::net::program::{Connection, Event, Ground, Host};
use crate::simulator::party::{Generation, Opening, ProxyUse};
use crate::simulator::speech::Process;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Registration with the super node that listens there.
    SuperNode(SocketAddrV4),
    /// Login.
    Login,
    /// The event server.
    Event,
    /// The version check.
    Version,
    /// The other end of that session.
    Peer(u32),
    /// A relay, which listens there, for that session.
    Relay(u32, SocketAddrV4),
    /// Somebody has connected.
    Inbound,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Skype's messages.
    Skype {
        /// How they open.
        opening: Opening,
        /// As TLS.
        disguised: bool,
    },
    /// A server's of the service, for the user of that number.
    Server(Generation, u32),
    /// HTTP.
    Http,
}

impl Language {
    /// How a client of that generation opens a connection to a program like it.
    pub(super) fn skype(rng: &mut fastrand::Rng, generation: Generation, disguised: bool) -> Self {
        let opening = match (generation, rng.u8(0..4)) {
            (Generation::Y2006, 0..2) => Opening::OldLegacy,
            (Generation::Y2006, _) | (Generation::Y2015, 0) => Opening::Legacy,
            (Generation::Y2015, _) => Opening::KeyExchange,
        };
        Self::Skype { opening, disguised }
    }

    fn ground(self) -> Ground {
        Ground::skype(match self {
            Self::Skype {
                disguised: true, ..
            } => "fake TLS",
            Self::Skype {
                opening: Opening::KeyExchange,
                ..
            } => "key exchange",
            Self::Skype { .. } => "legacy stream",
            Self::Server(..) => "login",
            Self::Http => "version check",
        })
    }
}

enum Stage {
    Connecting(Language),
    Proxy(Dialogue, Language),
    Skype(Session),
    Server(Login),
    Http,
}

struct Line {
    purpose: Purpose,
    to: SocketAddrV4,
    stage: Stage,
}

/// What has come of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Both ends may speak.
    Open,
    /// A message.
    Message(u16, Message),
    /// Media of a session.
    Media(u32, Vec<u8>),
    /// A server's answer.
    Server(Progress),
    /// What HTTP says.
    Http(Vec<u8>),
    /// It is over.
    Over,
}

/// All of a client's connections.
#[derive(Default)]
pub(super) struct Lines {
    lines: BTreeMap<Connection, Line>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines")
            .field("open", &self.lines.len())
            .finish()
    }
}

impl Lines {
    /// Opens one.
    pub(super) fn open(
        &mut self,
        host: &mut dyn Host,
        proxy: Option<ProxyUse>,
        purpose: Purpose,
        to: SocketAddrV4,
        language: Language,
    ) -> Connection {
        let (target, ground) = match proxy {
            Some(proxy) => (proxy.address, Ground::skype("proxy")),
            None => (to, language.ground()),
        };
        let connection = host.connect(target, ground);
        let stage = Stage::Connecting(language);
        self.lines.insert(connection, Line { purpose, to, stage });
        connection
    }

    /// What a connection is for.
    pub(super) fn purpose(&self, connection: Connection) -> Option<Purpose> {
        Some(self.lines.get(&connection)?.purpose)
    }

    /// It is for something else from now on.
    pub(super) fn set_purpose(&mut self, connection: Connection, purpose: Purpose) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.purpose = purpose;
        }
    }

    /// The connections with that purpose.
    pub(super) fn with(&self, wanted: impl Fn(Purpose) -> bool) -> Vec<Connection> {
        let lines = self.lines.iter();
        lines
            .filter(|(_, line)| wanted(line.purpose))
            .map(|(connection, _)| *connection)
            .collect()
    }

    /// Whether both ends may speak.
    pub(super) fn is_open(&self, connection: Connection) -> bool {
        let line = self.lines.get(&connection);
        line.is_some_and(|line| match &line.stage {
            Stage::Skype(session) => session.is_open(),
            Stage::Connecting(_) | Stage::Proxy(..) => false,
            Stage::Server(_) | Stage::Http => true,
        })
    }

    fn session(&mut self, connection: Connection) -> Option<&mut Session> {
        match &mut self.lines.get_mut(&connection)?.stage {
            Stage::Skype(session) => Some(session),
            _ => None,
        }
    }

    /// Says something, and returns its number; `None`: there is nobody to hear it.
    pub(super) fn tell(
        &mut self,
        host: &mut dyn Host,
        connection: Connection,
        message: &Message,
    ) -> Option<u16> {
        Some(self.session(connection)?.tell(host, message))
    }

    /// Answers a message.
    pub(super) fn answer(
        &mut self,
        host: &mut dyn Host,
        connection: Connection,
        number: u16,
        message: &Message,
    ) {
        if let Some(session) = self.session(connection) {
            session.answer(host, number, message);
        }
    }

    /// Sends media.
    pub(super) fn media(
        &mut self,
        host: &mut dyn Host,
        connection: Connection,
        of: u32,
        body: &[u8],
    ) {
        if let Some(session) = self.session(connection) {
            session.media(host, of, body);
        }
    }

    /// Ends one in order.
    pub(super) fn close(&mut self, host: &mut dyn Host, connection: Connection) {
        if self.lines.remove(&connection).is_some() {
            host.close(connection);
        }
    }

    /// Ends one at once.
    pub(super) fn abort(&mut self, host: &mut dyn Host, connection: Connection) {
        if self.lines.remove(&connection).is_some() {
            host.abort(connection);
        }
    }

    /// Ends all in order.
    pub(super) fn close_all(&mut self, host: &mut dyn Host) {
        for connection in std::mem::take(&mut self.lines).into_keys() {
            host.close(connection);
        }
    }

    /// Something has happened to a connection.
    pub(super) fn event(
        &mut self,
        host: &mut dyn Host,
        process: &mut Process,
        proxy: Option<ProxyUse>,
        connection: Connection,
        event: Event,
    ) -> Vec<News> {
        if let Event::Accepted { peer, .. } = event {
            let line = Line {
                purpose: Purpose::Inbound,
                to: peer,
                stage: Stage::Skype(Session::accept(connection)),
            };
            self.lines.insert(connection, line);
            return Vec::new();
        }
        let Some(line) = self.lines.get_mut(&connection) else {
            // Nobody's any more.
            return Vec::new();
        };
        match event {
            Event::Accepted { .. } => Vec::new(),
            Event::Connected => match (&line.stage, proxy) {
                (Stage::Connecting(language), Some(proxy)) => {
                    let dialogue = Dialogue::begin(host, connection, proxy.kind, line.to);
                    line.stage = Stage::Proxy(dialogue, *language);
                    Vec::new()
                }
                (Stage::Connecting(language), None) => {
                    let language = *language;
                    line.begin(host, process, connection, language)
                }
                _ => Vec::new(),
            },
            Event::Received(bytes) => {
                let news = line.receive(host, process, connection, &bytes);
                if news.last() == Some(&News::Over) {
                    self.close(host, connection);
                }
                news
            }
            Event::Finished => {
                self.close(host, connection);
                vec![News::Over]
            }
            Event::Failed(_) => {
                self.lines.remove(&connection);
                vec![News::Over]
            }
        }
    }
}

impl Line {
    /// There is a way to the target: the opening begins.
    fn begin(
        &mut self,
        host: &mut dyn Host,
        process: &mut Process,
        connection: Connection,
        language: Language,
    ) -> Vec<News> {
        match language {
            Language::Skype { opening, disguised } => {
                let session = Session::connect(host, connection, process, opening, disguised);
                self.stage = Stage::Skype(session);
                Vec::new()
            }
            Language::Server(generation, user) => {
                self.stage = Stage::Server(Login::begin(host, connection, generation, user));
                vec![News::Open]
            }
            Language::Http => {
                self.stage = Stage::Http;
                vec![News::Open]
            }
        }
    }

    fn receive(
        &mut self,
        host: &mut dyn Host,
        process: &mut Process,
        connection: Connection,
        bytes: &[u8],
    ) -> Vec<News> {
        match &mut self.stage {
            Stage::Connecting(_) => Vec::new(),
            Stage::Proxy(dialogue, language) => match dialogue.receive(host, bytes) {
                Passage::Waiting => Vec::new(),
                Passage::Refused => vec![News::Over],
                Passage::Open(rest) => {
                    let language = *language;
                    let mut news = self.begin(host, process, connection, language);
                    if !rest.is_empty() {
                        news.extend(self.receive(host, process, connection, &rest));
                    }
                    news
                }
            },
            Stage::Skype(session) => {
                let heard = session.receive(host, process, bytes);
                let news = heard.into_iter().map(|heard| match heard {
                    Heard::Open => News::Open,
                    Heard::Message { number, message } => News::Message(number, message),
                    Heard::Media { session, body } => News::Media(session, body),
                    Heard::Foreign => News::Over,
                });
                news.collect()
            }
            Stage::Server(login) => vec![News::Server(login.receive(host, bytes))],
            Stage::Http => vec![News::Http(bytes.to_vec())],
        }
    }
}
