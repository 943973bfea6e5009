//! What really is HTTP: the version check, and a listener that is asked for a page.

use std::fmt::Write as _;

use super::Turn;

/// Host of the version check.
pub const HOST: &str = "ui.skype.com";

/// What a client tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Number of the platform in the path: 0 is Windows, 2 Linux, 3 Mac.
    pub platform: u8,
    /// Such as `1.2.0.18`.
    pub version: String,
    /// Two letters.
    pub language: String,
}

impl Installed {
    /// One of some.
    pub fn some(rng: &mut fastrand::Rng) -> Self {
        let [major, minor, micro] = [rng.u8(1..8), rng.u8(0..20), rng.u8(0..40)];
        Self {
            platform: [0, 2, 3][rng.usize(0..3)],
            version: format!("{major}.{minor}.0.{micro}"),
            language: ["en", "de", "fr", "pl"][rng.usize(0..4)].to_owned(),
        }
    }

    fn path(&self, what: &str) -> String {
        let Self {
            platform,
            version,
            language,
        } = self;
        format!("/ui/{platform}/{version}/{language}/{what}?ver={version}")
    }
}

/// The version check of 2006: an absolute URI, a hash of the user, no `User-Agent` (measured).
pub fn old_version_check(installed: &Installed, user: &[u8; 16]) -> Vec<Turn> {
    let mut uri = format!("http://{HOST}{}&uhash=", installed.path("getlatestversion"));
    for byte in user {
        write!(uri, "{byte:02x}").expect("a string takes everything");
    }
    check(format!("GET {uri} HTTP/1.0\r\nHost: {HOST}\r\n\r\n"))
}

/// The later one: path alone, and a `User-Agent` that begins with the name (Baset).
pub fn version_check(installed: &Installed, what: VersionCheck) -> Vec<Turn> {
    let path = installed.path(match what {
        VersionCheck::Latest => "getlatestversion",
        VersionCheck::Installed => "installed",
    });
    check(format!(
        "GET {path} HTTP/1.1\r\nUser-Agent: Skype(tm) {}\r\nHost: {HOST}\r\n\
         Cache-Control: no-cache\r\n\r\n",
        installed.version
    ))
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionCheck {
    /// Is there a newer one?
    Latest,
    /// This one is running for the first time.
    Installed,
}

fn check(request: String) -> Vec<Turn> {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\n0";
    vec![Turn::client(request), Turn::server(answer)]
}

/// Lengths of the answer to a version check, bytes (Adami).
pub const ANSWER_LENGTHS: [usize; 3] = [167, 169, 175];

/// The answer to a version check, of `len` bytes: there is no newer version.
///
/// # Panics
/// If it can't be as short.
pub fn version_answer(len: usize) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nServer: Apache\r\nContent-Type: text/html\r\n\
                Cache-Control: no-cache\r\nConnection: close\r\nContent-Length: 1\r\nETag: \"";
    let tail = "\"\r\n\r\n0";
    let tag = len.checked_sub(head.len() + tail.len());
    let tag = "0".repeat(tag.expect("long enough"));
    [head, &tag, tail].concat().into_bytes()
}

/// What a Skype listener says that is asked for a page (Bonfiglio).
pub const NOT_IMPLEMENTED: &str = "HTTP/1.0 501 Not Implemented\r\n\r\n";

/// A stranger asks a Skype listener for a page, and what the listener says (Bonfiglio).
pub fn page_from_listener() -> Vec<Turn> {
    vec![
        Turn::client("GET / HTTP/1.0\r\n\r\n"),
        Turn::server(NOT_IMPLEMENTED),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_version_checks_have_the_recorded_lengths() {
        for len in ANSWER_LENGTHS {
            let answer = version_answer(len);
            assert_eq!(answer.len(), len);
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut headers);
            let head = response.parse(&answer).expect("HTTP");
            assert_eq!(head, httparse::Status::Complete(len - 1));
        }
    }
}
