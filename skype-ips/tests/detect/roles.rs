//! What hosts do for others, from counters and messages: relays, super nodes, listening ports.

use skype_ips::engine::{Event, Finding, Subject, TICK};
use skype_ips::policy::{Class, Role};
use skype_ips::simulator::speech::media::{Media, Voice};
use skype_ips_common::layout::{EndpointKey, FlowKey, FlowState, TCP, UDP, mapped};

use crate::support::{SECOND, Trial, padding, probe, steps, udp};

const OUT: bool = true;
const IN: bool = false;
const MINUTE: u64 = 60 * SECOND;
/// As [`skype_ips::hosts::endpoints::PROVED_LIFE`].
const TWENTY_MINUTES: u64 = 20 * MINUTE;

/// A host whose Skype is known, and what the gate counts of its flows.
struct Host {
    trial: Trial,
    flows: Vec<(FlowKey, FlowState)>,
    iv: u32,
}

impl Host {
    fn new() -> Self {
        let mut trial = Trial::new();
        trial.datagram(udp([203, 0, 113, 77], 33_033), OUT, &probe(2, 7));
        trial.datagram(udp([203, 0, 113, 78], 33_033), OUT, &probe(4, steps(7, 1)));
        trial.events.clear();
        let (flows, iv) = (Vec::new(), steps(7, 1));
        Self { trial, flows, iv }
    }

    /// The host sends a message.
    fn says(&mut self, key: FlowKey) {
        self.iv = steps(self.iv, 1);
        let id = self.iv as u16;
        self.trial.datagram(key, OUT, &probe(id, self.iv));
    }

    fn state(&mut self, key: FlowKey) -> &mut FlowState {
        let place = self.flows.iter().position(|(known, _)| *known == key);
        let place = place.unwrap_or_else(|| {
            self.flows.push((key, FlowState::default()));
            self.flows.len() - 1
        });
        &mut self.flows[place].1
    }

    /// The gate counts packets of so many payload bytes.
    fn count(&mut self, key: FlowKey, outbound: bool, payloads: &[usize]) {
        let now = self.trial.now;
        let headers = if key.protocol == TCP { 40 } else { 28 };
        let state = self.state(key);
        let direction = usize::from(!outbound);
        for payload in payloads {
            state.packets[direction] += 1;
            state.bytes[direction] += (payload + headers) as u64;
            state.large[direction] += u32::from(*payload >= 400);
            state.last_seen = now;
        }
    }

    /// It is looked at; half a second goes by.
    fn look(&mut self) {
        self.trial.now += TICK;
        let now = self.trial.now;
        for key in self.trial.engine.watching() {
            if let Some((_, state)) = self.flows.iter().find(|(known, _)| *known == key) {
                let events = &mut self.trial.events;
                self.trial.engine.counters(now, &key, state, events);
            }
        }
        self.trial.engine.tick(now, &mut self.trial.events);
    }

    fn roles(&self) -> Vec<(Subject, Finding, u32)> {
        let events = self.trial.events.iter().filter_map(|event| match event {
            Event::Found {
                subject,
                finding,
                session,
                ..
            } => Some((*subject, *finding, *session)),
            _ => None,
        });
        events.collect()
    }
}

/// What a voice sends between each two looks.
fn voice(seed: u64, looks: u64, variable: bool) -> Vec<Vec<usize>> {
    let voice = Voice {
        interval: 30,
        rate: 16_000,
        redundancy: 1,
        variable,
    };
    let mut said = vec![Vec::new(); looks as usize];
    let seconds = looks * TICK / SECOND;
    let beats = Media::Call(voice).beats(&mut fastrand::Rng::with_seed(seed), seconds);
    for beat in beats.iter().filter(|beat| beat.outbound) {
        said[(beat.at / TICK) as usize].push(beat.len);
    }
    said
}

const A: [u8; 4] = [203, 0, 113, 1];
const B: [u8; 4] = [203, 0, 113, 2];

/// The host carries a call between two for so many looks.
fn relay(host: &mut Host, looks: u64) -> [FlowKey; 2] {
    let legs = [udp(A, 4001), udp(B, 4002)];
    for leg in legs {
        host.trial.datagram(leg, IN, &probe(9, 99));
        host.says(leg);
        host.count(leg, OUT, &[18]);
    }
    host.look();
    let voices = [voice(1, looks, true), voice(2, looks, true)];
    let said = |who: usize, at: usize| &voices[who][at][..];
    for at in 0..looks as usize - 2 {
        for (from, to) in [(0, 1), (1, 0)] {
            host.count(legs[from], IN, said(from, at));
            host.count(legs[to], OUT, said(from, at));
        }
        host.look();
    }
    legs
}

