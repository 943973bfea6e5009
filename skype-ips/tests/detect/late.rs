//! Media in Microsoft's dialect, and the names that tell whose it is.

use fastrand::Rng;
use skype_ips::engine::{Answer, Event, Settings};
use skype_ips::policy::{Class, Confidence, Config};
use skype_ips::simulator::speech::quic::{Client, Version};
use skype_ips::simulator::speech::tls::{self, Hello};
use skype_ips::simulator::speech::{dns, stun};
use skype_ips_common::layout::FlowKey;

use crate::support::{SECOND, Trial, tcp, udp};

pub(crate) const SKYPE: &str = "login.skype.com";
pub(crate) const TEAMS: &str = "teams.microsoft.com";
pub(crate) const BOTH: &str = "api.asm.skype.com";
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// With the packs that are built in.
pub(crate) fn trial() -> Trial {
    Trial::with(Settings {
        knowledge: Config::default_for_replay().knowledge,
        ..Settings::default()
    })
}

fn media() -> FlowKey {
    udp([52, 114, 1, 2], 3478)
}

pub(crate) fn look_up(trial: &mut Trial, name: &str) -> Answer {
    trial.datagram(udp([9, 9, 9, 9], 53), true, &dns::query(7, name))
}

/// A check with both marks.
fn check(trial: &mut Trial) -> Answer {
    let check = stun::binding_request(&mut Rng::with_seed(trial.now));
    trial.datagram(media(), true, &check)
}

fn check_with(trial: &mut Trial, attributes: &[u16]) -> Answer {
    let attributes = attributes.iter();
    let attributes: Vec<_> = attributes
        .map(|kind| stun::attribute(*kind, &[1; 4]))
        .collect();
    let check = stun::check(&mut Rng::with_seed(3), &attributes);
    trial.datagram(media(), true, &check)
}

/// What was said: names of the evidence, `ambiguous` or `cleared` before them.
pub(crate) fn said(trial: &Trial) -> Vec<&'static str> {
    let events = trial.events.iter().flat_map(|event| {
        let (word, evidence) = match event {
            Event::Found { evidence, .. } => (None, &evidence[..]),
            Event::Ambiguous { evidence, .. } => (Some("ambiguous"), &evidence[..]),
            Event::Cleared(_) => (Some("cleared"), &[][..]),
            _ => (None, &[][..]),
        };
        word.into_iter().chain(evidence.iter().map(|one| one.name))
    });
    events.collect()
}

#[test]
fn media_without_a_name_is_ambiguous_and_told_once() {
    let mut trial = trial();
    let answer = check(&mut trial);
    assert!(answer.ambiguous && answer.finding.is_none());
    assert!(check(&mut trial).ambiguous);
    assert_eq!(said(&trial), ["ambiguous", "stun-microsoft"]);
}

#[test]
fn media_after_a_name_of_skypes_is_skype_and_cites_both_packets() {
    let mut trial = trial();
    look_up(&mut trial, BOTH);
    assert_eq!(look_up(&mut trial, SKYPE), Answer::default());
    trial.later(MINUTE);
    let finding = check(&mut trial).finding.expect("found");
    assert_eq!(
        (finding.class, finding.confidence),
        (Class::Voice, Confidence::Strong)
    );
    let Some(Event::Found { evidence, .. }) = trial.events.last() else {
        panic!("{:?}", trial.events)
    };
    let cited: Vec<_> = evidence.iter().flat_map(|one| &one.cited).collect();
    let says: Vec<&str> = cited.iter().map(|one| &*one.says).collect();
    assert_eq!(
        says,
        [
            "STUN attribute 0x8054, which only Microsoft's dialect has",
            "STUN attribute 0x8070, which only Microsoft's dialect has",
            "a DNS question, login.skype.com: of Skype's own",
        ]
    );
    // Labels, their lengths and the root, behind the header.
    assert_eq!((cited[2].offset, cited[2].len), (12, 17));
    // Whatever follows in the flow is Skype.
    assert_eq!(
        trial.datagram(media(), false, &[0x80; 40]).finding,
        Some(finding)
    );
}

#[test]
fn ports_that_microsoft_documents_tell_voice_from_video() {
    for (inside, outside, class) in [
        (50_004, 41_000, Class::Voice),
        (50_025, 3478, Class::Video),
        (40_000, 3480, Class::Video),
        (40_000, 41_000, Class::Other),
    ] {
        let mut trial = trial();
        look_up(&mut trial, SKYPE);
        let mut key = udp([52, 114, 1, 2], outside);
        key.inside_port = inside;
        let check = stun::binding_request(&mut Rng::with_seed(1));
        let finding = trial.datagram(key, true, &check).finding.expect("found");
        assert_eq!(finding.class, class, "{inside} {outside}");
    }
}

#[test]
fn media_after_a_name_of_teams_is_nothing() {
    let mut trial = trial();
    look_up(&mut trial, TEAMS);
    for _ in 0..9 {
        assert_eq!(check(&mut trial), Answer::default());
    }
    assert_eq!(said(&trial), [""; 0]);
}

#[test]
fn media_after_names_of_both_is_ambiguous_and_names_both() {
    let mut trial = trial();
    look_up(&mut trial, TEAMS);
    look_up(&mut trial, SKYPE);
    assert!(check(&mut trial).ambiguous);
    assert_eq!(said(&trial), ["ambiguous", "stun-microsoft", "name-seen"]);
}

