use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use skype_ips_common::lcg;

use super::super::fake::FakeNet;
use super::*;
use crate::simulator::net::program::{Event, Ground, Program};
use crate::simulator::speech::{fake_tls, key_exchange, legacy};

const PORT: u16 = 44_000;
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const LISTENER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const OPENINGS: [Opening; 3] = [Opening::KeyExchange, Opening::Legacy, Opening::OldLegacy];

/// Connects or listens, and keeps what it hears; answers pings.
struct Talker {
    process: Process,
    connect: Option<(Opening, bool)>,
    session: Option<Session>,
    heard: Vec<Heard>,
}

impl Talker {
    fn new(seed: u64, connect: Option<(Opening, bool)>) -> Self {
        Self {
            process: Process::client(&mut fastrand::Rng::with_seed(seed)),
            connect,
            session: None,
            heard: Vec::new(),
        }
    }
}

impl Program for Talker {
    fn start(&mut self, host: &mut dyn Host) {
        if self.connect.is_some() {
            let to = SocketAddrV4::new(LISTENER, PORT);
            host.connect(to, Ground::skype("peer"));
        } else {
            host.listen(PORT);
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Connected => {
                let (opening, disguise) = self.connect.expect("this one connects");
                let process = &mut self.process;
                let mut session = Session::connect(host, connection, process, opening, disguise);
                // Said too early: waits.
                session.tell(host, &Message::Ping);
                session.media(host, 7, &[9; 63]);
                self.session = Some(session);
            }
            Event::Accepted { .. } => self.session = Some(Session::accept(connection)),
            Event::Received(bytes) => {
                let session = self.session.as_mut().expect("there is a connection");
                let heard = session.receive(host, &mut self.process, &bytes);
                for one in &heard {
                    if let Heard::Message { number, message } = one
                        && *message == Message::Ping
                    {
                        session.answer(host, *number, &Message::Pong);
                    }
                }
                self.heard.extend(heard);
            }
            Event::Finished | Event::Failed(_) => {}
        }
    }
}

fn heard(net: &mut FakeNet, index: usize) -> Vec<Heard> {
    net.with(index, |talker: &mut Talker, _| {
        std::mem::take(&mut talker.heard)
    })
}

/// A whole session, in pieces of so many bytes; the listener's seed decides by chance.
fn session(opening: Opening, disguise: bool, piece: usize, seed: u64) -> FakeNet {
    let mut net = FakeNet::new();
    net.piece = piece;
    let listener = net.add(LISTENER, LISTENER, Talker::new(seed, None));
    let connecting = Talker::new(seed + 1, Some((opening, disguise)));
    net.reseed(listener, seed);
    let client = net.add(CLIENT, CLIENT, connecting);
    net.run(Duration::from_secs(2));
    let [ping, media] = &heard(&mut net, listener)[1..] else {
        panic!("{opening:?}, {disguise}: not both arrived");
    };
    let Heard::Message { number, message } = ping else {
        panic!("a message: {ping:?}");
    };
    assert_eq!(*message, Message::Ping);
    let body = vec![9; 63];
    assert_eq!(*media, Heard::Media { session: 7, body });
    let pong = Heard::Message {
        number: *number,
        message: Message::Pong,
    };
    assert_eq!(heard(&mut net, client), [Heard::Open, pong]);
    net
}

#[test]
fn all_openings_lead_to_a_session_whatever_the_pieces() {
    for opening in OPENINGS {
        for disguise in [false, true] {
            for piece in [1, 2, 3, 7, 13, 14, 47, 48, 49, 72, 79, usize::MAX] {
                for seed in 0..5 {
                    session(opening, disguise, piece, seed);
                }
            }
        }
    }
}

/// Lengths of what is written, by who writes, in order.
fn lengths(net: &FakeNet) -> Vec<(usize, usize)> {
    let segments = net.segments.iter();
    segments.map(|one| (one.host, one.bytes.len())).collect()
}

