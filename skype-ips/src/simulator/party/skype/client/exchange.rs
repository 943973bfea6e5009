//! What goes over a session's path: how the path is found and changed, and what both ends send.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::message::Message;
use super::super::{endpoint, stream};
use super::body::Body;
use super::chat::Say;
use super::file::{Pace, Receiver, Report, Sender};
use super::ladder::Way;
use super::lines::{Language, Purpose};
use super::media::{Meter, Stream};
use super::path::{Action, Finder, Path};
use super::session::{Content, Session, Stage};
use super::talks::END_LEN;
use super::{Asked, ClientProgram};
use crate::simulator::net::program::{Between, Connection, Doing, Host, Instant, Matter};

/// Bytes a second of a file over a relay, all headers and reports with it: under its cap of 3 KB/s
/// (Kho 2008).
const RELAYED_FILE: f64 = 2_700.0;
/// IPv4 and UDP headers.
const HEADERS: u32 = 28;
/// Of a file over TCP so much may wait in the connection.
const FILE_WAITING: usize = 24 * 1024;
/// When that is so much, it is looked at again after so long.
const HOLD: Duration = Duration::from_millis(5);
/// Of a call over TCP; packets beyond are left out, as they would come too late.
const CALL_WAITING: usize = 16 * 1024;
/// How long a hole that is punched is waited for.
const PUNCH_PATIENCE: Duration = Duration::from_secs(4);
/// How often bodies of a burst may be sent in one go.
const BURST: usize = 32;

/// Where media have come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// By datagram.
    Udp(SocketAddrV4),
    /// Over a connection.
    Tcp(Connection),
}

impl ClientProgram {
    /// Looks after a session that is on.
    pub(super) fn poll_on(&mut self, host: &mut dyn Host, index: usize) {
        let now = host.now();
        if (self.sessions[index].end_at()).is_some_and(|end| end <= now) {
            self.end(host, index);
            return;
        }
        let actions = match &mut self.sessions[index].finder {
            Some(finder) => finder.poll(now),
            None => Vec::new(),
        };
        for action in actions {
            self.act(host, index, action);
        }
        self.send_content(host, index);
        let session = &self.sessions[index];
        let silent = now >= session.heard + session.patience();
        match &session.finder {
            Some(finder) if finder.given_up(now) => {
                if silent {
                    self.fail(host, index);
                } else {
                    // It was the other end that missed something.
                    self.sessions[index].finder = None;
                }
            }
            None if silent && session.is_on() => self.path_is_dead(host, index),
            _ => {}
        }
    }

    fn act(&mut self, host: &mut dyn Host, index: usize, action: Action) {
        let session = &self.sessions[index];
        let (number, what) = (session.number, session.what);
        let join = Message::Join {
            session: number,
            user: self.settings.user.number,
            what,
        };
        match action {
            Action::Punch(to) => {
                let punch = Message::Punch { session: number };
                let request = self.endpoint.ask_once(host, to, &punch, PUNCH_PATIENCE);
                self.asked.insert(request, Asked::Punch(number));
            }
            Action::Connect(to) => self.open(host, Purpose::Peer(number), to, false),
            Action::AskForRelays => {
                if let Some(asked) = self.tell_super_node(host, &Message::RelayWanted { what }) {
                    self.relay_questions.insert(asked, number);
                }
            }
            Action::Join(relay) => {
                let request = self.endpoint.request(host, relay, &join);
                self.asked.insert(request, Asked::Join(number, relay));
            }
            Action::JoinOver(relay, way) => {
                let purpose = Purpose::Relay(number, relay);
                self.open(host, purpose, way.to(relay), way == Way::Tcp443);
            }
            Action::JoinAgain(Path::RelayUdp(relay)) => {
                let patience = Duration::from_secs(2);
                let request = self.endpoint.ask_once(host, relay, &join, patience);
                self.asked.insert(request, Asked::Join(number, relay));
            }
            Action::JoinAgain(path) => {
                if let Some(connection) = path.connection() {
                    self.lines.tell(host, connection, &join);
                }
            }
        }
    }

