//! Calls to the telephone network, which have no message heads.

use std::net::SocketAddrV4;

use skype_ips::policy::Class;
use skype_ips::simulator::speech::media::{Media, Voice};
use skype_ips::simulator::speech::{noise, udp};

use crate::mangle::Mangle;
use crate::script::{Host, MS, SECOND, Script};
use crate::sessions::probe;
use crate::trial;
use crate::wire::{Flow, Note, UDP};

const G729: Voice = Voice {
    interval: 20,
    rate: 8_000,
    redundancy: 1,
    variable: false,
};

/// A call of 20 seconds from `time` on, of which the first packets are sent twice.
fn call(script: &mut Script, time: u64, from: SocketAddrV4, to: SocketAddrV4) -> Flow {
    let connection: [u8; 4] = script.rng.u32(..).to_be_bytes();
    let mut changing = script.rng.u8(..);
    for (index, beat) in (0..).zip(Media::Call(G729).beats(&mut script.rng, 20)) {
        changing = changing.wrapping_add(script.rng.u8(1..=255));
        let voice = noise(&mut script.rng, beat.len - 5);
        let payload = udp::skype_out(connection, changing, &voice);
        let at = time + beat.at;
        let note = Note::default();
        if index < 8 {
            script.datagram(at + MS, (from, to), beat.outbound, payload.clone(), note);
        }
        script.datagram(at, (from, to), beat.outbound, payload, note);
    }
    Flow {
        protocol: UDP,
        inside: from.into(),
        outside: to.into(),
    }
}

/// Class and evidence of a call from `port`, on a host that runs Skype if `known`.
fn found(seed: u64, known: bool, own_port: bool, to: u16) -> Option<(Class, Vec<&'static str>)> {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    if known {
        probe(0, &mut host, &mut script, 8);
    }
    let from = if own_port { host.end } else { host.ephemeral() };
    let to = SocketAddrV4::new(*script.peer().ip(), to);
    let flow = call(&mut script, 30 * SECOND, from, to);
    trial::class(&script.end().packets, &Mangle::none().path, &flow)
}

#[test]
fn a_call_from_the_endpoint_is_voice_by_its_framing_and_its_figures() {
    for seed in 0..20 {
        let (class, evidence) = found(seed, true, true, 12_340).expect("its endpoint is known");
        assert_eq!(class, Class::Voice);
        assert_eq!(evidence[0], "endpoint");
        for name in ["media-statistics", "skypeout"] {
            assert!(evidence.contains(&name), "{evidence:?}");
        }
    }
}

#[test]
fn a_call_from_another_port_of_a_known_host_is_found() {
    for seed in 0..20 {
        let (class, evidence) = found(seed, true, false, 12_340).expect("the host is known");
        assert_eq!((class, evidence[0]), (Class::Voice, "skypeout"));
    }
}

#[test]
fn the_framing_alone_accuses_nobody() {
    for seed in 0..20 {
        // A host that is not known to run Skype; a known one and another port.
        assert_eq!(found(seed, false, false, 12_340), None);
        assert_eq!(found(seed, true, false, 12_341), None);
    }
}
