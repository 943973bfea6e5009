//! What each piece of evidence means, in a sentence. The facts behind it are in `docs/detection`.

/// Every name that [`super::Evidence`] can have, with `endpoint`, which stands for evidence that
/// an earlier packet completed.
pub const CATALOGUE: &[(&str, &str)] = &[
    (
        "endpoint",
        "Other packets proved that this address and port is Skype's.",
    ),
    (
        "udp-generator",
        "Datagrams that the host sends carry successive states of Skype's number generator.",
    ),
    (
        "udp-retransmission",
        "The host repeats a datagram, encrypted anew with a later state of Skype's number \
         generator.",
    ),
    (
        "udp-nack-address",
        "A datagram is refused as Skype refuses one: with its ID, and the address that it came \
         from.",
    ),
    (
        "udp-ack-address",
        "A datagram is acknowledged as Skype acknowledges one: with its ID, and the address that \
         it came from.",
    ),
    (
        "udp-resend",
        "The host sends a refused datagram again as Skype does: with the refusal's challenge, \
         where it goes, and the first try's checksum.",
    ),
    (
        "udp-fragments",
        "Parts of one big answer, numbered, each encrypted with the state of Skype's number \
         generator two steps after the one before.",
    ),
    (
        "tls-fake-client",
        "The connection opens with the fixed hello that Skype disguises itself with, and padding \
         from its number generator.",
    ),
    (
        "tls-fake-server",
        "The answer is the fixed one that Skype disguises itself with: its time and its random \
         never change.",
    ),
    (
        "tcp-key-exchange",
        "The connection opens with a key, and padding from Skype's number generator.",
    ),
    (
        "tcp-legacy-stream",
        "The stream uses the same keystream twice, as old Skype does, which uncovers padding from \
         its number generator.",
    ),
    (
        "tcp-udp-generator",
        "The stream begins with a state of Skype's number generator that follows from those of \
         the host's datagrams.",
    ),
    (
        "login-handshake",
        "The connection opens as those with Skype's login and event servers do, in a way that TLS \
         forbids.",
    ),
    (
        "tls-server-name",
        "The client asks a TLS server for a name that is Skype's alone.",
    ),
    (
        "tls-certificate-name",
        "The TLS server shows a certificate for names that are Skype's alone.",
    ),
    (
        "http-host",
        "The client asks a web server for a name that is Skype's alone.",
    ),
    (
        "http-user-agent",
        "The client tells a web server that it is Skype.",
    ),
    (
        "media-statistics",
        "Rates and sizes of the packets say what the flow carries. That it is Skype is known \
         otherwise.",
    ),
    (
        "media-path",
        "What came before the media says how they go: straight between the ends, through a hole that \
         both punched, or by way of a host that relays.",
    ),
    (
        "skypeout",
        "The datagrams begin with one connection ID and a byte that always changes, as Skype's \
         calls to the telephone network do.",
    ),
    (
        "port-mapping",
        "The host has asked a router to let this port be reached from outside: it listens there.",
    ),
    (
        "bootstrap-host",
        "The host has asked hosts that are built into Skype. That proves nothing by itself.",
    ),
    (
        "fallback-ladder",
        "The host has tried others by UDP, then over TCP on the ports that Skype falls back to. \
         That proves nothing by itself.",
    ),
    (
        "known-host",
        "The host's Skype is known, and has sent something in the last five minutes.",
    ),
    (
        "listening-port",
        "Skype listens on the TCP port of the number of its UDP port, or has answered there.",
    ),
    (
        "relay-legs",
        "What the host receives from one outside host it sends on to another, as much in each half \
         second: it carries their session.",
    ),
    (
        "super-node-service",
        "Many outside hosts come to this port with questions, and are answered as a directory does.",
    ),
    (
        "role-ended",
        "The host has not done for others what it did before, for a while.",
    ),
    (
        "proxy-target",
        "The client asks a proxy for a connection to a name that is Skype's alone.",
    ),
    (
        "quic-server-name",
        "The client asks a QUIC server for a name that is Skype's alone.",
    ),
    (
        "stun-microsoft",
        "The host checks a path for media in Microsoft's dialect of STUN, which Skype and Teams \
         share.",
    ),
    (
        "name-of-both",
        "The client asks for a server that Skype and Teams both use, and nobody else.",
    ),
    (
        "name-seen",
        "The host asked for a name of Skype's own less than ten minutes before, or for one of \
         Teams' less than twelve hours before.",
    ),
];

/// What a piece of evidence means; nothing for a name that isn't one.
pub fn meaning(name: &str) -> Option<&'static str> {
    let entry = CATALOGUE.iter().find(|(known, _)| *known == name);
    entry.map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Words in quotes that are written like names of evidence and are none.
    const OTHERS: [&str; 4] = ["user-agent", "content-length", "kebab-case", "hole-punched"];

    fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let paths = entries.map(|entry| entry.expect("a readable folder").path());
        paths
            .flat_map(|path| match path.is_dir() {
                true => files(&path, extension),
                false => vec![path],
            })
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect()
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    fn is_named(text: &str) -> bool {
        let lower = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        text.contains('-') && text.split('-').all(lower)
    }

    #[test]
    fn every_name_of_evidence_in_the_code_has_a_meaning() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folders = ["detect", "engine", "hosts"].map(|folder| files(&source.join(folder), "rs"));
        let mut names = 0;
        for path in folders.iter().flatten() {
            if path.ends_with("catalogue.rs") || path.ends_with("tests.rs") {
                continue;
            }
            let code = text(path);
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            let quoted = code
                .lines()
                .flat_map(|line| line.split('"').skip(1).step_by(2));
            for name in quoted.filter(|text| is_named(text) && !OTHERS.contains(text)) {
                names += 1;
                assert!(meaning(name).is_some(), "{path:?}: {name}");
            }
        }
        assert!(names >= CATALOGUE.len() - 1, "{names}");
    }

    #[test]
    fn every_piece_of_evidence_is_documented() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/detection");
        let docs: String = files(&docs, "md").iter().map(|path| text(path)).collect();
        for (name, meaning) in CATALOGUE {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
            assert!(meaning.ends_with('.'), "{name}");
        }
    }
}
