//! Openings behind a proxy's consent, and what the proxy is asked for.

use crate::names::{hello, trial};
use crate::support::{Trial, bytes, padding, tcp};

const CONSENT: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn connect(name: &str) -> Vec<u8> {
    format!("CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n").into()
}

fn socks5(name: &str) -> Vec<u8> {
    let len = name.len() as u8;
    [&[5, 1, 0, 5, 1, 0, 3, len], name.as_bytes(), &[1, 187]].concat()
}

fn key_exchange() -> Vec<u8> {
    [vec![0x9a; 48], padding(9, 10)].concat()
}

/// Says what both ends say, by turns; the connection's client is inside. Returns how many packets
/// are asked for by then.
fn say(trial: &mut Trial, turns: &[&[u8]]) -> u8 {
    let mut at = [0, 0];
    let mut coming: u8 = 0;
    for (index, turn) in turns.iter().enumerate() {
        let end = index % 2;
        let answer = trial.piece(tcp(8080), end == 0, 77, at[end], turn);
        coming = coming.saturating_sub(1).max(answer.more);
        at[end] += turn.len() as u32;
    }
    coming
}

#[test]
fn a_name_of_skypes_that_a_proxy_is_asked_for_proves_the_flow() {
    let socks4a = [&[4, 1, 1, 187, 0, 0, 0, 1, 0][..], b"x.Skype.com", &[0][..]].concat();
    for (request, at) in [
        (connect("x.skype.com"), 8),
        (socks4a, 9),
        (socks5("x.skype.com"), 8),
    ] {
        let mut trial = trial();
        let turns: &[&[u8]] = match request[0] {
            5 => &[&request[..3], &[5, 0], &request[3..]],
            _ => &[&request],
        };
        say(&mut trial, turns);
        assert_eq!(trial.found(), [("proxy-target", false)]);
        let [(packet, place, says)] = &trial.cited()[..] else {
            panic!("one citation: {:?}", trial.cited());
        };
        let (packet_expected, at) = if request[0] == 5 {
            (3, at - 3)
        } else {
            (1, at)
        };
        assert_eq!((*packet, place.clone()), (packet_expected, at..at + 11));
        assert!(says.ends_with("x.skype.com"), "{says}");
    }
}

#[test]
fn names_of_others_prove_nothing_and_their_tls_is_read() {
    for (name, inner, found) in [
        ("example.org", "api.skype.com", true),
        ("example.org", "example.org", false),
        ("asm.skype.com", "asm.skype.com", false),
        ("teams.skype.com", "teams.skype.com", false),
    ] {
        let mut trial = trial();
        say(&mut trial, &[&connect(name), CONSENT]);
        assert_eq!(trial.found(), []);
        say(&mut trial, &[&connect(name), CONSENT, &hello(inner, 1400)]);
        let expected: &[_] = if found {
            &[("tls-server-name", false)]
        } else {
            &[]
        };
        assert_eq!(trial.found(), expected, "{name} {inner}");
    }
}

#[test]
fn a_proxy_that_refuses_ends_the_matter() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\n\r\n";
    let opening = key_exchange();
    let mut trial = trial();
    say(
        &mut trial,
        &[&connect("example.org"), refusal, &opening, &opening],
    );
    assert_eq!(trial.found(), []);
}

#[test]
fn what_follows_a_dialogue_is_asked_for() {
    let mut trial = trial();
    for turns in [
        &[&[5, 2, 0, 2][..]][..],
        &[&[5, 2, 0, 2], &[5, 2], b"\x01\x02me\x01x"],
        &[&[5, 2, 0, 2], &[5, 2], b"\x01\x02me\x01x", &[1, 0]],
    ] {
        let mut fresh = Trial::new();
        assert!(say(&mut fresh, turns) > 0, "{turns:x?}");
    }
    let turns: &[&[u8]] = &[
        &[5, 2, 0, 2],
        &[5, 2],
        b"\x01\x02me\x01x",
        &[1, 0],
        &[5, 1, 0, 1, 9, 9, 9, 9, 0, 80],
        &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        &key_exchange(),
    ];
    say(&mut trial, turns);
    assert_eq!(trial.found(), [("tcp-key-exchange", false)]);
}

#[test]
fn what_is_cited_behind_a_proxy_is_where_it_was_sent() {
    let opening = key_exchange();
    let mut trial = Trial::new();
    let request = connect("192.0.2.1");
    let start = 1 + request.len() as u32;
    trial.segment(tcp(1), true, 1, &request);
    trial.segment(tcp(1), false, 1, CONSENT);
    // The end of it first, then the rest with the request's last bytes in front.
    trial.segment(tcp(1), true, start + 50, &opening[50..]);
    let again = [&request[request.len() - 4..], &opening[..52]].concat();
    trial.segment(tcp(1), true, start - 4, &again);
    let places: Vec<_> = trial
        .cited()
        .into_iter()
        .map(|one| (one.0, one.1))
        .collect();
    assert_eq!(places, [(4, 52..54), (3, 0..8)]);
}

#[test]
fn a_client_that_begins_like_one_of_a_proxys_is_still_judged() {
    let mut opening = key_exchange();
    opening[..9].copy_from_slice(&[4, 1, 0, 80, 1, 2, 3, 4, 0]);
    let mut trial = Trial::new();
    say(&mut trial, &[&opening]);
    assert_eq!(trial.found(), [("tcp-key-exchange", false)]);
    let mut trial = Trial::new();
    let hello = bytes("16030100");
    assert!(say(&mut trial, &[&hello]) > 0);
}
