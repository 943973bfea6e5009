//! A proxy: takes a client's wish in any of the known languages, connects on, and passes bytes both
//! ways.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::super::{Figures, Order, Party};
use crate::simulator::net::program::{Connection, Event, Ground, Host, Instant, Program};
use crate::simulator::speech::proxy::{self, Asked, Proxy};

/// The proxy. It listens where HTTP and SOCKS proxies usually do, and understands all of
/// [`Proxy::ALL`] on both ports.
#[derive(Debug)]
pub struct ProxyServer {
    password: bool,
    skype: BTreeSet<Ipv4Addr>,
    ends: BTreeMap<Connection, End>,
}

/// What a connection is to the proxy.
#[derive(Debug)]
enum End {
    /// A client that has not said yet what it wants; so many times it was answered.
    Asking { answers: usize, inbox: Vec<u8> },
    /// A client that waits for the onward connection, and what it has said meanwhile.
    Waiting { inbox: Vec<u8> },
    /// The onward connection, which is not open yet.
    Connecting {
        client: Connection,
        target: SocketAddrV4,
        kind: Proxy,
    },
    /// One of two between which bytes pass.
    Passing {
        other: Connection,
        /// This end sends no more.
        finished: bool,
    },
}

impl ProxyServer {
    /// With `password`, HTTP's and SOCKS version 5's clients must have one. Onward connections to
    /// one of `skype` are Skype's conversations.
    pub fn new(password: bool, skype: BTreeSet<Ipv4Addr>) -> Self {
        Self {
            password,
            skype,
            ends: BTreeMap::new(),
        }
    }

    /// A client has said something: as much of it as makes sense is answered.
    fn ask(&mut self, host: &mut dyn Host, client: Connection) {
        loop {
            let Some(End::Asking { answers, inbox }) = self.ends.get_mut(&client) else {
                return;
            };
            match proxy::asked(*answers, self.password, inbox) {
                Asked::More => return,
                Asked::Say(len, bytes) => {
                    inbox.drain(..len);
                    *answers += 1;
                    host.write(client, bytes);
                }
                Asked::Connect(len, target, kind) => {
                    let inbox = inbox.split_off(len);
                    let ground = match self.skype.contains(target.ip()) {
                        true => Ground::skype("proxied"),
                        false => Ground::other("proxied"),
                    };
                    let onward = host.connect(target, ground);
                    self.ends.insert(client, End::Waiting { inbox });
                    let end = End::Connecting {
                        client,
                        target,
                        kind,
                    };
                    self.ends.insert(onward, end);
                    return;
                }
                Asked::Nonsense => {
                    self.ends.remove(&client);
                    host.close(client);
                    return;
                }
            }
        }
    }

    /// The onward connection is open.
    fn connected(&mut self, host: &mut dyn Host, onward: Connection) {
        if let Some(&End::Connecting {
            client,
            target,
            kind,
        }) = self.ends.get(&onward)
            && let Some(End::Waiting { inbox }) = self.ends.remove(&client)
        {
            host.write(client, &proxy::verdict(kind, target, true));
            if !inbox.is_empty() {
                host.write(onward, &inbox);
            }
            for (end, other) in [(client, onward), (onward, client)] {
                let finished = false;
                self.ends.insert(end, End::Passing { other, finished });
            }
        }
    }

    fn received(&mut self, host: &mut dyn Host, connection: Connection, bytes: &[u8]) {
        match self.ends.get_mut(&connection) {
            Some(End::Asking { inbox, .. }) => {
                inbox.extend(bytes);
                self.ask(host, connection);
            }
            Some(End::Waiting { inbox }) => inbox.extend(bytes),
            Some(End::Passing { other, .. }) => host.write(*other, bytes),
            Some(End::Connecting { .. }) | None => {}
        }
    }

    /// One end sends no more: the other is told, which may go on.
    fn finished(&mut self, host: &mut dyn Host, connection: Connection) {
        let Some(End::Passing { other, finished }) = self.ends.get_mut(&connection) else {
            self.over(host, connection);
            host.close(connection);
            return;
        };
        let other = *other;
        *finished = true;
        host.close(other);
        if let Some(End::Passing { finished: true, .. }) = self.ends.get(&other) {
            self.ends.remove(&connection);
            self.ends.remove(&other);
        }
    }

    /// One end is no more, or has not even begun; so is the other then.
    fn over(&mut self, host: &mut dyn Host, connection: Connection) {
        match self.ends.remove(&connection) {
            Some(End::Passing { other, .. }) => {
                self.ends.remove(&other);
                host.abort(other);
            }
            Some(End::Connecting {
                client,
                target,
                kind,
            }) => {
                self.ends.remove(&client);
                host.write(client, &proxy::verdict(kind, target, false));
                host.close(client);
            }
            Some(End::Waiting { .. }) => {
                let is_for = |end: &End| matches!(end, End::Connecting { client, .. } if *client == connection);
                let mut ends = self.ends.iter();
                if let Some((&onward, _)) = ends.find(|(_, end)| is_for(end)) {
                    self.ends.remove(&onward);
                    host.abort(onward);
                }
            }
            Some(End::Asking { .. }) | None => {}
        }
    }
}

impl Program for ProxyServer {
    fn start(&mut self, host: &mut dyn Host) {
        for port in [Proxy::HttpConnect.port(), Proxy::Socks5.port()] {
            host.listen(port);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Accepted { .. } => {
                let end = End::Asking {
                    answers: 0,
                    inbox: Vec::new(),
                };
                self.ends.insert(connection, end);
            }
            Event::Connected => self.connected(host, connection),
            Event::Received(bytes) => self.received(host, connection, &bytes),
            Event::Finished => self.finished(host, connection),
            Event::Failed(_) => self.over(host, connection),
        }
    }
}

impl Party for ProxyServer {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        Figures::default()
    }
}
