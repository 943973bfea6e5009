//! Messages of BitTorrent's DHT (BEP 5): a few fixed shapes, bencoded.

use super::seal::{made_from, number_of};
use crate::simulator::net::program::Ground;

/// What these conversations are.
pub(super) const DHT: Ground = Ground::other("DHT");
/// Bytes of the compact form of eight nodes.
const NODES: usize = 8 * 26;
const TOKEN: usize = 8;

/// A node's ID, a torrent's hash, or what is near to either.
pub(super) type Id = [u8; 20];

/// What a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Is it there?
    Ping,
    /// Which nodes are near this one?
    FindNode(Id),
    /// Who has this torrent?
    GetPeers(Id),
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The number that the answer repeats.
    pub(super) transaction: [u8; 2],
    /// Who asks.
    pub(super) from: Id,
    /// What.
    pub(super) ask: Ask,
}

impl Query {
    /// As it is on the wire.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (argument, name) = match &self.ask {
            Ask::Ping => (Vec::new(), &b"4:ping"[..]),
            Ask::FindNode(id) => ([&b"6:target20:"[..], id].concat(), &b"9:find_node"[..]),
            Ask::GetPeers(id) => ([&b"9:info_hash20:"[..], id].concat(), &b"9:get_peers"[..]),
        };
        [
            &b"d1:ad2:id20:"[..],
            &self.from,
            &argument,
            b"e1:q",
            name,
            b"1:t2:",
            &self.transaction,
            b"1:y1:qe",
        ]
        .concat()
    }

    /// What came over the wire; `None`: no question of these shapes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let from = *bytes.get(12..)?.first_chunk()?;
        let transaction = *bytes.get(bytes.len().checked_sub(9)?..)?.first_chunk()?;
        let id = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk().copied());
        // Of the three shapes, the one that encodes to the same bytes.
        [
            Some(Ask::Ping),
            id(43).map(Ask::FindNode),
            id(46).map(Ask::GetPeers),
        ]
        .into_iter()
        .flatten()
        .map(|ask| Self {
            transaction,
            from,
            ask,
        })
        .find(|query| query.encode() == bytes)
    }

    /// The answer of the node `own`. What it holds is made from the question, so that who asked
    /// can tell whether it came unchanged.
    pub(super) fn answer(&self, own: &Id) -> Vec<u8> {
        let near = |id: &Id| made_from(number_of(&[id]), NODES);
        let rest = match &self.ask {
            Ask::Ping => Vec::new(),
            Ask::FindNode(id) => [&b"5:nodes208:"[..], &near(id)].concat(),
            Ask::GetPeers(id) => {
                let token = made_from(number_of(&[id, &self.from]), TOKEN);
                [&b"5:nodes208:"[..], &near(id), b"5:token8:", &token].concat()
            }
        };
        [
            &b"d1:rd2:id20:"[..],
            own,
            &rest,
            b"e1:t2:",
            &self.transaction,
            b"1:y1:re",
        ]
        .concat()
    }

    /// Whether `bytes` is an answer to this question, and unchanged; `None`: it is to another.
    pub(super) fn answered(&self, bytes: &[u8]) -> Option<bool> {
        let transaction = bytes.get(bytes.len().checked_sub(9)?..)?;
        if !transaction.starts_with(&self.transaction) || !bytes.ends_with(b"1:y1:re") {
            return None;
        }
        let own = bytes.get(12..)?.first_chunk()?;
        Some(self.answer(own) == bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_document() {
        // BEP 5, with its IDs.
        let id = *b"abcdefghij0123456789";
        let query = |ask| Query {
            transaction: *b"aa",
            from: id,
            ask,
        };
        let other = *b"mnopqrstuvwxyz123456";
        for (ask, bytes) in [
            (
                Ask::Ping,
                &b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"[..],
            ),
            (
                Ask::FindNode(other),
                b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e\
                  1:q9:find_node1:t2:aa1:y1:qe",
            ),
            (
                Ask::GetPeers(other),
                b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e\
                  1:q9:get_peers1:t2:aa1:y1:qe",
            ),
        ] {
            let query = query(ask);
            assert_eq!(query.encode(), bytes);
            assert_eq!(Query::decode(bytes), Some(query));
            let mut answer = query.answer(&other);
            assert_eq!(query.answered(&answer), Some(true));
            answer[40] ^= 1;
            assert_ne!(query.answered(&answer), Some(true));
        }
        let pong = b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re";
        assert_eq!(query(Ask::Ping).answer(&other), pong);
        assert_eq!(Query::decode(pong), None);
    }
}
