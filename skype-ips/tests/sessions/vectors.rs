//! The encoders give the bytes of the shared collection of open captures' packets, when they are
//! given the same inputs: framing by framing, whatever the detectors think of them.

use std::net::Ipv4Addr;

use serde_json::Value;
use skype_ips::simulator::speech::udp::{self, Noise, Parsed, Part};
use skype_ips::simulator::speech::{Generator, fake_tls, key_exchange, legacy, login};

use crate::support::shared_captures;

/// The collection lies beside the captures.
fn vectors() -> Option<Value> {
    let path = shared_captures()?.join("../skype-vectors.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: no vectors at {}", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    let value = path.iter().fold(value, |value, name| &value[name]);
    value.as_array().expect("a list")
}

fn hex(value: &Value, name: &str) -> Vec<u8> {
    let text = value[name].as_str().expect("hexadecimal text");
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal text");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn address_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    u32_at(bytes, at).into()
}

fn noise_of(bytes: &[u8]) -> Noise {
    Noise::new(bytes[2] >> 4)
}

/// A generator that draws this low byte next.
fn generator_before(low: u8) -> Generator {
    let mut all = (0..256).map(Generator::new);
    all.find(|generator| generator.clone().low_bytes(1) == [low])
        .expect("low bytes have the full period")
}

/// What the encoders make of a datagram's own fields.
fn encoded_again(bytes: &[u8]) -> Vec<u8> {
    let (id, noise) = (u16_at(bytes, 0), noise_of(bytes));
    match (bytes[2] & 0x8f, bytes.len()) {
        (0x02, _) => udp::message(id, u32_at(bytes, 3), u32_at(bytes, 7), &bytes[11..]),
        (0x05, 11) => udp::ack(id, noise, address_at(bytes, 3), u32_at(bytes, 7)),
        (0x07, 11) => udp::nack(id, noise, address_at(bytes, 3), u32_at(bytes, 7)),
        (0x03, _) => {
            let (challenge, to) = (u32_at(bytes, 4), address_at(bytes, 8));
            udp::resend(id, noise, challenge, to, u32_at(bytes, 12), &bytes[16..])
        }
        other => panic!("a datagram of type and length {other:x?}"),
    }
}

/// A generator that has gone on for so many steps.
fn advanced(state: u32, steps: u64) -> u32 {
    let mut generator = Generator::new(state);
    generator.advance(steps as u32);
    generator.state()
}

#[test]
fn successive_messages_draw_from_the_generator() {
    let Some(vectors) = vectors() else { return };
    for run in list(&vectors, &["lcg", "iv_runs"]) {
        let packets = list(run, &["packets"]);
        let first = &packets[0];
        let mut iv = u32_at(&hex(first, "iv"), 0);
        for (id, packet) in (0..).step_by(2).zip(packets) {
            let id = u16_at(&hex(first, "id"), 0) + id;
            let steps = packet["steps_from_previous"].as_u64();
            iv = advanced(iv, steps.unwrap_or(0));
            let check = u32_at(&hex(packet, "crc"), 0);
            let head = [
                hex(packet, "id"),
                vec![2],
                hex(packet, "iv"),
                hex(packet, "crc"),
            ];
            assert_eq!(udp::message(id, iv, check, &[]), head.concat(), "{packet}");
        }
    }
}

#[test]
fn published_ivs_are_the_generators_too() {
    let Some(vectors) = vectors() else { return };
    let pairs = list(&vectors, &["published", "iv_pairs"]);
    for pair in pairs {
        let [a, b] = ["a", "b"].map(|name| u32_at(&hex(pair, name), 0));
        assert_eq!(advanced(a, pair["steps"].as_u64().expect("a number")), b);
    }
    assert_eq!(pairs.len(), 3);
    let lcg = &vectors["lcg"];
    let next = |name| lcg[name].as_u64().expect("a number");
    assert_eq!(u64::from(advanced(1, 1)), next("a") + next("c"));
}

#[test]
fn constants() {
    let Some(vectors) = vectors() else { return };
    let constants = &vectors["constants"];
    for (name, bytes) in [
        ("fake_ssl_client_56", &fake_tls::CLIENT_HELLO[..]),
        ("fake_ssl_server_79", &fake_tls::SERVER_HELLO),
        ("login_c", &login::CLIENT_BLANK),
        ("login_s", &login::SERVER_BLANK),
        (
            "login_v1",
            &login::old_request_of(&[0; login::RSA_LEN], &[])[..15],
        ),
        (
            "login_v5_after_record_header",
            &login::new_request_with(&[])[5..],
        ),
    ] {
        assert_eq!(hex(constants, name), bytes, "{name}");
    }
}

#[test]
fn datagrams_of_exchanges() {
    let Some(vectors) = vectors() else { return };
    let mut seen = 0;
    for kind in ["nack_resend", "ack", "retransmission"] {
        for exchange in list(&vectors, &["udp", kind]) {
            for packet in list(exchange, &["packets"]) {
                let bytes = hex(packet, "hex");
                assert_eq!(encoded_again(&bytes), bytes, "{packet}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10);
}

/// The datagrams of an exchange.
fn datagrams(exchange: &Value) -> Vec<Vec<u8>> {
    let packets = list(exchange, &["packets"]).iter();
    packets.map(|packet| hex(packet, "hex")).collect()
}

#[test]
fn a_resend_follows_from_the_message_and_its_nack() {
    let Some(vectors) = vectors() else { return };
    for exchange in list(&vectors, &["udp", "nack_resend"]) {
        let [probe, nack, resend, _] = &datagrams(exchange)[..] else {
            panic!("four datagrams: {exchange}");
        };
        let (id, check) = (u16_at(probe, 0), u32_at(probe, 7));
        let (named, challenge) = (address_at(nack, 3), u32_at(nack, 7));
        assert_eq!(*nack, udp::nack(id, noise_of(nack), named, challenge));
        let peer = exchange["peer"].as_str().expect("an address");
        let peer: std::net::SocketAddrV4 = peer.parse().expect("an address");
        let (noise, cipher) = (noise_of(resend), &resend[16..]);
        let again = udp::resend(id, noise, challenge, *peer.ip(), check, cipher);
        assert_eq!(*resend, again, "{exchange}");
    }
}

#[test]
fn a_repetition_follows_from_the_message_and_the_generator() {
    let Some(vectors) = vectors() else { return };
    let mut seen = 0;
    for exchange in list(&vectors, &["udp", "retransmission"]) {
        let all = datagrams(exchange);
        for (index, message) in all.iter().enumerate() {
            let same = |other: &&Vec<u8>| other[..3] == message[..3];
            let Some(again) = all[index + 1..].iter().find(same) else {
                continue;
            };
            let [before, after] = [message, again].map(|bytes| u32_at(bytes, 3));
            let steps = skype_ips_common::lcg::distance(before, after);
            assert!((1..=33).contains(&steps), "{steps} steps");
            let (id, check) = (u16_at(message, 0), u32_at(message, 7));
            let iv = advanced(before, steps.into());
            assert_eq!(*again, udp::message(id, iv, check, &again[11..]));
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn datagrams_come_apart_as_they_were_put_together() {
    let Some(vectors) = vectors() else { return };
    for kind in ["nack_resend", "ack", "retransmission"] {
        for bytes in list(&vectors, &["udp", kind]).iter().flat_map(datagrams) {
            let noise = noise_of(&bytes);
            let again = match udp::parse(&bytes).expect("one of Skype's") {
                Parsed::Message {
                    id,
                    iv,
                    check,
                    cipher,
                } => udp::message(id, iv, check, cipher),
                Parsed::Nack {
                    id,
                    named,
                    challenge,
                } => udp::nack(id, noise, named, challenge),
                Parsed::Ack { id, named } => udp::ack(id, noise, named, u32_at(&bytes, 7)),
                Parsed::Resend {
                    id,
                    challenge,
                    destination,
                    check,
                    cipher,
                } => udp::resend(id, noise, challenge, destination, check, cipher),
                other => panic!("{other:?}"),
            };
            assert_eq!(again, bytes);
        }
    }
    for packet in list(&vectors, &["udp", "fragments", "packets"]) {
        let head = hex(packet, "head");
        let Some(Parsed::Fragment {
            part,
            iv,
            check,
            data,
        }) = udp::parse(&head)
        else {
            panic!("a fragment: {packet}");
        };
        assert_eq!(udp::fragment(part, noise_of(&head), iv, check, data), head);
    }
}

#[test]
fn fragment_sets() {
    let Some(vectors) = vectors() else { return };
    let packets = list(&vectors, &["udp", "fragments", "packets"]);
    let mut generator = Generator::new(u32_at(&hex(&packets[0], "head"), 7));
    for (number, packet) in packets.iter().enumerate() {
        let head = hex(packet, "head");
        if number > 0 {
            generator.advance(2);
        }
        // Two sets of nine, the second under the next ID.
        let part = Part {
            id: 0xe91e + (number / 9) as u16,
            request: 0x1672,
            index: (number % 9) as u8,
            last: number % 9 == 8,
        };
        let (noise, check) = (noise_of(&head), u32_at(&head, 11));
        let bytes = udp::fragment(part, noise, generator.state(), check, &head[15..]);
        assert_eq!(bytes, head, "{packet}");
        assert!(part.last || packet["len"] == udp::FRAGMENT_LEN);
    }
}

#[test]
fn key_exchanges() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, &["tcp", "dh48_lcg_tail"]) {
        for name in ["c2s_first_segment", "s2c_first_segment"] {
            let bytes = hex(vector, name);
            // One client is a stranger who asks a listener with something else.
            if bytes.len() > key_exchange::KEY_LEN + key_exchange::MAX_PADDING {
                continue;
            }
            let (key, padding) = bytes.split_at(key_exchange::KEY_LEN);
            let mut generator = generator_before(padding[0]);
            let key = key.try_into().expect("48 bytes");
            let again = key_exchange::opening(key, &mut generator, padding.len());
            assert_eq!(again, bytes, "{vector}");
        }
    }
}

#[test]
fn hellos_of_the_fake_tls() {
    let Some(vectors) = vectors() else { return };
    for vector in list(&vectors, &["tcp", "fake_ssl_client"]) {
        let bytes = hex(vector, "c2s_first_segment");
        let mut generator = generator_before(bytes[56]);
        assert_eq!(fake_tls::client_hello(&mut generator), bytes, "{vector}");
    }
    for vector in list(&vectors, &["tcp", "fake_ssl_server"]) {
        let bytes = hex(vector, "s2c_first_segment");
        let turns = fake_tls::disguised(&mut Generator::new(0), Vec::new(), None);
        assert_eq!(turns[1].bytes, bytes[..79], "{vector}");
    }
}

/// The clear contents and the keystream of an opening of whose clear contents the length, the
/// middle of the first message and a padding byte are guessed; the rest follows.
fn uncovered(bytes: &[u8]) -> (legacy::Opening, Vec<u8>) {
    let padding_len = bytes.len() - 16;
    let length = 2 * (padding_len as u8 + 1);
    // Bytes 4 and 14 lie under one key byte.
    let high = bytes[4] ^ bytes[14] ^ length;
    let mut keystream = vec![bytes[4] ^ high, bytes[5]];
    keystream.extend(
        [0, 0, 0, 1, 0, 0, 0]
            .iter()
            .zip(&bytes[6..])
            .map(|(a, b)| a ^ b),
    );
    let padding = generator_before(keystream[2] ^ bytes[16]).low_bytes(padding_len);
    keystream.extend(padding[7..].iter().zip(&bytes[23..]).map(|(a, b)| a ^ b));
    let opening = legacy::Opening {
        iv: u32_at(bytes, 0),
        sequence: u16::from_be_bytes([high, 0]),
        kind: legacy::Kind(keystream[9] ^ bytes[13]),
        unknown: keystream[1] ^ bytes[15],
        padding: Some(padding),
    };
    (opening, keystream)
}

#[test]
fn legacy_streams() {
    let Some(vectors) = vectors() else { return };
    let mut seen = 0;
    for vector in list(&vectors, &["tcp", "legacy_rc4_reuse"]) {
        for name in ["c2s_first_segment", "s2c_first_segment"] {
            let bytes = hex(vector, name);
            if bytes.len() == legacy::SHORTEST {
                continue;
            }
            let (opening, keystream) = uncovered(&bytes);
            assert_eq!(opening.encode(&keystream), bytes, "{vector}");
            assert!([0x01, 0x03, 0x0f].contains(&opening.kind.0), "{vector}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn the_oldest_legacy_openings() {
    let Some(vectors) = vectors() else { return };
    let mut seen = 0;
    for vector in list(&vectors, &["tcp", "legacy_rc4_reuse"]) {
        let bytes = hex(vector, "c2s_first_segment");
        if bytes.len() != legacy::SHORTEST {
            continue;
        }
        let opening = legacy::Opening {
            iv: u32_at(&bytes, 0),
            sequence: 0x1234,
            kind: legacy::Kind(0x03),
            unknown: 0,
            padding: None,
        };
        // Of the keystream only what it makes of known contents is visible.
        let clear = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0x03];
        let keystream: Vec<u8> = clear.iter().zip(&bytes[4..]).map(|(a, b)| a ^ b).collect();
        assert_eq!(opening.encode(&keystream), bytes, "{vector}");
        seen += 1;
    }
    assert!(seen > 0);
}

/// What of an encoder's bytes a capture's beginning shows.
fn shown(bytes: &[u8], visible: &[u8]) -> Vec<u8> {
    let len = bytes.len().min(visible.len());
    bytes[..len].to_vec()
}

/// As much of `bytes` as there is, then zeros.
fn padded(bytes: &[u8], len: usize) -> Vec<u8> {
    let mut padded = bytes[..bytes.len().min(len)].to_vec();
    padded.resize(len, 0);
    padded
}

#[test]
fn logins() {
    let Some(vectors) = vectors() else { return };
    let (mut requests, mut answers) = (0, 0);
    for vector in list(&vectors, &["tcp", "login_blank_records"]) {
        let stream = hex(vector, "c2s_stream_head");
        let mut rest = stream.strip_prefix(&login::CLIENT_BLANK).expect("a blank");
        // One client sends its blank twice.
        rest = rest.strip_prefix(&login::CLIENT_BLANK).unwrap_or(rest);
        if let Some(kind) = rest.get(5) {
            let again = if *kind == 0x41 {
                let block = padded(&rest[15..], login::RSA_LEN);
                login::old_request_of(&block.try_into().expect("192 bytes"), &[])
            } else {
                let length = usize::from(rest[4]);
                assert!(login::NEW_LENGTHS.contains(&rest[4]), "{vector}");
                login::new_request_with(&padded(&rest[13..], length - 8))
            };
            assert_eq!(shown(&again, rest), rest, "{vector}");
            requests += 1;
        }
        let server = hex(vector, "s2c_stream_head");
        let Some(mut rest) = server.strip_prefix(&login::SERVER_BLANK) else {
            assert!(server.is_empty(), "{vector}");
            continue;
        };
        while rest.len() > 5 {
            let body = padded(&rest[5..], usize::from(u16_at(rest, 3)));
            let again = shown(&login::answer_with(&body), rest);
            assert_eq!(again, rest[..again.len()], "{vector}");
            rest = &rest[again.len()..];
            answers += 1;
        }
    }
    assert_eq!((requests, answers), (4, 9));
}
