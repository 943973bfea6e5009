//! How the tests on a TCP connection add up.

use std::ops::Range;

use super::certificate::Certificate;
use super::client_hello::Hello;
use super::http::{self, Purpose, Request};
use super::names::{Names, Owner};
use super::stream::Head;
use super::{Evidence, Outcome, certificate, client_hello, login, tcp, tls};

/// Bits that prove a TCP flow.
pub const PROOF: u32 = 32;

/// What kind of connection was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Between peers, with super nodes, or disguised.
    Signaling,
    /// With a login or event server.
    Login,
    /// Honest TLS or HTTP with a server of Skype's.
    Service(Purpose),
}

/// What the two heads of a connection say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Proof.
    Proved(Kind, Evidence),
    /// A test can still be completed by the next segments.
    Open,
    /// No test can.
    Nothing,
    /// An honest protocol of somebody else: nor can what the other end says.
    Foreign,
}

/// What a test on names says.
enum Named {
    No,
    Short,
    Proved(Evidence),
}

/// `tls-server-name`: the name is the client's own choice, so the odds are those of its bytes.
fn server_name(head: &Head, hello: &Hello, names: &Names) -> Named {
    match hello {
        Hello::Name(name) => match names.owner(name) {
            Some((domain, Owner::Skype)) => {
                let evidence = Evidence::new("tls-server-name", 8 * domain.len() as u32);
                let says = format!("the server that the client asks for, {name}");
                Named::Proved(evidence.citing_stream(head, place(head, name), says))
            }
            _ => Named::No,
        },
        Hello::Short => Named::Short,
        Hello::No | Hello::Nameless => Named::No,
    }
}

/// `tls-certificate-name`: the server's own certificate is for Skype's names, and for no name of
/// anybody else's. Names of Microsoft's that no pack knows belong to the same operator.
fn certificate_name(answer: &Head, names: &Names) -> Named {
    let found = match certificate::read(answer.bytes()) {
        Certificate::Names(found) => found,
        Certificate::Short => return Named::Short,
        Certificate::No => return Named::No,
    };
    let owners: Vec<_> = found
        .iter()
        .filter_map(|name| Some((name, names.owner(name)?)))
        .collect();
    if owners.iter().any(|(_, (_, owner))| *owner != Owner::Skype) {
        return Named::No;
    }
    match owners.first() {
        Some((name, (domain, _))) => {
            let evidence = Evidence::new("tls-certificate-name", 8 * domain.len() as u32);
            let says = format!("a name in the server's certificate, {name}");
            Named::Proved(evidence.citing_stream(answer, place(answer, name), says))
        }
        None => Named::No,
    }
}

/// Where a text stands in a stream, in letters of either case; where records cut it, the whole
/// stream so far.
pub(super) fn place(head: &Head, text: &str) -> Range<usize> {
    let mut windows = head.bytes().windows(text.len().max(1));
    match windows.position(|window| window.eq_ignore_ascii_case(text.as_bytes())) {
        Some(at) => at..at + text.len(),
        None => 0..head.bytes().len(),
    }
}

/// What the bytes of a test on one stream are, in words.
fn cite(name: &'static str, bits: u32, head: &Head) -> Evidence {
    let evidence = Evidence::new(name, bits);
    match name {
        "tls-fake-client" => evidence
            .citing_stream(head, 0..56, "the hello with which Skype poses as SSL, always the same")
            .citing_stream(
                head,
                56..72,
                "its challenge: each byte is 205 times the one before plus 113, modulo 256",
            ),
        "tls-fake-server" => evidence.citing_stream(
            head,
            0..79,
            "the answer with which Skype poses as TLS: a time of 2004 and a random that never change",
        ),
        "tcp-legacy-stream" => evidence
            .citing_stream(head, 6..13, "known text under a part of the keystream")
            .citing_stream(
                head,
                16..23,
                "the same keystream again: what it covers are low bytes of the generator, in a row",
            ),
        _ => {
            let from = login::place(head.bytes());
            let says = if head.bytes()[from.clone()] == login::CLIENT_BLANK {
                "a record of length zero, which TLS forbids; it counts before it is answered, \
                 because another connection of these two hosts was proved in the last 5 minutes"
            } else {
                "the head of a login, which TLS forbids"
            };
            evidence.citing_stream(head, from, says)
        }
    }
}

