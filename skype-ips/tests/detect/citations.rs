//! Evidence cites the packets that it rests on, and where in them it stands.

use proptest::prelude::*;
use proptest::test_runner::Config;
use skype_ips::simulator::speech::fake_tls::{CLIENT_HELLO, SERVER_HELLO};

use crate::support::{Trial, bytes, padding, probe, steps, tcp, udp};

const PEER: [u8; 4] = [198, 51, 100, 9];

#[test]
fn the_generator_cites_the_datagrams_whose_states_are_kin() {
    let mut trial = Trial::new();
    let first = 0x7f0d_ac3a;
    trial.datagram(udp(PEER, 1), true, b"something else");
    trial.datagram(udp(PEER, 2), true, &probe(0x15ea, first));
    trial.datagram(udp(PEER, 3), true, b"something else");
    trial.datagram(udp(PEER, 4), true, &probe(0x15ec, steps(first, 3)));
    let cited = trial.cited();
    assert_eq!(
        cited,
        [
            (2, 3..7, "IV 7f0dac3a, a state of the generator".to_owned()),
            (
                4,
                3..7,
                format!("IV {:08x}, 3 steps after that of packet 2", steps(first, 3))
            ),
        ]
    );
}

#[test]
fn an_exchange_cites_each_of_its_messages() {
    let mut trial = Trial::new();
    let flow = udp([165, 124, 253, 241], 33_033);
    trial.datagram(flow, true, &bytes("15f202e2b459e6644a654d81763ac9dbf536"));
    trial.datagram(flow, false, &bytes("15f2775680f57324499eb8"));
    let resend = bytes("15f2030124499eb8a57cfdf1644a654d9c316e2ce98fc0");
    trial.datagram(flow, true, &resend);
    let places: Vec<_> = trial
        .cited()
        .into_iter()
        .map(|one| (one.0, one.1))
        .collect();
    let expected = [
        (1, 0..3),
        (1, 7..11),
        (2, 7..11),
        (3, 0..4),
        (3, 4..8),
        (3, 12..16),
        (3, 8..12),
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_stream_cites_the_segments_that_brought_its_bytes() {
    let mut trial = Trial::new();
    let hello = [
        bytes("8046010301002d0000001000000500000400000a00000900006400006200000800000300"),
        bytes("00060100800700c00300800600400200800400803fe40572bb30e19ef73c7d8af308d936"),
    ]
    .concat();
    trial.segment(tcp(1), true, 5, &hello[..40]);
    // Ten bytes again, and the rest.
    trial.segment(tcp(1), true, 35, &hello[30..]);
    let places: Vec<_> = trial
        .cited()
        .into_iter()
        .map(|one| (one.0, one.1))
        .collect();
    assert_eq!(places, [(1, 0..40), (2, 10..26), (2, 26..42)]);
}

#[test]
fn a_key_exchange_cites_its_padding() {
    let mut trial = Trial::new();
    let opening = [vec![0x5a; 48], padding(9, 10)].concat();
    trial.segment(tcp(1), true, 5, &opening);
    let [(1, place, says)] = &trial.cited()[..] else {
        panic!("one citation: {:?}", trial.cited());
    };
    assert_eq!(*place, 48..58);
    assert!(says.contains("205 times") && says.contains("113"), "{says}");
}

proptest! {
    #![proptest_config(Config { cases: 500, failure_persistence: None, ..Config::default() })]

    /// Pieces that overlap, in any order, of a stream whose SYN was seen: what is cited is what
    /// the packets held.
    #[test]
    fn what_is_cited_of_pieces_is_what_they_held(
        client in any::<bool>(),
        cuts in prop::collection::vec((0usize..72, 1usize..40), 0..4),
        at in 0usize..5,
    ) {
        let stream = if client {
            [&CLIENT_HELLO[..], &padding(77, 16)].concat()
        } else {
            SERVER_HELLO.to_vec()
        };
        let mut cuts: Vec<_> = cuts
            .into_iter()
            .map(|(from, len)| (from, (from + len).min(stream.len())))
            .collect();
        cuts.insert(at.min(cuts.len()), (0, stream.len()));
        let mut trial = Trial::new();
        for (from, to) in &cuts {
            trial.piece(tcp(1), true, 5, *from as u32, &stream[*from..*to]);
        }
        let mut told = Vec::new();
        for (packet, part, _) in trial.cited() {
            let (from, to) = cuts[packet as usize - 1];
            told.extend_from_slice(&stream[from..to][part.start as usize..part.end as usize]);
        }
        prop_assert_eq!(told, stream);
    }
}
