//! Through a proxy: its dialogue first, then the opening as if there were none.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::Turn;

/// An HTTP proxy asks for a password.
pub const HTTP_WHO: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\
     Proxy-Authenticate: Basic realm=\"proxy\"\r\n\
     Content-Length: 12\r\n\r\nWho are you?";
/// An HTTP proxy has connected on.
pub const HTTP_CONSENT: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
/// An HTTP proxy could not connect on.
pub const HTTP_NO: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";

/// The name that a client says where its proxy takes names: here every address has one.
pub fn name_of(address: Ipv4Addr) -> String {
    format!("node-{}.example.net", address.to_bits())
}

/// The address of such a name, or of one that is written as an address.
pub fn address_of(name: &str) -> Option<Ipv4Addr> {
    let bits = name.strip_prefix("node-").and_then(|rest| {
        let bits = rest.strip_suffix(".example.net")?;
        bits.parse().ok().map(Ipv4Addr::from_bits)
    });
    bits.or_else(|| name.parse().ok())
}

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
        let name = name_of(*target.ip());
        let (port, address) = (target.port().to_be_bytes(), target.ip().octets());
        match self {
            Self::HttpConnect => vec![
                Turn::client(format!(
                    "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
                )),
                Turn::server(HTTP_CONSENT),
            ],
            Self::HttpPassword => {
                let asks = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
                vec![
                    Turn::client(format!("{asks}\r\n")),
                    Turn::server(HTTP_WHO),
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

/// What a proxy's bytes so far say, of which the first so many belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    More,
    /// Go on with the dialogue.
    GoOn(usize),
    /// It has connected on.
    Consent(usize),
    /// It has not, or speaks another language.
    No,
}

/// Reads a proxy's answer; `before`: how many answers came before it.
pub fn answer(kind: Proxy, before: usize, bytes: &[u8]) -> Answer {
    match (kind, before) {
        (Proxy::HttpConnect | Proxy::HttpPassword, _) => http_answer(bytes),
        (Proxy::Socks4 | Proxy::Socks4a, _) => match bytes {
            [0, 90, ..] if bytes.len() >= 8 => Answer::Consent(8),
            [] | [0] | [0, 90, ..] => Answer::More,
            _ => Answer::No,
        },
        (Proxy::Socks5, 0) => socks5_step(bytes, [5, 0]),
        (Proxy::Socks5Password, 0) => socks5_step(bytes, [5, 2]),
        (Proxy::Socks5Password, 1) => socks5_step(bytes, [1, 0]),
        (Proxy::Socks5 | Proxy::Socks5Password, _) => match bytes {
            // An address of four bytes and a port: no proxy of ours answers with another kind.
            [5, 0, 0, 1, ..] if bytes.len() >= 10 => Answer::Consent(10),
            [5, 0, 0, 1, ..] | [] | [5] | [5, 0] | [5, 0, 0] => Answer::More,
            _ => Answer::No,
        },
    }
}

fn socks5_step(bytes: &[u8], yes: [u8; 2]) -> Answer {
    match bytes {
        [a, b, ..] if [*a, *b] == yes => Answer::GoOn(2),
        [] => Answer::More,
        [a] if *a == yes[0] => Answer::More,
        _ => Answer::No,
    }
}

fn http_answer(bytes: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Answer::More,
        Err(_) => return Answer::No,
    };
    let mut lengths = response.headers.iter().filter_map(|header| {
        let named = header.name.eq_ignore_ascii_case("content-length");
        let text = std::str::from_utf8(header.value).ok()?;
        named.then(|| text.trim().parse::<usize>().ok()).flatten()
    });
    let len = head.saturating_add(lengths.next().unwrap_or(0));
    match response.code {
        Some(200) => Answer::Consent(head),
        Some(407) if bytes.len() < len => Answer::More,
        Some(407) => Answer::GoOn(len),
        _ => Answer::No,
    }
}

/// What a client asks of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing yet.
    More,
    /// A language is chosen, or a password told: say these bytes and read on, behind the first so
    /// many.
    Say(usize, &'static [u8]),
    /// Connect on to this address, and say yes or no in this language. That many bytes it took.
    Connect(usize, SocketAddrV4, Proxy),
    /// Nothing that a proxy understands.
    Nonsense,
}

/// Reads what a client says; `before`: how many times it was answered before; `password`: whether
/// HTTP's and SOCKS version 5's clients must have one.
pub fn asked(before: usize, password: bool, bytes: &[u8]) -> Asked {
    match (bytes, before) {
        ([], _) => Asked::More,
        ([4, ..], 0) => socks4_asked(bytes).unwrap_or(Asked::More),
        ([5, ..], 0) => socks5_methods(bytes, password),
        ([1, ..], 1) => {
            // Version, name, password, each with its length.
            let name = bytes.get(1).map(|len| 2 + usize::from(*len));
            let len = name.and_then(|at| Some(at + 1 + usize::from(*bytes.get(at)?)));
            match len {
                Some(len) if bytes.len() >= len => Asked::Say(len, &[1, 0]),
                _ => Asked::More,
            }
        }
        ([5, ..], _) => socks5_asked(bytes).unwrap_or(Asked::More),
        _ => http_asked(password, bytes),
    }
}

fn port_of(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|port| u16::from_be_bytes(*port))
}

