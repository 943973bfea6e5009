//! TCP: findings about flows.

use skype_ips::engine::Answer;
use skype_ips::policy::{Class, Confidence, Role};
use skype_ips_common::lcg;

use crate::support::{SECOND, Trial, bytes, padding, tcp};

const OUT: bool = true;
const IN: bool = false;

/// Plays the streams of a connection segment by segment; says what proved it and after how many.
fn play(segments: &[(bool, Vec<u8>)]) -> Option<(usize, &'static str)> {
    let mut trial = Trial::new();
    let mut seq = [0xffff_fff0, 77];
    for (index, (outbound, payload)) in segments.iter().enumerate() {
        let seq = &mut seq[usize::from(*outbound)];
        let answer = trial.segment(tcp(40_000), *outbound, *seq, payload);
        *seq = seq.wrapping_add(payload.len() as u32);
        if let Some(finding) = answer.finding {
            assert_eq!(finding.confidence, Confidence::Exact);
            assert_eq!(finding.role, Role::Client);
            assert_eq!(trial.engine.finding(&tcp(40_000)), Some(finding));
            let [(name, false)] = trial.found()[..] else {
                panic!("one finding, about a flow");
            };
            let login = name == "login-handshake";
            assert_eq!(finding.class == Class::Login, login);
            return Some((index + 1, name));
        }
    }
    None
}

fn out(hex: &str) -> (bool, Vec<u8>) {
    (OUT, bytes(hex))
}

fn back(hex: &str) -> (bool, Vec<u8>) {
    (IN, bytes(hex))
}

/// nDPI's skype.pcap, 192.168.1.34:50030 to 65.55.223.33:443.
const CLIENT_HELLO: &str = "8046010301002d0000001000000500000400000a00000900006400006200000800000300\
                            00060100800700c00300800600400200800400803fe40572bb30e19ef73c7d8af308d936";
const SERVER_HELLO: &str = "160301004a020000460301401be48602ade029e17774e544b9c99cb431315e02dd779d15\
                            4a9609ba5da870201ca0e4f64c6351ae2f8e4ee1e6766a0a88d5d8c55cae98c5e481f22a\
                            69bf9058000500";

#[test]
fn the_fake_client_hello_needs_its_challenge() {
    let hello = bytes(CLIENT_HELLO);
    assert_eq!(play(&[(OUT, hello.clone())]), Some((1, "tls-fake-client")));
    // More bytes in the same segment, or fewer in the first.
    let with_more = [hello.clone(), vec![9; 100]].concat();
    assert_eq!(play(&[(OUT, with_more)]), Some((1, "tls-fake-client")));
    for cut in [4, 55, 56, 60, 71] {
        let (first, rest) = hello.split_at(cut);
        let split = [(OUT, first.to_vec()), (OUT, rest.to_vec())];
        assert_eq!(play(&split), Some((2, "tls-fake-client")), "{cut}");
    }
    let mut honest = hello.clone();
    honest[60] ^= 1;
    assert_eq!(play(&[(OUT, honest)]), None);
    let mut other = hello;
    other[20] ^= 1;
    assert_eq!(play(&[(OUT, other)]), None);
}

#[test]
fn the_fake_server_hello_is_known_to_its_last_byte() {
    let hello = bytes(SERVER_HELLO);
    let client = (OUT, vec![0x80; 20]);
    let whole = [client.clone(), (IN, hello.clone())];
    assert_eq!(play(&whole), Some((2, "tls-fake-server")));
    let split = [
        client.clone(),
        (IN, hello[..30].to_vec()),
        (IN, hello[30..].to_vec()),
    ];
    assert_eq!(play(&split), Some((3, "tls-fake-server")));
    for at in [0, 12, 40, 78] {
        let mut other = hello.clone();
        other[at] ^= 0x40;
        assert_eq!(play(&[client.clone(), (IN, other)]), None, "{at}");
    }
}

/// First segments of nDPI's skype.pcap, 192.168.1.34:50026 to 65.55.223.33:40002.
const KEY_C1: &str = "eac9881f2540a2f3842adc4c8c51e1144e5eb6257fbd5c37ea08d9ab976ce82f73241bb1dcc04ee7\
                      26cc647183ffabf9ffa4c5327bf0a15eb7";
