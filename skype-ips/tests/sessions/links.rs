//! What links the flows of one program: its generator, and its one port.

use std::net::SocketAddrV4;

use skype_ips::simulator::speech::{Process, Turn, encrypted, legacy};

use crate::script::{Host, SECOND, Script, Session};
use crate::sessions::probe;
use crate::trial;
use crate::wire::{Flow, Note, UDP};

/// An endpoint that is known, and a connection of which `turns` is all that shows, a second later.
fn connection(
    seed: u64,
    incoming: bool,
    turns: impl Fn(&mut Script, &mut Host) -> Vec<Turn>,
) -> (Session, Flow) {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    probe(0, &mut host, &mut script, 8);
    let time = 10 * SECOND;
    host.process.wait_until(time);
    let turns = turns(&mut script, &mut host);
    let peer = script.peer();
    let connection = if incoming {
        Script::incoming(&host, peer, &[])
    } else {
        Script::outgoing(&mut host, peer, &[])
    };
    script.connect(time, connection, &turns);
    (script.end(), connection.flow)
}

#[test]
fn a_stream_whose_iv_follows_the_endpoints_is_found() {
    for seed in 0..50 {
        let (session, flow) = connection(seed, false, |script, host| {
            let mut theirs = Process::super_node(&mut script.rng).generator;
            let rng = &mut script.rng;
            // Fourteen bytes of either end, as in 2006: they prove nothing by themselves.
            let first = legacy::short_opening(&mut host.process.generator, rng);
            let second = legacy::short_opening(&mut theirs, rng);
            let opening = vec![Turn::client(first), Turn::server(second)];
            [opening, encrypted(rng, 4)].concat()
        });
        assert!(trial::finds(&session, &flow), "seed {seed}");
    }
}

#[test]
fn connections_to_a_known_listeners_port_are_found() {
    for seed in 0..50 {
        let (session, flow) = connection(seed, true, |script, _| encrypted(&mut script.rng, 6));
        assert!(trial::finds(&session, &flow), "seed {seed}");
    }
}

#[test]
fn a_generator_that_goes_on_from_another_port_is_found_at_once() {
    for seed in 0..50 {
        let mut script = Script::new(seed);
        let mut host = Host::client(&mut script.rng);
        probe(0, &mut host, &mut script, 8);
        let port = host.end.port() + 1;
        host.end = SocketAddrV4::new(*host.end.ip(), port);
        host.process.wait_until(10 * SECOND);
        let (peer, rng) = (script.peer(), &mut script.rng);
        let datagram = host.process.message(rng, 15).datagram;
        script.datagram(
            10 * SECOND,
            (host.end, peer),
            true,
            datagram,
            Note::default(),
        );
        let flow = Flow {
            protocol: UDP,
            inside: host.end.into(),
            outside: peer.into(),
        };
        assert!(trial::finds(&script.end(), &flow), "seed {seed}");
    }
}
