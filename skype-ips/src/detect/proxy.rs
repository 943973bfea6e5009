//! Connections through a proxy: behind its consent the two ends speak as if there were none.
//!
//! HTTP's CONNECT (RFC 9110, section 9.3.6), SOCKS 4 and 4a (Ying-Da Lee's memos), SOCKS 5 (RFC
//! 1928) with passwords in clear (RFC 1929). What is encrypted to the proxy can't be followed.

use std::ops::Range;

use super::names::{Names, Owner, normal};
use super::stream::Head;
use super::tls_records::Cursor;
use super::{Evidence, Outcome, begins};

/// Most header lines that are read.
const MOST_HEADERS: usize = 48;
const CONNECT: &[u8] = b"CONNECT ";

/// How far a dialogue has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialogue {
    /// It is none.
    No,
    /// It is one as far as it goes.
    Open,
    /// All of the request is there, so many bytes, and nothing of the proxy's answer yet that tells.
    Asked(usize),
    /// The proxy refuses, or goes on in a way that can't be followed.
    Refused,
    /// The proxy wants a password first: behind so many bytes of the client's and of its own the
    /// dialogue begins again.
    Again([usize; 2]),
    /// The proxy consents: behind so many bytes of the client's and of its own the two ends speak.
    Consent([usize; 2]),
}

/// The name that a client wants to be connected with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: String,
    at: Range<usize>,
}

impl Target {
    fn read(text: &[u8], start: usize) -> Option<Self> {
        let name = normal(std::str::from_utf8(text).ok()?)?;
        Some(Self {
            name,
            at: start..start + text.len(),
        })
    }

    /// `proxy-target`: the name is one of Skype's. It is the client's own choice, so the odds are
    /// those of its bytes.
    pub fn evidence(&self, client: &Head, names: &Names) -> Option<Evidence> {
        let (domain, Owner::Skype) = names.owner(&self.name)? else {
            return None;
        };
        let says = format!("whom the client asks the proxy for, {}", self.name);
        let evidence = Evidence::new("proxy-target", 8 * domain.len() as u32);
        Some(evidence.citing_stream(client, self.at.clone(), says))
    }
}

/// Reads what a client and a proxy have said so far, and whom the client wants.
pub fn read(client: &[u8], proxy: &[u8]) -> (Dialogue, Option<Target>) {
    match client {
        [] => (Dialogue::No, None),
        [4, 1, ..] | [4] => socks4(client, proxy),
        [5, methods, ..] if *methods > 0 => socks5(client, proxy),
        [5] => (Dialogue::Open, None),
        _ => match begins(client, CONNECT) {
            Outcome::No => (Dialogue::No, None),
            Outcome::Short => (Dialogue::Open, None),
            Outcome::Yes(_) => connect(client, proxy),
        },
    }
}

fn connect(client: &[u8], proxy: &[u8]) -> (Dialogue, Option<Target>) {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let asked = match request.parse(client) {
        Ok(httparse::Status::Complete(len)) => Some(len),
        Ok(httparse::Status::Partial) => None,
        Err(_) => return (Dialogue::No, None),
    };
    // The target may still be cut off before its end is there.
    let target = request.path.and_then(|authority| {
        let (host, _port) = authority.rsplit_once(':')?;
        Target::read(host.as_bytes(), CONNECT.len())
    });
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let answered = match response.parse(proxy) {
        Ok(httparse::Status::Complete(len)) => Some(len),
        Ok(httparse::Status::Partial) => None,
        Err(_) => return (Dialogue::No, target),
    };
    let dialogue = match (asked, answered, response.code) {
        (Some(asked), Some(answered), Some(200..=299)) => Dialogue::Consent([asked, answered]),
        (Some(asked), Some(answered), Some(407)) => match body(response.headers) {
            Some(body) => Dialogue::Again([asked, answered + body]),
            None => Dialogue::Refused,
        },
        (Some(_), Some(_), _) => Dialogue::Refused,
        (Some(asked), None, _) => Dialogue::Asked(asked),
        _ => Dialogue::Open,
    };
    (dialogue, target)
}

/// Bytes of the page that says why not, if the connection is kept.
fn body(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let mut headers = headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let length = std::str::from_utf8(length.value).ok()?;
    length
        .trim()
        .parse()
        .ok()
        .filter(|length| *length < 1 << 16)
}