const KEY_S1: &str = "09d313d543d02a8c7ce7dc87233ea8d0751815a8e53a22d059374fa189eb5178b1c9ad8fa76ce9cd\
                      253e8ce226a8e79c63b8c9661f44e5d29b90c1fed79c5dead368b9968ff4d5020b40b12e474c4d1a\
                      4318a9c6ffa4c5327bf0a15eb7fc3d4ab3c8";
/// Answer of a listener to an SMB probe: Arkime's smb-port80.pcap, 10.0.0.1:80.
const KEY_SMB: &str = "b378fd2aae2d4aee195989196f1fbccd99e4598217f71513959e43b7e41460a2fd9c5e1891a6cd71\
                       9cf9e9201af78f096e878c8d5a8358e9063fe40572";

/// A key exchange segment with `len` bytes of padding.
fn key_exchange(seed: u8, len: usize) -> Vec<u8> {
    let mut segment: Vec<u8> = (0..48_u8).map(|at| at.wrapping_mul(89) ^ seed).collect();
    segment.extend(padding(seed, len));
    segment
}

#[test]
fn key_exchanges_of_open_captures_are_found_from_either_side() {
    let name = "tcp-key-exchange";
    assert_eq!(play(&[out(KEY_C1)]), Some((1, name)));
    assert_eq!(play(&[back(KEY_S1)]), Some((1, name)));
    assert_eq!(
        play(&[(OUT, b"\0\0\0\xa4\xffSMBr".to_vec()), back(KEY_SMB)]),
        Some((2, name))
    );
}

#[test]
fn short_paddings_of_both_ends_add_up() {
    let name = "tcp-key-exchange";
    for (client, server, found) in [
        (5, 0, Some((1, name))),
        (4, 0, None),
        (4, 1, None),
        (4, 2, Some((2, name))),
        (3, 3, Some((2, name))),
        (3, 2, None),
        (1, 5, Some((2, name))),
        (0, 0, None),
        (63, 0, Some((1, name))),
    ] {
        let segments = [
            (OUT, key_exchange(3, client)),
            (IN, key_exchange(200, server)),
        ];
        assert_eq!(play(&segments), found, "{client} and {server}");
    }
    assert_eq!(play(&[(OUT, key_exchange(3, 64))]), None);
}

#[test]
fn padding_in_pieces_takes_one_relation_more() {
    let in_pieces = |opening: &[u8]| {
        let mut trial = Trial::new();
        for (at, piece) in (0..).zip(opening.chunks(30)) {
            trial.segment(tcp(1), OUT, 1 + 30 * at, piece);
        }
        trial.found().len()
    };
    assert_eq!(in_pieces(&key_exchange(0x83, 5)), 0);
    assert_eq!(in_pieces(&key_exchange(0x83, 6)), 1);
    let broken = |at| {
        let mut opening = key_exchange(0x83, 40);
        opening[at] ^= 1;
        opening
    };
    assert_eq!((in_pieces(&broken(53)), in_pieces(&broken(54))), (0, 1));
}

#[test]
fn a_hash_may_follow_the_padding_in_the_same_segment() {
    let with_tail = |len| [key_exchange(3, 20), vec![0x5a; len]].concat();
    assert_eq!(play(&[(OUT, with_tail(8))]), Some((1, "tcp-key-exchange")));
    for len in [1, 7, 9, 30] {
        assert_eq!(play(&[(OUT, with_tail(len))]), None, "{len}");
    }
}

#[test]
fn a_broken_relation_makes_a_padding_worthless() {
    let mut broken = key_exchange(3, 30);
    broken[60] ^= 1;
    assert_eq!(play(&[(OUT, broken.clone())]), None);
    assert_eq!(
        play(&[(OUT, broken.clone()), (IN, key_exchange(9, 4))]),
        None
    );
    assert_eq!(
        play(&[(OUT, broken), (IN, key_exchange(9, 5))]),
        Some((2, "tcp-key-exchange"))
    );
}

