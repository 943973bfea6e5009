//! The encoders give the bytes of the shared collection of open captures' packets, when they are
//! given the same inputs: framing by framing, whatever the detectors think of them.

use std::net::Ipv4Addr;

use serde_json::Value;
use skype_ips::simulator::speech::udp::{self, Noise, Part};
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

#[test]
fn successive_ivs_are_the_generators() {
    let Some(vectors) = vectors() else { return };
    for run in list(&vectors, &["lcg", "iv_runs"]) {
        for pair in list(run, &["packets"]).windows(2) {
            let [before, after] = [0, 1].map(|at| u32_at(&hex(&pair[at], "iv"), 0));
            let steps = pair[1]["steps_from_previous"].as_u64().expect("a number");
            let mut generator = Generator::new(before);
            generator.advance(steps as u32);
            assert_eq!(generator.state(), after);
        }
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
fn logins() {
    let Some(vectors) = vectors() else { return };
    let rng = &mut fastrand::Rng::with_seed(1);
    for vector in list(&vectors, &["tcp", "login_blank_records"]) {
        let stream = hex(vector, "c2s_stream_head");
        assert_eq!(stream[..5], login::CLIENT_BLANK, "{vector}");
        let server = hex(vector, "s2c_stream_head");
        assert!(server.is_empty() || server[..5] == login::SERVER_BLANK);
        // One client sends its blank twice.
        let request = stream[5..]
            .strip_prefix(&login::CLIENT_BLANK)
            .unwrap_or(&stream[5..]);
        let (again, clear) = match request.get(5) {
            Some(0x41) => (login::old_request(rng, 0), 15),
            Some(0x42) => (login::new_request(rng, request[4]), 13),
            _ => continue,
        };
        assert_eq!(again[..clear], request[..clear], "{vector}");
    }
}
