//! What Skype's programs say to each other inside the encryption: our own vocabulary, for the real
//! one is not published. Compact, so that messages fit into the lengths that were recorded.
//!
//! A message travels with a number of its request, which an answer repeats; behind it may be
//! padding of any length, as the recorded length asks.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Generation;
use crate::simulator::net::program::Matter;

/// Other super nodes that a redirection of 53 bytes can hold.
pub const MAX_OTHERS: usize = 5;

/// What is being set up between two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// A call.
    Voice,
    /// A call with video.
    Video,
    /// A file.
    File,
    /// Talk in writing.
    Chat,
}

impl From<What> for Matter {
    fn from(what: What) -> Self {
        match what {
            What::Voice => Self::Voice,
            What::Video => Self::Video,
            What::File => Self::File,
            What::Chat => Self::Words,
        }
    }
}

/// A message between two programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// To a super node: would you take me? Answered by [`Message::Accept`] or
    /// [`Message::Redirect`].
    Probe,
    /// Yes: come over TCP, to the same address and port.
    Accept,
    /// No; try these.
    Redirect {
        /// Other super nodes, at most [`MAX_OTHERS`].
        others: Vec<SocketAddrV4>,
    },
    /// Are you there? Answered by [`Message::Pong`].
    Ping,
    /// Yes.
    Pong,
    /// To a super node, over TCP: take me as your client. Answered by [`Message::Registered`] or
    /// [`Message::Refused`].
    Register {
        /// Number of the user.
        user: u32,
        /// Addresses and listening port at which the user may be reached, the program's own first.
        candidates: Vec<SocketAddrV4>,
    },
    /// Done.
    Registered {
        /// Where the super node sees the client's connection come from.
        seen: SocketAddrV4,
    },
    /// No; try these. The super node closes the connection.
    Refused {
        /// Other super nodes.
        others: Vec<SocketAddrV4>,
    },
    /// Where is this user? Answered by [`Message::Found`], over UDP in fragments, or
    /// [`Message::NotHere`].
    Search {
        /// Number of the user.
        user: u32,
    },
    /// One super node to another: do you have this user? Answered by [`Message::Found`] or
    /// [`Message::NotHere`], in one datagram.
    Query {
        /// Number of the user.
        user: u32,
    },
    /// Here.
    Found {
        /// Number of the user.
        user: u32,
        /// Super node of the user, which forwards to it.
        at: SocketAddrV4,
        /// As the user told its super node, the address that that one sees among them.
        candidates: Vec<SocketAddrV4>,
    },
    /// Nobody knows that user.
    NotHere {
        /// Number of the user.
        user: u32,
    },
    /// I am here and do this for others. Acknowledged.
    Announce {
        /// Takes clients and answers searches.
        directory: bool,
        /// Carries media of others.
        relay: bool,
    },
    /// From one user to another: over TCP to the sender's super node, from there to the addressee's
    /// by an acknowledged datagram, over TCP to the addressee. Between two who are connected: at
    /// once.
    Forward {
        /// Number of the sender.
        from: u32,
        /// Number of the addressee.
        to: u32,
        /// Super node of the addressee as far as the sender knows it; `None`: the sender's own.
        /// On its last way it is the sender's super node, so that an answer finds back.
        at: Option<SocketAddrV4>,
        /// What is said.
        talk: Talk,
    },
    /// To the sender of a [`Message::Forward`]: it can't be delivered.
    Unreachable {
        /// Number of the addressee.
        user: u32,
    },
    /// Opens the way through translators, from each end to all candidates of the other. Answered
    /// by [`Message::PunchAck`].
    Punch {
        /// Of which session.
        session: u32,
    },
    /// A [`Message::Punch`] has come through.
    PunchAck {
        /// Of which session.
        session: u32,
    },
    /// I am about to connect to the port from which you answer, to see whether you can be reached.
    /// Acknowledged.
    Reach,
    /// Connect back to me over TCP, at this port of the address that you see. Acknowledged.
    CallBack {
        /// The port.
        port: u16,
    },
    /// To one's super node: who carries media for me? Answered by [`Message::Relays`].
    RelayWanted {
        /// Media of what.
        what: What,
    },
    /// These do.
    Relays {
        /// Their addresses, best first.
        relays: Vec<SocketAddrV4>,
    },
    /// To a relay, or the other end of a direct connection, by UDP or TCP: I am one end of this
    /// session, whose media come this way. Answered by [`Message::Joined`], or
    /// [`Message::Redirect`] by what is no relay.
    Join {
        /// The session.
        session: u32,
        /// Number of the user at this end, which may come again another way.
        user: u32,
        /// Media of what.
        what: What,
    },
    /// Heard.
    Joined {
        /// The session.
        session: u32,
        /// Whether the other end is there too.
        both: bool,
    },
    /// To a relay: this session is over. Acknowledged.
    Leave {
        /// The session.
        session: u32,
    },
    /// To a server of the service: who I am.
    SignIn {
        /// Number of the user.
        user: u32,
    },
    /// The server's consent.
    SignedIn {
        /// Number of the user.
        user: u32,
    },
}