fn socks4_asked(bytes: &[u8]) -> Option<Asked> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let address = Ipv4Addr::new(head[4], head[5], head[6], head[7]);
    let port = port_of(&head[2..])?;
    let user = rest.iter().position(|byte| *byte == 0)?;
    let named = matches!(address.octets(), [0, 0, 0, last] if last > 0);
    let (end, address) = if named {
        let name = &rest[user + 1..];
        let len = name.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&name[..len]).ok().and_then(address_of);
        (user + 1 + len + 1, name)
    } else {
        (user + 1, Some(address))
    };
    let kind = if named { Proxy::Socks4a } else { Proxy::Socks4 };
    Some(match (head[1], address) {
        (1, Some(address)) => Asked::Connect(8 + end, SocketAddrV4::new(address, port), kind),
        _ => Asked::Nonsense,
    })
}

fn socks5_methods(bytes: &[u8], password: bool) -> Asked {
    let Some(count) = bytes.get(1) else {
        return Asked::More;
    };
    let len = 2 + usize::from(*count);
    let Some(methods) = bytes.get(2..len) else {
        return Asked::More;
    };
    // The strictest that both know; without a need for it a client that offers one is asked too.
    match (methods.contains(&2), methods.contains(&0)) {
        (true, _) => Asked::Say(len, &[5, 2]),
        (false, true) if !password => Asked::Say(len, &[5, 0]),
        _ => Asked::Nonsense,
    }
}

fn socks5_asked(bytes: &[u8]) -> Option<Asked> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let (len, address) = match head[3] {
        1 => (4, Some(Ipv4Addr::from(*rest.first_chunk::<4>()?))),
        3 => {
            let len = usize::from(*rest.first()?);
            let name = rest.get(1..=len)?;
            let name = std::str::from_utf8(name).ok();
            (1 + len, name.and_then(address_of))
        }
        _ => return Some(Asked::Nonsense),
    };
    let port = port_of(rest.get(len..)?)?;
    Some(match (head[1], address) {
        (1, Some(address)) => {
            let target = SocketAddrV4::new(address, port);
            Asked::Connect(4 + len + 2, target, Proxy::Socks5)
        }
        _ => Asked::Nonsense,
    })
}

