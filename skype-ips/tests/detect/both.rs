//! Connections to servers that Skype and Teams both use, and nobody else.

use skype_ips::engine::Answer;
use skype_ips::policy::{Class, Confidence};
use skype_ips_common::layout::FlowKey;

use crate::late::{BOTH, MINUTE, SKYPE, TEAMS, askers, look_up, said, trial};
use crate::support::Trial;

/// What others ask for as well.
const SHARED: &str = "mobile.pipe.aria.microsoft.com";
/// The connections among all that ask: QUIC, TLS and HTTP.
const CONNECTIONS: std::ops::Range<usize> = 1..4;

/// The last answer to a connection that asks for `name`, and its flow.
fn connect(trial: &mut Trial, at: usize, name: &str) -> (Answer, FlowKey) {
    let (key, payloads) = askers(name).swap_remove(at);
    let mut answer = Answer::default();
    let mut seq = 9;
    for payload in payloads {
        answer = trial.segment(key, true, seq, &payload);
        seq += payload.len() as u32;
    }
    (answer, key)
}

#[test]
fn without_a_name_seen_they_are_ambiguous_and_stay_so() {
    for at in CONNECTIONS {
        let mut trial = trial();
        let (answer, key) = connect(&mut trial, at, BOTH);
        assert!(answer.ambiguous && answer.finding.is_none(), "{at}");
        assert_eq!(said(&trial), ["ambiguous", "name-of-both"], "{at}");
        let later = trial.segment(key, false, 77, b"whatever follows");
        assert!(later.ambiguous && later.finding.is_none(), "{at}");
        assert_eq!(trial.events.len(), 1, "{at}");
    }
}

#[test]
fn after_a_name_of_skypes_they_are_skype() {
    for at in CONNECTIONS {
        let mut trial = trial();
        look_up(&mut trial, SKYPE);
        let (answer, key) = connect(&mut trial, at, BOTH);
        let finding = answer.finding.expect("found");
        assert_eq!(trial.engine.finding(&key), Some(finding), "{at}");
        let later = trial.segment(key, false, 77, b"whatever follows");
        assert_eq!(later.finding, Some(finding), "{at}");
        assert_eq!(
            (finding.class, finding.confidence),
            (Class::Other, Confidence::Strong)
        );
        assert_eq!(said(&trial), ["name-of-both", "name-seen"]);
    }
}

#[test]
fn after_a_name_of_teams_they_are_nothing_and_after_both_ambiguous() {
    for at in CONNECTIONS {
        let mut teams = trial();
        look_up(&mut teams, TEAMS);
        assert_eq!(connect(&mut teams, at, BOTH).0, Answer::default(), "{at}");
        assert_eq!(teams.events.len(), 0, "{at}");

        let mut both = trial();
        look_up(&mut both, TEAMS);
        both.later(MINUTE);
        look_up(&mut both, SKYPE);
        assert!(connect(&mut both, at, BOTH).0.ambiguous, "{at}");
        assert_eq!(said(&both), ["ambiguous", "name-of-both", "name-seen"]);
    }
}

#[test]
fn what_others_ask_for_as_well_is_nothing_at_any_time() {
    for at in CONNECTIONS {
        let mut trial = trial();
        look_up(&mut trial, SKYPE);
        assert_eq!(connect(&mut trial, at, SHARED).0, Answer::default(), "{at}");
        assert_eq!(trial.events.len(), 0, "{at}");
    }
}
