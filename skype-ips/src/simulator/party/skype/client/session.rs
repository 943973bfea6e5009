//! What two clients have with each other: a call, a file, or talk in writing.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::message::What;
use super::chat::Chat;
use super::file::{Receiver, Sender};
use super::media::{Meter, Stream, Terms};
use super::path::{Finder, Path};
use crate::simulator::net::program::Instant;
use crate::simulator::party::{CallFigures, Direction, FileFigures, User};

/// A call in which nothing has come for so long has lost what was sent meanwhile.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the end that was invited waits for the other to say that a session is over.
const COURTESY: Duration = Duration::from_secs(4);

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The directory is asked where the other is; again from then on.
    Locating {
        /// How many times it didn't know.
        misses: u32,
        /// When it is asked again; `None`: it has been asked.
        again: Option<Instant>,
    },
    /// The other is invited, and has not answered.
    Inviting {
        /// How many times.
        tries: u32,
        /// When it is given up or done again.
        again: Instant,
    },
    /// Both know of it.
    On,
    /// One has said that it is over.
    Ending {
        /// When this end says so again, and how many times it will.
        say: Option<(Instant, u32)>,
        /// When it is forgotten.
        until: Instant,
    },
    /// Nothing comes of it any more.
    Over,
}

/// A call at work.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) terms: Terms,
    pub(super) stream: Option<Stream>,
    pub(super) meter: Option<Meter>,
    /// Packets that this end would send, or did.
    pub(super) planned: u32,
    /// Packets that this end has sent, when it is over.
    pub(super) own_sent: u32,
    /// Packets that the other end has sent, as it said at the end.
    pub(super) other_sent: Option<u32>,
}

impl Call {
    /// Packets that the other end must be taken to have sent by `end`, if it hasn't said: what has
    /// come shows by itself how many were before, but not what is missing behind it.
    fn others_by(&self, end: Instant) -> u32 {
        let silent = self
            .meter
            .as_ref()
            .is_none_or(|meter| end > meter.heard() + SILENCE);
        let own = self.stream.as_ref().map_or(self.own_sent, Stream::sent);
        if silent { own } else { 0 }
    }
}

/// What a session is about.
#[derive(Debug)]
pub(super) enum Content {
    /// A call.
    Call(Call),
    /// A file to the other.
    Outgoing {
        bytes: u64,
        piece: u32,
        sender: Option<Sender>,
    },
    /// A file from the other.
    Incoming {
        bytes: u64,
        receiver: Option<Receiver>,
    },
    /// Talk in writing.
    Chat(Chat),
}

/// A session, from its order or invitation on; kept for the figures when it is over.
#[derive(Debug)]
pub(super) struct Session {
    /// Its number, drawn by the end that invites.
    pub(super) number: u32,
    pub(super) peer: User,
    pub(super) what: What,
    /// Whether this end has invited.
    pub(super) leads: bool,
    pub(super) stage: Stage,
    /// When it was ordered or heard of.
    pub(super) begun: Instant,
    /// The other's super node.
    pub(super) at: Option<SocketAddrV4>,
    pub(super) finder: Option<Finder>,
    pub(super) path: Option<Path>,
    /// The first path that media took.
    pub(super) first_path: Option<Path>,
    /// When that was found.
    pub(super) up: Option<Instant>,
    /// When something came over the path last.
    pub(super) heard: Instant,
    /// Over without having come to its own end.
    pub(super) broken: bool,
    /// When it was over.
    pub(super) ended: Option<Instant>,
    /// A connection that is full takes nothing before then.
    pub(super) held_until: Instant,
    /// When all of a file was there.
    pub(super) whole: Option<Instant>,
    pub(super) content: Content,
}

impl Session {
    pub(super) fn new(
        now: Instant,
        number: u32,
        peer: User,
        what: What,
        leads: bool,
        content: Content,
    ) -> Self {
        Self {
            number,
            peer,
            what,
            leads,
            stage: Stage::Locating {
                misses: 0,
                again: Some(now),
            },
            begun: now,
            at: None,
            finder: None,
            path: None,
            first_path: None,
            up: None,
            heard: now,
            broken: false,
            ended: None,
            held_until: now,
            whole: None,
            content,
        }
    }

