//! Everything else that goes through a gateway: programs that have nothing to do with Skype, and
//! what must not be taken for one of its relays.
//!
//! All of it speaks as the public documents say, and both sides compare what arrives with what
//! must have been sent: figures say how many exchanges were begun and how many came through
//! unchanged. What is encrypted elsewhere is sealed here with keys made from what is in clear.

mod bittorrent;
mod browser;
mod dht;
mod dns;
mod dtls;
mod game;
mod http;
mod https;
mod look_alikes;
mod numbers;
mod pace;
mod peer_wire;
mod quic;
mod quic_talk;
mod reliable;
mod rtp;
mod seal;
mod sites;
mod ssh;
mod ssh_user;
mod streams;
mod stun;
mod talks;
mod tally;
#[cfg(test)]
mod tests;
mod tls;
mod turn;
mod utp;
mod webrtc;

use std::net::{Ipv4Addr, SocketAddrV4};

use super::Party;

/// A kind of program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Looks up names; the server answers for all names.
    Dns,
    /// Reads pages with images.
    Http,
    /// The same over TLS 1.2 or 1.3.
    Https,
    /// A shell over SSH, and files copied over it.
    Ssh,
    /// Asks the DHT, and fetches pieces over uTP and TCP.
    BitTorrent,
    /// Calls with voice and video: ICE, DTLS, SRTP.
    WebRtc,
    /// Downloads over QUIC.
    Quic,
    /// Plays on a server.
    Game,
    /// Calls as with [`Kind::WebRtc`], through a TURN server: the first site is the server, the
    /// others are the peers.
    Turn,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Dns,
        Self::Http,
        Self::Https,
        Self::Ssh,
        Self::BitTorrent,
        Self::WebRtc,
        Self::Quic,
        Self::Game,
        Self::Turn,
    ];

    /// Its name in scenarios.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::BitTorrent => "bittorrent",
            Self::WebRtc => "webrtc",
            Self::Quic => "quic",
            Self::Game => "game",
            Self::Turn => "turn",
        }
    }

    /// The kind of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The port on which its servers listen.
    pub const fn port(self) -> u16 {
        match self {
            Self::Dns => 53,
            Self::Http => 80,
            Self::Https | Self::Quic => 443,
            Self::Ssh => 22,
            Self::BitTorrent => 6881,
            // As Google Meet's.
            Self::WebRtc => 19_305,
            // Quake III's.
            Self::Game => 27_960,
            Self::Turn => 3478,
        }
    }
}

/// What looks like a relay of Skype's from outside, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookAlike {
    /// In a conference of its own: calls with all peers at once, from one port.
    ConferenceHost,
    /// In two calls at once, from two ports.
    TwoCalls,
    /// Carries calls for others: a true relay, by TURN.
    TurnServer,
    /// Takes connections and passes the same bytes on to the peers, one after the other.
    SshJumpHost,
    /// Takes requests for pages and passes them on to the peers, one after the other.
    ReverseProxy,
    /// Has files that many fetch.
    Seeder,
}

impl LookAlike {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ConferenceHost,
        Self::TwoCalls,
        Self::TurnServer,
        Self::SshJumpHost,
        Self::ReverseProxy,
        Self::Seeder,
    ];

    /// Its name in scenarios.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConferenceHost => "conference-host",
            Self::TwoCalls => "two-calls",
            Self::TurnServer => "turn-server",
            Self::SshJumpHost => "ssh-jump-host",
            Self::ReverseProxy => "reverse-proxy",
            Self::Seeder => "seeder",
        }
    }

    /// The one of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whose [`server`] runs on its peers; `None`: it has none.
    pub const fn peers(self) -> Option<Kind> {
        match self {
            Self::ConferenceHost | Self::TwoCalls | Self::TurnServer => Some(Kind::WebRtc),
            Self::SshJumpHost => Some(Kind::Ssh),
            Self::ReverseProxy => Some(Kind::Http),
            Self::Seeder => None,
        }
    }

    /// Whose [`client`] comes to it, at the kind's port; `None`: it does all by itself, on
    /// [`Order::Run`](super::Order::Run).
    pub const fn visitors(self) -> Option<Kind> {
        match self {
            Self::ConferenceHost | Self::TwoCalls => None,
            Self::TurnServer => Some(Kind::Turn),
            Self::SshJumpHost => Some(Kind::Ssh),
            Self::ReverseProxy => Some(Kind::Http),
            Self::Seeder => Some(Kind::BitTorrent),
        }
    }
}

