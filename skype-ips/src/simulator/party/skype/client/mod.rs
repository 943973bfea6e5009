//! A client of classic Skype: signs in, stays signed in, calls, is called, sends files, talks, and
//! asks the directory.
//!
//! It is poll-driven: whatever has come is worked in, then each part does what is due, and one
//! timer is set for what is due next.

mod body;
mod chat;
mod directory;
mod exchange;
mod file;
mod ladder;
mod lines;
mod media;
mod path;
mod session;
mod sign_in;
mod talks;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use super::endpoint::{Endpoint, Received, Request};
use super::message::{Message, What};
use crate::simulator::net::program::{Connection, Datagram, Event, Ground, Host, Instant, Program};
use crate::simulator::party::{Client, Exchanges, Figures, Order, Party};
use crate::simulator::speech::Process;
use chat::Chat;
use directory::Directory;
use exchange::Via;
use lines::{Lines, News, Purpose};
use media::Terms;
use path::Path;
use session::{Content, Session};
use sign_in::SignIn;
use version::Version;

/// Datagrams work if one has come within so long: longer than between two signs of life.
const UDP_FRESH: Duration = Duration::from_secs(45);
/// Payload bytes of a file's pieces (Adami 2009: near the path's MTU).
const PIECE: std::ops::RangeInclusive<u32> = 1_000..=1_360;
/// Ports besides the own one that a client listens on if they are free (Baset).
const OTHER_PORTS: [u16; 2] = [80, 443];

/// What a datagram was sent for that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Probe,
    Ping,
    Search,
    Punch(u32),
    Join(u32, SocketAddrV4),
    /// Nothing depends on its answer.
    Nothing,
}

/// A client.
#[derive(Debug)]
pub struct ClientProgram {
    settings: Client,
    running: bool,
    port: u16,
    endpoint: Endpoint,
    lines: Lines,
    asked: BTreeMap<Request, Asked>,
    /// Super nodes that have answered, the own one first.
    nodes: Vec<SocketAddrV4>,
    udp_heard: Option<Instant>,
    version: Version,
    sign_in: SignIn,
    directory: Directory,
    /// Questions for relays to the super node, and for which session.
    relay_questions: BTreeMap<u16, u32>,
    sessions: Vec<Session>,
    /// The timer that counts, and when it runs out.
    timer: u64,
    armed: Option<Instant>,
}

impl ClientProgram {
    /// A client that waits for the order to sign in.
    pub fn new(settings: Client) -> Self {
        // Another process is drawn when it is started.
        let process = Process::client(&mut fastrand::Rng::with_seed(0));
        let endpoint = Endpoint::new(process, settings.generation, None);
        Self {
            settings,
            running: false,
            port: 0,
            endpoint,
            lines: Lines::default(),
            asked: BTreeMap::new(),
            nodes: Vec::new(),
            udp_heard: None,
            version: Version::default(),
            sign_in: SignIn::default(),
            directory: Directory::default(),
            relay_questions: BTreeMap::new(),
            sessions: Vec::new(),
            timer: 0,
            armed: None,
        }
    }

    /// Whether datagrams have come lately.
    fn udp_works(&self, now: Instant) -> bool {
        let heard = self.udp_heard;
        self.settings.udp && heard.is_some_and(|heard| now < heard + UDP_FRESH)
    }

    fn run(&mut self, host: &mut dyn Host) {
        if self.running {
            return;
        }
        self.running = true;
        let process = Process::client(host.rng());
        self.endpoint = Endpoint::new(process, self.settings.generation, None);
        let ground = Ground::skype("signaling");
        if self.port == 0 {
            self.port = match self.settings.port {
                0 => host.rng().u16(1025..49_152),
                port => port,
            };
        }
        if self.settings.udp {
            while !self.endpoint.bind(host, self.port, ground) {
                self.port = host.rng().u16(1025..49_152);
            }
        }
        host.listen(self.port);
        for port in OTHER_PORTS {
            host.listen(port);
        }
        self.check_version(host);
        self.look_for_super_node(host);
    }

    fn stop(&mut self, host: &mut dyn Host) {
        for index in 0..self.sessions.len() {
            self.stop_session(host, index);
        }
        self.running = false;
        self.lines.close_all(host);
        self.asked.clear();
        self.nodes.clear();
        self.udp_heard = None;
        self.version = Version::default();
        self.directory.clear();
        self.relay_questions.clear();
        self.sign_in.reset();
        self.armed = None;
        self.timer += 1;
    }

    /// Does all that is due, and sets the timer for what is next.
    fn settle(&mut self, host: &mut dyn Host) {
        if !self.running {
            return;
        }
        self.poll_version(host);
        self.poll_sign_in(host);
        self.poll_directory(host);
        for index in 0..self.sessions.len() {
            self.poll_set_up(host, index);
            if self.sessions[index].is_on() {
                self.poll_on(host, index);
            }
        }
        let sessions = self.sessions.iter().filter_map(Session::wake);
        let parts = [
            self.version.wake(),
            self.sign_in.wake(),
            self.directory.wake(),
        ];
        let Some(wake) = parts.into_iter().flatten().chain(sessions).min() else {
            return;
        };
        // A moment later at the soonest: what can't be done now must not stop the clock.
        let wake = wake.max(host.now() + Duration::from_micros(100));
        if self.armed.is_none_or(|armed| wake < armed) {
            self.timer += 1;
            self.armed = Some(wake);
            host.timer(wake - host.now(), self.timer);
        }
    }