/// Tries every test on both directions, whichever end opened the connection. `acquainted` says
/// that the same two hosts have another connection that is proved.
pub fn judge(heads: &[Head; 2], acquainted: bool, names: &Names) -> Judgement {
    let mut open = false;
    let mut foreign = false;
    for (head, answer) in [(&heads[0], &heads[1]), (&heads[1], &heads[0])] {
        let bytes = head.bytes();
        let hello = client_hello::read(bytes);
        match hello {
            Hello::Name(_) => foreign = true,
            Hello::Nameless => match certificate_name(answer, names) {
                Named::Proved(evidence) => {
                    return Judgement::Proved(Kind::Service(Purpose::Other), evidence);
                }
                Named::Short => open = true,
                Named::No => foreign = true,
            },
            Hello::No | Hello::Short => {}
        }
        match http::read(bytes, names) {
            Request::Skype(purpose, name, text, bits) => {
                let says = format!("what the client writes into its request, {text}");
                let evidence =
                    Evidence::new(name, bits).citing_stream(head, place(head, &text), says);
                return Judgement::Proved(Kind::Service(purpose), evidence);
            }
            Request::Short => open = true,
            Request::Other => foreign = true,
            Request::No => {}
        }
        let unanswered = if acquainted {
            login::unanswered(head.first_segment(), head.first_len())
        } else {
            Outcome::No
        };
        match server_name(head, &hello, names) {
            Named::Proved(evidence) => {
                return Judgement::Proved(Kind::Service(Purpose::Other), evidence);
            }
            Named::Short => open = true,
            Named::No => {}
        }
        for (name, kind, outcome) in [
            ("tls-fake-client", Kind::Signaling, tls::fake_client(bytes)),
            ("tls-fake-server", Kind::Signaling, tls::fake_server(bytes)),
            ("login-handshake", Kind::Login, login::message(bytes)),
            ("login-handshake", Kind::Login, unanswered),
            (
                "tcp-legacy-stream",
                Kind::Signaling,
                tcp::legacy_stream(bytes),
            ),
        ] {
            match outcome {
                Outcome::Yes(bits) => return Judgement::Proved(kind, cite(name, bits, head)),
                Outcome::Short => open |= !bytes.is_empty(),
                Outcome::No => {}
            }
        }
    }
    if foreign {
        return Judgement::Foreign;
    }
    let [one, other] = heads;
    if let Outcome::Yes(bits) = login::blank_records([one.bytes(), other.bytes()]) {
        let says = "a record of length zero, which TLS forbids";
        let evidence = Evidence::new("login-handshake", bits)
            .citing_stream(one, 0..5, says)
            .citing_stream(other, 0..5, says);
        return Judgement::Proved(Kind::Login, evidence);
    }
    let padding = [one, other].map(|head| tcp::key_exchange(head.bytes(), head.first_len()));
    let bits = tcp::key_exchange_bits(padding[0], padding[1]);
    if bits >= PROOF {
        let mut exchange = Evidence::new("tcp-key-exchange", bits);
        for (head, padding) in heads.iter().zip(padding) {
            if padding.relations > 0 {
                let end = tcp::KEY_LEN + 1 + padding.relations as usize;
                exchange = exchange.citing_stream(
                    head,
                    tcp::KEY_LEN..end,
                    "padding behind a key: each byte is 205 times the one before plus 113, modulo 256",
                );
            }
        }
        return Judgement::Proved(Kind::Signaling, exchange);
    }
    for (padding, other) in [(padding[0], other), (padding[1], one)] {
        // What it lacks the other end's padding can still bring.
        let lacks = padding.relations > 0 || padding.whole;
        open |= padding.open || (lacks && other.bytes().is_empty());
    }
    if open {
        Judgement::Open
    } else {
        Judgement::Nothing
    }
}
