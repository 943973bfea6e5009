//! Random traffic is never accused; generated sessions are always found.

use proptest::prelude::*;
use skype_ips_common::layout::{FlowKey, TCP, UDP};

use crate::support::{SECOND, Trial, padding, probe, steps, udp};

/// Bytes that often have the look of a message or an opening.
fn look_alike() -> impl Strategy<Value = Vec<u8>> {
    let heads = prop_oneof![
        Just(vec![]),
        Just(vec![0x16, 0x03, 0x01, 0x00]),
        Just(vec![0x17, 0x03, 0x01]),
        Just(vec![0x80, 0x46, 0x01, 0x03]),
        any::<(u8, u8)>().prop_map(|(a, b)| vec![a, b, 2]),
        any::<(u8, u8)>().prop_map(|(a, b)| vec![a, b, 0x77]),
        any::<(u8, u8)>().prop_map(|(a, b)| vec![a, b, 3, 1]),
    ];
    let len = prop_oneof![Just(7_usize), 0..30_usize, 44..110_usize];
    (heads, len).prop_flat_map(|(head, len)| {
        proptest::collection::vec(any::<u8>(), len)
            .prop_map(move |tail| [head.clone(), tail].concat())
    })
}

proptest! {
    #[test]
    fn random_traffic_is_never_accused(
        packets in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), 0u16..4, 0u32..3, 0u64..5, look_alike()),
            0..80,
        )
    ) {
        let mut trial = Trial::new();
        let mut seq = 0;
        for (is_tcp, outbound, port, skip, pause, payload) in packets {
            let flow = FlowKey {
                protocol: if is_tcp { TCP } else { UDP },
                ..udp([198, 51, 100, 7], port)
            };
            trial.later(pause * SECOND);
            let answer = trial.segment(flow, outbound, seq, &payload);
            prop_assert!(answer.more <= 4);
            seq += payload.len() as u32 * skip;
        }
        prop_assert_eq!(trial.found(), []);
    }

    #[test]
    fn a_fan_of_probes_is_found_with_the_third_at_the_latest(
        seed: u32,
        id: u16,
        gaps in proptest::collection::vec(1u32..64, 3),
    ) {
        let mut trial = Trial::new();
        let mut iv = seed;
        for (at, gap) in (0u16..).zip(gaps) {
            iv = steps(iv, gap);
            let flow = udp([198, 51, 100, at as u8], 33_033);
            trial.datagram(flow, true, &probe(id.wrapping_add(2 * at), iv));
        }
        prop_assert_eq!(trial.found(), [("udp-generator", true)]);
    }

    #[test]
    fn every_key_exchange_with_five_bytes_of_padding_is_found(
        key in proptest::collection::vec(any::<u8>(), 48),
        first: u8,
        len in 5usize..=63,
        outbound: bool,
    ) {
        let mut trial = Trial::new();
        let opening = [key, padding(first, len)].concat();
        let flow = FlowKey { protocol: TCP, ..udp([198, 51, 100, 7], 443) };
        prop_assert!(trial.segment(flow, outbound, 5, &opening).finding.is_some());
    }

    #[test]
    fn every_legacy_stream_is_found_however_it_is_cut(
        iv: [u8; 4],
        keystream: [u8; 10],
        first: u8,
        sequence: [u8; 2],
        cut in 14usize..24,
    ) {
        let message = [&sequence[..], &[0, 0, 0, 1, 0, 0, 0, 0x0f]].concat();
        let second = [&[0x30, 0x11][..], &padding(first, 8)].concat();
        let encrypt = |plain: &[u8]| -> Vec<u8> {
            plain.iter().zip(keystream).map(|(byte, key)| byte ^ key).collect()
        };
        let stream = [&iv[..], &encrypt(&message), &encrypt(&second), &[1, 2, 3]].concat();
        let mut trial = Trial::new();
        let flow = FlowKey { protocol: TCP, ..udp([198, 51, 100, 7], 443) };
        trial.segment(flow, true, 5, &stream[..cut]);
        trial.segment(flow, true, 5 + cut as u32, &stream[cut..]);
        prop_assert_eq!(trial.found(), [("tcp-legacy-stream", false)]);
    }
}
