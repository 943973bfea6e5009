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
//! * [`media`]: what a flow known to be Skype carries (`media-statistics`), [`skypeout`]: voice to
//!   the telephone network
//! * [`path`]: how a flow with media came about (`media-path`)
//! * [`mapping`], [`upnp`]: requests to map the port on which a host listens (`port-mapping`)
//! * [`proxy`]: what goes before an opening through a proxy (`proxy-target`)
//! * [`flow`]: how the TCP tests add up
//! * [`quic`]: the server that QUIC asks for (`quic-server-name`)
//! * [`stun`]: Microsoft's dialect, which media of late Skype and of Teams begin with
//!   (`stun-microsoft`)
//! * [`relay`]: two flows that are legs of one session (`relay-legs`)
//! * [`dns`], [`asked`]: names that a host asks for, which tell whose that media is (`name-seen`)
//! * [`knowledge`]: what detection packs say
//! * [`catalogue`]: what each piece of evidence means, in words
//!
//! The facts, their sources and the odds are in `docs/detection`.

use std::borrow::Cow;
use std::ops::Range;

pub mod asked;
pub mod catalogue;
pub mod certificate;
pub mod client_hello;
pub mod dns;
pub mod flow;
pub mod generator;
pub mod http;
pub mod knowledge;
pub mod login;
pub mod mapping;
pub mod media;
pub mod names;
pub mod path;
pub mod proxy;
pub mod quic;
pub mod relay;
pub mod skypeout;
pub mod stream;
pub mod stun;
pub mod tcp;
pub mod tls;
pub mod tls_records;
pub mod udp;
pub mod upnp;

/// A named piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its name in reports, such as `udp-generator`.
    pub name: &'static str,
    /// Odds of chance: one in 2^bits.
    pub bits: u32,
    /// The bytes that it rests on, in the order in which they make sense.
    pub cited: Vec<Citation>,
}

/// Payload bytes of a packet that evidence rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// Number of the packet, as [`crate::engine::Packet::number`] had it.
    pub packet: u64,
    /// Where in the packet's payload they begin.
    pub offset: u32,
    /// How many they are.
    pub len: u32,
    /// What they are, in words.
    pub says: Cow<'static, str>,
}

impl Evidence {
    /// Evidence that cites nothing yet.
    pub const fn new(name: &'static str, bits: u32) -> Self {
        Self {
            name,
            bits,
            cited: Vec::new(),
        }
    }

    /// The same, resting on `bytes` of a packet's payload.
    #[must_use]
    pub fn citing(
        mut self,
        packet: u64,
        bytes: Range<u32>,
        says: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.cited.push(Citation {
            packet,
            offset: bytes.start,
            len: bytes.end.saturating_sub(bytes.start),
            says: says.into(),
        });
        self
    }

    /// The same, resting on `bytes` of a stream, one citation for each packet that brought some.
    #[must_use]
    pub fn citing_stream(
        mut self,
        stream: &stream::Head,
        bytes: Range<usize>,
        says: impl Into<Cow<'static, str>>,
    ) -> Self {
        let says = says.into();
        for (packet, part) in stream.brought(bytes) {
            self = self.citing(packet, part, says.clone());
        }
        self
    }
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
