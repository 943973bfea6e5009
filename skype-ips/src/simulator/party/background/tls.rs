//! What TLS and DTLS have in common: messages of the handshake, records and their protection
//! (RFC 8446; RFC 5246 with RFC 5288).

use fastrand::Rng;

use super::seal::Seal;
use crate::simulator::speech::noise;

/// Kinds of records.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
/// Most bytes of content in a record.
pub(super) const RECORD: usize = 1 << 14;
/// What protection and hidden padding add to a record at most.
const EXPANSION: usize = 256;

/// A server's certificate and its issuer's, and a caller's own. Their keys are thrown away: they
/// name `www.example.com` and `WebRTC`, and prove nothing.
pub(super) const SERVER: [&[u8]; 2] = [
    include_bytes!("certificates/leaf.der"),
    include_bytes!("certificates/issuer.der"),
];
pub(super) const CALLER: [&[u8]; 1] = [include_bytes!("certificates/webrtc.der")];

/// `body` behind its length, in so many bytes.
pub(super) fn prefixed(len_bytes: usize, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&len[4 - len_bytes..], body].concat()
}

/// An extension of a hello.
pub(super) fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &prefixed(2, body)].concat()
}

/// The body of a ServerHello: `random`, the session's ID and its cipher.
pub(super) fn server_hello(
    version: [u8; 2],
    random: &[u8],
    session: &[u8],
    cipher: u16,
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    [
        &version[..],
        random,
        &prefixed(1, session),
        &cipher.to_be_bytes(),
        &[0],
        &prefixed(2, &extensions.concat()),
    ]
    .concat()
}

/// The body of a Certificate of version 1.2.
pub(super) fn certificate(chain: &[&[u8]]) -> Vec<u8> {
    let chain: Vec<u8> = chain.iter().flat_map(|one| prefixed(3, one)).collect();
    prefixed(3, &chain)
}

/// The body of a ServerKeyExchange: a point of P-256 or X25519, signed by `signer`.
pub(super) fn server_key_exchange(rng: &mut Rng, signer: Signer) -> Vec<u8> {
    [
        &[3, 0x00, 0x1d][..],
        &prefixed(1, &noise(rng, 32)),
        &signature(rng, signer),
    ]
    .concat()
}

/// Whose signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// RSA of 2048 bits, PSS.
    Rsa,
    /// ECDSA on P-256.
    Ecdsa,
}

/// A scheme and its signature.
pub(super) fn signature(rng: &mut Rng, signer: Signer) -> Vec<u8> {
    match signer {
        Signer::Rsa => [&[8, 4][..], &prefixed(2, &noise(rng, 256))].concat(),
        Signer::Ecdsa => {
            // DER: a sequence of two positive integers of 32 bytes.
            let mut integer = || {
                let mut value = noise(rng, 32);
                value[0] = value[0] & 0x7f | 1;
                [&[2, 32][..], &value].concat()
            };
            let both = [integer(), integer()].concat();
            let sequence = [&[0x30, both.len() as u8][..], &both].concat();
            [&[4, 3][..], &prefixed(2, &sequence)].concat()
        }
    }
}

/// A message of TLS' handshake.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &prefixed(3, body)].concat()
}

/// A record as it is on the wire, in clear.
pub(super) fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &prefixed(2, body)].concat()
}

/// The records of a stream, as they become whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    /// More of the stream has come.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// The next record's kind and body. `Err`: what comes is none.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, ()> {
        let Some(&[kind, major, _, high, low]) = self.0.first_chunk() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let known = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind);
        if !known || major != 3 || len > RECORD + EXPANSION {
            return Err(());
        }
        if self.0.len() < 5 + len {
            return Ok(None);
        }
        let body = self.0[5..5 + len].to_vec();
        self.0.drain(..5 + len);
        Ok(Some((kind, body)))
    }
}

/// One end of a connection whose records are protected.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    seal: Seal,
    /// Version 1.3, or 1.2.
    pub(super) newest: bool,
    server: bool,
    sent: u64,
    heard: u64,
}

impl Channel {
    /// The end of the server or the client; the key comes from both randoms.
    pub(super) fn new(newest: bool, server: bool, client_random: &[u8], random: &[u8]) -> Self {
        Self {
            seal: Seal::new(&[b"tls", client_random, random]),
            newest,
            server,
            sent: 0,
            heard: 0,
        }
    }

    fn number(count: u64, from_server: bool) -> u64 {
        count << 1 | u64::from(from_server)
    }

    /// A record with this content.
    pub(super) fn protect(&mut self, kind: u8, plain: &[u8]) -> Vec<u8> {
        let number = Self::number(self.sent, self.server);
        let explicit = self.sent.to_be_bytes();
        self.sent += 1;
        if self.newest {
            let inner = [plain, &[kind]].concat();
            let sealed = self.seal.seal(number, &[APPLICATION_DATA], &inner);
            record(APPLICATION_DATA, &sealed)
        } else {
            let sealed = self.seal.seal(number, &[kind], plain);
            record(kind, &[&explicit[..], &sealed].concat())
        }
    }

    /// Content in as many records as it takes.
    pub(super) fn protect_all(&mut self, content: &[u8]) -> Vec<u8> {
        let parts = content.chunks(RECORD);
        parts
            .flat_map(|part| self.protect(APPLICATION_DATA, part))
            .collect()
    }

    /// What is in a record: its kind and content; `None` if anything was changed.
    pub(super) fn open(&mut self, kind: u8, body: &[u8]) -> Option<(u8, Vec<u8>)> {
        let number = Self::number(self.heard, !self.server);
        self.heard += 1;
        if self.newest {
            let mut inner = self.seal.open(number, &[kind], body)?;
            let kind = inner.pop()?;
            Some((kind, inner))
        } else {
            let plain = self.seal.open(number, &[kind], body.get(8..)?)?;
            Some((kind, plain))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_protects_the_other_opens_in_order() {
        for newest in [false, true] {
            let [mut client, mut server] =
                [false, true].map(|server| Channel::new(newest, server, &[1; 32], &[2; 32]));
            let mut records = Records::default();
            let content = vec![7; RECORD + 1];
            for byte in client.protect_all(&content) {
                records.extend(&[byte]);
            }
            let mut opened = Vec::new();
            while let Ok(Some((kind, body))) = records.next() {
                let (kind, part) = server.open(kind, &body).expect("unchanged");
                assert_eq!(kind, APPLICATION_DATA);
                opened.extend(part);
            }
            assert_eq!(opened, content);
            let again = client.protect(ALERT, &[1, 0]);
            let _lost = client.protect(ALERT, &[1, 0]);
            assert!(server.open(again[0], &again[5..]).is_some());
            assert_eq!(server.open(again[0], &again[5..]), None);
        }
    }
}
