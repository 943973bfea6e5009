//! Windows, budgets, rejection and places, by the capture's time.

use std::path::Path;

use skype_ips::capture::Record;
use skype_ips::engine::Settings;
use skype_ips::policy::{Action, Mode, parse};
use skype_ips::replay::{Driver, Report, Step, private_networks};

use crate::support::{SECOND, START, SYN, probes, tcp, udp};

const HOST: &str = "192.168.7.2:21000";
const PEER: &str = "203.0.113.77:4000";

/// Two probes prove the host's endpoint, in the first two seconds.
fn proof() -> Vec<Record> {
    let probes = probes(99, 2).zip(0_u16..);
    let at = |(payload, at): (Vec<u8>, u16)| {
        let peer = format!("198.51.100.{at}:33033");
        udp(u64::from(at), HOST, &peer, &payload)
    };
    probes.map(at).collect()
}

fn media(seconds: u64) -> Record {
    udp(seconds, HOST, PEER, &[0xd; 972])
}

fn replay(keys: &str, records: &[Record]) -> (Vec<Step>, Report) {
    let text = format!(
        "version = 1\ntimezone = \"UTC\"\n\
         [[budget]]\nname = \"slow\"\nrate = \"1 KB/s\"\nburst = \"2 KB\"\n\
         [[policy]]\nname = \"p\"\nsubnets = [\"192.168.0.0/16\"]\nvoice = {{ throttle = \"slow\" }}\n{keys}"
    );
    let config =
        parse(Path::new("policy.toml"), &text).unwrap_or_else(|problems| panic!("{problems}"));
    let mut driver = Driver::new(
        &config,
        Mode::Enforce,
        Settings::default(),
        &private_networks(),
    );
    let steps = records.iter().map(|record| driver.packet(record)).collect();
    (steps, driver.finish())
}

#[test]
fn a_budget_lets_through_what_it_has_room_for_and_is_named() {
    let mut records = proof();
    // Five packets of 1,000 bytes at once, and one when two are due again.
    records.extend((0..5).map(|_| media(10)));
    records.push(media(12));
    let (steps, report) = replay("default = { throttle = \"slow\" }\n", &records);
    let stopped: Vec<_> = steps[2..]
        .iter()
        .map(|step| step.action == Action::Drop)
        .collect();
    assert_eq!(stopped, [false, false, true, true, true, false]);
    let last = report.records("x.pcap").last().expect("a record");
    assert_eq!(last.policy.action, Action::Throttle);
    assert_eq!(last.policy.budget.as_deref(), Some("slow"));
    assert_eq!(last.policy.dropped_pkts, 3);
    assert_eq!(report.stats.dropped, 3);
}

#[test]
fn what_is_rejected_counts_as_dropped() {
    let mut records = proof();
    records.extend([media(10), media(11)]);
    let (steps, report) = replay("default = \"reject\"\n", &records);
    assert_eq!(steps[3].action, Action::Reject);
    let last = report.records("x.pcap").last().expect("a record");
    assert_eq!(
        (last.policy.action, last.policy.dropped_pkts),
        (Action::Reject, 2)
    );
}

#[test]
fn windows_open_and_close_by_the_captures_time() {
    // The capture begins at 01:46:40 in UTC.
    assert_eq!(START % (86_400 * SECOND), (3_600 + 46 * 60 + 40) * SECOND);
    let keys = "[[policy.window]]\n\
         days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
         from = \"01:48\"\nto = \"01:50\"\ndefault = \"drop\"\n";
    let mut records = proof();
    records.extend([79, 80, 199, 200].map(media));
    let (steps, _) = replay(keys, &records);
    let stopped: Vec<_> = steps[2..].iter().map(|step| step.action.stops()).collect();
    assert_eq!(stopped, [false, true, true, false]);
}

#[test]
fn a_named_listening_port_is_closed_to_the_outside_and_the_record_says_so() {
    let records = [
        tcp(0, PEER, "192.168.7.2:35990", SYN, 1, &[]),
        tcp(1, "192.168.7.2:35990", PEER, SYN, 1, &[]),
    ];
    let keys = "listening-port = { action = \"drop\", ports = [35990] }\n";
    let (steps, report) = replay(keys, &records[..1]);
    assert_eq!(steps[0].action, Action::Drop);
    let record = report.records("x.pcap").last().expect("a record");
    assert_eq!(
        (record.policy.action, record.policy.dropped_pkts),
        (Action::Drop, 1)
    );
    let (steps, _) = replay(keys, &records[1..]);
    assert_eq!(steps[0].action, Action::Allow);
}

#[test]
fn the_tag_of_a_record_says_which_policy_is_its_hosts() {
    let keys = "default = \"allow\"\n[[policy]]\nname = \"students\"\nsubnets = [\"192.168.0.0/16\"]\nvlans = [5]\ndefault = \"drop\"\n";
    for (vlan, name, stops) in [(vec![5, 7], "students", true), (vec![7], "p", false)] {
        let mut records = proof();
        records.push(media(10));
        for record in &mut records {
            record.vlan.clone_from(&vlan);
        }
        let (steps, report) = replay(keys, &records);
        assert_eq!(steps[2].action.stops(), stops, "{vlan:?}");
        let last = report.records("x.pcap").last().expect("a record");
        assert_eq!(last.policy.name.as_deref(), Some(name));
    }
}