    /// Opens a connection to a program of Skype's.
    pub(super) fn open(
        &mut self,
        host: &mut dyn Host,
        purpose: Purpose,
        to: SocketAddrV4,
        disguised: bool,
    ) {
        let language = Language::skype(host.rng(), self.settings.generation, disguised);
        let proxy = self.settings.proxy;
        self.lines.open(host, proxy, purpose, to, language);
    }

    /// Connections that serve a session.
    pub(super) fn lines_of(&self, number: u32) -> Vec<Connection> {
        self.lines.with(|purpose| match purpose {
            Purpose::Peer(session) | Purpose::Relay(session, _) => session == number,
            _ => false,
        })
    }

    /// A connection for a session can be used: this end says what it is for.
    pub(super) fn session_line_open(
        &mut self,
        host: &mut dyn Host,
        connection: Connection,
        number: u32,
    ) {
        match self.live_session(number) {
            Some(index) if self.sessions[index].is_on() => {
                let what = self.sessions[index].what;
                let join = Message::Join {
                    session: number,
                    user: self.settings.user.number,
                    what,
                };
                self.lines.tell(host, connection, &join);
            }
            _ => self.lines.close(host, connection),
        }
    }

    /// A relay, or the other end, says that this end has joined.
    pub(super) fn joined(&mut self, host: &mut dyn Host, number: u32, path: Path, both: bool) {
        let Some(index) = self.live_session(number) else {
            return;
        };
        let session = &mut self.sessions[index];
        if session.finder.is_none() {
            if session.path != Some(path) {
                self.leave(host, number, path);
            }
        } else if both {
            self.path_found(host, index, path);
        } else if let Some(finder) = &mut session.finder {
            finder.waits_at(host.now(), path);
        }
    }

    /// There is a path: what the session is about begins, or goes on.
    pub(super) fn path_found(&mut self, host: &mut dyn Host, index: usize, path: Path) {
        let now = host.now();
        let session = &mut self.sessions[index];
        if !session.is_on() {
            return;
        }
        let finder = session.finder.take();
        let old = session.path.replace(path);
        session.first_path.get_or_insert(path);
        session.up.get_or_insert(now);
        session.heard = now;
        let number = session.number;
        let matter = session.what.into();
        if old != Some(path) {
            session.begin_content(now, host.rng(), path);
        }
        self.note(host, path, matter);
        let left = finder.iter().flat_map(Finder::meetings);
        let left: Vec<Path> = left.chain(old).filter(|left| *left != path).collect();
        for left in left {
            self.leave(host, number, left);
        }
    }

    /// For the accounts: that goes over a path from now on.
    pub(super) fn note(&self, host: &mut dyn Host, path: Path, matter: Matter) {
        let between = match path {
            Path::Udp(to) | Path::RelayUdp(to) => Between::Datagrams(self.port, to),
            Path::Tcp(connection) | Path::RelayTcp(_, connection) => {
                Between::Connection(connection)
            }
        };
        host.note(between, Doing::Own(matter));
    }

