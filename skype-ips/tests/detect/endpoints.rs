//! UDP: findings about endpoints, from what they sent themselves or exchanges that match.

use std::net::IpAddr;

use skype_ips::engine::{Settings, Subject};
use skype_ips::policy::{Class, Confidence};
use skype_ips_common::layout::{FlowKey, UDP, mapped};

use crate::support::{MILLISECOND, SECOND, Trial, bytes, probe, steps, udp};

const OUT: bool = true;
const IN: bool = false;

const PEER: [u8; 4] = [165, 124, 253, 241];
/// The exchange of SkypeIRC.cap at 66 s: probe, NACK that names 86.128.245.115, resend.
const PROBE: &str = "15f202e2b459e6644a654d81763ac9dbf536";
const NACK: &str = "15f2775680f57324499eb8";
const RESEND: &str = "15f2030124499eb8a57cfdf1644a654d9c316e2ce98fc0";
const PUBLIC: &str = "86.128.245.115";
/// The one at 300 s, with 208.2.71.2.
const PROBE_2: &str = "b06502d647b1b3e527f661726cbd0a64d51f";
const NACK_2: &str = "b065475680f573e43554c2";

fn behind(public: &str) -> Settings {
    let address: IpAddr = public.parse().expect("an address");
    Settings {
        public_addresses: vec![address],
        ..Settings::default()
    }
}

#[test]
fn the_open_captures_probes_prove_the_endpoint_with_the_second() {
    // nDPI's skype.pcap, 192.168.1.34:13021, three probes within a second, to different hosts.
    let mut trial = Trial::new();
    let probes = [
        ([64, 4, 23, 166], "9b9002d2fcfb780ea6d564000000000000000000"),
        (
            [157, 55, 130, 155],
            "9b9202c8d2b98998e491cc000000000000000000",
        ),
        (
            [111, 221, 77, 142],
            "9b94023db3ca26e2de0ce8000000000000000000",
        ),
    ];
    let answers = probes.map(|(peer, hex)| {
        trial.later(SECOND);
        trial.datagram(udp(peer, 40_020), OUT, &bytes(hex)).finding
    });
    let found = answers[1].expect("a finding");
    assert_eq!(
        (found.class, found.confidence),
        (Class::Signaling, Confidence::Exact)
    );
    assert_eq!(answers, [None, Some(found), Some(found)]);
    assert_eq!(trial.found(), [("udp-generator", true)]);
    // From now on every UDP flow of the endpoint is known, and no other.
    let other = udp([203, 0, 113, 5], 1);
    assert_eq!(trial.engine.finding(&other), Some(found));
    assert_eq!(
        trial.engine.finding(&FlowKey {
            inside_port: 1,
            ..other
        }),
        None
    );
    assert_eq!(trial.engine.finding(&FlowKey { zone: 1, ..other }), None);
}

#[test]
fn the_same_probes_from_outside_prove_nothing() {
    let mut trial = Trial::new();
    let mut iv = 99;
    for id in 0..100 {
        iv = steps(iv, 1);
        trial.datagram(udp(PEER, 15_294), IN, &probe(2 * id, iv));
    }
    assert_eq!(trial.found(), []);
}

#[test]
fn retransmissions_of_the_open_capture_are_proof() {
    // nDPI's skype_udp.pcap: 31 bytes to one peer at 0, 2 and 6 seconds.
    let mut trial = Trial::new();
    for (pause, hex) in [
        (
            0,
            "169702aed10087792e012b1b34b94fb4a7cf2ec4a3ef4bd9e7d21f643db7bd",
        ),
        (
            2,
            "169702aaf0a3e4792e012b726d0a11b3cb8e5c01fff5acaf7730d6b1fc55ae",
        ),
        (
            4,
            "169702beea1405792e012b9260e22445a3df19bc447ce9c2ff9d43e28f4d73",
        ),
    ] {
        trial.later(pause * SECOND);
        trial.datagram(udp([24, 224, 190, 149], 39_262), OUT, &bytes(hex));
    }
    assert_eq!(trial.found(), [("udp-retransmission", true)]);
}

