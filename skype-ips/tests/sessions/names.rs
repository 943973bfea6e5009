//! Late Skype and the version check: told by names.

use std::net::SocketAddrV4;

use proptest::prelude::*;
use skype_ips::simulator::speech::http::{self, Installed, VersionCheck};
use skype_ips::simulator::speech::quic::{Client, Version};
use skype_ips::simulator::speech::tls::{self, Hello};
use skype_ips::simulator::speech::{Turn, dns, encrypted, noise, stun};

use crate::found::cases;
use crate::script::{Host, MS, SECOND, Script, Session};
use crate::trial::{self, Said};
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
fn looking_up_a_name_is_not_skype_whosever_it_is() {
    for (seed, name) in (0..).zip([&SKYPE[..], &OTHERS, &TEAMS].concat()) {
        let mut script = Script::new(seed);
        let mut host = Host::client(&mut script.rng);
        let flow = look_up(&mut script, &mut host, 0, name);
        assert!(!trial::finds(&script.end(), &flow), "{name}");
    }
}

/// How a host may be seen to ask for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Tls,
    Quic,
    Dns,
}

/// A QUIC connection that asks for `name`.
fn quic_flight(
    script: &mut Script,
    host: &mut Host,
    time: u64,
    name: &str,
    (version, kind, scrambled): (Version, Hello, bool),
) -> Flow {
    let to = SocketAddrV4::new(*script.peer().ip(), 443);
    let ends = (host.ephemeral(), to);
    let message = tls::client_hello(&mut script.rng, kind, name);
    let mut client = Client::new(&mut script.rng, version);
    let flight = client.hello(&mut script.rng, &message, scrambled);
    for (at, datagram) in (0..).zip(flight) {
        script.datagram(time + at * MS, ends, true, datagram, Note::default());
    }
    for at in 0..6 {
        let data = [&[0x40][..], &noise(&mut script.rng, 90)].concat();
        script.datagram(
            time + (40 + at) * MS,
            ends,
            at % 2 == 1,
            data,
            Note::default(),
        );
    }
    Flow {
        protocol: UDP,
        inside: ends.0.into(),
        outside: ends.1.into(),
    }
}

fn quic_ways() -> impl Strategy<Value = (Version, Hello, bool)> {
    let versions = [
        Version::One,
        Version::Two,
        Version::Draft(29),
        Version::Draft(32),
    ];
    let hellos = prop::sample::select(vec![Hello::Plain, Hello::PostQuantum]);
    (
        prop::sample::select(versions.to_vec()),
        hellos,
        any::<bool>(),
    )
}

