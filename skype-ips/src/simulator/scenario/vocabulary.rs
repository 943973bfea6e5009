//! The words of the scenario language.

use crate::simulator::net;
use crate::simulator::party::{self, ServerKind, background};
use crate::simulator::speech::proxy::Proxy;
use crate::toml_file::words;

words! {
    /// Which side of the gateway a network is on.
    Side {
        /// The hosts that policies are for.
        Inside = "inside",
        /// The rest of the world.
        Outside = "outside",
    }
}

words! {
    /// What a firewall further out lets through no more.
    Blocked {
        /// All UDP but questions for names (port 53).
        Udp = "udp",
        /// TCP to ports from 1024.
        TcpHigh = "tcp-high",
    }
}

words! {
    /// How a home router translates.
    NatKind {
        /// One outside port for each inside port; lets in whom the host has sent to, by address
        /// and port.
        PortRestricted = "port-restricted",
        /// Another outside port for each destination.
        Symmetric = "symmetric",
        /// One outside port for each inside port; lets in everybody.
        FullCone = "full-cone",
    }
}

impl From<Side> for net::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Inside => Self::Inside,
            Side::Outside => Self::Outside,
        }
    }
}

impl From<NatKind> for net::NatKind {
    fn from(kind: NatKind) -> Self {
        match kind {
            NatKind::PortRestricted => Self::PortRestricted,
            NatKind::Symmetric => Self::Symmetric,
            NatKind::FullCone => Self::FullCone,
        }
    }
}

words! {
    /// What a party is.
    Kind {
        /// A user's Skype.
        Client = "client",
        /// A user's Skype that serves others.
        SuperNode = "super-node",
        /// A super node that clients know from the start, on port 33033.
        Bootstrap = "bootstrap",
        /// The service's login server.
        LoginServer = "login-server",
        /// The service's server for events and contacts.
        EventServer = "event-server",
        /// The service's web server, `ui.skype.com`.
        WebServer = "web-server",
        /// A proxy that clients go through.
        Proxy = "proxy",
        /// Answers questions for names.
        Resolver = "resolver",
        /// A host without Skype.
        Host = "host",
        /// The other end of everyday traffic.
        InternetHost = "internet-host",
        /// Receives every participant's stream and sends each of them a mix.
        ConferenceHost = "conference-host",
        /// Two calls of another program at once.
        TwoCalls = "two-calls",
        /// Carries calls for others, by TURN.
        TurnServer = "turn-server",
        /// Carries SSH for others.
        SshJumpHost = "ssh-jump-host",
        /// Carries HTTP for others.
        ReverseProxy = "reverse-proxy",
        /// Has files that many fetch by BitTorrent.
        Seeder = "seeder",
    }
}

impl Kind {
    /// Whether it carries other hosts' traffic, or much of its own, as a relay does, and is none.
    pub const fn is_look_alike(self) -> bool {
        matches!(
            self,
            Self::ConferenceHost
                | Self::TwoCalls
                | Self::TurnServer
                | Self::SshJumpHost
                | Self::ReverseProxy
                | Self::Seeder
        )
    }

    /// Whether others open conversations with it, so that it must have an address that they see.
    pub const fn is_asked(self) -> bool {
        !matches!(
            self,
            Self::Client | Self::Host | Self::ConferenceHost | Self::TwoCalls
        )
    }

    /// Whether it is the service's own, or the internet's, and so not inside.
    pub const fn is_of_the_outside(self) -> bool {
        matches!(
            self,
            Self::Bootstrap
                | Self::LoginServer
                | Self::EventServer
                | Self::WebServer
                | Self::InternetHost
        )
    }

    /// The server that it is, of those that clients are told of.
    pub const fn server(self) -> Option<ServerKind> {
        match self {
            Self::LoginServer => Some(ServerKind::Login),
            Self::EventServer => Some(ServerKind::Event),
            Self::WebServer => Some(ServerKind::Web),
            _ => None,
        }
    }
}

