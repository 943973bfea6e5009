//! The names in a TLS server's certificate, which travels in clear up to TLS 1.2 (RFC 5246,
//! section 7.4.2): they say whose server it is where the client named none.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names::normal;
use super::tls_records::{CERTIFICATE, Cursor, SERVER_HELLO, begins_with, handshake};

/// Most names of a certificate that are looked at.
const MOST_NAMES: usize = 64;

/// What the head of the server's stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// There is none to be read.
    No,
    /// It may still come.
    Short,
    /// The names of the server's own certificate, in lower case, `*.` as it stands.
    Names(Vec<String>),
}

/// Reads the server's stream as far as it is at hand.
pub fn read(stream: &[u8]) -> Certificate {
    if !begins_with(stream, SERVER_HELLO) {
        return Certificate::No;
    }
    let Some((messages, ended)) = handshake(stream) else {
        return Certificate::No;
    };
    let mut cursor = Cursor(&messages);
    loop {
        let before = cursor.0;
        let Some(kind) = cursor.number(1) else {
            break;
        };
        if kind == usize::from(CERTIFICATE) {
            return match leaf(&before[1..]) {
                Some(der) => Certificate::Names(names(der)),
                None if ended => Certificate::No,
                None => Certificate::Short,
            };
        }
        // Only the hello and what belongs to it stand before the certificate.
        if kind != usize::from(SERVER_HELLO) {
            return Certificate::No;
        }
        if cursor.counted(3).is_none() {
            break;
        }
    }
    if ended {
        Certificate::No
    } else {
        Certificate::Short
    }
}

/// The first certificate, if it is at hand as a whole.
fn leaf(message: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(message);
    cursor.number(3)?;
    cursor.number(3)?;
    cursor.counted(3)
}

fn names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let subject = certificate.subject();
    let common = subject
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    let alternative = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| &extension.value.general_names);
    let alternative = alternative
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        });
    common
        .chain(alternative)
        .filter_map(host)
        .take(MOST_NAMES)
        .collect()
}

/// A host name in lower case; the star of a wildcard is the only other character.
fn host(name: &str) -> Option<String> {
    match name.strip_prefix("*.") {
        Some(domain) => normal(domain).map(|domain| format!("*.{domain}")),
        None => normal(name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, messages: &[u8]) -> Vec<u8> {
        let len = (messages.len() as u16).to_be_bytes();
        [&[kind, 3, 3][..], &len, messages].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = (body.len() as u32).to_be_bytes();
        [&[kind][..], &len[1..], body].concat()
    }

    #[test]
    fn what_has_no_certificate_is_left_alone() {
        let hello = message(SERVER_HELLO, &[3; 70]);
        let mut stream = record(22, &hello);
        assert_eq!(read(&stream), Certificate::Short);
        stream.extend(record(20, &[1]));
        assert_eq!(read(&stream), Certificate::No, "encrypted from here on");
        assert_eq!(read(b"HTTP/1.1 200"), Certificate::No);
        let done = [hello, message(14, &[])].concat();
        assert_eq!(read(&record(22, &done)), Certificate::No);
    }

    #[test]
    fn a_certificate_that_is_none_has_no_names() {
        let list = [&[0, 0, 9][..], &[0, 0, 6], b"no DER"].concat();
        let stream = record(22, &[message(2, &[3; 70]), message(11, &list)].concat());
        assert_eq!(read(&stream), Certificate::Names(Vec::new()));
        assert_eq!(read(&stream[..stream.len() - 1]), Certificate::Short);
    }

    proptest! {
        #[test]
        fn garbage_is_survived(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let head = [22, 3, 1, 0, 80, 2, 0, 0, 1, 0, 11, 0, 0, 60, 0, 0, 57, 0, 0, 54];
            read(&[&head[..], &tail].concat());
        }
    }
}