fn socks4(client: &[u8], proxy: &[u8]) -> (Dialogue, Option<Target>) {
    let mut target = None;
    let asked = socks4_request(client, &mut target);
    let dialogue = match (asked, proxy) {
        (None, [] | [0] | [0, 90..=93, ..]) => Dialogue::Open,
        (Some(asked), [0, 90, rest @ ..]) if rest.len() >= 6 => Dialogue::Consent([asked, 8]),
        (Some(asked), [] | [0] | [0, 90, ..]) => Dialogue::Asked(asked),
        (_, [0, 91..=93, ..]) => Dialogue::Refused,
        _ => Dialogue::No,
    };
    (dialogue, target)
}

/// The length of the request, if it is all there. Version 4a has a name where 4 has an address.
fn socks4_request(client: &[u8], target: &mut Option<Target>) -> Option<usize> {
    let mut cursor = Cursor(client);
    cursor.take(4)?;
    let address = cursor.take(4)?;
    terminated(&mut cursor)?;
    if matches!(address, [0, 0, 0, last] if *last != 0) {
        let start = client.len() - cursor.0.len();
        let name = terminated(&mut cursor)?;
        *target = Target::read(name, start);
    }
    Some(client.len() - cursor.0.len())
}

/// A text up to the zero behind it.
fn terminated<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let len = cursor.0.iter().position(|byte| *byte == 0)?;
    let text = cursor.take(len + 1)?;
    Some(&text[..len])
}

fn socks5(client: &[u8], proxy: &[u8]) -> (Dialogue, Option<Target>) {
    let mut target = None;
    let mut cursors = [Cursor(client), Cursor(proxy)];
    let dialogue = socks5_steps(client.len(), &mut cursors, &mut target);
    let dialogue = dialogue.unwrap_or_else(|| {
        let asked = socks5_request(client, &mut target);
        asked.map_or(Dialogue::Open, Dialogue::Asked)
    });
    let [client_rest, proxy_rest] = cursors.map(|cursor| cursor.0.len());
    let dialogue = match dialogue {
        Dialogue::Consent(_) => {
            Dialogue::Consent([client.len() - client_rest, proxy.len() - proxy_rest])
        }
        other => other,
    };
    (dialogue, target)
}

/// Where the client's words end, read without the proxy's: a request begins with 5, a name and
/// password with 1.
fn socks5_request(client: &[u8], target: &mut Option<Target>) -> Option<usize> {
    let mut cursor = Cursor(client);
    cursor.take(1)?;
    cursor.counted(1)?;
    if cursor.0.first() == Some(&1) {
        cursor.take(1)?;
        cursor.counted(1)?;
        cursor.counted(1)?;
    }
    let [5, 1, 0] = cursor.take(3)? else {
        return None;
    };
    let name = address(&mut cursor)?;
    let start = client.len() - cursor.0.len() - name.len();
    *target = Target::read(name, start);
    cursor.take(2)?;
    Some(client.len() - cursor.0.len())
}