fn http_asked(password: bool, bytes: &[u8]) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Asked::More,
        Err(_) => return Asked::Nonsense,
    };
    let target = match (request.method, request.path) {
        (Some("CONNECT"), Some(path)) => path.rsplit_once(':').and_then(|(name, port)| {
            Some(SocketAddrV4::new(address_of(name)?, port.parse().ok()?))
        }),
        _ => None,
    };
    let mut names = request.headers.iter().map(|header| header.name);
    let told = names.any(|name| name.eq_ignore_ascii_case("proxy-authorization"));
    match target {
        Some(_) if password && !told => Asked::Say(len, HTTP_WHO.as_bytes()),
        Some(target) => Asked::Connect(len, target, Proxy::HttpConnect),
        None => Asked::Nonsense,
    }
}

/// The proxy's last word: it has connected on to `target`, or not.
pub fn verdict(kind: Proxy, target: SocketAddrV4, connected: bool) -> Vec<u8> {
    let (port, address) = (target.port().to_be_bytes(), target.ip().octets());
    match kind {
        Proxy::HttpConnect | Proxy::HttpPassword if connected => HTTP_CONSENT.into(),
        Proxy::HttpConnect | Proxy::HttpPassword => HTTP_NO.into(),
        Proxy::Socks4 | Proxy::Socks4a => {
            let code = if connected { 90 } else { 91 };
            [&[0, code][..], &port, &address].concat()
        }
        Proxy::Socks5 | Proxy::Socks5Password => {
            // 5: connection refused.
            let code = if connected { 0 } else { 5 };
            [&[5, code, 0, 1][..], &address, &port].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Speaker;
    use super::*;

    #[test]
    fn both_ends_understand_each_dialogue() {
        let target = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 9), 33_033);
        for kind in Proxy::ALL {
            let password = matches!(kind, Proxy::HttpPassword | Proxy::Socks5Password);
            let (mut requests, mut answers) = (0, 0);
            let turns = kind.dialogue(target);
            for (index, turn) in turns.iter().enumerate() {
                let (bytes, last) = (&turn.bytes, index + 2 >= turns.len());
                let len = bytes.len();
                if turn.from == Speaker::Client {
                    for cut in 0..len {
                        let part = asked(requests, password, &bytes[..cut]);
                        assert_eq!(part, Asked::More, "{kind:?}, {cut} bytes");
                    }
                    match asked(requests, password, bytes) {
                        Asked::Connect(all, to, _) => {
                            assert_eq!((all, to, last), (len, target, true), "{kind:?}");
                        }
                        Asked::Say(all, said) => {
                            assert_eq!((all, last), (len, false), "{kind:?}");
                            assert_eq!(said, turns[index + 1].bytes, "{kind:?}");
                        }
                        other => panic!("{kind:?}: {other:?}"),
                    }
                    requests += 1;
                } else {
                    for cut in 0..len {
                        let part = answer(kind, answers, &bytes[..cut]);
                        assert_eq!(part, Answer::More, "{kind:?}, {cut} bytes");
                    }
                    let whole = if last {
                        Answer::Consent(len)
                    } else {
                        Answer::GoOn(len)
                    };
                    assert_eq!(answer(kind, answers, bytes), whole, "{kind:?}");
                    answers += 1;
                }
            }
        }
    }

    #[test]
    fn a_refusal_is_understood() {
        let target = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        for kind in Proxy::ALL {
            assert_eq!(answer(kind, 2, &verdict(kind, target, false)), Answer::No);
            let yes = verdict(kind, target, true);
            assert_eq!(answer(kind, 2, &yes), Answer::Consent(yes.len()));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            &b"GET http://example.com/ HTTP/1.1\r\n\r\n"[..],
            b"CONNECT example.com HTTP/1.1\r\n\r\n",
            b"\x05\x01\x07",
            b"\x04\x02\0\x50\xcb\0\x71\x01\0",
            b"\x80\x46\x01\x03",
        ] {
            assert_eq!(asked(0, false, bytes), Asked::Nonsense, "{bytes:?}");
        }
        assert_eq!(asked(0, true, &[5, 1, 0]), Asked::Nonsense, "no password");
    }
}