#[test]
fn both_legs_of_a_relay_are_found_with_one_session_and_what_they_carry() {
    let mut host = Host::new();
    let legs = relay(&mut host, 24);
    let found: Vec<_> = host
        .roles()
        .into_iter()
        .filter(|(_, finding, _)| finding.role == Role::Relay)
        .collect();
    let [(one, finding, session), (other, _, same)] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((finding.class, session), (Class::Voice, same));
    assert_ne!(session, 0);
    let mut subjects = [one, other];
    subjects.sort_by_key(|subject| *subject != Subject::Flow(legs[0]));
    assert_eq!(subjects, legs.map(Subject::Flow));
    for leg in legs {
        assert_eq!(
            host.trial.engine.finding(&leg).map(|found| found.role),
            Some(Role::Relay)
        );
    }
    let hosts = host.trial.engine.hosts();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].roles[0].role, Role::Relay);
    let flows = host.trial.engine.flows();
    assert_eq!(
        flows.iter().filter(|flow| flow.session == session).count(),
        2
    );
}

#[test]
fn a_leg_over_which_nothing_comes_any_more_is_a_clients_again() {
    let mut host = Host::new();
    let legs = relay(&mut host, 24);
    for _ in 0..90 * 2 {
        host.look();
    }
    for leg in legs {
        let known = host.trial.engine.finding(&leg).map(|found| found.role);
        assert_eq!(known, Some(Role::Client));
    }
    let ended = host.trial.found();
    assert_eq!(
        ended
            .iter()
            .filter(|(name, _)| *name == "role-ended")
            .count(),
        2
    );
}

#[test]
fn a_leg_that_is_dropped_stays_one_while_its_end_keeps_sending() {
    let mut host = Host::new();
    let legs = relay(&mut host, 24);
    for _ in 0..90 * 2 {
        // What is dropped isn't counted, but seen.
        let now = host.trial.now;
        host.state(legs[0]).last_seen = now;
        host.look();
    }
    let roles = legs.map(|leg| host.trial.engine.finding(&leg).map(|found| found.role));
    assert_eq!(roles, [Some(Role::Relay), Some(Role::Client)]);
}

/// Two calls of one host, with one codec, that begin at once: what comes in by one has nothing to do
/// with what goes out by the other.
#[test]
fn two_calls_with_one_codec_are_no_relay() {
    for seed in 0..100 {
        for variable in [false, true] {
            let mut host = Host::new();
            let calls = [udp(A, 4001), udp(B, 4002)];
            for call in calls {
                host.says(call);
            }
            host.look();
            let looks = 120;
            let voices: Vec<_> = (0..4)
                .map(|one| voice(4 * seed + one, looks, variable))
                .collect();
            let said = |who: usize, at: usize| &voices[who][at][..];
            for at in 0..looks as usize - 2 {
                for (place, call) in calls.into_iter().enumerate() {
                    host.count(call, IN, said(2 * place, at));
                    host.count(call, OUT, said(2 * place + 1, at));
                }
                host.look();
            }
            let roles = host.roles();
            assert!(
                roles
                    .iter()
                    .all(|(_, finding, _)| finding.role == Role::Client),
                "seed {seed}, {variable}: {roles:?}"
            );
        }
    }
}

/// The host sends the same to both, and hears each: a conference that it mixes.
#[test]
fn a_conference_that_a_client_mixes_is_no_relay() {
    for seed in 0..100 {
        let mut host = Host::new();
        let guests = [udp(A, 4001), udp(B, 4002), udp([203, 0, 113, 3], 4003)];
        for guest in guests {
            host.trial.datagram(guest, IN, &probe(9, 99));
            host.says(guest);
        }
        host.look();
        let looks = 120;
        let mixed = voice(1000 + seed, looks, true);
        let voices: Vec<_> = (0..3)
            .map(|one| voice(3 * seed + one, looks, true))
            .collect();
        for at in 0..looks as usize - 2 {
            for (guest, voice) in guests.into_iter().zip(&voices) {
                host.count(guest, IN, &voice[at]);
                host.count(guest, OUT, &mixed[at]);
            }
            host.look();
        }
        assert!(
            host.roles()
                .iter()
                .all(|(_, finding, _)| finding.role == Role::Client),
            "{seed}"
        );
    }
}

