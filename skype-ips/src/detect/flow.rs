//! How the tests on a TCP connection add up.

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

/// `tls-server-name`: the name is the client's own choice, so the odds are those of its bytes.
fn server_name(hello: &Hello, names: &Names) -> Outcome {
    match hello {
        Hello::Name(name) => match names.owner(name) {
            Some((domain, Owner::Skype)) => Outcome::Yes(8 * domain.len() as u32),
            _ => Outcome::No,
        },
        Hello::Short => Outcome::Short,
        Hello::No | Hello::Nameless => Outcome::No,
    }
}

/// `tls-certificate-name`: the server's own certificate is for Skype's names, and for no name of
/// anybody else's. Names of Microsoft's that no pack knows belong to the same operator.
fn certificate_name(stream: &[u8], names: &Names) -> Outcome {
    let found = match certificate::read(stream) {
        Certificate::Names(found) => found,
        Certificate::Short => return Outcome::Short,
        Certificate::No => return Outcome::No,
    };
    let owners: Vec<_> = found.iter().filter_map(|name| names.owner(name)).collect();
    if owners.iter().any(|(_, owner)| *owner != Owner::Skype) {
        return Outcome::No;
    }
    match owners.first() {
        Some((domain, _)) => Outcome::Yes(8 * domain.len() as u32),
        None => Outcome::No,
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
            Hello::Nameless => match certificate_name(answer.bytes(), names) {
                Outcome::Yes(bits) => {
                    let name = "tls-certificate-name";
                    return Judgement::Proved(
                        Kind::Service(Purpose::Other),
                        Evidence { name, bits },
                    );
                }
                Outcome::Short => open = true,
                Outcome::No => foreign = true,
            },
            Hello::No | Hello::Short => {}
        }
        match http::read(bytes, names) {
            Request::Skype(purpose, name, bits) => {
                return Judgement::Proved(Kind::Service(purpose), Evidence { name, bits });
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
        for (name, kind, outcome) in [
            ("tls-fake-client", Kind::Signaling, tls::fake_client(bytes)),
            ("tls-fake-server", Kind::Signaling, tls::fake_server(bytes)),
            ("login-handshake", Kind::Login, login::message(bytes)),
            ("login-handshake", Kind::Login, unanswered),
            (
                "tls-server-name",
                Kind::Service(Purpose::Other),
                server_name(&hello, names),
            ),
            (
                "tcp-legacy-stream",
                Kind::Signaling,
                tcp::legacy_stream(bytes),
            ),
        ] {
            match outcome {
                Outcome::Yes(bits) => return Judgement::Proved(kind, Evidence { name, bits }),
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
        let name = "login-handshake";
        return Judgement::Proved(Kind::Login, Evidence { name, bits });
    }
    let mut bits = 0;
    for (head, other) in [(one, other), (other, one)] {
        if let Outcome::Yes(more) = tcp::key_exchange(head.first_segment(), head.first_len()) {
            bits += more;
            // What it lacks the other end's padding can still bring.
            open |= other.bytes().is_empty();
        }
    }
    if bits >= PROOF {
        let name = "tcp-key-exchange";
        return Judgement::Proved(Kind::Signaling, Evidence { name, bits });
    }
    if open {
        Judgement::Open
    } else {
        Judgement::Nothing
    }
}