#[test]
fn retransmissions_by_the_peer_prove_nothing() {
    let mut trial = Trial::new();
    let flow = udp([24, 224, 190, 149], 39_262);
    trial.datagram(
        flow,
        IN,
        &bytes("169702aed10087792e012b1b34b94fb4a7cf2ec4a3ef"),
    );
    trial.datagram(
        flow,
        IN,
        &bytes("169702aaf0a3e4792e012b726d0a11b3cb8e5c01fff5"),
    );
    trial.datagram(
        flow,
        IN,
        &bytes("169702beea1405792e012b9260e22445a3df19bc447c"),
    );
    assert_eq!(trial.found(), []);
}

#[test]
fn a_nack_that_names_a_configured_address_is_proof() {
    let mut trial = Trial::with(behind(PUBLIC));
    trial.datagram(udp(PEER, 15_294), OUT, &bytes(PROBE));
    trial.later(127 * MILLISECOND);
    let answer = trial.datagram(udp(PEER, 15_294), IN, &bytes(NACK));
    assert!(answer.finding.is_some());
    assert_eq!(trial.found(), [("udp-nack-address", true)]);
}

#[test]
fn an_acknowledgement_that_names_the_hosts_own_address_is_proof() {
    // SkypeIRC.cap at 85.7 s, 67.190.60.125:3944, as without a NAT.
    let mut trial = Trial::new();
    let flow = FlowKey {
        inside: mapped([86, 128, 245, 115]),
        ..udp([67, 190, 60, 125], 3944)
    };
    trial.datagram(flow, OUT, &bytes("1659029501e40e2e7af131a454fafd5cff47"));
    trial.later(300 * MILLISECOND);
    trial.datagram(flow, IN, &bytes("1659355680f573b68e24ae"));
    assert_eq!(trial.found(), [("udp-ack-address", true)]);
}

#[test]
fn without_a_known_address_two_peers_have_to_agree() {
    let mut trial = Trial::new();
    trial.datagram(udp(PEER, 15_294), OUT, &bytes(PROBE));
    trial.datagram(udp(PEER, 15_294), IN, &bytes(NACK));
    assert_eq!(trial.found(), []);
    // The same peer again, from another port, is no second opinion.
    trial.datagram(udp(PEER, 1), OUT, &bytes(PROBE));
    trial.datagram(udp(PEER, 1), IN, &bytes(NACK));
    assert_eq!(trial.found(), []);
    trial.later(61 * SECOND);
    let second = udp([208, 2, 71, 2], 13_141);
    trial.datagram(second, OUT, &bytes(PROBE_2));
    trial.datagram(second, IN, &bytes(NACK_2));
    assert_eq!(trial.found(), [("udp-nack-address", true)]);
}

#[test]
fn peers_that_disagree_prove_nothing() {
    let mut trial = Trial::new();
    trial.datagram(udp(PEER, 15_294), OUT, &bytes(PROBE));
    trial.datagram(udp(PEER, 15_294), IN, &bytes(NACK));
    trial.later(61 * SECOND);
    let second = udp([208, 2, 71, 2], 13_141);
    trial.datagram(second, OUT, &bytes(PROBE_2));
    trial.datagram(second, IN, &bytes("b065475680f574e43554c2"));
    assert_eq!(trial.found(), []);
}

