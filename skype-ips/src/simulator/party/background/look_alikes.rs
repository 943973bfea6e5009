//! Hosts whose traffic goes in and out at once, as a relay's does.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::Site;
use super::http;
use super::talks::{Talk as _, Talks};
use super::tally::Tally;
use super::webrtc::Call;
use crate::simulator::net::program::{Connection, Datagram, Event, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};

/// A host in several calls at once, with all that are asked for to end at the same time.
#[derive(Debug)]
pub(super) struct Caller {
    peers: Vec<Site>,
    /// From one port, or from one for each.
    one_port: bool,
    talks: Talks<Call>,
    tally: Tally,
}

impl Caller {
    /// One that calls these.
    pub(super) fn new(peers: Vec<Site>, one_port: bool) -> Self {
        Self {
            peers,
            one_port,
            talks: Talks::default(),
            tally: Tally::default(),
        }
    }
}

impl Program for Caller {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        self.talks.datagram(host, &mut self.tally, datagram);
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        self.talks.timer(host, &mut self.tally, token);
    }
}

impl Party for Caller {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        let Order::Run { lasting } = *order else {
            return;
        };
        let until = host.now() + lasting;
        let mut port = None;
        for peer in &self.peers {
            if !self.one_port {
                port = None;
            }
            port = port.or_else(|| host.bind(0, Call::GROUND));
            let Some(port) = port else {
                return;
            };
            let now = host.now();
            let call = Call::caller(host.rng(), now, until);
            let way = (port, peer.address);
            self.talks.open(host, &mut self.tally, way, call);
        }
    }

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}

/// What a host that passes connections on does with what it hears.
pub(super) trait Pass: Default {
    /// What its own connections are.
    const GROUND: Ground;

    /// What goes on to the server of what the client said.
    fn pass(&mut self, client: Ipv4Addr, bytes: &[u8]) -> Vec<u8>;
}

/// The same bytes: an SSH jump host, whose sessions are opaque to it.
#[derive(Debug, Default)]
pub(super) struct Same;

impl Pass for Same {
    const GROUND: Ground = Ground::other("SSH");

    fn pass(&mut self, _client: Ipv4Addr, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

/// The same requests with lines about the client: a reverse proxy for HTTP.
#[derive(Debug, Default)]
pub(super) struct Requests {
    heard: Vec<u8>,
}

impl Pass for Requests {
    const GROUND: Ground = Ground::other("HTTP");

    fn pass(&mut self, client: Ipv4Addr, bytes: &[u8]) -> Vec<u8> {
        self.heard.extend(bytes);
        let mut passed = Vec::new();
        // What is no request is the server's to refuse.
        while let Ok(Some((len, _))) = http::request(&self.heard) {
            // Before the empty line at the end.
            passed.extend(&self.heard[..len - 2]);
            let lines = format!("X-Forwarded-For: {client}\r\nVia: 1.1 proxy\r\n\r\n");
            passed.extend(lines.as_bytes());
            self.heard.drain(..len);
        }
        if http::request(&self.heard).is_err() {
            passed.append(&mut self.heard);
        }
        passed
    }
}

/// One end of a pair of connections.
#[derive(Debug)]
struct End<P> {
    other: Connection,
    /// Of a client's end: who it is and how it is passed on. `None`: the server's end.
    client: Option<(Ipv4Addr, P)>,
    /// Whether this end has finished.
    finished: bool,
}

/// A host that passes connections on to its servers, one after the other.
#[derive(Debug)]
pub(super) struct Forwarder<P> {
    port: u16,
    servers: Vec<Site>,
    next: usize,
    ends: BTreeMap<Connection, End<P>>,
    tally: Tally,
}

impl<P: Pass> Forwarder<P> {
    /// One that listens on this port.
    pub(super) fn new(port: u16, servers: Vec<Site>) -> Self {
        Self {
            port,
            servers,
            next: 0,
            ends: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    fn end(&mut self, host: &mut dyn Host, connection: Connection) {
        if let Some(end) = self.ends.remove(&connection) {
            self.ends.remove(&end.other);
            host.abort(end.other);
        }
    }
}

impl<P: Pass> Program for Forwarder<P> {
    fn start(&mut self, host: &mut dyn Host) {
        host.listen(self.port);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Accepted { peer, .. } => {
                let server = self.servers[self.next % self.servers.len()].address;
                self.next += 1;
                self.tally.begun(P::GROUND.what, 1);
                let other = host.connect(server, P::GROUND);
                let client = Some((*peer.ip(), P::default()));
                let end = |other, client| End {
                    other,
                    client,
                    finished: false,
                };
                self.ends.insert(connection, end(other, client));
                self.ends.insert(other, end(connection, None));
            }
            Event::Connected => self.tally.done(P::GROUND.what, 1),
            Event::Received(bytes) => {
                if let Some(end) = self.ends.get_mut(&connection) {
                    let bytes = match &mut end.client {
                        Some((client, pass)) => pass.pass(*client, &bytes),
                        None => bytes,
                    };
                    if !bytes.is_empty() {
                        host.write(end.other, &bytes);
                    }
                }
            }
            Event::Finished => {
                let Some(end) = self.ends.get_mut(&connection) else {
                    return;
                };
                end.finished = true;
                let other = end.other;
                host.close(other);
                if self.ends.get(&other).is_some_and(|end| end.finished) {
                    self.ends.remove(&connection);
                    self.ends.remove(&other);
                }
            }
            Event::Failed(_) => self.end(host, connection),
        }
    }
}

impl<P: Pass> Party for Forwarder<P> {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}
