//! BitTorrent: a node of the [DHT](super::dht) that fetches blocks over [uTP](super::utp) and TCP
//! by the [peer protocol](super::peer_wire), and one that has everything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dht::{Ask, DHT, Id, Query};
use super::pace::pause;
use super::peer_wire::{Leech, Seed};
use super::sites::Sites;
use super::streams::{Answer as _, Sessions};
use super::talks::Talks;
use super::tally::Tally;
use super::utp::{self, UTP, Utp};
use crate::simulator::net::program::{Connection, Datagram, Event, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};

const PEER: Ground = Ground::other("BitTorrent");
/// Tokens of a client's own timers; those of its conversations are numbers from 1 on.
const SEARCH: u64 = 1 << 32;
const FETCH: u64 = SEARCH + 1;
/// Mean seconds between searches, of which each asks three nodes at once (BEP 5 leaves it open;
/// libtorrent asks 3 to 5), and between two connections.
const SEARCHES: f64 = 3.0;
const AT_ONCE: usize = 3;
const FETCHES: f64 = 4.0;
/// Connections that bring blocks at once.
const CONNECTIONS: usize = 4;

fn id(host: &mut dyn Host) -> Id {
    let mut id = [0; 20];
    host.rng().fill(&mut id);
    id
}

/// The one that fetches.
#[derive(Debug)]
pub(super) struct Client {
    peers: Sites,
    until: Instant,
    port: u16,
    own: Id,
    /// The torrent that it wants.
    hash: Id,
    /// Questions that aren't answered, the oldest first.
    asked: Vec<Query>,
    talks: Talks<Utp<Leech>>,
    connections: BTreeMap<Connection, Leech>,
    tally: Tally,
}

impl Client {
    /// One that knows these peers.
    pub(super) fn new(peers: Sites) -> Self {
        Self {
            peers,
            until: Duration::ZERO,
            port: 0,
            own: [0; 20],
            hash: [0; 20],
            asked: Vec::new(),
            talks: Talks::default(),
            connections: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    fn search(&mut self, host: &mut dyn Host) {
        for _ in 0..AT_ONCE {
            let target = id(host);
            let ask = match host.rng().u8(0..4) {
                0 => Ask::Ping,
                1 => Ask::GetPeers(self.hash),
                _ => Ask::FindNode(target),
            };
            let query = Query {
                transaction: host.rng().u16(..).to_be_bytes(),
                from: self.own,
                ask,
            };
            let peers = self.peers.all();
            let peer = peers[host.rng().usize(..peers.len())].address;
            host.send(self.port, peer, &query.encode(), Some(DHT));
            self.tally.begun(DHT.what, 1);
            // What is older than this isn't answered any more.
            if self.asked.len() == 64 {
                self.asked.remove(0);
            }
            self.asked.push(query);
        }
    }

    fn fetch(&mut self, host: &mut dyn Host) {
        if self.talks.len() + self.connections.len() >= CONNECTIONS {
            return;
        }
        let peers = self.peers.all();
        let peer = peers[host.rng().usize(..peers.len())].address;
        // Most clients prefer uTP.
        if host.rng().u8(0..3) > 0 && !self.talks.has(self.port, peer) {
            let leech = Leech::new(host.rng(), &self.hash, UTP.what);
            self.tally.begun(UTP.what, leech.left());
            let talk = Utp::open(host.now(), host.rng(), leech);
            let way = (self.port, peer);
            self.talks.open(host, &mut self.tally, way, talk);
        } else {
            let leech = Leech::new(host.rng(), &self.hash, PEER.what);
            self.tally.begun(PEER.what, leech.left());
            let connection = host.connect(peer, PEER);
            self.connections.insert(connection, leech);
        }
    }
}

impl Program for Client {
    fn start(&mut self, host: &mut dyn Host) {
        self.port = host.bind(0, DHT).unwrap_or(0);
        self.own = id(host);
        self.hash = id(host);
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        if utp::is(datagram.payload) {
            self.talks.datagram(host, &mut self.tally, datagram);
            return;
        }
        let mut asked = self.asked.iter().enumerate();
        let answered =
            asked.find_map(|(place, query)| Some((place, query.answered(datagram.payload)?)));
        if let Some((place, unchanged)) = answered {
            self.asked.remove(place);
            self.tally.done(DHT.what, u64::from(unchanged));
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        let Some(leech) = self.connections.get_mut(&connection) else {
            return;
        };
        let answers = match event {
            Event::Connected => Some(vec![leech.greeting(host.rng())]),
            Event::Received(bytes) => leech.hear(host.rng(), &mut self.tally, &bytes),
            Event::Accepted { .. } => Some(Vec::new()),
            Event::Finished | Event::Failed(_) => None,
        };
        let over = answers.is_none() || leech.over();
        for answer in answers.into_iter().flatten() {
            host.write(connection, &answer);
        }
        if over {
            self.connections.remove(&connection);
            host.close(connection);
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        let mean = match token {
            SEARCH => SEARCHES,
            FETCH => FETCHES,
            _ => {
                self.talks.timer(host, &mut self.tally, token);
                return;
            }
        };
        if host.now() >= self.until {
            return;
        }
        match token {
            SEARCH => self.search(host),
            _ => self.fetch(host),
        }
        let after = pause(host.rng(), mean);
        host.timer(after, token);
    }
}

impl Party for Client {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        if let Order::Run { lasting } = *order {
            let running = host.now() < self.until;
            self.until = host.now() + lasting;
            if !running {
                self.timer(host, SEARCH);
                self.timer(host, FETCH);
            }
        }
    }

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}

/// The one that has everything.
#[derive(Debug)]
pub(super) struct Seeder {
    port: u16,
    own: Id,
    talks: Talks<Utp<Seed>>,
    sessions: Sessions<Seed>,
    tally: Tally,
}

impl Seeder {
    /// One on this port, UDP and TCP.
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            own: [0; 20],
            talks: Talks::default(),
            sessions: Sessions::default(),
            tally: Tally::default(),
        }
    }
}

impl Program for Seeder {
    fn start(&mut self, host: &mut dyn Host) {
        self.own = id(host);
        host.bind(self.port, DHT);
        host.listen(self.port);
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        if utp::is(datagram.payload) {
            self.talks.accept(host, &mut self.tally, datagram);
        } else if let Some(query) = Query::decode(datagram.payload) {
            self.tally.arrived(DHT.what, true);
            let answer = query.answer(&self.own);
            host.send(datagram.port, datagram.from, &answer, None);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        self.sessions
            .connection(host, &mut self.tally, connection, event);
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        self.talks.timer(host, &mut self.tally, token);
    }
}

impl Party for Seeder {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}