    /// Whether anything is still to come of it.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether both ends know of it, and neither has ended it.
    pub(super) fn is_on(&self) -> bool {
        self.stage == Stage::On
    }

    /// How long nothing may come over the path before another is looked for.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(match self.content {
            Content::Call(_) => 6,
            Content::Outgoing { .. } | Content::Incoming { .. } => 12,
            Content::Chat(_) => 40,
        })
    }

    /// How long it goes on from its first packet; `None`: as long as it takes.
    pub(super) fn lasting(&self) -> Option<Duration> {
        match &self.content {
            Content::Call(call) => Some(call.terms.lasting),
            Content::Chat(chat) => Some(chat.lasting()),
            Content::Outgoing { .. } | Content::Incoming { .. } => None,
        }
    }

    /// When it has lasted as long as it should.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.up? + self.lasting()?)
    }

    /// When this end ends it.
    pub(super) fn end_at(&self) -> Option<Instant> {
        let courtesy = if self.leads { Duration::ZERO } else { COURTESY };
        Some(self.due()? + courtesy)
    }

    fn path_name(&self) -> &'static str {
        self.first_path.map_or("none", Path::name)
    }

    /// The figures of a call.
    pub(super) fn call_figures(&self, now: Instant) -> Option<CallFigures> {
        let Content::Call(call) = &self.content else {
            return None;
        };
        let end = self.ended.map_or(now, |ended| ended.min(now));
        let sent = match (self.broken, call.other_sent) {
            // What the other would have sent had all gone well: as much as this end.
            (true, _) => call.planned,
            (false, Some(sent)) => sent,
            (false, None) => call.others_by(end),
        };
        let received = match &call.meter {
            Some(meter) => meter.direction(end, sent.into()),
            None => Direction {
                sent: call.planned.into(),
                longest_gap: end.saturating_sub(self.begun),
                ..Direction::default()
            },
        };
        Some(CallFigures {
            with: self.peer.name.clone(),
            kind: call.terms.kind(),
            path: self.path_name(),
            set_up: self.up.map(|up| up.saturating_sub(self.begun)),
            received,
        })
    }

    /// The figures of a file.
    pub(super) fn file_figures(&self) -> Option<FileFigures> {
        let (sending, bytes, arrived) = match &self.content {
            Content::Outgoing { bytes, sender, .. } => {
                let arrived = sender.as_ref().map_or(0, Sender::arrived);
                (true, *bytes, arrived)
            }
            Content::Incoming { bytes, receiver } => {
                let arrived = receiver.as_ref().map_or(0, Receiver::arrived);
                (false, *bytes, arrived)
            }
            Content::Call(_) | Content::Chat(_) => return None,
        };
        Some(FileFigures {
            with: self.peer.name.clone(),
            sending,
            path: self.path_name(),
            bytes,
            arrived,
            took: self.whole.map(|whole| whole.saturating_sub(self.begun)),
        })
    }

    /// When it is to be looked after next.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.stage {
            Stage::Over => None,
            Stage::Locating { again, .. } => again,
            Stage::Inviting { again, .. } => Some(again),
            Stage::Ending { say, until } => Some(say.map_or(until, |(at, _)| at.min(until))),
            Stage::On => {
                let content = self.path.and_then(|_| match &self.content {
                    Content::Call(call) => call.stream.as_ref().and_then(Stream::wake),
                    Content::Outgoing { sender, .. } => sender.as_ref().and_then(Sender::wake),
                    Content::Incoming { receiver, .. } => {
                        receiver.as_ref().and_then(Receiver::wake)
                    }
                    Content::Chat(chat) => chat.wake(),
                });
                let silent = match &self.finder {
                    Some(finder) => finder.wake(),
                    None => self.heard + self.patience(),
                };
                let content = content.map(|wake| wake.max(self.held_until));
                [content, self.end_at()]
                    .into_iter()
                    .flatten()
                    .chain([silent])
                    .min()
            }
        }
    }
}
