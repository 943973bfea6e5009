//! Every vector of the shared collection, where it is found.

use serde_json::Value;

use crate::support::{MILLISECOND, Trial, bytes, tcp, udp};

fn vectors() -> Option<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/skype-vectors.json"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no vectors at {path}");
        return None;
    };
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn hex(value: &Value, name: &str) -> Vec<u8> {
    bytes(value[name].as_str().expect("hexadecimal text"))
}

/// What proves a connection of which the first segments and the heads of both streams are given.
fn proof(vector: &Value) -> Vec<&'static str> {
    let mut trial = Trial::new();
    for (outbound, segment, stream) in [
        (true, "c2s_first_segment", "c2s_stream_head"),
        (false, "s2c_first_segment", "s2c_stream_head"),
    ] {
        let (segment, stream) = (hex(vector, segment), hex(vector, stream));
        if !segment.is_empty() {
            trial.segment(tcp(1), outbound, 7, &segment);
            let next = 7 + segment.len() as u32;
            trial.segment(
                tcp(1),
                outbound,
                next,
                stream.get(segment.len()..).unwrap_or_default(),
            );
        }
    }
    trial.found().iter().map(|(name, _)| *name).collect()
}

#[test]
fn every_connection_is_found_by_the_test_that_it_is_for() {
    let Some(vectors) = vectors() else { return };
    for (kind, name) in [
        ("legacy_rc4_reuse", "tcp-legacy-stream"),
        ("login_blank_records", "login-handshake"),
        ("dh48_lcg_tail", "tcp-key-exchange"),
        ("fake_ssl_client", "tls-fake-client"),
        // Their clients open with the fake hello, which is found first.
        ("fake_ssl_server", "tls-fake-client"),
    ] {
        for vector in list(&vectors["tcp"][kind]) {
            // A blank record without an answer proves nothing by itself.
            let unanswered = kind == "login_blank_records" && vector["s2c_first_segment"] == "";
            let expected = if unanswered { &[][..] } else { &[name] };
            assert_eq!(proof(vector), expected, "{vector}");
        }
    }
}

#[test]
fn every_run_of_ivs_proves_its_endpoint_with_the_second_datagram() {
    let Some(vectors) = vectors() else { return };
    for run in list(&vectors["lcg"]["iv_runs"]) {
        let mut trial = Trial::new();
        for (index, packet) in list(&run["packets"]).iter().enumerate() {
            let mut payload = [&hex(packet, "id")[..], &[2], &hex(packet, "iv")].concat();
            payload.extend(hex(packet, "crc"));
            payload.resize(packet["len"].as_u64().expect("a length") as usize, 0);
            trial.later(100 * MILLISECOND);
            trial.datagram(udp([198, 51, 100, index as u8], 9), true, &payload);
            assert_eq!(trial.found().len(), usize::from(index > 0));
        }
    }
}

#[test]
fn every_udp_exchange_proves_the_endpoint() {
    let Some(vectors) = vectors() else { return };
    for (kind, name) in [
        ("nack_resend", "udp-resend"),
        ("retransmission", "udp-retransmission"),
    ] {
        for exchange in list(&vectors["udp"][kind]) {
            let peer = exchange["peer"].as_str().expect("an address");
            let peer: std::net::SocketAddrV4 = peer.parse().expect("an address and a port");
            let flow = udp(peer.ip().octets(), peer.port());
            let mut trial = Trial::new();
            for packet in list(&exchange["packets"]) {
                trial.later(100 * MILLISECOND);
                trial.datagram(flow, packet["dir"] == "out", &hex(packet, "hex"));
            }
            let found = trial.found();
            assert!(found.contains(&(name, true)), "{kind}: {found:?}");
        }
    }
}
