//! Which conversation somebody means.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skype_ips_common::layout::{TCP, UDP};

use super::conversations::Conversation;
use crate::telemetry::community_id::{community_id, flow_id};
use crate::telemetry::eve::protocol_name;

/// A conversation as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// By its Community ID.
    CommunityId(String),
    /// By its `flow_id`.
    FlowId(u64),
    /// By one end or both, in either order.
    Ends {
        /// IP protocol number, if it is said.
        protocol: Option<u8>,
        /// An end.
        one: SocketAddr,
        /// The other end, if it is said.
        other: Option<SocketAddr>,
    },
}

/// What names no conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no conversation: write its community_id, its flow_id, or its ends, such as \
     \"udp 192.168.1.34:13021 1.2.3.4:5\" (IPv6 in brackets; protocol and one end can be left out)"
)]
pub struct QueryError(String);

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let error = || QueryError(text.to_owned());
        let text = text.trim();
        // Version 1: a SHA-1 digest.
        if let Some(digest) = text.strip_prefix("1:")
            && STANDARD.decode(digest).is_ok_and(|bytes| bytes.len() == 20)
        {
            return Ok(Self::CommunityId(text.to_owned()));
        }
        if let Ok(number) = text.parse() {
            return Ok(Self::FlowId(number));
        }
        let mut protocol = None;
        let mut ends = Vec::new();
        for word in text.split([' ', '\t', ',']) {
            match word.to_ascii_lowercase().as_str() {
                "" | "-" | "->" | "<-" | "<->" | "→" => {}
                "tcp" if protocol.is_none() => protocol = Some(TCP),
                "udp" if protocol.is_none() => protocol = Some(UDP),
                word => ends.push(word.parse().map_err(|_| error())?),
            }
        }
        match ends[..] {
            [one] => Ok(Self::Ends {
                protocol,
                one,
                other: None,
            }),
            [one, other] => Ok(Self::Ends {
                protocol,
                one,
                other: Some(other),
            }),
            _ => Err(error()),
        }
    }
}

impl Query {
    /// Whether this is the conversation.
    pub fn matches(&self, conversation: &Conversation) -> bool {
        let ends = [conversation.src, conversation.dest];
        match self {
            Self::CommunityId(id) => conversation.community_id() == *id,
            Self::FlowId(id) => conversation.flow_id() == *id,
            Self::Ends {
                protocol,
                one,
                other,
            } => {
                protocol.is_none_or(|protocol| protocol == conversation.protocol)
                    && match other {
                        Some(other) => ends == [*one, *other] || ends == [*other, *one],
                        None => ends.contains(one),
                    }
            }
        }
    }

    /// How much a conversation that doesn't match has in common with what was asked for: 0 is
    /// nothing.
    pub fn likeness(&self, conversation: &Conversation) -> u32 {
        match self {
            Self::CommunityId(id) => slips(id, &conversation.community_id()),
            Self::FlowId(id) => slips(&id.to_string(), &conversation.flow_id().to_string()),
            Self::Ends {
                protocol,
                one,
                other,
            } => {
                let end = |asked: &SocketAddr| {
                    [conversation.src, conversation.dest]
                        .iter()
                        .map(|end| {
                            let (ip, port) = (asked.ip() == end.ip(), asked.port() == end.port());
                            4 * u32::from(ip) + 2 * u32::from(port) + 2 * u32::from(ip && port)
                        })
                        .max()
                        .unwrap_or(0)
                };
                match end(one) + other.as_ref().map_or(0, end) {
                    0 => 0,
                    ends => ends + u32::from(*protocol == Some(conversation.protocol)),
                }
            }
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommunityId(id) => f.write_str(id),
            Self::FlowId(id) => write!(f, "{id}"),
            Self::Ends {
                protocol,
                one,
                other,
            } => {
                if let Some(protocol) = protocol {
                    write!(f, "{} ", protocol_name(*protocol).to_ascii_lowercase())?;
                }
                write!(f, "{one}")?;
                other.map_or(Ok(()), |other| write!(f, " {other}"))
            }
        }
    }
}

/// How near a slip of the pen is: 0 beyond three letters.
fn slips(asked: &str, known: &str) -> u32 {
    4_u32.saturating_sub(strsim::levenshtein(asked, known) as u32)
}

/// A conversation by its ends, as a [`Query`] can name it.
impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = protocol_name(self.protocol).to_ascii_lowercase();
        write!(f, "{protocol} {} {}", self.src, self.dest)
    }
}

impl Conversation {
    /// Its Community ID, version 1.
    pub fn community_id(&self) -> String {
        community_id(self.src, self.dest, self.protocol)
    }

    /// A number for it, the same for the same input.
    pub fn flow_id(&self) -> u64 {
        flow_id(self.src, self.dest, self.protocol, self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn conversation() -> Conversation {
        let end = |text: &str| text.parse().expect("an address and a port");
        Conversation::new(
            end("192.168.1.34:13021"),
            end("[2001:db8::1]:5"),
            UDP,
            1_000_000,
        )
    }

    #[test]
    fn a_conversation_is_known_by_each_of_its_names() {
        let one = conversation();
        for text in [
            "udp 192.168.1.34:13021 [2001:db8::1]:5",
            "UDP [2001:db8::1]:5 -> 192.168.1.34:13021",
            "192.168.1.34:13021",
            "[2001:db8::1]:5,192.168.1.34:13021",
            &one.community_id(),
            &one.flow_id().to_string(),
            &one.to_string(),
        ] {
            assert!(query(text).matches(&one), "{text}");
        }
        for text in [
            "tcp 192.168.1.34:13021 [2001:db8::1]:5",
            "192.168.1.34:13022",
            "192.168.1.34:13021 192.168.1.34:13021",
            "7",
        ] {
            assert!(!query(text).matches(&one), "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in [
            "",
            "udp",
            "1.2.3.4",
            "1:abc",
            "udp 1.2.3.4:5 6.7.8.9:1 1.1.1.1:1",
            "udp tcp 1.2.3.4:5",
        ] {
            let error = text.parse::<Query>().expect_err(text);
            assert!(error.to_string().contains("flow_id"), "{text}");
        }
    }

    #[test]
    fn a_shared_end_is_nearer_than_a_shared_port() {
        let one = conversation();
        let likeness = |text: &str| query(text).likeness(&one);
        assert!(likeness("udp 192.168.1.34:13021 9.9.9.9:9") > likeness("192.168.1.34:1"));
        assert!(likeness("192.168.1.34:1") > likeness("9.9.9.9:13021"));
        assert_eq!(likeness("udp 9.9.9.9:9"), 0);
        let mut id = one.flow_id().to_string();
        id.push('1');
        assert_eq!(likeness(&id), 3);
    }
}
