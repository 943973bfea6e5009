use std::collections::VecDeque;
use std::net::SocketAddrV4;

use super::super::message::Message;

/// Messages of others that are remembered, and answers of ours: enough for the seconds in which
/// one is repeated.
const MOST: usize = 256;

/// How a message was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Type 5.
    Acknowledged,
    /// One datagram with these contents under this ID.
    Contents(u16, Vec<u8>),
    /// Fragments.
    Fragments(Message),
}

#[derive(Clone, Debug)]
struct Taken {
    from: SocketAddrV4,
    id: u16,
    check: u32,
    reply: Option<Reply>,
}

/// The messages that have come lately and how they were answered: a repetition, whose sender has
/// not got the answer, gets the same again, and the program hears of it once.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    taken: VecDeque<Taken>,
}

impl Said {
    /// A message has come: `None` if it is new, else how it was answered before, if it was.
    pub(super) fn take(
        &mut self,
        from: SocketAddrV4,
        id: u16,
        check: u32,
    ) -> Option<Option<Reply>> {
        let same = |taken: &&Taken| (taken.from, taken.id, taken.check) == (from, id, check);
        if let Some(taken) = self.taken.iter().find(same) {
            return Some(taken.reply.clone());
        }
        self.taken.truncate(MOST - 1);
        self.taken.push_front(Taken {
            from,
            id,
            check,
            reply: None,
        });
        None
    }

    /// The latest message of that sender and ID is answered like this.
    pub(super) fn reply(&mut self, from: SocketAddrV4, id: u16, reply: Reply) {
        let latest = |taken: &&mut Taken| (taken.from, taken.id) == (from, id);
        if let Some(taken) = self.taken.iter_mut().find(latest) {
            taken.reply = Some(reply);
        }
    }

    /// The contents of an answer of ours that `to` can't read.
    pub(super) fn contents(&self, to: SocketAddrV4, answer: u16) -> Option<&[u8]> {
        let replies = self.taken.iter().filter(|taken| taken.from == to);
        let mut replies = replies.filter_map(|taken| taken.reply.as_ref());
        replies.find_map(|reply| match reply {
            Reply::Contents(id, clear) if *id == answer => Some(clear.as_slice()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_repetition_is_told_by_sender_id_and_checksum() {
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let mut said = Said::default();
        assert_eq!(said.take(from, 1, 2), None);
        assert_eq!(said.take(from, 1, 2), Some(None));
        said.reply(from, 1, Reply::Contents(9, vec![7]));
        let reply = Some(Some(Reply::Contents(9, vec![7])));
        assert_eq!(said.take(from, 1, 2), reply);
        assert_eq!(said.contents(from, 9), Some(&[7][..]));
        assert_eq!(said.take(from, 1, 3), None);
    }

    #[test]
    fn no_more_is_remembered_than_is_of_use() {
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let mut said = Said::default();
        for id in 0..1000 {
            assert_eq!(said.take(from, id, 0), None);
        }
        assert_eq!(said.taken.len(), MOST);
        assert_eq!(said.take(from, 0, 0), None, "long forgotten");
    }
}
