//! Requests that Skype makes in plain HTTP: for its newest version, and for presence on web pages.
//!
//! Baset and Schulzrinne (2004); measured in `SkypeIRC.cap` (2006) and nDPI's `skype.pcap` (2015).

use super::names::{Names, Owner, normal};

/// Most header lines that are read; browsers send about twenty.
const MOST_HEADERS: usize = 48;
/// Beginning of the client's own User-Agent.
const AGENT: &str = "Skype";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which version is the newest, or that one was installed.
    VersionCheck,
    /// Somebody's presence, for a web page.
    WebStatus,
    /// Something else.
    Other,
}

/// What the head of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Not a request for a page.
    No,
    /// Somebody else's.
    Other,
    /// It may become one.
    Short,
    /// One: the name of the evidence, the text that it rests on, and the odds as bits.
    Skype(Purpose, &'static str, String, u32),
}

/// Reads a request as far as it is at hand.
pub fn read(stream: &[u8], names: &Names) -> Request {
    let method = b"GET ";
    if !stream.starts_with(method) {
        return Request::No;
    }
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let whole = match request.parse(stream) {
        Ok(status) => status.is_complete(),
        Err(_) => return Request::Other,
    };
    let Some(target) = request.path else {
        return Request::Short;
    };
    let (host, path) = target_of(&request, target);
    let host = host.unwrap_or_default();
    if let Some((domain, Owner::Skype)) = names.owner(&host) {
        let bits = 8 * domain.len() as u32;
        return Request::Skype(purpose(&host, path), "http-host", host, bits);
    }
    if let Some(agent) = value(&request, "user-agent").filter(|agent| agent.starts_with(AGENT)) {
        let bits = 8 * AGENT.len() as u32;
        return Request::Skype(Purpose::Other, "http-user-agent", agent.to_owned(), bits);
    }
    if whole {
        Request::Other
    } else {
        Request::Short
    }
}

/// The host that a request for a page is for, as far as the request is at hand.
pub fn host(stream: &[u8]) -> Option<String> {
    if !stream.starts_with(b"GET ") {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(stream).ok()?;
    target_of(&request, request.path?).0
}

/// The text of a header.
fn value<'r>(request: &'r httparse::Request<'_, '_>, name: &str) -> Option<&'r str> {
    let mut headers = request.headers.iter();
    let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok()
}

/// Host and path. Through a proxy, and by old clients always, the whole address is asked for.
fn target_of<'r>(
    request: &'r httparse::Request<'_, '_>,
    target: &'r str,
) -> (Option<String>, &'r str) {
    let (host, path) = match target.strip_prefix("http://") {
        Some(rest) => match rest.find('/') {
            Some(at) => (Some(&rest[..at]), &rest[at..]),
            None => (Some(rest), "/"),
        },
        None => (value(request, "host"), target),
    };
    let host = host.and_then(|host| normal(host.split(':').next().unwrap_or_default()));
    (host, path)
}

fn purpose(host: &str, path: &str) -> Purpose {
    let path = path.split('?').next().unwrap_or_default();
    if path.starts_with("/ui/")
        && (path.ends_with("/getlatestversion") || path.ends_with("/installed"))
    {
        Purpose::VersionCheck
    } else if host.starts_with("mystatus.") {
        Purpose::WebStatus
    } else {
        Purpose::Other
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        names.add("skype.com", Owner::Skype);
        names
    }

    fn said(request: &str) -> Request {
        read(request.as_bytes(), &names())
    }

    #[test]
    fn the_version_check_of_old_and_new_clients_is_read() {
        let expected = Request::Skype(
            Purpose::VersionCheck,
            "http-host",
            "ui.skype.com".into(),
            72,
        );
        let old =
            "GET http://ui.skype.com/ui/2/1.2.0.18/en/getlatestversion?ver=1.2 HTTP/1.1\r\n\r\n";
        assert_eq!(said(old), expected);
        let new = "GET /ui/0/7.7.0.337/en/getlatestversion?ver=7 HTTP/1.1\r\nHost: UI.skype.com:80\r\n\r\n";
        assert_eq!(said(new), expected);
        for end in 0..new.find("Host").unwrap_or(0) {
            let short = said(&new[..end]);
            assert!(short == Request::Short || end < 4, "{end}: {short:?}");
        }
    }

    #[test]
    fn others_are_let_alone() {
        assert_eq!(
            said("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
            Request::Other
        );
        assert_eq!(
            said("GET / HTTP/1.1\r\nReferer: http://skype.com/\r\n\r\n"),
            Request::Other
        );
        assert_eq!(
            said("POST / HTTP/1.1\r\nHost: skype.com\r\n\r\n"),
            Request::No
        );
        assert_eq!(said("GET \0\0"), Request::Other);
    }

    #[test]
    fn presence_and_the_clients_own_agent_are_told() {
        let status = "GET /smallicon/echo123 HTTP/1.0\r\nHost: mystatus.skype.com\r\n\r\n";
        assert_eq!(
            said(status),
            Request::Skype(
                Purpose::WebStatus,
                "http-host",
                "mystatus.skype.com".into(),
                72
            )
        );
        let agent = "GET /x HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: Skype WISPr\r\n\r\n";
        assert_eq!(
            said(agent),
            Request::Skype(Purpose::Other, "http-user-agent", "Skype WISPr".into(), 40)
        );
    }

    proptest! {
        #[test]
        fn garbage_is_survived(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&[b"GET ", &tail[..]].concat(), &names());
        }
    }
}
