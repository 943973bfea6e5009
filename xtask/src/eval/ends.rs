//! A conversation's name: protocol and both ends, whichever sent first.

use std::fmt;
use std::net::SocketAddr;

/// Protocol and ends of a conversation, the same for either direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ends {
    proto: String,
    low: SocketAddr,
    high: SocketAddr,
}

impl Ends {
    /// `proto` is `TCP` or `UDP`.
    pub(super) fn new(proto: &str, one: SocketAddr, other: SocketAddr) -> Self {
        Self {
            proto: proto.to_owned(),
            low: one.min(other),
            high: one.max(other),
        }
    }

    /// `TCP` or `UDP`.
    pub(super) fn proto(&self) -> &str {
        &self.proto
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proto, low, high } = self;
        write!(f, "{proto} {low} - {high}")
    }
}
