//! Endless traffic takes bounded memory: an engine with its default settings, a million of
//! everything that it remembers, and every byte that it allocates counted.
//!
//! One test in a program of its own: the counter is the program's allocator. Who has to make room
//! when memory is full is told in `detect/memory.rs`.

use peak_alloc::PeakAlloc;
use skype_ips::detect::media::Counters;
use skype_ips::engine::{Engine, Event, Packet, Settings};
use skype_ips::policy::Config;
use skype_ips::simulator::speech::quic::{Client, Version, crypto};
use skype_ips::simulator::speech::{dns, stun};
use skype_ips_common::layout::{FlowKey, TCP, UDP, mapped};
use skype_ips_common::lcg;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MANY: u32 = 1_000_000;
/// More than the engine remembers of anything.
const FULL: u32 = 80_000;
/// More hellos of QUIC in parts than it keeps.
const HELLOS: u32 = 3000;
/// Most bytes that the engine may ever hold: under four thousand for each of the 65,536
/// endpoints and flows of a kind that its settings allow.
const MOST: usize = 240 << 20;
const MILLISECOND: u64 = 1_000_000;

/// An engine, fed.
struct Trial {
    engine: Engine,
    events: Vec<Event>,
    now: u64,
    found: u32,
}

impl Trial {
    fn packet(&mut self, key: FlowKey, outbound: bool, payload: &[u8]) {
        self.made(key, outbound, (0, payload), 1);
    }

    /// The same, the gate having counted so many of them.
    fn counted_packet(&mut self, key: FlowKey, outbound: bool, payload: &[u8], count: u64) {
        self.made(key, outbound, (0, payload), count);
    }

    /// The same, so many bytes behind the start of its stream.
    fn segment(&mut self, key: FlowKey, outbound: bool, at: u32, payload: &[u8]) {
        self.made(key, outbound, (at, payload), 1);
    }

    /// The one place where a packet is made; 20 milliseconds after the last, so that nothing is
    /// forgotten for its age.
    fn made(&mut self, key: FlowKey, outbound: bool, (at, payload): (u32, &[u8]), count: u64) {
        self.now += MILLISECOND / 50;
        let packet = Packet {
            number: 1,
            now: self.now,
            key,
            outbound,
            called: false,
            tcp_seq: 1 + at,
            tcp_base: Some(1),
            payload,
            payload_len: payload.len() as u32,
        };
        let answer = self.engine.packet(&packet, &mut self.events);
        if let Some(finding) = answer.finding {
            let counters = Counters {
                packets: [count; 2],
                bytes: [100 * count; 2],
                large: [0; 2],
            };
            self.engine
                .traffic(&packet, finding, counters, &mut self.events);
        }
        let found = |event: &Event| matches!(event, Event::Found { .. });
        self.found += self.events.drain(..).filter(found).count() as u32;
    }
}

/// A flow to its own peer; `port` sets those of one kind apart from those of another.
fn flow(protocol: u8, port: u16, number: u32) -> FlowKey {
    let [a, b, c, d] = number.to_be_bytes();
    FlowKey {
        zone: 0,
        protocol,
        reserved: 0,
        inside_port: port,
        outside_port: 33_033,
        inside: mapped([10 + a, b, c, d]),
        outside: mapped([80 + a, d, c, b]),
    }
}

/// A type-2 datagram of 18 bytes.
fn message(id: u16, iv: u32) -> [u8; 18] {
    let mut bytes = [0; 18];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes[2] = 2;
    bytes[3..7].copy_from_slice(&iv.to_be_bytes());
    bytes[7..11].copy_from_slice(&iv.rotate_left(9).to_be_bytes());
    bytes
}

/// Words that have nothing to do with the generator.
fn unrelated(number: u32, at: u32) -> u32 {
    (number ^ at << 20 ^ 0x5bd1_e995)
        .wrapping_mul(0x9e37_79b1)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca77)
}

/// Messages to and fro of an endpoint that is never proved: as many as are remembered.
fn busy_endpoint(trial: &mut Trial, number: u32) {
    for at in 0..5 {
        let datagram = message(at as u16, unrelated(number, at));
        trial.packet(flow(UDP, 1, number), true, &datagram);
        trial.packet(flow(UDP, 1, number), false, &datagram);
    }
}

fn endpoint(trial: &mut Trial, number: u32) {
    let datagram = message(1, unrelated(number, 0));
    trial.packet(flow(UDP, 2, number), true, &datagram);
}

fn proved_endpoint(trial: &mut Trial, number: u32) {
    let iv = unrelated(number, 0);
    trial.packet(flow(UDP, 3, number), true, &message(2, iv));
    trial.packet(flow(UDP, 3, number), true, &message(4, lcg::next(iv)));
}

/// An opening that lacks bytes, and as much of an answer as is kept.
fn busy_connection(trial: &mut Trial, number: u32) {
    trial.packet(flow(TCP, 1, number), true, &[7; 14]);
    trial.packet(flow(TCP, 1, number), false, &[9; 1400]);
}

/// Nothing but what comes before its turn, in as many pieces as are kept and more.
fn overtaken_connection(trial: &mut Trial, number: u32) {
    for at in (2..250).step_by(12) {
        trial.segment(flow(TCP, 4, number), true, at, &[0x87; 8]);
        trial.segment(flow(TCP, 4, number), false, at, &[0x99; 8]);
    }
}

