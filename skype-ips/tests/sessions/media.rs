//! What a flow of a known endpoint carries.

use proptest::prelude::*;
use skype_ips::policy::Class;
use skype_ips::simulator::speech::media::{Media, Voice};
use skype_ips::simulator::speech::udp::{self, Noise};
use skype_ips::simulator::speech::{Turn, fake_tls, noise};

use crate::found::cases;
use crate::mangle::Mangle;
use crate::script::{Host, MS, SECOND, Script};
use crate::sessions::probe;
use crate::trial;
use crate::wire::{ACK, Body, Flow, Note, PSH, Packet, TCP, UDP};

/// How the network treats it.
#[derive(Clone, Copy, Debug)]
struct Network {
    /// Lost packets, per cent.
    loss: u8,
    /// Most that a packet is late, milliseconds.
    jitter: u64,
}

fn networks() -> impl Strategy<Value = Network> {
    (0_u8..=15, 0_u64..=60).prop_map(|(loss, jitter)| Network { loss, jitter })
}

/// Sends media in a flow from `time` on; returns when it ends.
fn carry(
    script: &mut Script,
    (host, flow): (&Host, &Flow),
    time: u64,
    (media, seconds): (Media, u64),
    network: Network,
) -> u64 {
    let std::net::SocketAddr::V4(peer) = flow.outside else {
        panic!("the script speaks IPv4");
    };
    for beat in media.beats(&mut script.rng, seconds) {
        if script.rng.u8(0..100) < network.loss {
            continue;
        }
        let late = script.rng.u64(0..=network.jitter * MS);
        let (id, bits) = (script.rng.u16(..), Noise::some(&mut script.rng));
        let payload = udp::data(id, bits, &noise(&mut script.rng, beat.len - 3));
        let at = time + beat.at + late;
        script.datagram(
            at,
            (host.end, peer),
            beat.outbound,
            payload,
            Note::default(),
        );
    }
    time + seconds * SECOND
}

/// A host that is known, and a flow of its to a peer that begins as such flows do.
fn known(script: &mut Script) -> (Host, Flow) {
    let mut host = Host::client(&mut script.rng);
    probe(0, &mut host, script, 8);
    let peer = script.peer();
    script.ask(20 * SECOND, &mut host, peer, 15);
    let flow = Flow {
        protocol: UDP,
        inside: host.end.into(),
        outside: peer.into(),
    };
    (host, flow)
}

/// What a flow of nothing but this media is said to carry.
fn class_of(seed: u64, media: Media, seconds: u64, network: Network) -> Class {
    let mut script = Script::new(seed);
    let (host, flow) = known(&mut script);
    let media = (media, seconds);
    carry(&mut script, (&host, &flow), 21 * SECOND, media, network);
    let session = script.end();
    let found = trial::class(&session.packets, &Mangle::none().path, &flow);
    found.expect("the endpoint is known").0
}

fn codecs() -> impl Strategy<Value = Voice> {
    any::<u64>().prop_map(|seed| Voice::some(&mut fastrand::Rng::with_seed(seed)))
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn a_call_is_voice(seed: u64, voice in codecs(), seconds in 15_u64..60, network in networks()) {
        prop_assert_eq!(class_of(seed, Media::Call(voice), seconds, network), Class::Voice);
    }

    #[test]
    fn a_call_with_video_is_video(
        seed: u64,
        voice in codecs(),
        rate in 40_000_u64..2_000_000,
        from in prop::sample::select(vec![[true, false], [false, true], [true, true]]),
        network in networks(),
    ) {
        let video = Media::Video { voice, rate, from };
        prop_assert_eq!(class_of(seed, video, 20, network), Class::Video);
    }

    #[test]
    fn a_file_is_a_file(
        seed: u64,
        outbound: bool,
        rate in 3_000_u64..1_000_000,
        size in 1000_u64..=1400,
        network in networks(),
    ) {
        let file = Media::File { outbound, rate, size };
        // Until the inside host has sent a hundred packets or so.
        let seconds = (220 * size / rate).max(8);
        prop_assert_eq!(class_of(seed, file, seconds, network), Class::FileTransfer);
    }

    #[test]
    fn keep_alives_and_chat_are_signaling(seed: u64, hold: bool, network in networks()) {
        let media = if hold { Media::Hold } else { Media::Chat };
        prop_assert_eq!(class_of(seed, media, 300, network), Class::Signaling);
    }
}