    /// Sends what is due.
    fn send_content(&mut self, host: &mut dyn Host, index: usize) {
        let now = host.now();
        for _ in 0..BURST {
            let session = &mut self.sessions[index];
            let Some(path) = session.path else {
                return;
            };
            let waiting = path
                .connection()
                .map_or(0, |connection| host.waiting(connection));
            let (body, len) = match &mut session.content {
                Content::Call(call) => match call.stream.as_mut().and_then(|own| own.due(now)) {
                    Some(_) if waiting > CALL_WAITING => continue,
                    Some((number, len)) => {
                        (Body::Packet { number }, len.saturating_sub(head(path)))
                    }
                    None => return,
                },
                Content::Outgoing { .. } if waiting >= FILE_WAITING => {
                    session.held_until = now + HOLD;
                    return;
                }
                Content::Outgoing { piece, sender, .. } => {
                    let size = *piece;
                    let next = sender.as_mut().and_then(|sender| {
                        let index = sender.send(now)?;
                        Some((index, sender.length(index)))
                    });
                    match next {
                        Some((index, bytes)) => {
                            let piece = Body::Piece { size, index };
                            let head = piece.encode(0).len();
                            (piece, head + bytes)
                        }
                        None => return,
                    }
                }
                Content::Incoming { receiver, .. } => match receiver {
                    Some(receiver) if receiver.wake().is_some_and(|wake| wake <= now) => {
                        (Body::Report(receiver.report()), 0)
                    }
                    _ => return,
                },
                Content::Chat(chat) => match chat.poll(now, host.rng()) {
                    Some(Say::Words { number, letters }) => (Body::Words { number }, letters),
                    Some(Say::Still) => {
                        if let Path::Udp(to) = path {
                            self.endpoint.keep_alive(host, to);
                            continue;
                        }
                        (Body::Still, 0)
                    }
                    None => return,
                },
            };
            self.say(host, index, &body, len);
        }
    }

    /// Sends a body of at least `len` bytes over a session's path.
    fn say(&mut self, host: &mut dyn Host, index: usize, body: &Body, len: usize) {
        let session = &self.sessions[index];
        let (number, bytes) = (session.number, body.encode(len));
        match session.path {
            Some(Path::Udp(to) | Path::RelayUdp(to)) => {
                self.endpoint.media(host, to, number, &bytes);
            }
            Some(Path::Tcp(connection) | Path::RelayTcp(_, connection)) => {
                self.lines.media(host, connection, number, &bytes);
            }
            None => {}
        }
    }

    /// Says over the path that the session is over.
    pub(super) fn say_end(&mut self, host: &mut dyn Host, index: usize) {
        let sent = match &self.sessions[index].content {
            Content::Call(call) => call.stream.as_ref().map_or(0, Stream::sent),
            _ => 0,
        };
        self.say(host, index, &Body::End { sent }, END_LEN);
    }

    /// Something has come of a session.
    pub(super) fn media(&mut self, host: &mut dyn Host, via: Via, number: u32, bytes: &[u8]) {
        let now = host.now();
        let Some(index) = self.live_session(number) else {
            return;
        };
        let Some(body) = Body::decode(bytes) else {
            return;
        };
        self.adopt(host, index, via);
        let session = &mut self.sessions[index];
        session.heard = now;
        let answer = match body {
            Body::Packet { number } => {
                if let Content::Call(call) = &mut session.content {
                    let meter = call.meter.get_or_insert(Meter::new(now));
                    meter.packet(now, number, bytes.len());
                }
                None
            }
            Body::Piece { size, index } => session.piece(now, size, index).map(Body::Report),
            Body::Report(report) => {
                self.report(host, index, &report);
                None
            }
            Body::Words { number } => Some(Body::Read { number }),
            Body::Read { number } => {
                if let Content::Chat(chat) = &mut session.content {
                    chat.read(number);
                }
                None
            }
            Body::Still => None,
            Body::End { sent } => {
                self.ended_by_other(host, index, Some(sent));
                None
            }
        };
        if let Some(answer) = answer {
            self.say(host, index, &answer, 0);
        }
    }

    /// Three bytes have come: the path is still there.
    pub(super) fn kept_alive(&mut self, now: Instant, from: SocketAddrV4) {
        for session in &mut self.sessions {
            if session.path == Some(Path::Udp(from)) {
                session.heard = now;
            }
        }
    }

    /// Media that come another way than this end's own show a path that works.
    fn adopt(&mut self, host: &mut dyn Host, index: usize, via: Via) {
        let session = &self.sessions[index];
        let path = match via {
            Via::Udp(from) => {
                let finder = session.finder.as_ref();
                let relayed = finder.is_some_and(|finder| finder.is_relay(from));
                match relayed || session.path == Some(Path::RelayUdp(from)) {
                    true => Path::RelayUdp(from),
                    false => Path::Udp(from),
                }
            }
            Via::Tcp(connection) => match self.lines.purpose(connection) {
                Some(Purpose::Relay(_, relay)) => Path::RelayTcp(relay, connection),
                _ => Path::Tcp(connection),
            },
        };
        let wanted = session.finder.is_some() || session.path.is_none();
        if wanted && session.path != Some(path) {
            self.path_found(host, index, path);
        }
    }