/// A server as its clients know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name, which goes into requests and is looked up where there is a resolver.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddrV4,
}

/// The address of every name that a resolver doesn't know (documentation, RFC 5737).
pub const UNKNOWN_NAME: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);

/// A client of these servers, at least one. It begins with [`Order::Run`](super::Order::Run), and
/// when its time is over it ends what it has begun. With a resolver it looks up a site's name
/// before it goes there; the answer has to be the site's address.
pub fn client(kind: Kind, servers: Vec<Site>, resolver: Option<SocketAddrV4>) -> Box<dyn Party> {
    // Of TURN the first site is the server.
    let (servers, peers) = match kind {
        Kind::Turn => {
            let peers = servers.iter().skip(1).map(|peer| peer.address).collect();
            (servers.into_iter().take(1).collect(), peers)
        }
        _ => (servers, Vec::new()),
    };
    let sites = sites::Sites::new(servers, resolver);
    match kind {
        Kind::Dns => Box::new(dns::Asker::new(sites)),
        Kind::Http => Box::new(browser::Browser::<http::Client>::new(sites)),
        Kind::Https => Box::new(browser::Browser::<https::Client>::new(sites)),
        Kind::Ssh => Box::new(ssh_user::User::new(sites)),
        Kind::BitTorrent => Box::new(bittorrent::Client::new(sites)),
        Kind::WebRtc => Box::new(talks::DatagramClient::<webrtc::Call>::new(sites, ())),
        Kind::Quic => Box::new(talks::DatagramClient::<quic_talk::Client>::new(sites, ())),
        Kind::Game => Box::new(talks::DatagramClient::<game::Player>::new(sites, ())),
        Kind::Turn => Box::new(talks::DatagramClient::<turn::Turned>::new(sites, peers)),
    }
}

/// A server, on the kind's port. That of [`Kind::Dns`] is a [`resolver`] of no names.
pub fn server(kind: Kind) -> Box<dyn Party> {
    let port = kind.port();
    match kind {
        Kind::Dns => resolver(Vec::new()),
        Kind::Http => Box::new(streams::StreamServer::<http::Server>::new(port)),
        Kind::Https => Box::new(streams::StreamServer::<https::Server>::new(port)),
        Kind::Ssh => Box::new(streams::StreamServer::<ssh::Server>::new(port)),
        Kind::BitTorrent => Box::new(bittorrent::Seeder::new(port)),
        Kind::WebRtc => Box::new(talks::DatagramServer::<webrtc::Call>::new(port)),
        Kind::Quic => Box::new(talks::DatagramServer::<quic_talk::Server>::new(port)),
        Kind::Game => Box::new(talks::DatagramServer::<game::Server>::new(port)),
        Kind::Turn => Box::new(turn::Server::new(port)),
    }
}

/// A resolver of these names. All others are [`UNKNOWN_NAME`].
pub fn resolver(names: Vec<(String, Ipv4Addr)>) -> Box<dyn Party> {
    Box::new(dns::Resolver::new(names))
}

/// What looks like a relay, with these peers: see [`LookAlike::peers`].
pub fn look_alike(which: LookAlike, peers: Vec<Site>) -> Box<dyn Party> {
    use look_alikes::{Caller, Forwarder, Requests, Same};
    match which {
        LookAlike::ConferenceHost => Box::new(Caller::new(peers, true)),
        LookAlike::TwoCalls => Box::new(Caller::new(peers.into_iter().take(2).collect(), false)),
        LookAlike::TurnServer => server(Kind::Turn),
        LookAlike::SshJumpHost => Box::new(Forwarder::<Same>::new(Kind::Ssh.port(), peers)),
        LookAlike::ReverseProxy => Box::new(Forwarder::<Requests>::new(Kind::Http.port(), peers)),
        LookAlike::Seeder => server(Kind::BitTorrent),
    }
}