/// What one user says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Talk {
    /// Take part in this session?
    Invite {
        /// A random number of the session.
        session: u32,
        /// What it is.
        what: What,
        /// For [`What::File`] its bytes.
        bytes: u64,
        /// How long a call or talk lasts.
        lasting: Duration,
        /// For [`What::Video`] bits a second from both ends.
        video: Option<u64>,
        /// Where the inviting end can be reached.
        candidates: Vec<SocketAddrV4>,
    },
    /// Yes or no.
    Answer {
        /// Which session.
        session: u32,
        /// Yes.
        accepted: bool,
        /// Where the invited end can be reached.
        candidates: Vec<SocketAddrV4>,
    },
    /// More ways to reach this end.
    Candidates {
        /// Which session.
        session: u32,
        /// They.
        candidates: Vec<SocketAddrV4>,
    },
    /// We don't reach each other: let's meet at these relays, in this order.
    MeetAt {
        /// Which session.
        session: u32,
        /// They.
        relays: Vec<SocketAddrV4>,
    },
    /// The session is over, or not wanted any more.
    HangUp {
        /// Which session.
        session: u32,
    },
}

/// Bytes that can't be read as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message")]
pub struct NotAMessage;

impl Message {
    /// The contents: the request's number, the message, and zeros up to `len` bytes if there are
    /// not so many.
    pub fn encode(&self, number: u16, len: usize) -> Vec<u8> {
        let mut bytes = number.to_be_bytes().to_vec();
        let message = postcard::to_stdvec(self).expect("memory takes everything");
        bytes.extend(message);
        bytes.resize(bytes.len().max(len), 0);
        bytes
    }

    /// The number and the message.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<(u16, Self), NotAMessage> {
        let (number, rest) = bytes.split_first_chunk().ok_or(NotAMessage)?;
        let (message, _) = postcard::take_from_bytes(rest).map_err(|_| NotAMessage)?;
        Ok((u16::from_be_bytes(*number), message))
    }

    /// Whether it answers another by its number.
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Accept
                | Self::Redirect { .. }
                | Self::Pong
                | Self::Registered { .. }
                | Self::Refused { .. }
                | Self::Found { .. }
                | Self::NotHere { .. }
                | Self::Unreachable { .. }
                | Self::PunchAck { .. }
                | Self::Relays { .. }
                | Self::Joined { .. }
                | Self::SignedIn { .. }
        )
    }

    /// Bytes to be added to its contents, which with their length make a segment of `len` bytes over
    /// TCP: 4 for what keeps a session open, 19 at the end of a call (Adami), 339 for a refusal
    /// (Ehlert); others vary.
    pub fn segment_padding(&self, len: usize, rng: &mut fastrand::Rng) -> usize {
        match self {
            Self::Ping | Self::Pong => 0,
            Self::Leave { .. } => 19_usize.saturating_sub(len),
            // Two bytes of length then.
            Self::Refused { .. } => 338_usize.saturating_sub(len),
            _ => rng.usize(0..=12),
        }
    }

    /// Payload bytes of a datagram with it, at least: as recorded in 2006 (measured, Ehlert,
    /// Adami) and, for probes, 2015.
    pub fn datagram_len(&self, generation: Generation, rng: &mut fastrand::Rng) -> usize {
        match self {
            Self::Probe if generation == Generation::Y2015 => rng.usize(22..=37),
            Self::Probe | Self::Accept | Self::Pong => 18,
            Self::Redirect { others } if others.len() < 2 => 26,
            Self::Redirect { .. } => [51, 53][rng.usize(..2)],
            Self::Ping => rng.usize(30..=31),
            Self::Reach | Self::CallBack { .. } => 20,
            Self::Search { .. } | Self::Query { .. } => 21,
            Self::Found { .. } | Self::NotHere { .. } => rng.usize(66..=74),
            Self::Announce { .. } => 346,
            _ => rng.usize(22..=37),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::simulator::speech::udp::MESSAGE_HEAD;

    fn address(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, last), 65_000 + u16::from(last))
    }

    #[test]
    fn messages_fit_into_the_recorded_lengths() {
        let mut rng = fastrand::Rng::with_seed(1);
        let user = u32::MAX;
        let others = |count| (0..count).map(address).collect();
        for message in [
            Message::Probe,
            Message::Accept,
            Message::Redirect { others: others(1) },
            Message::Redirect {
                others: others(MAX_OTHERS as u8),
            },
            Message::Ping,
            Message::Pong,
            Message::Reach,
            Message::CallBack { port: u16::MAX },
            Message::Search { user },
            Message::Query { user },
            Message::NotHere { user },
            Message::Found {
                user,
                at: address(1),
                candidates: others(5),
            },
            Message::Announce {
                directory: true,
                relay: true,
            },
        ] {
            for generation in [Generation::Y2006, Generation::Y2015] {
                let len = message.datagram_len(generation, &mut rng) - MESSAGE_HEAD;
                let bytes = message.encode(0xabcd, len);
                assert_eq!(bytes.len(), len, "{message:?}");
                assert_eq!(Message::decode(&bytes), Ok((0xabcd, message.clone())));
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let message = Message::Forward {
            from: 1,
            to: 2,
            at: Some(address(3)),
            talk: Talk::MeetAt {
                session: 4,
                relays: vec![address(5)],
            },
        };
        let bytes = message.encode(5, 0);
        for len in 0..bytes.len() {
            assert_eq!(Message::decode(&bytes[..len]), Err(NotAMessage), "{len}");
        }
        assert_eq!(Message::decode(&bytes), Ok((5, message)));
        assert_eq!(Message::decode(&[0, 0, 99]), Err(NotAMessage));
    }
}
