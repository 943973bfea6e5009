//! How sessions are set up and ended: the other is located and invited, both name their addresses,
//! and say when it is over.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::message::{Message, Talk, What};
use super::chat::Chat;
use super::directory::Why;
use super::file::Receiver;
use super::media::Terms;
use super::path::{Finder, Path, worth_trying};
use super::session::{Call, Content, Session, Stage};
use super::{Asked, ClientProgram};
use crate::simulator::net::program::{Host, Instant, Matter};
use crate::simulator::party::User;

/// How long a client that is not signed in waits with what it was told to do.
const SIGN_IN_PATIENCE: Duration = Duration::from_secs(90);
/// An invitation is repeated after so long, so many times.
const INVITE_PAUSE: Duration = Duration::from_secs(4);
const INVITES: u32 = 4;
/// A user that nobody knows is asked for again after so long, so many times.
const LOCATE_PAUSE: Duration = Duration::from_secs(4);
const MISSES: u32 = 6;
/// That a session is over is said so many times, with so long between.
const ENDS: u32 = 4;
const END_PAUSE: Duration = Duration::from_millis(500);
/// What is still under way then is counted for so long.
const AFTERMATH: Duration = Duration::from_secs(3);
/// Bytes of a segment at the end of a call over TCP (Adami 2009: 19).
pub(super) const END_LEN: usize = 13;

impl ClientProgram {
    /// Begins a session with a user. The number is random.
    pub(super) fn begin_session(
        &mut self,
        host: &mut dyn Host,
        number: u32,
        peer: User,
        what: What,
        content: Content,
    ) {
        let session = Session::new(host.now(), number, peer, what, true, content);
        self.sessions.push(session);
    }

    /// What a call is to this end before anything of it has come about.
    pub(super) fn new_call(host: &mut dyn Host, terms: Terms) -> Call {
        Call {
            terms,
            stream: None,
            meter: None,
            planned: terms.packets(host.rng()),
            own_sent: 0,
            other_sent: None,
        }
    }

    /// The session of that number, if anything is still to come of it.
    pub(super) fn live_session(&self, number: u32) -> Option<usize> {
        let mut sessions = self.sessions.iter();
        sessions.position(|session| session.number == number && !session.is_over())
    }

    /// Where this end can be reached: its own address, and how others see it.
    pub(super) fn candidates(&self, host: &dyn Host) -> Vec<SocketAddrV4> {
        let own = host.address();
        let public = self.endpoint.public().or(self.seen_by_super_node());
        [Some(own), public.filter(|public| *public != own)]
            .into_iter()
            .flatten()
            .map(|address| SocketAddrV4::new(address, self.port))
            .collect()
    }

    /// Says something to the other end of a session by way of the super nodes.
    fn tell_peer(&mut self, host: &mut dyn Host, index: usize, talk: Talk) {
        let session = &self.sessions[index];
        let message = Message::Forward {
            from: self.settings.user.number,
            to: session.peer.number,
            at: session.at,
            talk,
        };
        self.tell_super_node(host, &message);
    }

    fn invite(&mut self, host: &mut dyn Host, index: usize) {
        let candidates = self.candidates(host);
        let session = &self.sessions[index];
        let bytes = match session.content {
            Content::Outgoing { bytes, .. } => bytes,
            _ => 0,
        };
        let video = match &session.content {
            Content::Call(call) => call.terms.video,
            _ => None,
        };
        let talk = Talk::Invite {
            session: session.number,
            what: session.what,
            bytes,
            lasting: session.lasting().unwrap_or_default(),
            video,
            candidates,
        };
        self.tell_peer(host, index, talk);
    }