    /// The receiver of a file reports.
    fn report(&mut self, host: &mut dyn Host, index: usize, report: &Report) {
        let now = host.now();
        let session = &mut self.sessions[index];
        let Content::Outgoing {
            sender: Some(sender),
            ..
        } = &mut session.content
        else {
            return;
        };
        sender.report(now, report);
        if sender.whole() && session.stage == Stage::On {
            session.whole.get_or_insert(now);
            self.end(host, index);
        }
    }

    /// A session's connection is gone.
    pub(super) fn session_line_over(
        &mut self,
        host: &mut dyn Host,
        number: u32,
        connection: Connection,
    ) {
        let Some(index) = self.live_session(number) else {
            return;
        };
        let session = &mut self.sessions[index];
        let own = |path: &Path| path.connection() == Some(connection);
        if let Some(finder) = &mut session.finder {
            let gone: Vec<Path> = finder.meetings().filter(own).collect();
            gone.into_iter().for_each(|path| finder.leave(path));
        }
        if session.is_on() && session.path.as_ref().is_some_and(own) && session.finder.is_none() {
            self.path_is_dead(host, index);
        }
    }
}

/// Payload bytes of a datagram or message with media beyond the body.
const fn head(path: Path) -> usize {
    match path {
        Path::Udp(_) | Path::RelayUdp(_) => endpoint::MEDIA_HEAD,
        Path::Tcp(_) | Path::RelayTcp(..) => stream::MEDIA_HEAD,
    }
}

impl Session {
    /// Media begin over this path, or go on over it.
    fn begin_content(&mut self, now: Instant, rng: &mut fastrand::Rng, path: Path) {
        let relayed = path.relay().is_some();
        match &mut self.content {
            Content::Call(call) => {
                let sent = call.stream.as_ref().map_or(0, Stream::sent);
                let mut terms = call.terms;
                let passed = now.saturating_sub(self.up.unwrap_or(now));
                terms.lasting = terms.lasting.saturating_sub(passed);
                let stream = Stream::new(rng, terms, relayed, now, sent);
                call.planned = stream.planned();
                call.stream = Some(stream);
                call.meter.get_or_insert(Meter::new(now));
            }
            Content::Outgoing {
                bytes,
                piece,
                sender,
            } => {
                let pace = match path {
                    Path::Udp(_) => Pace::Free,
                    Path::Tcp(_) => Pace::Stream,
                    Path::RelayUdp(_) | Path::RelayTcp(..) => Pace::Every(relayed_pace(*piece)),
                };
                match sender {
                    Some(sender) => sender.change_path(now, pace),
                    None => *sender = Some(Sender::new(now, *bytes, *piece, pace)),
                }
            }
            Content::Incoming { .. } => {}
            Content::Chat(chat) => chat.begin(now, rng),
        }
    }

    /// A piece of a file has come; a report may be due.
    fn piece(&mut self, now: Instant, size: u32, index: u32) -> Option<Report> {
        let Content::Incoming { bytes, receiver } = &mut self.content else {
            return None;
        };
        if receiver.is_none() && size == 0 {
            return None;
        }
        let receiver = receiver.get_or_insert_with(|| Receiver::new(*bytes, size));
        let report = receiver.piece(now, index);
        if receiver.whole() {
            self.whole.get_or_insert(now);
        }
        report
    }
}

/// Between two pieces over a relay: each has headers, and half a report the other way.
fn relayed_pace(piece: u32) -> Duration {
    let report = (HEADERS + 36) / 2;
    let bytes = piece + HEADERS + 24 + report;
    Duration::from_secs_f64(f64::from(bytes) / RELAYED_FILE)
}
