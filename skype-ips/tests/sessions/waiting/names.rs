//! Late Skype and the version check: told by names.

use std::net::SocketAddrV4;

use proptest::prelude::*;
use skype_ips::lab::speech::http::{self, Installed, VersionCheck};
use skype_ips::lab::speech::tls::{self, Hello};
use skype_ips::lab::speech::{Turn, dns, encrypted, noise, stun};

use crate::found::cases;
use crate::script::{Host, MS, SECOND, Script};
use crate::trial;
use crate::wire::{Flow, Note, UDP};

/// Of clients' sources and captures.
const SKYPE: [&str; 5] = [
    "ui.skype.com",
    "login.skype.com",
    "a.config.skype.com",
    "static-asm.secure.skypeassets.com",
    "client-s.gateway.messenger.live.com",
];
/// The last serves both.
const TEAMS: [&str; 4] = [
    "teams.microsoft.com",
    "go-eu.trouter.teams.microsoft.com",
    "api.flightproxy.teams.microsoft.com",
    "api.asm.skype.com",
];
/// They only look like it.
const OTHERS: [&str; 4] = [
    "www.example.com",
    "notskype.com",
    "skype.com.example.net",
    "myskypeassets.com",
];

/// A connection to port 443 whose first turns are these.
fn connect(script: &mut Script, host: &mut Host, time: u64, turns: &[Turn]) -> Flow {
    let to = SocketAddrV4::new(*script.peer().ip(), 443);
    let connection = Script::outgoing(host, to, &[]);
    script.connect(time, connection, turns);
    connection.flow
}

/// A ClientHello in records of so many bytes, sent in pieces of so many.
fn hello(script: &mut Script, hello: Hello, name: &str, record: usize, piece: usize) -> Vec<Turn> {
    let message = tls::client_hello(&mut script.rng, hello, name);
    let bytes = tls::records(&message, record);
    let mut turns: Vec<Turn> = bytes.chunks(piece).map(Turn::client).collect();
    turns.extend(encrypted(&mut script.rng, 5).into_iter().skip(1));
    turns
}

fn is_found(seed: u64, name: &str, how: (Hello, usize, usize)) -> bool {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    let turns = hello(&mut script, how.0, name, how.1, how.2);
    let flow = connect(&mut script, &mut host, 0, &turns);
    trial::finds(&script.end(), &flow)
}

fn ways() -> impl Strategy<Value = (Hello, usize, usize)> {
    let hellos = prop::sample::select(vec![Hello::Plain, Hello::PostQuantum]);
    let records = prop::sample::select(vec![16_384, 1000, 200]);
    (hellos, records, prop::sample::select(vec![1460, 1220, 600]))
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_server_name_is_found_however_the_hello_is_cut(
        seed: u64,
        name in prop::sample::select(SKYPE.to_vec()),
        how in ways(),
    ) {
        prop_assert!(is_found(seed, name, how));
    }

    #[test]
    fn other_names_are_left_alone_and_so_is_teams(
        seed: u64,
        name in prop::sample::select([&OTHERS[..], &TEAMS].concat()),
        how in ways(),
    ) {
        prop_assert!(!is_found(seed, name, how));
    }
}

fn look_up(script: &mut Script, host: &mut Host, time: u64, name: &str) -> Flow {
    let resolver = SocketAddrV4::new(*script.peer().ip(), 53);
    let ends = (host.ephemeral(), resolver);
    let (id, answer) = (script.rng.u16(..), *script.peer().ip());
    script.datagram(time, ends, true, dns::query(id, name), Note::default());
    let answer = dns::response(id, name, answer);
    script.datagram(time + 20 * MS, ends, false, answer, Note::default());
    Flow {
        protocol: UDP,
        inside: ends.0.into(),
        outside: ends.1.into(),
    }
}

#[test]
#[ignore = "needs names in DNS"]
fn looking_up_skypes_names_is_found() {
    for (seed, name) in (0..).zip(SKYPE) {
        let mut script = Script::new(seed);
        let mut host = Host::client(&mut script.rng);
        let flow = look_up(&mut script, &mut host, 0, name);
        assert!(trial::finds(&script.end(), &flow), "{name}");
    }
}

#[test]
fn looking_up_other_names_is_not() {
    for (seed, name) in (0..).zip([&OTHERS[..], &TEAMS].concat()) {
        let mut script = Script::new(seed);
        let mut host = Host::client(&mut script.rng);
        let flow = look_up(&mut script, &mut host, 0, name);
        assert!(!trial::finds(&script.end(), &flow), "{name}");
    }
}

#[test]
fn version_checks_of_all_times_are_found() {
    for seed in 0..50 {
        for kind in 0..3 {
            let mut script = Script::new(seed);
            let mut host = Host::client(&mut script.rng);
            let installed = Installed::some(&mut script.rng);
            let turns = match kind {
                0 => http::old_version_check(&installed, &[0xab; 16]),
                1 => http::version_check(&installed, VersionCheck::Latest),
                _ => http::version_check(&installed, VersionCheck::Installed),
            };
            let to = SocketAddrV4::new(*script.peer().ip(), 80);
            let connection = Script::outgoing(&mut host, to, &[]);
            script.connect(0, connection, &turns);
            assert!(
                trial::finds(&script.end(), &connection.flow),
                "{seed} {kind}"
            );
        }
    }
}

/// Media over Microsoft's relay, and whether it is found after the host has called `name`.
fn media_is_found(seed: u64, name: Option<&str>) -> bool {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    if let Some(name) = name {
        let turns = hello(&mut script, Hello::Plain, name, 16_384, 1460);
        connect(&mut script, &mut host, 0, &turns);
    }
    let relay = SocketAddrV4::new(*script.peer().ip(), 3478);
    let media = SocketAddrV4::new(*host.end.ip(), 50_004);
    let ends = (media, relay);
    let time = 5 * SECOND;
    let allocate = stun::allocate_request(&mut script.rng);
    script.datagram(time, ends, true, allocate, Note::default());
    for index in 0..4 {
        let check = stun::binding_request(&mut script.rng);
        let at = time + 100 * MS + index * 50 * MS;
        script.datagram(at, ends, true, check, Note::default());
    }
    for index in 0..40 {
        let data = stun::multiplexed([7; 8], &noise(&mut script.rng, 100));
        let at = time + 400 * MS + index * 20 * MS;
        script.datagram(at, ends, index % 2 == 0, data, Note::default());
    }
    let flow = Flow {
        protocol: UDP,
        inside: media.into(),
        outside: relay.into(),
    };
    trial::finds(&script.end(), &flow)
}

#[test]
#[ignore = "needs Microsoft's STUN dialect, and names seen from the client"]
fn media_after_a_skype_name_is_found() {
    assert!((0..20).all(|seed| media_is_found(seed, Some(SKYPE[1]))));
}

#[test]
fn media_after_a_teams_name_or_none_is_not() {
    assert!(!(0..20).any(|seed| media_is_found(seed, Some(TEAMS[0]))));
    assert!(!(0..20).any(|seed| media_is_found(seed, None)));
}