const GOOD: Network = Network {
    loss: 1,
    jitter: 10,
};

const ISAC: Voice = Voice {
    interval: 30,
    rate: 16_000,
    redundancy: 1,
    variable: false,
};

#[test]
fn what_a_flow_carries_can_change_and_the_last_holds() {
    for (seed, then, expected) in [
        (1, (Media::Hold, 900), Class::Signaling),
        (
            2,
            (
                Media::File {
                    outbound: true,
                    rate: 40_000,
                    size: 1300,
                },
                600,
            ),
            Class::FileTransfer,
        ),
    ] {
        let mut script = Script::new(seed);
        let (host, flow) = known(&mut script);
        let ends = (&host, &flow);
        let media = (Media::Call(ISAC), 60);
        let time = carry(&mut script, ends, 21 * SECOND, media, GOOD);
        carry(&mut script, ends, time, then, GOOD);
        let found = trial::class(&script.end().packets, &Mangle::none().path, &flow);
        let (class, evidence) = found.expect("the endpoint is known");
        assert_eq!(class, expected);
        assert_eq!(evidence[0], "endpoint");
        assert_eq!(*evidence.last().expect("some"), "media-statistics");
    }
}

#[test]
fn a_search_that_is_answered_is_no_file() {
    for seed in 0..20 {
        let mut script = Script::new(seed);
        let (mut host, flow) = known(&mut script);
        let std::net::SocketAddr::V4(peer) = flow.outside else {
            panic!("the script speaks IPv4");
        };
        for round in 0..40 {
            let time = (21 + 3 * round) * SECOND;
            let rng = &mut script.rng;
            let parts = host.process.fragments(rng, round as u16, 11_000);
            for (index, part) in (0..).zip(parts) {
                let at = time + index * 12 * MS;
                script.datagram(at, (host.end, peer), true, part, Note::default());
            }
        }
        let found = trial::class(&script.end().packets, &Mangle::none().path, &flow);
        let (class, _) = found.expect("the endpoint is known");
        assert_eq!(class, Class::Signaling, "seed {seed}");
    }
}

/// Media in a TCP connection that opens in the disguise as TLS.
fn over_tcp(seed: u64, media: Media, seconds: u64) -> (Vec<Packet>, Flow) {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    let peer = script.peer();
    let connection = Script::outgoing(&mut host, peer, &[]);
    let generator = &mut host.process.generator;
    let turns = [
        Turn::client(fake_tls::client_hello(generator)),
        Turn::server(fake_tls::SERVER_HELLO.to_vec()),
    ];
    script.connect(0, connection, &turns);
    let mut packets = std::mem::take(&mut script.session.packets);
    // What follows stands in front of the connection's end.
    packets.retain(|packet| match packet.body {
        Body::Segment { flags, .. } => flags & crate::wire::FIN == 0,
        Body::Datagram(_) => true,
    });
    let start = packets.last().expect("an opening").time;
    let mut next = [1_000_000_u32; 2];
    for beat in media.beats(&mut script.rng, seconds) {
        let payload = noise(&mut script.rng, beat.len);
        let own = usize::from(beat.outbound);
        packets.push(Packet {
            time: start + beat.at,
            flow: connection.flow,
            outbound: beat.outbound,
            body: Body::Segment {
                flags: PSH | ACK,
                seq: next[own],
                ack: next[1 - own],
                payload,
            },
            note: Note::default(),
        });
        next[own] = next[own].wrapping_add(beat.len as u32);
    }
    assert_eq!(connection.flow.protocol, TCP);
    (packets, connection.flow)
}

#[test]
fn the_same_is_told_over_tcp() {
    let file = Media::File {
        outbound: false,
        rate: 200_000,
        size: 1400,
    };
    for (media, expected) in [
        (Media::Call(ISAC), Class::Voice),
        (file, Class::FileTransfer),
        (Media::Hold, Class::Signaling),
    ] {
        for seed in 0..10 {
            let (packets, flow) = over_tcp(seed, media, 60);
            let found = trial::class(&packets, &Mangle::none().path, &flow);
            assert_eq!(found.expect("its opening proves it").0, expected);
        }
    }
}
