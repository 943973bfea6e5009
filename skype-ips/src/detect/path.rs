//! How a flow with media came about: straight between the two ends, through a hole that both punched,
//! or by way of somebody who relays.
//!
//! Media are all ciphertext, so this says nothing of *whether* a flow is Skype. It goes by what comes
//! before them: the messages with which two ends find each other (Baset and Schulzrinne, 2004; Biondi and
//! Desclaux, 2006), and by the rates that relays hold to.

use serde::Serialize;

use super::Evidence;
use super::media::{Counters, Traffic};
use super::udp::Message;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

/// A program answers a message so soon, nanoseconds: captures show less than a millisecond, and the inside
/// network comes on top.
const AT_ONCE: u64 = 50 * MILLISECOND;
/// So many messages, each with an ID of its own, say that a host wants to reach another: one that is
/// only repeated keeps its ID.
const TRIES: u32 = 3;
/// Media by way of another host that begin so long after the last of them are what came of it,
/// nanoseconds: the search, and the packets until media are known for what they are.
const SEARCH: u64 = 60 * SECOND;
/// What relays grant a session, bytes a second of both directions: a file, voice, video (admin guides,
/// Kho et al. 2008).
const CAPS: [u64; 3] = [3_000, 4_000, 10_000];
/// Both ends are told of each other within about so long, nanoseconds: what is sent
/// to several addresses within it looks for one peer.
const TOGETHER: u64 = SECOND;
/// How much of a cap a window may show, per cent: it holds messages besides the media.
const OF_CAP: u64 = 125;

/// How a flow with media came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaPath {
    /// To the other end itself; a hole at its end that was open already looks the same.
    Direct,
    /// To the other end itself, after both ends had sent first.
    HolePunched,
    /// To an outside host that relays.
    Relayed,
}

impl MediaPath {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::HolePunched, Self::Relayed];

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Direct => "to the other end itself, one end asked and the other answered",
            Self::HolePunched => "to the other end itself, after both had sent first",
            Self::Relayed => "by way of an outside host that relays",
        }
    }

    /// Its word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::HolePunched => "hole-punched",
            Self::Relayed => "relayed",
        }
    }
}

/// A message that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    at: u64,
    packet: u64,
    id: u16,
}

/// How the messages of a flow began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The first that the inside host sent, and that came.
    sent: Option<Seen>,
    came: Option<Seen>,
    /// The newest request that the inside host sent before anything came, and how many there were.
    newest: Option<Seen>,
    tries: u32,
    /// The newest that came, while it may still turn out for a question, which is answered at once.
    open: Option<Seen>,
    /// Whether the other end has asked, too.
    is_asked: bool,
    /// Whether what came first is known for what it was.
    told: bool,
    /// The inside host's answer to it, if that was a question, though the host had asked first.
    crossed: Option<u64>,
    /// Whether that first question got through: something came after the answer that was no question, before
    /// the host asked again.
    got_through: bool,
    /// Whether it did.
    asked_again: bool,
}

impl Opening {
    /// Takes in the next message; `packet` is its number.
    pub fn observe(&mut self, now: u64, outbound: bool, message: &Message, packet: u64) {
        let id = match message {
            Message::Payload(sent) => sent.id,
            Message::Answer(answer) => answer.id,
            Message::Resend(resend) => resend.id,
            Message::Fragment(fragment) => fragment.request,
        };
        let seen = Seen {
            at: now,
            packet,
            id,
        };
        if outbound {
            self.sends(seen, message);
        } else {
            self.comes(seen, message);
        }
    }

    fn comes(&mut self, seen: Seen, message: &Message) {
        // An ACK, a NACK and fragments have the ID of what they answer. And what was not answered before
        // the next one came was no question.
        let answers = !matches!(message, Message::Payload(_));
        self.told |= self.came.is_some() || answers;
        self.got_through |= self.crossed.is_some() && !self.asked_again;
        self.open = (!answers).then_some(seen);
        self.came.get_or_insert(seen);
    }

    fn sends(&mut self, seen: Seen, message: &Message) {
        let first = *self.sent.get_or_insert(seen);
        let again = self.newest.is_some_and(|newest| newest.id == seen.id);
        let question = self.open.take().filter(|open| match message {
            Message::Answer(answer) => answer.id == open.id,
            Message::Payload(_) => !again && seen.at.saturating_sub(open.at) <= AT_ONCE,
            Message::Resend(_) | Message::Fragment(_) => false,
        });
        self.is_asked |= question.is_some();
        if let Some(question) = question {
            if !self.told && first.at < question.at {
                self.crossed = Some(seen.packet);
            } else if self.crossed.is_some() {
                // What came was another question.
                self.got_through = false;
            }
        } else if matches!(message, Message::Payload(_)) && !again {
            self.asked_again |= self.crossed.is_some();
            if self.came.is_none() {
                self.tries += 1;
                self.newest = Some(seen);
            }
        }
        self.told |= self.came.is_some();
    }

