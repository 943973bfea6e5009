//! Who comes to an inside endpoint, and whether it serves them as a directory does, in bounded
//! memory.
//!
//! Everybody's client is called by friends: they send first, are answered, and talk. Those who come to
//! a super node ask and go, or stay by TCP: it accepts their probe, and they connect to the same
//! port (Ehlert et al., 2006; Baset and Schulzrinne, 2004); or it answers what they look for in
//! fragments, which only nodes that answer searches were seen to send.

use skype_ips_common::layout::{Address, EndpointKey};

use crate::detect::udp::Message;
use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// Endpoints that somebody came to.
const MOST: usize = 1024;
/// Of each the newest peers.
const PEERS: usize = 128;
/// What a peer did so long ago counts no more, nanoseconds.
const COUNTS: u64 = 300 * SECOND;
/// From the answer to a probe to the connection that follows it, nanoseconds: as long as a client
/// waits on each rung of its ladder, and once more.
const CONNECTS: u64 = 12 * SECOND;
/// Peers that have to be served. A client that is looked at from outside, whether it can be reached,
/// is connected to after its consent by the few super nodes that it has.
pub const SERVED: usize = 6;
/// Served peers that keep the role.
const KEPT: usize = 2;
/// Without service for so long it is over, nanoseconds.
const OVER: u64 = 600 * SECOND;

/// Somebody outside.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// It sent first.
    came: bool,
    /// When it was answered last.
    answered: Option<u64>,
    /// When it was served last: a connection behind an answer, or an answer in fragments.
    served: Option<u64>,
    /// In fragments.
    fragments: bool,
    /// Media goes to and fro: it is a friend.
    talks: bool,
}

/// What an endpoint does for others.
#[derive(Debug, Default)]
pub struct Service {
    peers: Recent<Address, Peer>,
    /// Since when it is a super node, and when it served last.
    since: Option<u64>,
    served: u64,
    /// Why, in words.
    says: String,
    /// Number of the newest packet that showed service.
    packet: u64,
}

/// What has become of an endpoint's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It serves others; why, in words, and the packet that shows it.
    Begins(String, u64),
    /// It doesn't any more.
    Ends,
}

impl Service {
    fn peer(&mut self, outside: &Address, now: u64) -> &mut Peer {
        self.peers.entry_or(outside, now, PEERS, Peer::default)
    }

    /// A peer sends first.
    fn comes(&mut self, now: u64, outside: &Address) {
        let peer = self.peer(outside, now);
        peer.came = !peer.talks;
    }

    /// Something is sent to a peer.
    fn answers(&mut self, now: u64, outside: &Address, message: &Message, packet: u64) {
        let Some(peer) = self.peers.touch(outside, now).filter(|peer| peer.came) else {
            return;
        };
        peer.answered = Some(now);
        if matches!(message, Message::Fragment(_)) {
            peer.fragments = true;
            peer.served = Some(now);
            self.packet = packet;
        }
    }

    /// The peer's connection was taken.
    fn connected(&mut self, now: u64, outside: &Address, packet: u64) {
        let Some(peer) = self.peers.touch(outside, now) else {
            return;
        };
        let answered = peer
            .answered
            .is_some_and(|at| now.saturating_sub(at) <= CONNECTS);
        if peer.came && answered {
            peer.served = Some(now);
            self.packet = packet;
        }
    }

    /// Media goes to and fro.
    fn talks(&mut self, now: u64, outside: &Address) {
        *self.peer(outside, now) = Peer {
            talks: true,
            ..Peer::default()
        };
    }

    /// Peers served lately: all of them, and those in fragments.
    fn count(&self, now: u64) -> (usize, usize) {
        let served = self.peers.iter().map(|(_, peer)| peer);
        let served = served.filter(|peer| {
            peer.served
                .is_some_and(|at| now.saturating_sub(at) <= COUNTS)
        });
        served.fold((0, 0), |(all, fragments), peer| {
            (all + 1, fragments + usize::from(peer.fragments))
        })
    }

    fn tick(&mut self, now: u64) -> Option<Change> {
        let (served, fragments) = self.count(now);
        if served >= KEPT {
            self.served = now;
        }
        match self.since {
            None if served >= SERVED => {
                self.since = Some(now);
                self.says = format!(
                    "{served} outside hosts that came by themselves were served within five minutes: \
                     {fragments} got what they looked for in fragments, {} connected to the port that \
                     had answered their probe",
                    served - fragments
                );
                Some(Change::Begins(self.says.clone(), self.packet))
            }
            Some(_) if now.saturating_sub(self.served) > OVER => {
                *self = Self::default();
                Some(Change::Ends)
            }
            _ => None,
        }
    }

    /// Since when it is a super node, why, and the number of the newest packet that showed it.
    pub fn since(&self) -> Option<(u64, &str, u64)> {
        Some((self.since?, &self.says, self.packet))
    }
}

/// All endpoints.
#[derive(Debug, Default)]
pub struct Services {
    all: Recent<EndpointKey, Service>,
}

impl Services {
    /// A message from a peer to a UDP endpoint that has sent it nothing.
    pub fn comes(&mut self, key: &EndpointKey, now: u64, outside: &Address) {
        let service = self.all.entry_or(key, now, MOST, Service::default);
        service.comes(now, outside);
    }

    /// A message that a UDP endpoint sends.
    pub fn answers(
        &mut self,
        key: &EndpointKey,
        now: u64,
        outside: &Address,
        message: &Message,
        packet: u64,
    ) {
        if let Some(service) = self.all.touch(key, now) {
            service.answers(now, outside, message, packet);
        }
    }

    /// Media goes to and fro between an endpoint and a peer.
    pub fn talks(&mut self, key: &EndpointKey, now: u64, outside: &Address) {
        if let Some(service) = self.all.get_mut(key) {
            service.talks(now, outside);
        }
    }

    /// A connection from outside was taken by the client of that UDP endpoint.
    pub fn connected(&mut self, key: &EndpointKey, now: u64, outside: &Address, packet: u64) {
        if let Some(service) = self.all.touch(key, now) {
            service.connected(now, outside, packet);
        }
    }

    /// What an endpoint does for others.
    pub fn get(&self, key: &EndpointKey) -> Option<&Service> {
        self.all.get(key)
    }

    /// Looks who serves others by now.
    pub fn tick(&mut self, now: u64) -> Vec<(EndpointKey, Change)> {
        let keys: Vec<_> = self.all.iter().map(|(key, _)| *key).collect();
        let changes = keys.into_iter().filter_map(|key| {
            let change = self.all.get_mut(&key)?.tick(now)?;
            Some((key, change))
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        let before = now.saturating_sub(OVER + COUNTS);
        while self.all.pop_older_than(before).is_some() {}
        changes
    }

    /// Forgets an endpoint.
    pub fn forget(&mut self, key: &EndpointKey) {
        self.all.remove(key);
    }
}
