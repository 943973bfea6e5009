//! Late Skype: the server names that TLS asks for.

use std::sync::Arc;

use skype_ips::detect::knowledge::Knowledge;
use skype_ips::detect::names::{Names, Owner};
use skype_ips::engine::Settings;
use skype_ips::policy::Class;

use crate::support::{Trial, tcp};

pub(crate) fn trial() -> Trial {
    let mut names = Names::default();
    names.add("skype.com", Owner::Skype);
    names.add("teams.skype.com", Owner::Teams);
    names.add("asm.skype.com", Owner::Shared);
    let knowledge = Arc::new(Knowledge {
        names,
        ..Knowledge::default()
    });
    Trial::with(Settings {
        knowledge,
        ..Settings::default()
    })
}

fn counted(value: &[u8]) -> Vec<u8> {
    [&(value.len() as u16).to_be_bytes()[..], value].concat()
}

/// A hello that asks for `name` after a key share of so many bytes, in one record.
pub(crate) fn hello(name: &str, share: usize) -> Vec<u8> {
    let entry = [&[0][..], &counted(name.as_bytes())].concat();
    let extensions = [
        vec![0, 51],
        counted(&vec![7; share]),
        vec![0, 0],
        counted(&counted(&entry)),
    ];
    let mut body = vec![3, 3];
    body.extend([1; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(counted(&extensions.concat()));
    let len = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &len[1..], &body].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

#[test]
fn a_name_of_skypes_proves_the_flow() {
    let mut trial = trial();
    let answer = trial.segment(tcp(443), true, 9, &hello("api.skype.com", 32));
    let finding = answer.finding.expect("found");
    assert_eq!(finding.class, Class::Other);
    assert_eq!(trial.found(), [("tls-server-name", false)]);
}

#[test]
fn a_name_behind_a_long_key_share_is_waited_for() {
    let mut trial = trial();
    let stream = hello("api.skype.com", 1200);
    let (first, second) = stream.split_at(1100);
    let answer = trial.segment(tcp(443), true, 9, first);
    assert!(answer.finding.is_none() && answer.more > 0);
    trial.segment(tcp(443), true, 9 + 1100, second);
    assert_eq!(trial.found(), [("tls-server-name", false)]);
}

#[test]
fn names_of_others_and_of_both_prove_nothing_and_end_the_matter() {
    for name in ["example.org", "teams.skype.com", "eu-api.asm.skype.com"] {
        let mut trial = trial();
        let answer = trial.segment(tcp(443), true, 9, &hello(name, 32));
        assert_eq!((answer.finding, answer.more), (None, 0), "{name}");
        assert_eq!(trial.found(), [], "{name}");
    }
}

#[test]
fn a_thousand_unfinished_hellos_each_ask_for_little() {
    let mut trial = trial();
    let stream = hello("api.skype.com", 3000);
    let mut asked = 0;
    for port in 0..1000 {
        for (part, bytes) in stream.chunks(100).take(20).enumerate() {
            let seq = 9 + 100 * part as u32;
            asked += u32::from(trial.segment(tcp(port), true, seq, bytes).more);
        }
    }
    assert!(asked <= 16 * 1000, "{asked} packets");
}