/// `None` where the bytes end.
fn socks5_steps(
    client_len: usize,
    [client, proxy]: &mut [Cursor<'_>; 2],
    target: &mut Option<Target>,
) -> Option<Dialogue> {
    client.take(1)?;
    client.counted(1)?;
    match (proxy.number(1)?, proxy.number(1)?) {
        (5, 0) => {}
        (5, 2) => {
            if client.number(1)? != 1 {
                return Some(Dialogue::No);
            }
            client.counted(1)?;
            client.counted(1)?;
            match (proxy.number(1)?, proxy.number(1)?) {
                (1, 0) => {}
                (1, _) => return Some(Dialogue::Refused),
                _ => return Some(Dialogue::No),
            }
        }
        (5, _) => return Some(Dialogue::Refused),
        _ => return Some(Dialogue::No),
    }
    // Version, command (1 is CONNECT), reserved.
    match client.take(3)? {
        [5, 1, 0] => {}
        [5, ..] => return Some(Dialogue::Refused),
        _ => return Some(Dialogue::No),
    }
    let name = address(client)?;
    let start = client_len - client.0.len() - name.len();
    *target = Target::read(name, start);
    client.take(2)?;
    match proxy.take(3)? {
        [5, 0, 0] => {}
        [5, ..] => return Some(Dialogue::Refused),
        _ => return Some(Dialogue::No),
    }
    address(proxy)?;
    proxy.take(2)?;
    Some(Dialogue::Consent([0; 2]))
}

/// Goes behind an address of any type; a name's bytes, nothing of the others.
fn address<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    match cursor.number(1)? {
        1 => cursor.take(4).map(|_| &[][..]),
        3 => cursor.counted(1),
        4 => cursor.take(16).map(|_| &[][..]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Words = Vec<u8>;

    fn connect_to(name: &str) -> Words {
        format!("CONNECT {name}:443 HTTP/1.0\r\nHost: {name}:443\r\n\r\n").into()
    }

    fn socks4a(name: &str) -> Words {
        [
            &[4, 1, 1, 187, 0, 0, 0, 1][..],
            b"me\0",
            name.as_bytes(),
            &[0],
        ]
        .concat()
    }

    fn socks5_to(name: &str, password: bool) -> Words {
        let greeting: &[u8] = if password { &[5, 2, 0, 2] } else { &[5, 1, 0] };
        let secret: &[u8] = if password { &[1, 2, 1, 2, 1, 9] } else { &[] };
        let len = name.len() as u8;
        let request = [&[5, 1, 0, 3, len], name.as_bytes(), &[1, 187]].concat();
        [greeting, secret, &request].concat()
    }

    /// What a client says, what a proxy that consents says, and one that refuses.
    fn dialogues(name: &str) -> Vec<[Words; 3]> {
        let http = |code: &str| format!("HTTP/1.0 {code} x\r\nVia: y\r\n\r\n").into_bytes();
        vec![
            [connect_to(name), http("200"), http("403")],
            [
                socks4a(name),
                vec![0, 90, 0, 0, 0, 0, 0, 0],
                vec![0, 91, 0, 0, 0, 0, 0, 0],
            ],
            [
                socks5_to(name, false),
                vec![5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 1, 187],
                vec![5, 0, 5, 5, 0, 1, 1, 2, 3, 4, 1, 187],
            ],
            [
                socks5_to(name, true),
                [vec![5, 2, 1, 0, 5, 0, 0, 4], vec![7; 18]].concat(),
                vec![5, 2, 1, 1],
            ],
        ]
    }

    #[test]
    fn every_proxy_consents_or_refuses() {
        for [client, consent, refusal] in dialogues("x.skype.com") {
            let (dialogue, target) = read(&client, &consent);
            assert_eq!(dialogue, Dialogue::Consent([client.len(), consent.len()]));
            let target = target.expect("a name");
            assert_eq!(
                (&target.name[..], &client[target.at]),
                ("x.skype.com", &b"x.skype.com"[..])
            );
            assert_eq!(read(&client, &refusal).0, Dialogue::Refused);
            // What follows is not the dialogue's.
            let more = [&consent[..], &[1, 2, 3]].concat();
            assert_eq!(read(&client, &more).0, read(&client, &consent).0);
        }
    }

    #[test]
    fn it_stays_open_up_to_the_last_byte() {
        for [client, consent, _] in dialogues("x.skype.com") {
            for at in 1..client.len() {
                assert_eq!(read(&client[..at], &[]).0, Dialogue::Open, "{at}");
            }
            for at in 0..consent.len() {
                let asked = Dialogue::Asked(client.len());
                assert_eq!(read(&client, &consent[..at]).0, asked, "{at}");
            }
        }
    }

    #[test]
    fn a_proxy_that_wants_a_password_is_asked_again() {
        let client = connect_to("skype.com");
        let proxy = b"HTTP/1.1 407 no\r\nContent-Length: 5\r\n\r\nsorry";
        let again = Dialogue::Again([client.len(), proxy.len()]);
        assert_eq!(read(&client, proxy).0, again);
        let closing = b"HTTP/1.1 407 no\r\nConnection: close\r\n\r\n";
        assert_eq!(read(&client, closing).0, Dialogue::Refused);
    }

    #[test]
    fn other_openings_are_none() {
        for (client, server) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], &b""[..]),
            (b"CONNECTION", b""),
            (&[4, 2, 0, 80, 1, 2, 3, 4, 0], &[]),
            (&[4, 1, 0, 80, 1, 2, 3, 4, 0], &[1, 90]),
            (&[5, 0], &[]),
            (&[5, 1, 0], b"SSH-2.0"),
            (b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"SSH-2.0"),
        ] {
            assert_eq!(read(client, server).0, Dialogue::No, "{client:x?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_survived(
            mut client in proptest::collection::vec(any::<u8>(), 1..80),
            proxy in proptest::collection::vec(0u8..8, 0..40),
            first in prop::sample::select(vec![4, 5, b'C']),
        ) {
            client[0] = first;
            if let (Dialogue::Consent(ends), _) = read(&client, &proxy) {
                prop_assert!(ends[0] <= client.len() && ends[1] <= proxy.len());
            }
        }
    }
}
