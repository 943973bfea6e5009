//! Through a proxy: its dialogue first, then the opening as if there were none.

use std::net::SocketAddrV4;

use super::Turn;

/// A proxy's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// HTTP's CONNECT (RFC 9110, section 9.3.6).
    HttpConnect,
    /// SOCKS version 4 (Ying-Da Lee's memo).
    Socks4,
    /// SOCKS version 5 without authentication (RFC 1928).
    Socks5,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HttpConnect, Self::Socks4, Self::Socks5];
    /// The port that such a proxy usually has.
    pub const fn port(self) -> u16 {
        match self {
            Self::HttpConnect => 3128,
            Self::Socks4 | Self::Socks5 => 1080,
        }
    }

    /// The dialogue up to the proxy's consent.
    pub fn dialogue(self, target: SocketAddrV4) -> Vec<Turn> {
        let (port, address) = (target.port().to_be_bytes(), target.ip().octets());
        match self {
            Self::HttpConnect => vec![
                Turn::client(format!(
                    "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
                )),
                Turn::server("HTTP/1.1 200 Connection established\r\n\r\n"),
            ],
            Self::Socks4 => vec![
                Turn::client([&[4, 1][..], &port, &address, &[0]].concat()),
                Turn::server([&[0, 90][..], &port, &address].concat()),
            ],
            Self::Socks5 => vec![
                Turn::client([5, 1, 0]),
                Turn::server([5, 0]),
                Turn::client([&[5, 1, 0, 1][..], &address, &port].concat()),
                Turn::server([&[5, 0, 0, 1][..], &address, &port].concat()),
            ],
        }
    }

    /// An opening through the proxy.
    pub fn through(self, target: SocketAddrV4, opening: Vec<Turn>) -> Vec<Turn> {
        [self.dialogue(target), opening].concat()
    }
}