#[test]
fn one_mark_needs_a_name_and_what_others_have_too_is_none() {
    let mut trial = trial();
    assert_eq!(
        check_with(&mut trial, &[0x8070, 0x8022, 0x8006]),
        Answer::default()
    );
    // The same once more is no other mark.
    assert_eq!(check_with(&mut trial, &[0x8070]), Answer::default());
    look_up(&mut trial, SKYPE);
    assert!(check_with(&mut trial, &[]).finding.is_some());
}

#[test]
fn marks_add_up_over_messages() {
    let mut trial = trial();
    check_with(&mut trial, &[0x8070]);
    assert!(check_with(&mut trial, &[0x8054]).ambiguous);
}

#[test]
fn what_the_outside_sends_condemns_nobody() {
    let mut trial = trial();
    look_up(&mut trial, SKYPE);
    let check = stun::binding_request(&mut Rng::with_seed(1));
    assert_eq!(trial.datagram(media(), false, &check), Answer::default());
    let question = dns::query(7, TEAMS);
    trial.datagram(udp([9, 9, 9, 9], 53), false, &question);
    assert!(trial.datagram(media(), true, &check).finding.is_some());
}

#[test]
fn an_ambiguous_flow_is_decided_by_the_next_check_after_a_name() {
    let mut trial = trial();
    check(&mut trial);
    look_up(&mut trial, SKYPE);
    trial.later(SECOND);
    assert!(check(&mut trial).finding.is_some());
    let expected = ["ambiguous", "stun-microsoft", "stun-microsoft", "name-seen"];
    assert_eq!(said(&trial), expected);
}

#[test]
fn an_ambiguous_flow_is_cleared_by_a_name_of_teams() {
    let mut trial = trial();
    check(&mut trial);
    look_up(&mut trial, TEAMS);
    assert_eq!(check(&mut trial), Answer::default());
    assert_eq!(said(&trial), ["ambiguous", "stun-microsoft", "cleared"]);
}

#[test]
fn a_name_of_more_than_ten_minutes_ago_tells_nothing() {
    let mut trial = trial();
    look_up(&mut trial, SKYPE);
    trial.later(10 * MINUTE + 1);
    assert!(check(&mut trial).ambiguous);
}

#[test]
fn a_name_of_teams_keeps_media_from_skype_for_hours() {
    for (hours, told) in [(12, false), (13, true)] {
        let mut trial = trial();
        look_up(&mut trial, TEAMS);
        trial.later(hours * 60 * MINUTE);
        look_up(&mut trial, SKYPE);
        assert_eq!(check(&mut trial).finding.is_some(), told, "{hours}");
    }
}

#[test]
fn names_of_another_host_tell_nothing() {
    let mut trial = trial();
    let mut other = udp([9, 9, 9, 9], 53);
    other.inside[15] += 1;
    trial.datagram(other, true, &dns::query(7, SKYPE));
    assert!(check(&mut trial).ambiguous);
}

/// Everything that asks for a name, with what it asks.
pub(crate) fn askers(name: &str) -> Vec<(FlowKey, Vec<Vec<u8>>)> {
    let mut rng = Rng::with_seed(5);
    let message = tls::client_hello(&mut rng, Hello::PostQuantum, name);
    let tls = tls::records(&message, 16_384);
    let quic = Client::new(&mut rng, Version::Two).hello(&mut rng, &message, true);
    let http = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    vec![
        (udp([9, 9, 9, 9], 53), vec![dns::query(7, name)]),
        (udp([1, 2, 3, 4], 443), quic),
        (tcp(443), vec![tls]),
        (tcp(80), vec![http.into_bytes()]),
    ]
}

#[test]
fn every_protocol_that_asks_for_a_name_tells() {
    for at in 0..4 {
        for (name, ambiguous) in [(SKYPE, false), (TEAMS, false), (BOTH, true)] {
            let mut trial = trial();
            let (key, payloads) = askers(name).swap_remove(at);
            for payload in payloads {
                trial.segment(key, true, 9, &payload);
            }
            let answer = check(&mut trial);
            assert_eq!(answer.ambiguous, ambiguous, "{at} {name}");
            assert_eq!(answer.finding.is_some(), name == SKYPE, "{at} {name}");
        }
    }
}

#[test]
fn a_question_for_a_name_is_not_skype_itself() {
    let mut trial = trial();
    for _ in 0..20 {
        assert_eq!(look_up(&mut trial, SKYPE), Answer::default());
    }
    assert!(trial.events.is_empty());
}

#[test]
fn a_quic_hello_proves_its_flow_whatever_follows() {
    let mut trial = trial();
    let key = udp([1, 2, 3, 4], 443);
    let (_, datagrams) = askers(SKYPE).swap_remove(1);
    let answers: Vec<_> = datagrams
        .iter()
        .map(|datagram| trial.datagram(key, true, datagram).finding)
        .collect();
    let finding = answers.last().copied().flatten().expect("found");
    assert_eq!(
        (finding.class, finding.confidence),
        (Class::Other, Confidence::Exact)
    );
    assert_eq!(trial.found(), [("quic-server-name", false)]);
    assert_eq!(
        trial.datagram(key, false, &[0x40; 30]).finding,
        Some(finding)
    );
    // From outside it is some other client's.
    let mut trial = self::trial();
    for datagram in &datagrams {
        assert_eq!(trial.datagram(key, false, datagram), Answer::default());
    }
}