#[test]
fn a_nack_proves_nothing_unless_everything_matches() {
    for (pause, direction, nack) in [
        (SECOND, IN, "15f2775680f57424499eb8"),
        (SECOND, IN, "15f3775680f57324499eb8"),
        (SECOND, IN, "15f2765680f57324499eb8"),
        (SECOND, OUT, NACK),
        (11 * SECOND, IN, NACK),
    ] {
        let mut trial = Trial::with(behind(PUBLIC));
        trial.datagram(udp(PEER, 15_294), OUT, &bytes(PROBE));
        trial.later(pause);
        trial.datagram(udp(PEER, 15_294), direction, &bytes(nack));
        assert_eq!(trial.found(), [], "{nack}");
    }
    // An answer to a probe that went to somebody else, or to none.
    let mut trial = Trial::with(behind(PUBLIC));
    trial.datagram(udp([9, 9, 9, 9], 15_294), OUT, &bytes(PROBE));
    trial.datagram(udp(PEER, 15_294), IN, &bytes(NACK));
    assert_eq!(trial.found(), []);
}

#[test]
fn answering_an_outside_probe_with_its_address_is_proof() {
    let flow = udp([86, 128, 245, 115], 40_000);
    for (nack, name) in [
        (NACK, "udp-nack-address"),
        ("15f2355680f57324499eb8", "udp-ack-address"),
    ] {
        let mut trial = Trial::new();
        trial.datagram(flow, IN, &bytes(PROBE));
        trial.datagram(flow, OUT, &bytes(nack));
        assert_eq!(trial.found(), [(name, true)]);
    }
    let mut trial = Trial::new();
    trial.datagram(flow, IN, &bytes(PROBE));
    trial.datagram(flow, OUT, &bytes("15f2775680f57424499eb8"));
    assert_eq!(trial.found(), []);
}

#[test]
fn a_resend_that_matches_is_proof_without_any_address() {
    let mut trial = Trial::new();
    let flow = udp(PEER, 15_294);
    trial.datagram(flow, OUT, &bytes(PROBE));
    trial.datagram(flow, IN, &bytes(NACK));
    trial.datagram(flow, OUT, &bytes(RESEND));
    assert_eq!(trial.found(), [("udp-resend", true)]);
    // Sent to another address than it says.
    let mut trial = Trial::new();
    let flow = udp([165, 124, 253, 242], 15_294);
    trial.datagram(flow, OUT, &bytes(PROBE));
    trial.datagram(flow, IN, &bytes(NACK));
    trial.datagram(flow, OUT, &bytes(RESEND));
    assert_eq!(trial.found(), []);
}

#[test]
fn over_ipv6_the_resends_destination_is_not_compared() {
    let mut trial = Trial::new();
    let flow = FlowKey {
        protocol: UDP,
        inside: [0xfd; 16],
        outside: [0x20; 16],
        ..udp(PEER, 15_294)
    };
    trial.datagram(flow, OUT, &bytes(PROBE));
    trial.datagram(flow, IN, &bytes(NACK));
    assert_eq!(trial.found(), []);
    trial.datagram(flow, OUT, &bytes(RESEND));
    assert_eq!(trial.found(), [("udp-resend", true)]);
}

#[test]
fn a_forged_exchange_proves_nothing() {
    // The outside end plays the client's part too: probe, and a resend after the inside's NACK
    // that names another address.
    let mut trial = Trial::with(behind(PUBLIC));
    let flow = udp(PEER, 15_294);
    trial.datagram(flow, IN, &bytes(PROBE));
    trial.datagram(flow, OUT, &bytes(NACK));
    trial.datagram(flow, IN, &bytes(RESEND));
    // NACKs out of the blue, for every ID.
    for id in 0..=u16::MAX {
        let mut nack = bytes(NACK);
        nack[..2].copy_from_slice(&id.to_be_bytes());
        trial.datagram(flow, IN, &nack);
    }
    assert_eq!(trial.found(), []);
}

