//! Against a client that shares nothing with the detector but its crates.

use proptest::prelude::*;

use super::*;
use crate::simulator::speech::quic::{Client, Version as Spoken, crypto, seal};
use crate::simulator::speech::tls::{self, Hello as Kind};

const NAME: &str = "api.skype.com";

fn versions() -> impl Strategy<Value = Spoken> {
    prop::sample::select(vec![
        Spoken::One,
        Spoken::Two,
        Spoken::Draft(29),
        Spoken::Draft(32),
    ])
}

fn flight(seed: u64, version: Spoken, kind: Kind, scrambled: bool) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let message = tls::client_hello(&mut rng, kind, NAME);
    Client::new(&mut rng, version).hello(&mut rng, &message, scrambled)
}

fn said(datagrams: &[Vec<u8>]) -> Vec<Hello> {
    let mut opening = Opening::default();
    let said = datagrams.iter().map(|datagram| opening.datagram(datagram));
    said.collect()
}

fn name() -> Hello {
    Hello::Name(NAME.into())
}

proptest! {
    #[test]
    fn the_name_is_read_in_every_version_and_order(
        seed: u64,
        version in versions(),
        kind in prop::sample::select(vec![Kind::Plain, Kind::PostQuantum]),
        scrambled: bool,
        swapped: bool,
    ) {
        let mut datagrams = flight(seed, version, kind, scrambled);
        if swapped {
            datagrams.reverse();
        }
        prop_assert!(said(&datagrams).contains(&name()));
    }

    #[test]
    fn a_flipped_bit_is_noticed(seed: u64, at in 0usize..1200, bit in 0u32..8) {
        let mut datagrams = flight(seed, Spoken::One, Kind::Plain, false);
        datagrams[0][at] ^= 1 << bit;
        prop_assert!(!said(&datagrams).contains(&name()));
    }

    #[test]
    fn garbage_is_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..1500), seed: u64) {
        Opening::default().datagram(&bytes);
        let head = flight(seed, Spoken::One, Kind::Plain, false).remove(0);
        let at_hand = bytes.len().min(24);
        bytes[..at_hand].copy_from_slice(&head[..at_hand]);
        Opening::default().datagram(&bytes);
    }

    #[test]
    fn frames_of_any_kind_are_survived(frames in proptest::collection::vec(any::<u8>(), 0..1100)) {
        let mut client = Client::new(&mut fastrand::Rng::with_seed(1), Spoken::One);
        Opening::default().datagram(&client.datagram(&frames, 0));
    }
}

#[test]
fn a_later_part_is_opened_although_the_server_is_called_otherwise_by_then() {
    let mut rng = fastrand::Rng::with_seed(1);
    let message = tls::client_hello(&mut rng, Kind::PostQuantum, NAME);
    let mut client = Client::new(&mut rng, Spoken::One);
    let (one, other) = message.split_at(900);
    let first = client.datagram(&crypto(0, one), 0);
    client.answered(&mut rng);
    // Its acknowledgement of what the server said, then the rest.
    let ack = [0x02, 0x01, 0x00, 0x00, 0x01];
    let rest = client.datagram(&[&ack[..], &crypto(900, other)].concat(), 0);
    assert_eq!(said(&[first, rest]), [Hello::Short, name()]);
}

#[test]
fn a_hello_after_a_retry_is_read() {
    let mut rng = fastrand::Rng::with_seed(2);
    let message = tls::client_hello(&mut rng, Kind::Plain, NAME);
    let frame = crypto(0, &message);
    let half = Client::new(&mut rng, Spoken::One).datagram(&crypto(0, &message[..50]), 0);
    let again = Client::new(&mut rng, Spoken::One).datagram(&frame, 40);
    assert_eq!(said(&[half, again]), [Hello::Short, name()]);
}

#[test]
fn other_packets_and_versions_are_none() {
    let datagram = flight(3, Spoken::One, Kind::Plain, false).remove(0);
    assert!(is_initial(&datagram));
    for (at, byte) in [(0, 0x40), (0, 0xe0), (1, 1), (4, 2), (5, 21)] {
        let mut other = datagram.clone();
        other[at] = byte;
        assert!(!is_initial(&other), "{at}");
    }
    assert!(!is_initial(&datagram[..1199]));
    // Version 2 has other bits for Initial.
    let two = flight(3, Spoken::Two, Kind::Plain, false).remove(0);
    assert!(is_initial(&two));
    assert!(!is_initial(&[&[two[0] & 0xcf][..], &two[1..]].concat()));
}

#[test]
fn what_stands_behind_the_first_packet_of_a_datagram_is_read_too() {
    let id = [7; 8];
    let packet = |number: u8, frames: &[u8]| {
        let len = (4 + frames.len() + TAG) as u16 | 0x4000;
        let mut header = vec![0xc3, 0, 0, 0, 1, 8];
        header.extend(id);
        header.extend([0, 0]);
        header.extend(len.to_be_bytes());
        header.extend([0, 0, 0, number]);
        seal(Spoken::One, &id, &header, frames)
    };
    let message = tls::client_hello(&mut fastrand::Rng::with_seed(4), Kind::Plain, NAME);
    let (one, other) = message.split_at(100);
    let coalesced = [packet(0, &crypto(100, other)), packet(1, &crypto(0, one))].concat();
    assert_eq!(said(&[coalesced]), [name()]);
}

#[test]
fn memory_is_bounded_whatever_the_offsets_say() {
    let mut opening = Opening::default();
    let mut client = Client::new(&mut fastrand::Rng::with_seed(5), Spoken::One);
    for at in 0..200 {
        opening.datagram(&client.datagram(&crypto(1 + at * 80, &[at as u8]), 0));
    }
    assert_eq!(opening.parts.len(), MOST_PARTS);
    assert!(opening.message.len() <= LONGEST);
    assert_eq!(
        opening.datagram(&client.datagram(&crypto(16_383, b"ab"), 0)),
        Hello::No
    );
}