fn connection(trial: &mut Trial, number: u32) {
    trial.packet(flow(TCP, 2, number), true, &[7; 14]);
}

fn found_connection(trial: &mut Trial, number: u32) {
    let mut opening = [1; 60];
    for at in 49..60 {
        opening[at] = lcg::next_byte(opening[at - 1]);
    }
    trial.packet(flow(TCP, 3, number), true, &opening);
}

/// A host that maps ports, asks bootstrap hosts and tries others on one port after the other.
fn busy_host(trial: &mut Trial, number: u32) {
    let key = |protocol, port, outside: u32, outside_port| FlowKey {
        outside: mapped((0x4242_4242 + (outside << 16)).to_be_bytes()),
        outside_port,
        ..flow(protocol, port, number)
    };
    for at in 0..10 {
        let mut request = [0, 1, 0, 0, at as u8, 1, 0, 0, 0, 0, 0x1c, 0x20];
        trial.packet(key(UDP, 19, at, 5351), true, &request);
        request[1] = 2;
        trial.packet(key(UDP, 19, at, 5351), true, &request);
        let datagram = message(at as u16, unrelated(number, at));
        trial.packet(key(UDP, 14, at, 33_033), true, &datagram);
        trial.packet(key(TCP, 14, at, 443), true, &[7; 14]);
    }
}

/// A call in a flow of an endpoint that is proved by it.
fn call(trial: &mut Trial, number: u32) {
    let iv = unrelated(number, 0);
    trial.packet(flow(UDP, 15, number), true, &message(2, iv));
    trial.packet(flow(UDP, 15, number), true, &message(4, lcg::next(iv)));
    let voice = [1, 2, 0x0d, 9, 9, 9, 9];
    trial.counted_packet(flow(UDP, 15, number), true, &voice, 40);
    // To the telephone network, from another port.
    let out = FlowKey {
        outside_port: 12_340,
        ..flow(UDP, 16, number)
    };
    for changing in 0..4 {
        trial.packet(out, true, &[1, 2, 3, 4, changing, 6]);
    }
}

/// A host that asks for the longest names, of both kinds.
fn names(trial: &mut Trial, number: u32) {
    let long = [
        ["a"; 32].concat(),
        ["b"; 60].concat(),
        ["c"; 60].concat(),
        ["d"; 60].concat(),
    ];
    for domain in ["skype.com", "teams.live.com"] {
        let name = format!("{}.{domain}", long.join("."));
        let key = FlowKey {
            outside_port: 53,
            ..flow(UDP, 4, number)
        };
        trial.packet(key, true, &dns::query(1, &name));
    }
}

/// The last part of the longest hello.
fn unfinished_hello(trial: &mut Trial, number: u32) {
    let mut client = Client::new(&mut fastrand::Rng::with_seed(1), Version::One);
    let datagram = client.datagram(&crypto(16_000, &[1; 300]), 0);
    trial.packet(flow(UDP, 5, number), true, &datagram);
}

/// Media that nothing tells whose it is; of hosts that asked for nothing.
fn media(trial: &mut Trial, number: u32) {
    let check = stun::binding_request(&mut fastrand::Rng::with_seed(1));
    trial.packet(flow(UDP, 6, number | 1 << 23), true, &check);
}

/// Media of a host that asked for a name.
fn found_media(trial: &mut Trial, number: u32) {
    let number = number | 1 << 22;
    let key = FlowKey {
        outside_port: 53,
        ..flow(UDP, 4, number)
    };
    trial.packet(key, true, &dns::query(1, "ui.skype.com"));
    let check = stun::binding_request(&mut fastrand::Rng::with_seed(1));
    trial.packet(flow(UDP, 7, number), true, &check);
}

#[test]
fn a_million_of_everything_stays_in_bounds() {
    let before = MEMORY.current_usage();
    let mut trial = Trial {
        engine: Engine::new(Settings {
            knowledge: Config::default_for_replay().knowledge,
            ..Settings::default()
        }),
        events: Vec::new(),
        now: 1_000_000 * MILLISECOND,
        found: 0,
    };
    let mut filled = 0;
    for (name, count, one) in [
        ("busy endpoints", FULL, busy_endpoint as fn(&mut Trial, u32)),
        ("endpoints", MANY, endpoint),
        ("busy connections", FULL, busy_connection),
        ("connections", MANY, connection),
        ("proved endpoints", 2 * FULL, proved_endpoint),
        ("found connections", 2 * FULL, found_connection),
        ("busy hosts", FULL, busy_host),
        ("calls", FULL, call),
        ("names", FULL, names),
        ("media", FULL, media),
        ("found media", FULL, found_media),
        ("unfinished hellos", HELLOS, unfinished_hello),
        ("overtaken connections", FULL, overtaken_connection),
    ] {
        for number in 0..count {
            one(&mut trial, number);
            if number == FULL {
                filled = MEMORY.peak_usage() - before;
            }
        }
        let peak = MEMORY.peak_usage() - before;
        println!("{count} {name}: {} KiB at most", peak >> 10);
        assert!(peak <= MOST, "{name}: {peak} bytes");
        // Once full, it hardly grows: hash tables make room for what was taken out, once.
        let grown = peak - filled.min(peak);
        assert!(
            count <= FULL || grown <= filled / 2,
            "{name}: {filled}, then {peak} bytes"
        );
    }
    // What was to be found was, so the tables of findings were full too.
    assert_eq!(trial.found, 7 * FULL);
}
