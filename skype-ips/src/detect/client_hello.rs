//! The server name in a TLS ClientHello (RFC 6066, section 3), from the head of a TCP stream.
//!
//! Read by hand and not by a TLS library: the name is needed as soon as its bytes are there, and
//! the rest of a hello with a post-quantum key share comes a segment later.

use super::names::normal;
use super::tls_records::{CLIENT_HELLO, Cursor, begins_with, handshake};

/// Most bytes of a stream that are looked at; longer hellos don't occur.
pub const LONGEST: usize = 16 * 1024;

/// What the head of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Not a ClientHello.
    No,
    /// One as far as it goes; the name may still come.
    Short,
    /// It asks for this name, in lower case.
    Name(String),
    /// It asks for none.
    Nameless,
}

const SERVER_NAME: u16 = 0;

/// Reads the stream as far as it is at hand.
pub fn read(stream: &[u8]) -> Hello {
    if stream.is_empty() || !begins_with(stream, CLIENT_HELLO) {
        return Hello::No;
    }
    match handshake(&stream[..stream.len().min(LONGEST)]) {
        Some((bytes, _)) => message(&bytes),
        None => Hello::No,
    }
}

/// Reads the handshake message itself, without records, as far as it is at hand.
pub fn message(message: &[u8]) -> Hello {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Hello::No;
    }
    let Some(len) = Cursor(message.get(1..).unwrap_or_default()).number(3) else {
        return Hello::Short;
    };
    let whole = message.len() >= 4 + len;
    let message = &message[4..message.len().min(4 + len)];
    match extensions(message, whole) {
        Some(Hello::Short) | None if whole => Hello::No,
        Some(hello) => hello,
        None => Hello::Short,
    }
}

/// `None` where the bytes end before the extensions do. `whole` says that there are no more.
fn extensions(message: &[u8], whole: bool) -> Option<Hello> {
    let mut cursor = Cursor(message);
    let version = cursor.number(2)?;
    if version >> 8 != 3 {
        return Some(Hello::No);
    }
    cursor.take(32)?;
    cursor.counted(1)?;
    cursor.counted(2)?;
    cursor.counted(1)?;
    if cursor.0.is_empty() && whole {
        // Extensions may be left out altogether.
        return Some(Hello::Nameless);
    }
    let len = cursor.number(2)?;
    let all_there = cursor.0.len() >= len;
    let mut cursor = Cursor(&cursor.0[..cursor.0.len().min(len)]);
    while !(all_there && cursor.0.is_empty()) {
        let kind = cursor.number(2)?;
        let len = cursor.number(2)?;
        let value = cursor.take(len)?;
        if kind == usize::from(SERVER_NAME) {
            return Some(server_name(value));
        }
    }
    Some(Hello::Nameless)
}

fn server_name(value: &[u8]) -> Hello {
    let mut cursor = Cursor(value);
    let name = cursor
        .number(2)
        .and_then(|_| cursor.number(1))
        .filter(|kind| *kind == 0)
        .and_then(|_| cursor.number(2))
        .and_then(|len| cursor.take(len))
        .and_then(|name| std::str::from_utf8(name).ok())
        .and_then(normal);
    name.map_or(Hello::Nameless, Hello::Name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tls_records::HANDSHAKE;
    use super::*;

    fn counted(bytes: usize, value: &[u8]) -> Vec<u8> {
        let len = value.len().to_be_bytes();
        [&len[len.len() - bytes..], value].concat()
    }

    fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &counted(2, value)].concat()
    }

    fn asking_for(name: &str) -> Vec<u8> {
        let entry = [&[0][..], &counted(2, name.as_bytes())].concat();
        extension(SERVER_NAME, &counted(2, &entry))
    }

    /// A hello with these extensions, in records of at most `cut` bytes.
    fn hello(extensions: &[Vec<u8>], cut: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(counted(1, &[9; 32]));
        body.extend(counted(2, &[0x13, 0x01]));
        body.extend(counted(1, &[0]));
        if !extensions.is_empty() {
            body.extend(counted(2, &extensions.concat()));
        }
        let message = [&[CLIENT_HELLO][..], &counted(3, &body)].concat();
        let record = |part: &[u8]| [&[HANDSHAKE, 3, 1][..], &counted(2, part)].concat();
        message.chunks(cut).flat_map(record).collect()
    }

    #[test]
    fn the_name_is_read_through_records_and_after_a_long_key_share() {
        let extensions = [extension(51, &[5; 1300]), asking_for("Apps.Skype.com")];
        for cut in [16_000, 300, 7, 1] {
            let stream = hello(&extensions, cut);
            assert_eq!(read(&stream), Hello::Name("apps.skype.com".into()));
        }
    }

    #[test]
    fn no_name_is_said_only_at_the_end() {
        let stream = hello(&[extension(51, &[5; 40])], 16_000);
        assert_eq!(read(&stream), Hello::Nameless);
        assert_eq!(read(&stream[..stream.len() - 1]), Hello::Short);
        assert_eq!(read(&hello(&[], 16_000)), Hello::Nameless);
        assert_eq!(
            read(&hello(&[asking_for("not a name")], 16_000)),
            Hello::Nameless
        );
    }

    #[test]
    fn other_openings_are_none() {
        for other in [
            &b"GET / HTTP/1.1"[..],
            &[0x16, 3, 1, 0, 0],
            &[0x16, 3, 1, 0, 70, 2],
        ] {
            assert_eq!(read(other), Hello::No, "{other:x?}");
        }
        let mut lying = hello(&[asking_for("skype.com")], 16_000);
        lying[9 + 2 + 32] = 200;
        assert_eq!(read(&lying), Hello::No);
    }

    proptest! {
        #[test]
        fn every_prefix_waits_or_knows(cut in 1usize..400, at in 6usize..500) {
            let stream = hello(&[extension(10, &[1; 200]), asking_for("a.skype.com")], cut);
            let at = at.min(stream.len());
            let known = read(&stream[..at]);
            prop_assert!(matches!(&known, Hello::Short | Hello::Name(_)), "{known:?}");
        }

        #[test]
        fn garbage_is_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for (byte, head) in bytes.iter_mut().zip([0x16, 3, 1, 1, 0, 1, 0]) {
                *byte = head;
            }
            read(&bytes);
        }
    }
}
