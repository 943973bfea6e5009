//! What Skype's programs are told when they are set up.

use std::net::SocketAddrV4;

use crate::simulator::speech::proxy::Proxy;

/// A user of Skype: a number that stands for the name, which is the party's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct User {
    /// The number, unique in a scenario.
    pub number: u32,
    /// The party's name.
    pub name: String,
}

/// Which generation of the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Versions 1 and 2: probes of 18 bytes, legacy streams, the old login request.
    Y2006,
    /// Versions 4 to 7: probes of 22 to 37 bytes, key exchanges, the new login request.
    Y2015,
}

/// How a TCP connection of classic Skype opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The 48-byte key exchange.
    KeyExchange,
    /// The legacy stream.
    Legacy,
    /// The legacy stream whose client opens with 14 bytes.
    OldLegacy,
}

/// A proxy that a client goes through with all of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyUse {
    /// Its language.
    pub kind: Proxy,
    /// Where it listens.
    pub address: SocketAddrV4,
}

/// A client.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Whose.
    pub user: User,
    /// Which generation.
    pub generation: Generation,
    /// The listening port, for UDP and TCP; 0: drawn at random.
    pub port: u16,
    /// Whether it uses UDP at all.
    pub udp: bool,
    /// The way out, if there is a proxy.
    pub proxy: Option<ProxyUse>,
    /// Super nodes that it knows from earlier runs.
    pub host_cache: Vec<SocketAddrV4>,
    /// The built-in super nodes, asked when the cache is empty or stale.
    pub bootstrap: Vec<SocketAddrV4>,
    /// The service's servers.
    pub servers: Vec<Server>,
    /// The resolver of names.
    pub resolver: SocketAddrV4,
    /// All users of the scenario, so that figures can name them.
    pub users: Vec<User>,
}

/// A server of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it does.
    pub kind: ServerKind,
    /// Where it listens.
    pub address: SocketAddrV4,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// Login, on 33033, 443 and 80.
    Login,
    /// Events and contacts, on 12350 and 13392.
    Event,
    /// The version check, on 80: `ui.skype.com`.
    Web,
}

/// A super node: somebody's client that serves others.
#[derive(Clone, Debug, PartialEq)]
pub struct SuperNode {
    /// The listening port, for UDP and TCP; TCP 80 and 443 beside it.
    pub port: u16,
    /// What it does for others.
    pub roles: Roles,
    /// Other super nodes: told to clients, and asked for users that this one doesn't know.
    pub peers: Vec<SocketAddrV4>,
    /// Which generation.
    pub generation: Generation,
}

/// What a super node does for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Takes clients and answers searches.
    pub directory: bool,
    /// Carries calls and files of two that can't reach each other.
    pub relay: bool,
}
