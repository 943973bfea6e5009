//! Through a proxy: its dialogue first, then the opening as if there were none.

use std::net::SocketAddrV4;

use super::Turn;

/// A proxy's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// HTTP's CONNECT (RFC 9110, section 9.3.6).
    HttpConnect,
    /// The same, after a first request without a password.
    HttpPassword,
    /// SOCKS version 4 (Ying-Da Lee's memo).
    Socks4,
    /// SOCKS version 4a, which takes a name where 4 takes an address.
    Socks4a,
    /// SOCKS version 5 without authentication (RFC 1928).
    Socks5,
    /// SOCKS version 5 with a name and a password (RFC 1929).
    Socks5Password,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::HttpConnect,
        Self::HttpPassword,
        Self::Socks4,
        Self::Socks4a,
        Self::Socks5,
        Self::Socks5Password,
    ];
    /// The port that such a proxy usually has.
    pub const fn port(self) -> u16 {
        match self {
            Self::HttpConnect | Self::HttpPassword => 3128,
            Self::Socks4 | Self::Socks4a | Self::Socks5 | Self::Socks5Password => 1080,
        }
    }

    /// The dialogue up to the proxy's consent.
    pub fn dialogue(self, target: SocketAddrV4) -> Vec<Turn> {
        let name = format!("node-{}.example.net", target.ip().to_bits());
        let (port, address) = (target.port().to_be_bytes(), target.ip().octets());
        match self {
            Self::HttpConnect => vec![
                Turn::client(format!(
                    "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
                )),
                Turn::server("HTTP/1.1 200 Connection established\r\n\r\n"),
            ],
            Self::HttpPassword => {
                let asks = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
                let page = "Who are you?";
                vec![
                    Turn::client(format!("{asks}\r\n")),
                    Turn::server(format!(
                        "HTTP/1.1 407 Proxy Authentication Required\r\n\
                         Proxy-Authenticate: Basic realm=\"proxy\"\r\n\
                         Content-Length: {}\r\n\r\n{page}",
                        page.len()
                    )),
                    Turn::client(format!("{asks}Proxy-Authorization: Basic bWU6bWU=\r\n\r\n")),
                    Turn::server("HTTP/1.1 200 OK\r\n\r\n"),
                ]
            }
            Self::Socks4a => vec![
                Turn::client(
                    [
                        &[4, 1][..],
                        &port,
                        &[0, 0, 0, 1],
                        b"me\0",
                        name.as_bytes(),
                        &[0],
                    ]
                    .concat(),
                ),
                Turn::server([&[0, 90][..], &port, &address].concat()),
            ],
            Self::Socks5Password => vec![
                Turn::client([5, 2, 0, 2]),
                Turn::server([5, 2]),
                Turn::client(*b"\x01\x02me\x06secret"),
                Turn::server([1, 0]),
                Turn::client(
                    [&[5, 1, 0, 3, name.len() as u8][..], name.as_bytes(), &port].concat(),
                ),
                Turn::server([&[5, 0, 0, 1][..], &address, &port].concat()),
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