    /// The directory has answered a question for a session: the other's super node and addresses.
    pub(super) fn located(
        &mut self,
        host: &mut dyn Host,
        number: u32,
        found: Option<SocketAddrV4>,
    ) {
        let now = host.now();
        let Some(index) = self.live_session(number) else {
            return;
        };
        let session = &mut self.sessions[index];
        let Stage::Locating { misses, .. } = session.stage else {
            return;
        };
        match found {
            Some(at) => {
                session.at = Some(at);
                session.stage = Stage::Inviting {
                    tries: 0,
                    again: now,
                };
            }
            None => {
                session.stage = Stage::Locating {
                    misses: misses + 1,
                    again: Some(now + LOCATE_PAUSE),
                };
            }
        }
    }

    /// Looks after a session that is not on yet or no more.
    pub(super) fn poll_set_up(&mut self, host: &mut dyn Host, index: usize) {
        let now = host.now();
        let registered = self.is_registered();
        let session = &mut self.sessions[index];
        match session.stage {
            Stage::Locating {
                misses,
                again: Some(again),
            } if again <= now => {
                if misses > MISSES || now >= session.begun + SIGN_IN_PATIENCE {
                    self.fail(host, index);
                } else if registered {
                    session.stage = Stage::Locating {
                        misses,
                        again: None,
                    };
                    let (user, number) = (session.peer.number, session.number);
                    self.ask_directory(host, user, Why::Session(number));
                } else {
                    let again = Some(now + Duration::from_secs(1));
                    session.stage = Stage::Locating { misses, again };
                }
            }
            Stage::Inviting { tries, again } if again <= now => {
                if tries == INVITES {
                    self.fail(host, index);
                } else {
                    session.stage = Stage::Inviting {
                        tries: tries + 1,
                        again: now + INVITE_PAUSE,
                    };
                    self.invite(host, index);
                }
            }
            Stage::Ending { say, until } => {
                if until <= now {
                    self.forget(host, index);
                } else if let Some((at, times)) = say.filter(|(at, _)| *at <= now) {
                    let say = (times > 1).then_some((at + END_PAUSE, times - 1));
                    self.sessions[index].stage = Stage::Ending { say, until };
                    self.say_end(host, index);
                }
            }
            _ => {}
        }
    }

    /// A user says something to this one.
    pub(super) fn talk(
        &mut self,
        host: &mut dyn Host,
        from: u32,
        at: Option<SocketAddrV4>,
        talk: Talk,
    ) {
        match talk {
            Talk::Invite {
                session,
                what,
                bytes,
                lasting,
                video,
                candidates,
            } => {
                let known = self.sessions.iter().position(|old| old.number == session);
                let index = match known {
                    Some(index) if self.sessions[index].leads => return,
                    Some(index) => index,
                    None => {
                        let content = match what {
                            What::Voice | What::Video => {
                                let terms = Terms::new(session, lasting, video);
                                Content::Call(Self::new_call(host, terms))
                            }
                            What::File => Content::Incoming {
                                bytes,
                                receiver: None::<Receiver>,
                            },
                            What::Chat => Content::Chat(Chat::new(lasting)),
                        };
                        let peer = self.user(from);
                        let new = Session::new(host.now(), session, peer, what, false, content);
                        self.sessions.push(new);
                        self.sessions.len() - 1
                    }
                };
                if self.sessions[index].is_over() {
                    return;
                }
                self.sessions[index].at = at;
                self.begin_search(host, index, &candidates);
                // A client that is called takes part.
                let answer = Talk::Answer {
                    session,
                    accepted: true,
                    candidates: self.candidates(host),
                };
                self.tell_peer(host, index, answer);
            }
            Talk::Answer {
                session,
                accepted,
                candidates,
            } => {
                let Some(index) = self.live_session(session) else {
                    return;
                };
                if accepted {
                    self.begin_search(host, index, &candidates);
                } else {
                    self.fail(host, index);
                }
            }
            Talk::Candidates {
                session,
                candidates,
            } => {
                if let Some(index) = self.live_session(session) {
                    self.search_again(host, index, &candidates);
                }
            }
            Talk::MeetAt { session, relays } => {
                if let Some(index) = self.live_session(session) {
                    self.meet_at(host, index, &relays);
                }
            }
            Talk::HangUp { session } => {
                if let Some(index) = self.live_session(session) {
                    self.ended_by_other(host, index, None);
                }
            }
        }
    }