    fn received(&mut self, host: &mut dyn Host, received: Received) {
        let now = host.now();
        if !matches!(received, Received::GivenUp { .. }) {
            self.udp_heard = Some(now);
        }
        match received {
            Received::Message { from, id, message } => self.message(host, from, id, message),
            Received::Answer {
                request,
                from,
                message,
            } => {
                if let Some(asked) = self.asked.remove(&request) {
                    self.answered(host, asked, request, from, message);
                }
            }
            Received::Acknowledged { request, .. } => {
                self.asked.remove(&request);
            }
            Received::GivenUp { request, to } => {
                // A super node that is silent is no longer counted on; the own one's connection
                // shows by itself whether it lives.
                if self.asked.remove(&request) == Some(Asked::Ping) && self.super_node() != Some(to)
                {
                    self.nodes.retain(|node| *node != to);
                }
            }
            Received::Named { .. } => {}
            Received::Media {
                from,
                session,
                body,
            } => self.media(host, Via::Udp(from), session, &body),
            Received::KeepAlive { from } => self.kept_alive(now, from),
        }
    }

    /// A message by datagram that answers nothing.
    fn message(&mut self, host: &mut dyn Host, from: SocketAddrV4, id: u16, message: Message) {
        match message {
            Message::Punch { session } => {
                let Some(index) = self.live_session(session) else {
                    return;
                };
                self.endpoint
                    .answer(host, from, id, &Message::PunchAck { session });
                let now = host.now();
                if let Some(finder) = &mut self.sessions[index].finder {
                    finder.add_candidates(now, &[from]);
                }
            }
            Message::Ping => self.endpoint.answer(host, from, id, &Message::Pong),
            Message::Probe => {
                // A client serves nobody, but knows who does.
                let others = self.nodes.iter().take(5).copied().collect();
                self.endpoint
                    .answer(host, from, id, &Message::Redirect { others });
            }
            Message::Search { user } | Message::Query { user } => {
                self.endpoint
                    .answer(host, from, id, &Message::NotHere { user });
            }
            Message::CallBack { port } => {
                self.endpoint.acknowledge(host, from, id);
                let to = SocketAddrV4::new(*from.ip(), port);
                self.open(host, Purpose::Inbound, to, false);
            }
            _ => self.endpoint.acknowledge(host, from, id),
        }
    }

    fn answered(
        &mut self,
        host: &mut dyn Host,
        asked: Asked,
        request: Request,
        from: SocketAddrV4,
        message: Message,
    ) {
        match (asked, message) {
            (Asked::Probe, Message::Accept) => self.accepted(host, from),
            (Asked::Probe, Message::Redirect { others }) => self.redirected(host, &others),
            (Asked::Search, Message::Found { at, .. }) => {
                self.answered_by_datagram(host, request, Some(at));
            }
            (Asked::Search, Message::NotHere { .. }) => {
                self.answered_by_datagram(host, request, None);
            }
            (Asked::Punch(session), Message::PunchAck { .. }) => {
                if let Some(index) = self.live_session(session)
                    && self.sessions[index].finder.is_some()
                {
                    self.path_found(host, index, Path::Udp(from));
                }
            }
            (Asked::Join(session, relay), Message::Joined { both, .. }) => {
                self.joined(host, session, Path::RelayUdp(relay), both);
            }
            _ => {}
        }
    }

    fn news(&mut self, host: &mut dyn Host, connection: Connection, purpose: Purpose, news: News) {
        match (news, purpose) {
            (News::Open, Purpose::SuperNode(_)) => self.super_node_line_open(host, connection),
            (News::Open, Purpose::Version) => self.ask_for_version(host, connection),
            (News::Open, Purpose::Peer(session) | Purpose::Relay(session, _)) => {
                self.session_line_open(host, connection, session);
            }
            (News::Message(number, message), purpose) => {
                self.told(host, connection, purpose, number, message);
            }
            (News::Media(session, body), _) => {
                self.media(host, Via::Tcp(connection), session, &body);
            }
            (News::Server(progress), _) => self.server_says(host, connection, Some(progress)),
            (News::Http(_), _) => self.version_told(host, connection),
            (News::Over, Purpose::SuperNode(_)) => self.super_node_line_over(host, connection),
            (News::Over, Purpose::Login | Purpose::Event) => {
                self.server_says(host, connection, None);
            }
            (News::Over, Purpose::Version) => self.version_told(host, connection),
            (News::Over, Purpose::Peer(session) | Purpose::Relay(session, _)) => {
                self.session_line_over(host, session, connection);
            }
            (News::Open | News::Over, _) => {}
        }
    }