/// Files in and out at one steady rate, in packets of one size: every second is like every other, so
/// that they agree says nothing.
#[test]
fn steady_traffic_that_agrees_however_it_is_shifted_accuses_nobody() {
    let mut host = Host::new();
    let files = [udp(A, 4001), udp(B, 4002)];
    for file in files {
        host.says(file);
    }
    host.look();
    for _ in 0..120 {
        host.count(files[0], IN, &[1300; 20]);
        host.count(files[0], OUT, &[20; 10]);
        host.count(files[1], OUT, &[1300; 20]);
        host.count(files[1], IN, &[20; 10]);
        host.look();
    }
    assert!(
        host.roles()
            .iter()
            .all(|(_, finding, _)| finding.role != Role::Relay)
    );
}

/// Others come with a probe, are answered, and connect to the same port.
fn serve(host: &mut Host, others: std::ops::Range<u8>) {
    for other in others {
        let from = [198, 51, 100, other];
        host.trial
            .datagram(udp(from, 4000), IN, &probe(u16::from(other), 0x1234_5678));
        host.says(udp(from, 4000));
        let connection = FlowKey {
            protocol: TCP,
            ..udp(from, 50_000)
        };
        let opening = [vec![7; 48], padding(3, 12)].concat();
        host.trial.segment(connection, IN, 1, &opening);
        host.count(connection, IN, &[60]);
        host.count(connection, OUT, &[60]);
    }
    host.look();
}

#[test]
fn an_endpoint_that_serves_others_is_a_super_node_and_its_connections_are_served() {
    let mut host = Host::new();
    serve(&mut host, 1..6);
    assert!(
        host.roles()
            .iter()
            .all(|(_, finding, _)| finding.role == Role::Client)
    );
    serve(&mut host, 6..9);
    let endpoint = udp(A, 1).endpoint();
    let roles = host.roles();
    assert!(roles.iter().any(|(subject, finding, _)| {
        *subject == Subject::Endpoint(endpoint) && finding.role == Role::SuperNode
    }));
    // The port of its connections too, and those that are there already, at the next look.
    let listening = host.trial.events.iter().any(|event| {
        matches!(event, Event::Listening { endpoint, finding, .. }
            if endpoint.protocol == TCP && finding.role == Role::SuperNode)
    });
    assert!(listening);
    host.look();
    let served = |(subject, finding, _): &&(Subject, Finding, u32)| {
        matches!(subject, Subject::Flow(key) if key.protocol == TCP)
            && finding.role == Role::SuperNode
    };
    assert_eq!(host.roles().iter().filter(served).count(), 8);
    assert_eq!(host.trial.engine.hosts()[0].roles[0].role, Role::SuperNode);
}

#[test]
fn without_service_a_super_node_is_a_client_again() {
    let mut host = Host::new();
    serve(&mut host, 1..9);
    for _ in 0..16 * 120 {
        host.says(udp([203, 0, 113, 77], 33_033));
        host.look();
    }
    let finding = host.trial.engine.finding(&udp(A, 1)).expect("known");
    assert_eq!(finding.role, Role::Client);
    assert!(
        host.trial
            .found()
            .iter()
            .any(|(name, endpoint)| *name == "role-ended" && *endpoint)
    );
}

/// Contacts who call are answered and talk.
#[test]
fn contacts_who_come_and_talk_are_not_served() {
    let mut host = Host::new();
    for seed in 0..20_u8 {
        let friend = udp([198, 51, 100, seed + 1], 4000);
        host.trial
            .datagram(friend, IN, &probe(u16::from(seed), 0x1234_5678));
        host.says(friend);
    }
    host.look();
    assert!(
        host.roles()
            .iter()
            .all(|(_, finding, _)| finding.role == Role::Client)
    );
}

/// A connection from outside to a port of the host, with Skype's opening; the host answers.
fn calls(host: &mut Host, port: u16, from: u8) {
    let connection = FlowKey {
        protocol: TCP,
        inside_port: port,
        ..udp([198, 51, 100, from], 50_000)
    };
    let opening = [vec![7; 48], padding(3, 12)].concat();
    host.trial.segment(connection, IN, 1, &opening);
    host.count(connection, IN, &[60]);
    host.count(connection, OUT, &[60, 8]);
    host.state(connection).called = 1;
    host.look();
}