    /// The addressee of what was said last can't be reached where it was thought to be.
    pub(super) fn unreachable(&mut self, host: &mut dyn Host, user: u32) {
        let again = Some(host.now() + LOCATE_PAUSE);
        for session in &mut self.sessions {
            if session.peer.number == user
                && let Stage::Inviting { tries, .. } = session.stage
            {
                let misses = tries;
                session.stage = Stage::Locating { misses, again };
            }
        }
    }

    /// Both know of the session, and the other's addresses: a path is looked for.
    fn begin_search(&mut self, host: &mut dyn Host, index: usize, candidates: &[SocketAddrV4]) {
        let now = host.now();
        let candidates = worth_trying(candidates, &self.candidates(host));
        let udp = (self.settings.udp, self.udp_works(now));
        let session = &mut self.sessions[index];
        match session.stage {
            Stage::Locating { .. } | Stage::Inviting { .. } => {
                session.stage = Stage::On;
                session.heard = now;
                session.finder = Some(Finder::new(now, session.leads, udp, candidates));
            }
            Stage::On => {
                if let Some(finder) = &mut session.finder {
                    finder.add_candidates(now, &candidates);
                }
            }
            Stage::Ending { .. } | Stage::Over => {}
        }
    }

    /// The path is dead, or the other end says so: both look for another.
    pub(super) fn search_again(
        &mut self,
        host: &mut dyn Host,
        index: usize,
        candidates: &[SocketAddrV4],
    ) {
        if !self.sessions[index].is_on() {
            return;
        }
        let now = host.now();
        let candidates = worth_trying(candidates, &self.candidates(host));
        let udp = (self.settings.udp, self.udp_works(now));
        let session = &mut self.sessions[index];
        match &mut session.finder {
            Some(finder) => finder.add_candidates(now, &candidates),
            None => session.finder = Some(Finder::new(now, session.leads, udp, candidates)),
        }
    }

    /// Nothing comes over the path any more.
    pub(super) fn path_is_dead(&mut self, host: &mut dyn Host, index: usize) {
        let known = match self.sessions[index].path {
            Some(Path::Udp(peer)) => vec![peer],
            _ => Vec::new(),
        };
        self.search_again(host, index, &known);
        let candidates = Talk::Candidates {
            session: self.sessions[index].number,
            candidates: self.candidates(host),
        };
        self.tell_peer(host, index, candidates);
    }

    /// Relays at which the other end will be.
    fn meet_at(&mut self, host: &mut dyn Host, index: usize, relays: &[SocketAddrV4]) {
        self.search_again(host, index, &[]);
        let now = host.now();
        if let Some(finder) = &mut self.sessions[index].finder {
            finder.meet_at(now, relays);
        }
    }

    /// The super node has named relays for a session: both ends meet there.
    pub(super) fn relays_named(
        &mut self,
        host: &mut dyn Host,
        number: u32,
        mut relays: Vec<SocketAddrV4>,
    ) {
        let Some(index) = self.live_session(number) else {
            return;
        };
        if self.sessions[index].finder.is_none() || relays.is_empty() {
            return;
        }
        // The one that has failed comes last.
        let failed = self.sessions[index].path.and_then(Path::relay);
        relays.sort_by_key(|relay| Some(*relay) == failed);
        self.meet_at(host, index, &relays);
        let session = self.sessions[index].number;
        self.tell_peer(host, index, Talk::MeetAt { session, relays });
    }

    /// This end ends a session that has come to its end, and says so.
    pub(super) fn end(&mut self, host: &mut dyn Host, index: usize) {
        let now = host.now();
        let session = &mut self.sessions[index];
        session.ended.get_or_insert(now);
        session.stage = Stage::Ending {
            say: session.path.map(|_| (now + END_PAUSE, ENDS - 1)),
            until: now + AFTERMATH,
        };
        let number = session.number;
        self.say_end(host, index);
        self.tell_peer(host, index, Talk::HangUp { session: number });
    }

