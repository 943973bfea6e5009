//! Skype's languages: the bytes that its programs put on the wire, of every generation.
//!
//! Written from the published record alone, and from nothing that detects: only the generator's
//! arithmetic is shared with the detectors, so that a mistake about a framing on either side
//! shows. Everything is a pure function or a small state machine; what is encrypted or random on
//! the wire comes from the [`fastrand::Rng`] that the caller hands in, so the same seed speaks
//! the same bytes.
//!
//! Classic Skype (2003 to 2015): [`Generator`] and [`Process`], its [`udp`] datagrams and the
//! times and sizes of its [`media`], and over
//! TCP the [`key_exchange`], the [`legacy`] stream, both inside [`fake_tls`], the [`login`], the
//! version check over [`http`], and any of them through a [`proxy`]. Late Skype (2015 to 2025):
//! [`tls`], [`quic`], [`stun`] and [`dns`].
//!
//! Sources, by the short names used below: *Ehlert* et al., "Analysis and Signature of Skype VoIP
//! Session Traffic" (2006); *Biondi* & Desclaux, "Silver Needle in the Skype" (2006); *Bonfiglio*
//! et al., "Revealing Skype Traffic" (2007); *Baset* & Schulzrinne (2004); and *measured* on the
//! Wireshark sample `SkypeIRC.cap` (2006) and nDPI's `skype*.pcap` (2006 and 2015).

pub mod dns;
pub mod fake_tls;
mod generator;
pub mod http;
pub mod key_exchange;
pub mod legacy;
pub mod login;
pub mod media;
mod process;
pub mod proxy;
pub mod quic;
pub mod stun;
pub mod tls;
pub mod udp;

pub use generator::Generator;
pub use process::{Process, Sent};

/// One of the two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The end that sent the SYN.
    Client,
    /// The other end.
    Server,
}

impl Speaker {
    /// The end that it speaks to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What one end of a TCP connection sends at a stretch: a segment, if the path takes one so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who sends it.
    pub from: Speaker,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Turn {
    /// What the client sends.
    pub fn client(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            from: Speaker::Client,
            bytes: bytes.into(),
        }
    }

    /// What the server sends.
    pub fn server(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            from: Speaker::Server,
            bytes: bytes.into(),
        }
    }
}

/// Bytes that nobody outside can tell from random ones: ciphertext, hashes, keys.
pub fn noise(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// A conversation after its opening: `turns` messages to and fro, all encrypted.
pub fn encrypted(rng: &mut fastrand::Rng, turns: usize) -> Vec<Turn> {
    let speakers = [Speaker::Client, Speaker::Server];
    let speakers = speakers.into_iter().cycle().take(turns);
    speakers
        .map(|from| {
            let len = rng.usize(4..=600);
            let bytes = noise(rng, len);
            Turn { from, bytes }
        })
        .collect()
}