#[test]
fn a_silent_endpoint_is_forgotten_after_twenty_minutes() {
    let mut trial = Trial::new();
    let flow = udp(PEER, 1);
    let mut iv = 5;
    for id in 0..4 {
        iv = steps(iv, 1);
        trial.datagram(flow, OUT, &probe(2 * id, iv));
    }
    trial.later(19 * 60 * SECOND);
    assert!(trial.engine.finding(&flow).is_some());
    // A hit needs two datagrams: too long after the last one to compare.
    for id in 4..6 {
        iv = steps(iv, 1);
        trial.datagram(flow, OUT, &probe(2 * id, iv));
    }
    trial.later(19 * 60 * SECOND);
    assert!(trial.engine.finding(&flow).is_some());
    // Any other traffic is none.
    trial.datagram(flow, OUT, &[0; 200]);
    trial.datagram(flow, OUT, &probe(7, 0x1234_5678));
    trial.later(2 * 60 * SECOND);
    assert_eq!(trial.engine.finding(&flow), None);
    assert_eq!(trial.forgotten(), 1);
    assert_eq!(trial.found().len(), 1);
}

#[test]
fn findings_name_the_endpoint_and_the_flow_that_proved_it() {
    let mut trial = Trial::new();
    trial.datagram(udp(PEER, 1), OUT, &probe(2, 7));
    trial.datagram(udp(PEER, 2), OUT, &probe(4, steps(7, 1)));
    let [
        skype_ips::engine::Event::Found {
            subject,
            flow,
            at,
            evidence,
            ..
        },
        skype_ips::engine::Event::Listening { endpoint, .. },
    ] = &trial.events[..]
    else {
        panic!("one finding, and where it listens");
    };
    assert_eq!(Some(*endpoint), flow.endpoint().listener());
    assert_eq!(*flow, udp(PEER, 2));
    assert_eq!(*subject, Subject::Endpoint(flow.endpoint()));
    assert_eq!(*at, trial.now);
    assert!(evidence.iter().map(|one| one.bits).sum::<u32>() >= 42);
}

/// Part `index` of the answer to request 5, whose first part has this IV.
fn fragment(index: u8, iv: u32) -> Vec<u8> {
    let mut payload = vec![0x12, 0x34, 0x5f, 0, 5, index, 2];
    payload.extend(steps(iv, 2 * u32::from(index & 0x7f)).to_be_bytes());
    payload.extend([0xaa; 40]);
    payload
}

#[test]
fn a_set_of_fragments_proves_its_sender() {
    let mut trial = Trial::new();
    let flow = udp([198, 51, 100, 7], 3000);
    for index in [0, 1, 0x80 | 3] {
        trial.datagram(flow, true, &fragment(index, 77));
    }
    assert_eq!(trial.found(), [("udp-fragments", true)]);
}

#[test]
fn fragments_of_others_or_in_disorder_prove_nothing() {
    let mut trial = Trial::new();
    let flow = udp([198, 51, 100, 7], 3000);
    for index in 0..9 {
        trial.datagram(flow, false, &fragment(index, 77));
        // Equal headers and IVs that don't go on.
        trial.datagram(flow, true, &fragment(index, 1000 + u32::from(index)));
    }
    assert_eq!(trial.found(), []);
}

#[test]
fn the_gateways_own_address_is_proof_and_another_needs_two_peers() {
    let mut trial = Trial::new();
    let own: IpAddr = PUBLIC.parse().expect("an address");
    trial.engine.set_own_addresses(vec![own]);
    trial.datagram(udp(PEER, 15_294), OUT, &bytes(PROBE));
    trial.datagram(udp(PEER, 15_294), IN, &bytes(NACK));
    assert_eq!(trial.found(), [("udp-nack-address", true)]);

    // A NAT farther out: the gateway's own address is private, and peers name another.
    let mut trial = Trial::new();
    trial
        .engine
        .set_own_addresses(vec![IpAddr::from([10, 0, 0, 1])]);
    for (peer, sent, back) in [(PEER, PROBE, NACK), ([208, 2, 71, 2], PROBE_2, NACK_2)] {
        assert_eq!(trial.found(), []);
        trial.datagram(udp(peer, 15_294), OUT, &bytes(sent));
        trial.datagram(udp(peer, 15_294), IN, &bytes(back));
    }
    assert_eq!(trial.found(), [("udp-nack-address", true)]);
}