    /// The other end says that the session is over; over the path also how much it has sent.
    pub(super) fn ended_by_other(&mut self, host: &mut dyn Host, index: usize, sent: Option<u32>) {
        let now = host.now();
        let session = &mut self.sessions[index];
        if let (Content::Call(call), Some(_)) = (&mut session.content, sent) {
            call.other_sent = sent;
        }
        match session.stage {
            Stage::Ending { until, .. } => {
                // The answer to what this end has said.
                session.stage = Stage::Ending { say: None, until };
            }
            Stage::Over => {}
            _ => {
                session.broken = !session.came_to_its_end(now);
                session.ended.get_or_insert(now);
                session.stage = Stage::Ending {
                    say: None,
                    until: now + AFTERMATH,
                };
                self.say_end(host, index);
            }
        }
    }

    /// Nothing comes of a session, or nothing more.
    pub(super) fn fail(&mut self, host: &mut dyn Host, index: usize) {
        let session = &mut self.sessions[index];
        session.broken = true;
        let number = session.number;
        let known = !matches!(session.stage, Stage::Locating { .. });
        session.ended.get_or_insert(host.now());
        if known {
            self.tell_peer(host, index, Talk::HangUp { session: number });
        }
        self.forget(host, index);
    }

    /// The program ends, and with it a session.
    pub(super) fn stop_session(&mut self, host: &mut dyn Host, index: usize) {
        let now = host.now();
        let session = &mut self.sessions[index];
        if session.is_over() {
            return;
        }
        if !matches!(session.stage, Stage::Ending { .. }) {
            session.broken = !session.came_to_its_end(now);
            self.end(host, index);
        }
        self.forget(host, index);
    }

    /// A session is over: its relays and connections are let go.
    fn forget(&mut self, host: &mut dyn Host, index: usize) {
        let session = &mut self.sessions[index];
        session.stage = Stage::Over;
        let number = session.number;
        let finder = session.finder.take();
        let waiting = finder.iter().flat_map(Finder::meetings);
        let left: Vec<Path> = session.path.into_iter().chain(waiting).collect();
        if let Content::Call(call) = &mut session.content {
            call.own_sent = call.stream.take().map_or(0, |stream| stream.sent());
        }
        for path in left {
            self.note(host, path, Matter::Words);
            self.leave(host, number, path);
        }
        for connection in self.lines_of(number) {
            self.lines.close(host, connection);
        }
    }

    /// Tells a relay that its service is not wanted any more.
    pub(super) fn leave(&mut self, host: &mut dyn Host, session: u32, path: Path) {
        let message = Message::Leave { session };
        match path {
            Path::RelayUdp(relay) => {
                let request = self.endpoint.request(host, relay, &message);
                self.asked.insert(request, Asked::Nothing);
            }
            Path::RelayTcp(_, connection) => {
                self.lines.tell(host, connection, &message);
            }
            Path::Udp(_) | Path::Tcp(_) => {}
        }
    }

    fn user(&self, number: u32) -> User {
        let known = self.settings.users.iter();
        let mut known = known.filter(|user| user.number == number);
        known.next().cloned().unwrap_or_else(|| User {
            number,
            name: format!("user {number}"),
        })
    }
}

impl Session {
    /// Whether it may be over at `now` without anything having failed.
    fn came_to_its_end(&self, now: Instant) -> bool {
        match &self.content {
            Content::Incoming { receiver, .. } => receiver.as_ref().is_some_and(Receiver::whole),
            Content::Outgoing { .. } => self.whole.is_some(),
            // The other end's clock may have begun earlier by the time that a path takes.
            Content::Call(_) | Content::Chat(_) => {
                (self.due()).is_some_and(|due| now + Duration::from_secs(10) >= due)
            }
        }
    }
}