    /// A message over a connection.
    fn told(
        &mut self,
        host: &mut dyn Host,
        connection: Connection,
        purpose: Purpose,
        number: u16,
        message: Message,
    ) {
        self.super_node_lives(connection);
        match message {
            Message::Registered { seen } => self.registered(host, connection, seen),
            Message::Refused { others } => self.refused(host, connection, &others),
            Message::Found { user, at, .. } => self.answered_over_tcp(host, user, Some(at)),
            Message::NotHere { user } => self.answered_over_tcp(host, user, None),
            Message::Relays { relays } => {
                if let Some(session) = self.relay_questions.remove(&number) {
                    self.relays_named(host, session, relays);
                }
            }
            Message::Forward { from, to, at, talk } if to == self.settings.user.number => {
                self.talk(host, from, at, talk);
            }
            Message::Unreachable { user } => self.unreachable(host, user),
            Message::Ping => self.lines.answer(host, connection, number, &Message::Pong),
            Message::Join { session, .. } => {
                let known = self.live_session(session).is_some();
                let answer = Message::Joined {
                    session,
                    both: known,
                };
                self.lines.answer(host, connection, number, &answer);
                if known {
                    self.lines.set_purpose(connection, Purpose::Peer(session));
                    self.joined(host, session, Path::Tcp(connection), true);
                }
            }
            Message::Joined { session, both } => {
                let path = match purpose {
                    Purpose::Relay(_, relay) => Path::RelayTcp(relay, connection),
                    _ => Path::Tcp(connection),
                };
                self.joined(host, session, path, both);
            }
            // What was to be a relay is none.
            Message::Redirect { .. } => self.lines.close(host, connection),
            _ => {}
        }
    }
}

impl Program for ClientProgram {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        if !self.running {
            return;
        }
        if self.version.port() == Some(datagram.port) {
            self.named(host, datagram.payload);
        } else if datagram.port == self.port {
            for received in self.endpoint.receive(host, datagram) {
                self.received(host, received);
            }
        }
        self.settle(host);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        if !self.running {
            if matches!(event, Event::Accepted { .. }) {
                host.abort(connection);
            }
            return;
        }
        let (process, proxy) = (&mut self.endpoint.process, self.settings.proxy);
        let before = self.lines.purpose(connection);
        let all = self.lines.event(host, process, proxy, connection, event);
        for news in all {
            let purpose = self.lines.purpose(connection).or(before);
            if let Some(purpose) = purpose {
                self.news(host, connection, purpose, news);
            }
        }
        self.settle(host);
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        if !self.running {
            return;
        }
        if let Some(all) = self.endpoint.timer(host, token) {
            for received in all {
                self.received(host, received);
            }
        } else if token == self.timer {
            self.armed = None;
        } else {
            return;
        }
        self.settle(host);
    }
}

impl Party for ClientProgram {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        let number = host.rng().u32(1..);
        match order {
            Order::SignIn => self.run(host),
            Order::SignOut => self.stop(host),
            Order::Call {
                with,
                lasting,
                video,
            } => {
                let terms = Terms::new(number, *lasting, *video);
                let what = match video {
                    None => What::Voice,
                    Some(_) => What::Video,
                };
                let call = Content::Call(Self::new_call(host, terms));
                self.begin_session(host, number, with.clone(), what, call);
            }
            Order::SendFile { to, bytes } => {
                let content = Content::Outgoing {
                    bytes: *bytes,
                    piece: host.rng().u32(PIECE),
                    sender: None,
                };
                self.begin_session(host, number, to.clone(), What::File, content);
            }
            Order::Search { count, over } => {
                let own = &self.settings.user;
                let others = self.settings.users.iter().filter(|user| *user != own);
                let others: Vec<u32> = others.map(|user| user.number).collect();
                self.directory.order(host.now(), *count, *over, &others);
            }
            Order::Chat { with, lasting } => {
                let chat = Content::Chat(Chat::new(*lasting));
                self.begin_session(host, number, with.clone(), What::Chat, chat);
            }
            Order::Run { .. } => {}
        }
        self.settle(host);
    }

    fn figures(&self, now: Instant) -> Figures {
        let calls = self.sessions.iter();
        let calls = calls.filter_map(|session| session.call_figures(now));
        let files = self.sessions.iter().filter_map(Session::file_figures);
        let mut words = Exchanges {
            what: "chat",
            ..Exchanges::default()
        };
        for session in &self.sessions {
            if let Content::Chat(chat) = &session.content {
                let (written, read) = chat.counts();
                words.begun += written;
                words.done += read;
            }
        }
        Figures {
            signed_in: self.sign_in.first,
            tried: self.sign_in.tried.clone(),
            calls: calls.collect(),
            files: files.collect(),
            searches: self.directory.figures,
            exchanges: (words.begun > 0).then_some(words).into_iter().collect(),
            ..Figures::default()
        }
    }
}
