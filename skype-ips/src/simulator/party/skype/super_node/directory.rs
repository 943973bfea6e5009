//! What a super node knows of others: its clients, other super nodes, and questions that wait for
//! their answers.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use super::super::endpoint::Request;
use super::Via;
use crate::simulator::net::program::Connection;

/// Clients that a super node takes at most: several hundred users (the admin guides).
pub(super) const MAX_CLIENTS: usize = 400;

/// A user who is signed in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) candidates: Vec<SocketAddrV4>,
}

/// A search that other super nodes were asked about.
#[derive(Clone, Debug)]
struct Search {
    asker: Via,
    user: u32,
    /// Those that have not answered yet.
    open: Vec<Request>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) clients: BTreeMap<u32, Client>,
    searches: Vec<Search>,
}

impl Directory {
    /// A connection is gone, and whoever was registered over it.
    pub(super) fn gone(&mut self, connection: Connection) {
        self.clients
            .retain(|_, client| client.connection != connection);
    }

    /// Other super nodes were asked about a search.
    pub(super) fn wait(&mut self, asker: Via, user: u32, open: Vec<Request>) {
        self.searches.push(Search { asker, user, open });
    }

    /// One has answered, or given no answer: the search that is over by that, and what is left to be
    /// forgotten of it.
    pub(super) fn answered(
        &mut self,
        request: Request,
        found: bool,
    ) -> Option<(Via, u32, Vec<Request>)> {
        let of = |search: &Search| search.open.contains(&request);
        let index = self.searches.iter().position(of)?;
        let search = &mut self.searches[index];
        search.open.retain(|open| *open != request);
        if !found && !search.open.is_empty() {
            return None;
        }
        let search = self.searches.swap_remove(index);
        Some((search.asker, search.user, search.open))
    }
}

/// What another super node does for others, as far as it has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) directory: Option<bool>,
    pub(super) relay: bool,
}

/// The other super nodes.
#[derive(Clone, Debug)]
pub(super) struct Peers(pub(super) BTreeMap<SocketAddrV4, Peer>);

impl Peers {
    /// Those that take clients, or have not said.
    pub(super) fn directories(&self) -> impl Iterator<Item = SocketAddrV4> {
        let peers = self.0.iter();
        let takes = peers.filter(|(_, peer)| peer.directory != Some(false));
        takes.map(|(address, _)| *address)
    }

    /// Those that have said that they carry media.
    pub(super) fn relays(&self) -> impl Iterator<Item = SocketAddrV4> {
        let peers = self.0.iter().filter(|(_, peer)| peer.relay);
        peers.map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_with_the_first_who_knows_or_the_last_who_does_not() {
        let mut directory = Directory::default();
        let asker = Via::Tcp(Connection(1), 5);
        let requests = [1, 2, 3].map(Request);
        directory.wait(asker, 9, requests.into());
        assert_eq!(directory.answered(requests[0], false), None);
        let rest = vec![requests[2]];
        let over = directory.answered(requests[1], true);
        assert_eq!(over, Some((asker, 9, rest)));
        assert_eq!(directory.answered(requests[2], true), None, "too late");
        directory.wait(asker, 9, requests.into());
        assert_eq!(directory.answered(requests[0], false), None);
        assert_eq!(directory.answered(requests[1], false), None);
        let over = directory.answered(requests[2], false);
        assert_eq!(over, Some((asker, 9, Vec::new())));
    }
}
