//! What counts as evidence: one file per family, pure functions and small state machines over
//! bytes and times that know nothing of hosts, policies or drivers.
//!
//! * [`generator`]: successive IVs of an endpoint's datagrams (`udp-generator`,
//!   `udp-retransmission`)
//! * [`udp`]: the messages, and exchanges of them (`udp-nack-address`, `udp-ack-address`,
//!   `udp-resend`, `udp-fragments`)
//! * [`stream`]: the head of a TCP stream, put together
//! * [`tcp`]: openings between peers (`tcp-key-exchange`, `tcp-legacy-stream`)
//! * [`tls`]: the fake TLS hellos (`tls-fake-client`, `tls-fake-server`)
//! * [`login`]: sessions with the login and event servers (`login-handshake`)
//! * [`client_hello`], [`certificate`], [`names`]: the server that honest TLS asks for
//!   (`tls-server-name`) or reaches (`tls-certificate-name`)
//! * [`http`]: requests in plain HTTP (`http-host`, `http-user-agent`)
//! * [`flow`]: how the TCP tests add up
//! * [`knowledge`]: what detection packs say
//!
//! The facts, their sources and the odds are in `docs/detection.md`.

pub mod certificate;
pub mod client_hello;
pub mod flow;
pub mod generator;
pub mod http;
pub mod knowledge;
pub mod login;
pub mod names;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod tls_records;
pub mod udp;

/// A named piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its name in reports, such as `udp-generator`.
    pub name: &'static str,
    /// Odds of chance: one in 2^bits.
    pub bits: u32,
}

/// What a test says of the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No: more bytes won't change it.
    No,
    /// It holds as far as there are bytes.
    Short,
    /// Yes, with odds of chance of one in 2^bits.
    Yes(u32),
}

/// Compares `bytes` with what it should begin with.
pub(crate) fn begins(bytes: &[u8], expected: &[u8]) -> Outcome {
    let at_hand = bytes.len().min(expected.len());
    if bytes[..at_hand] != expected[..at_hand] {
        Outcome::No
    } else if at_hand < expected.len() {
        Outcome::Short
    } else {
        Outcome::Yes(8 * expected.len() as u32)
    }
}