const LISTENS: usize = 0;
const CONNECTS: usize = 1;

#[test]
fn a_key_exchange_pads_from_the_generator() {
    for seed in 0..100 {
        let net = session(Opening::KeyExchange, false, usize::MAX, seed);
        let [c1, s1, c2, s2, ping, media, pong] = lengths(&net)[..] else {
            panic!("seven segments: {:?}", lengths(&net));
        };
        assert_eq!(
            [c1.0, s1.0, c2.0, s2.0],
            [CONNECTS, LISTENS, CONNECTS, LISTENS]
        );
        assert!((48..=111).contains(&c1.1) && (49..=108).contains(&s1.1));
        assert_eq!([c2.1, s2.1], [key_exchange::HASH_LEN; 2]);
        // An IV in front of the first message of each end, then the shortest.
        assert_eq!([ping.1, media.1, pong.1], [4 + 4, MEDIA_HEAD + 63, 4 + 4]);
        for segment in &net.segments[..2] {
            let padding = &segment.bytes[key_exchange::KEY_LEN..];
            assert_eq!(lcg::run_length(padding), padding.len().saturating_sub(1));
        }
    }
}

#[test]
fn a_legacy_opening_shows_its_keystream_twice() {
    for seed in 0..100 {
        let net = session(Opening::Legacy, false, usize::MAX, seed);
        assert!(lengths(&net).iter().all(|(_, len)| *len <= 73));
        for segment in &net.segments[..2] {
            let bytes = &segment.bytes;
            let clear = [0, 0, 0, 1, 0, 0, 0];
            let pairs = bytes[6..].iter().zip(&bytes[16..]).zip(clear);
            let padding: Vec<u8> = pairs.map(|((a, b), c)| a ^ b ^ c).collect();
            assert_eq!(lcg::run_length(&padding), 6);
        }
    }
}

#[test]
fn the_oldest_opening_has_fourteen_bytes() {
    let net = session(Opening::OldLegacy, false, usize::MAX, 1);
    assert_eq!(lengths(&net)[0], (CONNECTS, legacy::SHORTEST));
    assert!((26..=73).contains(&lengths(&net)[1].1));
}

#[test]
fn a_disguise_has_both_hellos_and_now_and_then_the_streams_start() {
    let mut at_once = 0;
    for opening in OPENINGS {
        for seed in 0..50 {
            let net = session(opening, true, usize::MAX, seed);
            let [hello, answer, ..] = &net.segments[..] else {
                panic!("two hellos");
            };
            assert_eq!(hello.bytes[..56], fake_tls::CLIENT_HELLO);
            assert_eq!(lcg::run_length(&hello.bytes[56..]), 15);
            assert_eq!(answer.bytes[..79], fake_tls::SERVER_HELLO);
            let more = answer.bytes.len() - 79;
            assert!(more == 0 || more == 14 && opening != Opening::KeyExchange);
            at_once += usize::from(more > 0);
        }
    }
    assert!((20..60).contains(&at_once), "40 of 100: {at_once}");
}

#[test]
fn ivs_come_from_the_generator_that_datagrams_use() {
    let mut net = FakeNet::new();
    net.add(LISTENER, LISTENER, Talker::new(1, None));
    let connecting = Talker::new(2, Some((Opening::Legacy, false)));
    let before = connecting.process.generator.state();
    net.add(CLIENT, CLIENT, connecting);
    net.run(Duration::from_secs(2));
    let iv = net.segments[0].bytes.first_chunk().expect("an IV");
    assert!(lcg::distance(before, u32::from_be_bytes(*iv)) <= 4);
}