fn is_found_in_quic(seed: u64, name: &str, how: (Version, Hello, bool)) -> bool {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    let flow = quic_flight(&mut script, &mut host, 0, name, how);
    trial::finds(&script.end(), &flow)
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_server_name_in_quic_is_found_in_every_version(
        seed: u64,
        name in prop::sample::select(SKYPE.to_vec()),
        how in quic_ways(),
    ) {
        prop_assert!(is_found_in_quic(seed, name, how));
    }

    #[test]
    fn other_names_in_quic_are_left_alone_and_so_is_teams(
        seed: u64,
        name in prop::sample::select([&OTHERS[..], &TEAMS].concat()),
        how in quic_ways(),
    ) {
        prop_assert!(!is_found_in_quic(seed, name, how));
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

/// A host that asks for names, each at a time in seconds, and has a call over Microsoft's relay from
/// second 5 to 45 in which checks go on.
fn call(seed: u64, names: &[(u64, Asking, &str)]) -> (Session, Flow) {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    for &(time, asking, name) in names {
        let (script, host, time) = (&mut script, &mut host, time * SECOND);
        match asking {
            Asking::Tls => {
                let turns = hello(script, Hello::Plain, name, 16_384, 1460);
                connect(script, host, time, &turns);
            }
            Asking::Quic => {
                let how = (Version::One, Hello::PostQuantum, true);
                quic_flight(script, host, time, name, how);
            }
            Asking::Dns => {
                look_up(script, host, time, name);
            }
        }
    }
    let relay = SocketAddrV4::new(*script.peer().ip(), 3478);
    let media = SocketAddrV4::new(*host.end.ip(), 50_004);
    let ends = (media, relay);
    let time = 5 * SECOND;
    let allocate = stun::allocate_request(&mut script.rng);
    script.datagram(time, ends, true, allocate, Note::default());
    for index in 0..20 {
        // Four at once, then one every two seconds.
        let at = 100 * MS + index * 50 * MS + index.saturating_sub(4) * 2 * SECOND;
        let check = stun::binding_request(&mut script.rng);
        script.datagram(time + at, ends, true, check, Note::default());
    }
    for index in 0..400 {
        let data = stun::multiplexed([7; 8], &noise(&mut script.rng, 100));
        let at = time + 400 * MS + index * 100 * MS;
        script.datagram(at, ends, index % 2 == 0, data, Note::default());
    }
    let flow = Flow {
        protocol: UDP,
        inside: media.into(),
        outside: relay.into(),
    };
    (script.end(), flow)
}

const ASKING: [Asking; 3] = [Asking::Tls, Asking::Quic, Asking::Dns];

#[test]
fn media_after_a_skype_name_is_found() {
    for (seed, asking) in (0..20).zip(ASKING.into_iter().cycle()) {
        let (session, flow) = call(seed, &[(0, asking, SKYPE[1])]);
        assert_eq!(
            trial::says(&session, &flow),
            Some(Said::Skype),
            "{asking:?}"
        );
    }
}

#[test]
fn media_after_a_teams_name_is_neither_skype_nor_ambiguous() {
    for (seed, asking) in (0..20).zip(ASKING.into_iter().cycle()) {
        let (session, flow) = call(seed, &[(0, asking, TEAMS[0])]);
        assert_eq!(
            trial::says(&session, &flow),
            Some(Said::Nothing),
            "{asking:?}"
        );
    }
}

#[test]
fn media_after_no_name_or_names_of_both_is_ambiguous() {
    for seed in 0..20 {
        let both = [(0, Asking::Dns, TEAMS[0]), (1, Asking::Tls, SKYPE[0])];
        for names in [&[][..], &[(0, Asking::Tls, TEAMS[3])], &both] {
            let (session, flow) = call(seed, names);
            assert_eq!(
                trial::says(&session, &flow),
                Some(Said::Ambiguous),
                "{names:?}"
            );
        }
    }
}

#[test]
fn a_name_in_the_middle_of_a_call_decides_it() {
    for (name, said) in [(SKYPE[2], Said::Skype), (TEAMS[1], Said::Nothing)] {
        for seed in 0..10 {
            let (session, flow) = call(seed, &[(30, Asking::Dns, name)]);
            assert_eq!(trial::says(&session, &flow), Some(said), "{name}");
        }
    }
}

/// Packets of the call that came through, under a policy with these two actions.
fn delivered(names: &[(u64, Asking, &str)], default: &str, ambiguous: &str) -> usize {
    let (session, flow) = call(1, names);
    let policy = format!(
        "version = 1\nmode = \"enforce\"\n[[policy]]\nname = \"p\"\nsubnets = [\"192.168.0.0/16\"]\n\
         default = \"{default}\"\nambiguous = \"{ambiguous}\"\n"
    );
    trial::delivered(&session, &flow, &policy)
}

#[test]
fn only_a_policy_that_says_so_stops_what_is_ambiguous() {
    let all = delivered(&[], "allow", "allow");
    assert_eq!(all, 421);
    assert_eq!(delivered(&[], "drop", "allow"), all);
    assert_eq!(delivered(&[], "drop", "alert"), all);
    // The first check completes the evidence; the allocation before it has marks enough.
    assert_eq!(delivered(&[], "allow", "drop"), 0);
    let skype = [(0, Asking::Dns, SKYPE[1])];
    assert_eq!(delivered(&skype, "allow", "drop"), all);
    assert_eq!(delivered(&skype, "drop", "allow"), 0);
    let teams = [(0, Asking::Dns, TEAMS[0])];
    assert_eq!(delivered(&teams, "drop", "drop"), all);
}

#[test]
fn what_was_stopped_as_ambiguous_goes_on_when_a_name_of_teams_is_seen() {
    let teams = [(30, Asking::Dns, TEAMS[0])];
    let after = delivered(&teams, "allow", "drop");
    // The last 15 of 40 seconds, but for the wait for a check.
    assert!((130..160).contains(&after), "{after}");
    let skype = [(30, Asking::Dns, SKYPE[1])];
    let before = delivered(&skype, "drop", "allow");
    assert!((250..290).contains(&before), "{before}");
}