words! {
    /// Everyday traffic.
    Application {
        /// Pages and pictures over HTTP.
        Http = "http",
        /// The same over TLS.
        Https = "https",
        /// Questions for names.
        Dns = "dns",
        /// A terminal session.
        Ssh = "ssh",
        /// Peers by DHT, pieces over uTP and TCP.
        Bittorrent = "bittorrent",
        /// A call: STUN, then RTP.
        Webrtc = "webrtc",
        /// Pages over QUIC.
        Quic = "quic",
        /// Small datagrams at a steady pace.
        Game = "game",
        /// A call through a TURN server.
        Turn = "turn",
    }
}

impl Application {
    /// Whether a party of any kind can be its server: one program on one port, which needs no others.
    pub const fn is_served_anywhere(self) -> bool {
        !matches!(self, Self::Dns | Self::Turn)
    }
}

impl From<Application> for background::Kind {
    fn from(application: Application) -> Self {
        match application {
            Application::Http => Self::Http,
            Application::Https => Self::Https,
            Application::Dns => Self::Dns,
            Application::Ssh => Self::Ssh,
            Application::Bittorrent => Self::BitTorrent,
            Application::Webrtc => Self::WebRtc,
            Application::Quic => Self::Quic,
            Application::Game => Self::Game,
            Application::Turn => Self::Turn,
        }
    }
}

words! {
    /// What an action has a party do.
    Deed {
        /// Starts Skype and signs in.
        SignIn = "sign-in",
        /// Ends Skype.
        SignOut = "sign-out",
        /// Calls somebody.
        Call = "call",
        /// Sends a file.
        SendFile = "send-file",
        /// Asks the directory for users.
        Search = "search",
        /// Talks in writing.
        Chat = "chat",
        /// Everyday traffic at its usual pace.
        Run = "run",
    }
}

words! {
    /// Which way media takes.
    Path {
        /// From one end to the other by UDP.
        Udp = "udp",
        /// From one end to the other by TCP.
        Tcp = "tcp",
        /// Through a third party by UDP.
        RelayUdp = "relay-udp",
        /// Through a third party by TCP.
        RelayTcp = "relay-tcp",
    }
}

words! {
    /// A generation of Skype's client.
    Generation {
        /// Versions 1 and 2.
        Y2006 = "2006",
        /// Versions 4 to 7.
        Y2015 = "2015",
    }
}

impl From<Generation> for party::Generation {
    fn from(generation: Generation) -> Self {
        match generation {
            Generation::Y2006 => Self::Y2006,
            Generation::Y2015 => Self::Y2015,
        }
    }
}

words! {
    /// A proxy's language.
    ProxyKind {
        /// HTTP's CONNECT.
        HttpConnect = "http-connect",
        /// The same with a password.
        HttpPassword = "http-password",
        /// SOCKS version 4.
        Socks4 = "socks4",
        /// SOCKS version 4a.
        Socks4a = "socks4a",
        /// SOCKS version 5.
        Socks5 = "socks5",
        /// The same with a password.
        Socks5Password = "socks5-password",
    }
}

impl ProxyKind {
    /// Whether a name and a password are said; `None` if the language has none.
    pub const fn password(self) -> Option<bool> {
        match self {
            Self::HttpConnect | Self::Socks5 => Some(false),
            Self::HttpPassword | Self::Socks5Password => Some(true),
            Self::Socks4 | Self::Socks4a => None,
        }
    }
}

impl From<ProxyKind> for Proxy {
    fn from(kind: ProxyKind) -> Self {
        match kind {
            ProxyKind::HttpConnect => Self::HttpConnect,
            ProxyKind::HttpPassword => Self::HttpPassword,
            ProxyKind::Socks4 => Self::Socks4,
            ProxyKind::Socks4a => Self::Socks4a,
            ProxyKind::Socks5 => Self::Socks5,
            ProxyKind::Socks5Password => Self::Socks5Password,
        }
    }
}

words! {
    /// Whether a goal is reached under a policy that drops Skype.
    IfDropped {
        /// It can't be.
        Fails = "fails",
        /// It must be.
        Holds = "holds",
        /// Nothing is asked.
        Either = "either",
    }
}
