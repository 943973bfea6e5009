//! Who has to make room when memory is full. How much there is at most: `tests/memory.rs`.

use skype_ips::engine::Settings;
use skype_ips_common::layout::{FlowKey, mapped};

use crate::support::{Trial, padding, probe, steps, tcp, udp};

fn small() -> Settings {
    Settings {
        max_flows: 8,
        max_endpoints: 8,
        ..Settings::default()
    }
}

#[test]
fn a_flood_of_look_alikes_does_not_drive_out_a_proved_endpoint() {
    let mut trial = Trial::with(small());
    let skype = udp([198, 51, 100, 1], 9);
    trial.datagram(skype, true, &probe(2, 7));
    trial.datagram(skype, true, &probe(4, steps(7, 1)));
    for host in 0..10_000_u32 {
        let [_, a, b, c] = host.to_be_bytes();
        let flow = FlowKey {
            inside: mapped([10, a, b, c]),
            ..skype
        };
        trial.datagram(
            flow,
            true,
            &probe(host as u16, host.wrapping_mul(0x9e37_79b9)),
        );
    }
    assert!(trial.engine.finding(&skype).is_some());
    assert_eq!(trial.forgotten(), 0);
}

#[test]
fn proved_endpoints_make_room_for_each_other() {
    let mut trial = Trial::with(small());
    for port in 0..100 {
        let flow = FlowKey {
            inside: mapped([10, 0, 0, port]),
            ..udp([198, 51, 100, 1], 9)
        };
        trial.datagram(flow, true, &probe(2, 7));
        trial.datagram(flow, true, &probe(4, steps(7, 1)));
        assert!(trial.engine.finding(&flow).is_some(), "{port}");
    }
    let known = (0..100).filter(|port| {
        let flow = FlowKey {
            inside: mapped([10, 0, 0, *port]),
            ..udp([198, 51, 100, 1], 9)
        };
        trial.engine.finding(&flow).is_some()
    });
    assert!(known.count() <= 8);
    assert!(trial.forgotten() >= 92);
}

#[test]
fn found_flows_make_room_for_each_other() {
    let mut trial = Trial::with(small());
    let opening = [vec![1; 48], padding(9, 20)].concat();
    for port in 0..100 {
        assert!(
            trial
                .segment(tcp(port), true, 1, &opening)
                .finding
                .is_some()
        );
    }
    let known = (0..100).filter(|port| trial.engine.finding(&tcp(*port)).is_some());
    assert_eq!(known.count(), 8);
}
