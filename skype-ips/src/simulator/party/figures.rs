//! What parties achieved.

use std::time::Duration;

use serde::Serialize;

use crate::simulator::net::program::Instant;

/// What one program of a party achieved; what doesn't concern it is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// When it was signed in first.
    pub signed_in: Option<Instant>,
    /// How many times it tried to sign in, and the ways it tried (`udp`, `tcp`, `tcp-80`,
    /// `tcp-443`, `proxy`) in order.
    pub tried: Vec<&'static str>,
    /// Its calls, in order.
    pub calls: Vec<CallFigures>,
    /// Files that it sent or received, in order.
    pub files: Vec<FileFigures>,
    /// Sessions that it carried for others.
    pub relayed_sessions: u64,
    /// Bytes of media that it carried for others, with all headers.
    pub relayed_bytes: u64,
    /// Questions that it asked the directory.
    pub searches: Searches,
    /// Questions that others asked it, as a super node.
    pub served: Searches,
    /// What a background program exchanged, by kind.
    pub exchanges: Vec<Exchanges>,
}

/// Questions for the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Searches {
    /// Asked.
    pub asked: u64,
    /// Answered in full.
    pub answered: u64,
}

/// A call, as one of its ends saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CallFigures {
    /// The other party.
    pub with: String,
    /// `voice` or `video`.
    pub kind: &'static str,
    /// Which way the media took: `udp`, `tcp`, `relay-udp`, `relay-tcp`; `none` if the call never
    /// came about.
    pub path: &'static str,
    /// From the order to the first packet of media.
    pub set_up: Option<Duration>,
    /// What this end received of what the other sent to it.
    pub received: Direction,
}

/// One direction of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Direction {
    /// Packets that the other end sent, by its numbers; what it would have sent had the call come
    /// about, if it didn't.
    pub sent: u64,
    /// Packets that arrived.
    pub arrived: u64,
    /// Bytes of media that arrived.
    pub bytes: u64,
    /// Longest time without a packet while the call was on.
    pub longest_gap: Duration,
}

impl Direction {
    /// Share of the packets that arrived, 0 to 1; 0 if none were sent.
    pub fn share(&self) -> f64 {
        match self.sent {
            0 => 0.0,
            sent => self.arrived as f64 / sent as f64,
        }
    }
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileFigures {
    /// The other party.
    pub with: String,
    /// Whether this end sends it.
    pub sending: bool,
    /// Which way it took, as in [`CallFigures::path`].
    pub path: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Bytes that the receiver has, each counted once, as this end knows.
    pub arrived: u64,
    /// From the order, or the first word of it, to the last byte; `None`: not whole.
    pub took: Option<Duration>,
}

/// What a background program exchanged: questions and answers, or packets of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchanges {
    /// What kind, as the conversation's label says.
    pub what: &'static str,
    /// Begun: requests sent, or packets of the other end known of by their numbers.
    pub begun: u64,
    /// Completed: answers that came whole and unchanged, or packets that arrived unchanged.
    pub done: u64,
}