#[test]
fn legacy_streams_of_open_captures_are_found_in_either_direction() {
    for (hex, source) in [
        (
            "aec28951546f1f172ea92edb062d202273fa144b1692e0b1600c255c4e2cae2da90f87b2ef3325340ee67c7e",
            "SkypeIRC.cap, 68.206.150.243:57322",
        ),
        (
            "8a79ae3d692c04a3558da910866ef465cc3aa3e3fda5e4865f50822383",
            "SkypeIRC.cap, 84.228.208.91:4464",
        ),
        (
            "f6e4e18dea31c6981e3c4f3dc6a7c6689e711802ab38b41fa78d564daa0348e9ceefd79bbc",
            "SkypeIRC.cap, 67.71.69.121:12492",
        ),
        (
            "543804bb0f12175e5a1afe4ac243df2189a9666674b9ca95944a2e887d5e80f6892b388209adfc8f07354c3c",
            "skype.pcap, 192.168.1.34:50117",
        ),
        (
            "71f1b4429137443b2127ba680e87097fb555a6aa37328dd0c861547e75",
            "skype.pcap, 192.168.1.34:50118",
        ),
        (
            "2883dc98b01516791a1d5b6ccba0413f695d5faea01cea71be740441e3a57f503b0668fef92a4485b4a9fc9c",
            "skype.pcap, 5.248.186.221:31010",
        ),
        (
            "92d650827397244253b084933910361f15ec947d4909fa873f47239f0ce6a3b93a3a85cf8f734be8e82e4d53",
            "skype.pcap, 86.31.35.30:59621",
        ),
    ] {
        for outbound in [OUT, IN] {
            let found = Some((1, "tcp-legacy-stream"));
            assert_eq!(play(&[(outbound, bytes(hex))]), found, "{source}");
            let mut other = bytes(hex);
            other[21] ^= 0x10;
            assert_eq!(play(&[(outbound, other)]), None, "{source}");
        }
    }
}

/// SkypeIRC.cap, 84.228.208.91:4464 to 192.168.1.2:35990: an opening of 29 bytes, the answer
/// of 14 bytes; here the first one cut like the oldest clients' openings.
#[test]
fn a_legacy_opening_of_14_bytes_waits_for_more() {
    let opening = bytes("8a79ae3d692c04a3558da910866ef465cc3aa3e3fda5e4865f50822383");
    let mut trial = Trial::new();
    let first = trial.segment(tcp(4464), IN, 500, &opening[..14]);
    assert!(first.finding.is_none() && (1..=4).contains(&first.more));
    let answer = bytes("b980743e5c0f8634e36e1cc28034");
    assert_eq!(trial.segment(tcp(4464), OUT, 9, &answer), Answer::default());
    assert!(
        trial
            .segment(tcp(4464), IN, 514, &opening[14..])
            .finding
            .is_some()
    );
    assert_eq!(trial.found(), [("tcp-legacy-stream", false)]);
}

const BLANK: &str = "1603010000";
const ANSWER: &str = "1703010000";

#[test]
fn blank_records_of_both_ends_are_a_login() {
    let name = "login-handshake";
    assert_eq!(play(&[out(BLANK), back(ANSWER)]), Some((2, name)));
    assert_eq!(play(&[back(BLANK), out(ANSWER)]), Some((2, name)));
    assert_eq!(play(&[out(BLANK)]), None);
    assert_eq!(play(&[out(BLANK), back("1503010002")]), None);
    assert_eq!(play(&[back(ANSWER)]), None);
    assert_eq!(play(&[out("1603010001"), back(ANSWER)]), None);
}