    /// Whether both ends were heard.
    const fn is_mutual(&self) -> bool {
        self.sent.is_some() && self.came.is_some()
    }

    /// Whether the other end has asked by itself, as peers do; relays are asked.
    pub const fn is_of_peer(&self) -> bool {
        self.is_asked
    }

    /// Whether the inside host wanted to reach the other end lately, and heard nothing.
    pub fn failed(&self, now: u64) -> bool {
        let lately = |newest: Seen| now.saturating_sub(newest.at) <= SEARCH;
        self.tries >= TRIES && self.came.is_none() && self.newest.is_some_and(lately)
    }

    /// Whether this and `other` are tries at two addresses of one peer.
    pub fn is_of_one_search(&self, other: &Self) -> bool {
        let began = |opening: &Self| opening.sent.map(|sent| sent.at);
        let apart = began(self).zip(began(other));
        apart.is_some_and(|(one, other)| one.abs_diff(other) <= TOGETHER)
    }

    /// The number of the newest message with which it tried.
    pub fn newest(&self) -> u64 {
        self.newest.map_or(0, |newest| newest.packet)
    }
}

/// What is known of how a flow came about, when it turns out to carry media.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// How its messages began, if that was seen.
    pub opening: Option<Opening>,
    /// Whether the other end is no relay: one that asked by itself, that opened the connection, or that this
    /// host had tried to reach by datagrams.
    pub is_peer: bool,
    /// Packets with which this host tried in vain to reach others.
    pub failed: Vec<u64>,
    /// Number of the newest packet.
    pub packet: u64,
}

impl Circumstances {
    /// How the flow came about, and why; `None` if that can't be told. It `carries` that in this window
    /// of `duration` nanoseconds.
    pub fn judge(
        &self,
        carries: Traffic,
        counted: &Counters,
        duration: u64,
    ) -> Option<(MediaPath, Evidence)> {
        let evidence = Evidence::new("media-path", 0);
        if !self.failed.is_empty() && !self.is_peer {
            // Against what was tried before speaks only a rate that no relay grants.
            return is_within_caps(carries, counted, duration).then(|| {
                let tried = self.failed.iter().fold(evidence, |evidence, packet| {
                    evidence.citing(*packet, 0..3, "another host did not answer this")
                });
                let says = "media by way of this host instead, within what relays grant: relayed";
                (MediaPath::Relayed, tried.citing(self.packet, 0..0, says))
            });
        }
        let Some(opening) = self.opening.filter(Opening::is_mutual) else {
            let says =
                "a connection with the host that datagrams were for, or that it opened: direct";
            return (self.is_peer)
                .then(|| (MediaPath::Direct, evidence.citing(self.packet, 0..0, says)));
        };
        let [sent, came] = [opening.sent?, opening.came?];
        if let Some(answer) = opening.crossed.filter(|_| !opening.got_through) {
            let evidence = evidence
                .citing(sent.packet, 0..3, "this host sent first")
                .citing(came.packet, 0..3, "so did the other, without having got it")
                .citing(answer, 0..3, "for this host answers at once: hole-punched");
            return Some((MediaPath::HolePunched, evidence));
        }
        let [first, second] = if sent.at <= came.at {
            [sent, came]
        } else {
            [came, sent]
        };
        let evidence = evidence
            .citing(first.packet, 0..3, "one end sent first")
            .citing(second.packet, 0..3, "the other answered: direct");
        Some((MediaPath::Direct, evidence))
    }

    /// The same of a window in which media went one way only, although both ends were heard before: no
    /// call goes so, but the leg of one that is relayed (Adami et al., 2009).
    pub fn one_way(&self) -> (MediaPath, Evidence) {
        let says = "a call one way, and nothing back: relayed";
        let evidence = Evidence::new("media-path", 0).citing(self.packet, 0..0, says);
        (MediaPath::Relayed, evidence)
    }
}

fn is_within_caps(carries: Traffic, counted: &Counters, duration: u64) -> bool {
    let cap = match carries {
        Traffic::File => CAPS[0],
        Traffic::Voice => CAPS[1],
        Traffic::Video => CAPS[2],
        Traffic::Quiet => return false,
    };
    let bytes = u128::from(counted.bytes[0]) + u128::from(counted.bytes[1]);
    let granted = u128::from(cap * OF_CAP) * u128::from(duration);
    bytes * 100 * u128::from(SECOND) <= granted
}

#[cfg(test)]
mod tests;