/// Writes something foreign to a listener; what that answers.
fn answer_to(bytes: &[u8]) -> (Vec<Heard>, Vec<u8>) {
    struct Stranger(Vec<u8>);
    impl Program for Stranger {
        fn start(&mut self, host: &mut dyn Host) {
            host.connect(SocketAddrV4::new(LISTENER, PORT), Ground::other("probe"));
        }

        fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
            if event == Event::Connected {
                host.write(connection, &self.0);
            }
        }
    }
    let mut net = FakeNet::new();
    let listener = net.add(LISTENER, LISTENER, Talker::new(1, None));
    net.add(CLIENT, CLIENT, Stranger(bytes.to_vec()));
    net.run(Duration::from_secs(2));
    let answers = net.segments.iter().filter(|one| one.host == listener);
    let answer = answers.flat_map(|one| one.bytes.clone()).collect();
    (heard(&mut net, listener), answer)
}

#[test]
fn a_listener_answers_strangers_as_recorded() {
    let (heard, answer) = answer_to(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(heard, [Heard::Foreign]);
    assert!(answer.starts_with(b"HTTP/1.0 501 "));
    // The first bytes of an SMB negotiation, as arkime_smb-port80.pcap has it.
    let (heard, answer) = answer_to(b"\0\0\0\x85\xffSMB\x72\0\0\0\0\x18\x53\xc8");
    assert_eq!(heard, []);
    assert!((49..=108).contains(&answer.len()));
    let padding = &answer[key_exchange::KEY_LEN..];
    assert_eq!(lcg::run_length(padding), padding.len() - 1);
    // Enough of anything turns out to be no key exchange.
    assert_eq!(answer_to(&[0x55; 300]).0, [Heard::Foreign]);
}

#[test]
fn a_listener_survives_anything() {
    let mut rng = fastrand::Rng::with_seed(5);
    let beginnings: [&[u8]; 5] = [
        b"",
        b"GET",
        &fake_tls::CLIENT_HELLO,
        &[0x16, 3, 1, 0, 0],
        b"\x80\x46",
    ];
    for _ in 0..200 {
        let len = rng.usize(..400);
        let noise = crate::simulator::speech::noise(&mut rng, len);
        let begin = beginnings[rng.usize(..beginnings.len())];
        let (heard, _) = answer_to(&[begin, &noise].concat());
        assert!(heard.is_empty() || heard == [Heard::Foreign], "{heard:?}");
    }
}

#[test]
fn a_fake_hello_that_differs_is_no_disguise() {
    let mut hello = fake_tls::client_hello(&mut crate::simulator::speech::Generator::new(1));
    hello[40] ^= 1;
    let (_, answer) = answer_to(&hello);
    assert!(!answer.starts_with(&fake_tls::SERVER_HELLO[..5]) && !answer.is_empty());
}

#[test]
fn spoilt_bytes_end_the_session() {
    let mut net = FakeNet::new();
    let listener = net.add(LISTENER, LISTENER, Talker::new(1, None));
    let connecting = Talker::new(2, Some((Opening::Legacy, false)));
    let client = net.add(CLIENT, CLIENT, connecting);
    net.run(Duration::from_secs(2));
    heard(&mut net, listener);
    let connection = net.with(client, |talker: &mut Talker, host| {
        let connection = talker.session.as_ref().expect("open").connection();
        let noise = crate::simulator::speech::noise(host.rng(), 60_000);
        host.write(connection, &noise);
        connection
    });
    net.run(Duration::from_secs(2));
    assert_eq!(heard(&mut net, listener).last(), Some(&Heard::Foreign));
    net.with(client, |_: &mut Talker, host| {
        host.write(connection, &[0x33; 1000]);
    });
    net.run(Duration::from_secs(2));
    assert_eq!(heard(&mut net, listener), []);
}

#[test]
fn frames_of_all_lengths_come_apart_again() {
    for media in [false, true] {
        for len in [0, 1, 63, 64, 255, 256, LONGEST] {
            let bytes = framed(media, &vec![1; len]);
            let (kind, range) = frame(&bytes).expect("whole");
            assert_eq!((kind, range.len(), range.end), (media, len, bytes.len()));
        }
    }
}