#[test]
fn login_messages_are_found_with_and_without_the_blank_record() {
    let name = "login-handshake";
    // SkypeIRC.cap, 192.168.1.2:1325 to 195.215.8.141:33033.
    let old = "16030100cd4103000980400408c001398316d4fd708d2a8e15e3e4038e7c0c";
    // skype.pcap, 192.168.1.34:50111 to 91.190.216.125:443.
    let new = "16030100eb42cdefe740d72f1ddcb1839fbc8f3d2";
    let new = &new[..40];
    for message in [old, new] {
        assert_eq!(play(&[out(message)]), Some((1, name)));
        assert_eq!(play(&[out(BLANK), out(message)]), Some((2, name)));
        let whole = format!("{BLANK}{message}");
        assert_eq!(play(&[out(&whole)]), Some((1, name)));
        assert_eq!(
            play(&[out(&message[..16]), out(&message[16..])]),
            Some((2, name))
        );
    }
    assert_eq!(
        play(&[out("16030100eb42cdefe740d72f1edcb1839fbc8f3d")]),
        None
    );
    assert_eq!(
        play(&[out("16030100cd4103000980400408c002398316d4fd")]),
        None
    );
}

#[test]
fn an_unanswered_blank_record_counts_towards_a_known_server_only() {
    let mut trial = Trial::new();
    let (known, login) = (tcp(12_350), tcp(443));
    trial.segment(known, OUT, 1, &bytes(KEY_C1));
    let answer = trial.segment(login, OUT, 1, &bytes(BLANK));
    assert_eq!(answer.finding.map(|found| found.class), Some(Class::Login));

    let mut trial = Trial::new();
    trial.segment(known, OUT, 1, &bytes(KEY_C1));
    trial.later(301 * SECOND);
    assert_eq!(trial.segment(login, OUT, 1, &bytes(BLANK)).finding, None);
}

#[test]
fn requests_for_more_are_few() {
    // May be a legacy opening for ever, one byte at a time, and never gets long enough.
    let mut trial = Trial::new();
    let mut asked = 0;
    for seq in 0..23 {
        asked += u32::from(trial.segment(tcp(1), OUT, 100 + seq, &[0x87]).more);
    }
    assert!(asked <= 16, "{asked}");
    let mut asked = u32::from(trial.segment(tcp(2), OUT, 100, &[0x87; 14]).more);
    for _ in 0..100 {
        asked += u32::from(trial.segment(tcp(2), IN, 100, &[0x87; 14]).more);
        asked += u32::from(trial.segment(tcp(2), OUT, 113, &[0x87]).more);
    }
    assert!(asked <= 16, "{asked}");
}

#[test]
fn text_is_not_waited_for() {
    let mut trial = Trial::new();
    assert_eq!(trial.segment(tcp(1), OUT, 1, b"EHLO there\r\n").more, 0);
}

#[test]
fn repetitions_do_not_use_up_what_was_asked_for() {
    let mut trial = Trial::new();
    let opening = bytes(KEY_C1);
    let mut coming = 1;
    for at in [0, 0, 0, 0, 0, 10, 10, 20, 30, 40, 47] {
        assert!(coming > 0, "{at}");
        let answer = trial.segment(tcp(1), OUT, 1 + at as u32, &opening[at..at + 10]);
        coming = (coming - 1).max(answer.more);
    }
    assert_eq!(trial.found().len(), 1);
}

#[test]
fn another_connection_between_the_same_ports_is_judged_anew() {
    let mut trial = Trial::new();
    trial.segment(tcp(9), OUT, 1_000, &[1; 60]);
    trial.segment(tcp(9), IN, 2_000, &[1; 60]);
    let answer = trial.segment(tcp(9), OUT, 0x9000_0000, &bytes(KEY_C1));
    assert!(answer.finding.is_some());
}

#[test]
fn bytes_after_the_opening_are_not_taken_for_one() {
    let mut trial = Trial::new();
    trial.segment(tcp(9), OUT, 1_000, &[1; 60]);
    trial.segment(tcp(9), IN, 2_000, &[1; 60]);
    assert_eq!(
        trial.segment(tcp(9), OUT, 1_060, &bytes(KEY_C1)).finding,
        None
    );
    assert_eq!(
        trial
            .segment(tcp(9), IN, 2_060, &bytes(SERVER_HELLO))
            .finding,
        None
    );
}

#[test]
fn a_challenge_is_a_run_of_low_bytes() {
    let challenge = &bytes(CLIENT_HELLO)[56..];
    assert_eq!(lcg::run_length(challenge), 15);
    assert_eq!(padding(challenge[0], 16), challenge);
}