fn web(host: &mut Host) {
    let connection = FlowKey {
        protocol: TCP,
        inside_port: 443,
        ..udp([198, 51, 100, 200], 50_001)
    };
    let hello = [vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], vec![9; 194]].concat();
    host.trial.segment(connection, IN, 1, &hello);
}

fn listens(host: &mut Host) -> Vec<(u16, bool)> {
    let ports = host.trial.events.drain(..).filter_map(|event| match event {
        Event::Listening { endpoint, .. } => Some((endpoint.port, true)),
        Event::NotListening(endpoint) => Some((endpoint.port, false)),
        _ => None,
    });
    ports.collect()
}

#[test]
fn a_web_port_is_skypes_when_two_were_answered_there_and_nothing_else_was() {
    let mut host = Host::new();
    calls(&mut host, 443, 1);
    assert_eq!(listens(&mut host), []);
    calls(&mut host, 443, 2);
    assert_eq!(listens(&mut host), [(443, true)]);
    web(&mut host);
    host.look();
    assert_eq!(listens(&mut host), [(443, false)]);
}

#[test]
fn a_web_server_keeps_its_port_though_skype_is_called_there() {
    let mut host = Host::new();
    web(&mut host);
    for from in 1..9 {
        calls(&mut host, 443, from);
    }
    assert_eq!(listens(&mut host), []);
    // Each call is found by its first payload all the same.
    assert_eq!(host.roles().len(), 0);
    let called = FlowKey {
        protocol: TCP,
        inside_port: 443,
        ..udp([198, 51, 100, 8], 50_000)
    };
    assert!(host.trial.engine.finding(&called).is_some());
}

/// Each opening with keys whose padding is too short to prove anything; both ends speak.
fn mumble(host: &mut Host, port: u16, called: bool) -> Option<Finding> {
    let connection = FlowKey {
        protocol: TCP,
        inside_port: port,
        ..udp([198, 51, 100, 9], 50_000 + u16::from(called))
    };
    host.trial.called = called;
    let opening = [vec![7; 48], padding(3, 1)].concat();
    host.trial.segment(connection, IN, 1, &opening);
    host.trial.segment(connection, OUT, 1, &opening).finding
}

#[test]
fn a_connection_to_the_listening_port_is_skypes_whatever_it_says() {
    let mut host = Host::new();
    let port = udp(A, 1).inside_port;
    assert_eq!(mumble(&mut host, port, false), None, "opened by the host");
    assert_eq!(mumble(&mut host, port + 1, true), None, "another port");
    let finding = mumble(&mut host, port, true).expect("it is called where Skype listens");
    assert_eq!(
        (finding.class, finding.role),
        (Class::Signaling, Role::Client)
    );
    assert_eq!(host.trial.found(), [("listening-port", false)]);
    // So it is looked at.
    let watched = host.trial.engine.watching();
    assert!(
        watched
            .iter()
            .any(|key| key.protocol == TCP && key.inside_port == port)
    );
}

#[test]
fn a_learned_port_is_given_back_after_twenty_minutes_of_silence() {
    let mut host = Host::new();
    calls(&mut host, 443, 1);
    calls(&mut host, 443, 2);
    host.flows.clear();
    host.trial.events.clear();
    host.trial.later(TWENTY_MINUTES + 2 * SECOND);
    let given_back = listens(&mut host);
    assert!(given_back.contains(&(443, false)), "{given_back:?}");
}

#[test]
fn a_host_that_is_forgotten_is_unknown() {
    let mut host = Host::new();
    relay(&mut host, 24);
    calls(&mut host, 443, 1);
    calls(&mut host, 443, 2);
    host.trial.events.clear();
    let inside = mapped([192, 168, 1, 2]);
    let mut events = Vec::new();
    host.trial.engine.forget(0, &inside, &mut events);
    assert!(host.trial.engine.hosts().is_empty());
    assert!(host.trial.engine.flows().is_empty());
    assert!(host.trial.engine.watching().is_empty());
    let forgotten = |key: EndpointKey| {
        events.iter().any(|event| {
            matches!(event, Event::Forgotten(gone) | Event::NotListening(gone) if *gone == key)
        })
    };
    let endpoint = udp(A, 1).endpoint();
    assert!(forgotten(endpoint) && forgotten(endpoint.listener().expect("no web port")));
    let unknown = events
        .iter()
        .filter(|event| matches!(event, Event::Unknown(key) if key.protocol == UDP));
    assert!(unknown.count() >= 2);
}
