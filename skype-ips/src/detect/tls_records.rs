//! The handshake messages in the head of a TLS stream that is not encrypted yet.

/// Content type of handshake records.
pub const HANDSHAKE: u8 = 22;
/// Type of the ClientHello message.
pub const CLIENT_HELLO: u8 = 1;
/// Type of the ServerHello message.
pub const SERVER_HELLO: u8 = 2;
/// Type of the Certificate message.
pub const CERTIFICATE: u8 = 11;

/// Whether a stream that begins with these bytes can be one end's handshake: then more of it is
/// worth keeping. A handshake record, version 3.0 to 3.3, that begins with a hello.
pub fn may_be(stream: &[u8]) -> bool {
    begins_with(stream, CLIENT_HELLO) || begins_with(stream, SERVER_HELLO)
}

/// The same for one type of hello.
pub fn begins_with(stream: &[u8], hello: u8) -> bool {
    let head = [HANDSHAKE, 3];
    let at_hand = stream.len().min(head.len());
    stream[..at_hand] == head[..at_hand]
        && stream.get(2).is_none_or(|version| *version <= 3)
        && stream.get(5).is_none_or(|kind| *kind == hello)
}

/// The bytes of the handshake messages, which records may cut anywhere (RFC 8446, section 5.1), as
/// far as they are at hand; `None` if the records are wrong. True beside them if another kind of
/// record follows: there will be no more.
pub fn handshake(mut stream: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut messages = Vec::new();
    while let Some((header, rest)) = stream.split_at_checked(5) {
        if header[0] != HANDSHAKE {
            return (!messages.is_empty()).then_some((messages, true));
        }
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[1] != 3 || len == 0 {
            return None;
        }
        let at_hand = len.min(rest.len());
        messages.extend_from_slice(&rest[..at_hand]);
        stream = &rest[at_hand..];
    }
    Some((messages, false))
}

/// Reads on in a message whose end may not be at hand.
#[derive(Debug)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of at most four bytes.
    pub fn number(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.take(bytes)?;
        Some(
            taken
                .iter()
                .fold(0, |all, byte| all << 8 | usize::from(*byte)),
        )
    }

    /// What a length of so many bytes counts.
    pub fn counted(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let len = self.number(bytes)?;
        self.take(len)
    }
}
