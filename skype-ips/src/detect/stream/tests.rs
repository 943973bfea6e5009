use proptest::prelude::*;

use super::*;

fn segment(seq: u32, payload: &[u8], packet: u64) -> Segment<'_> {
    Segment {
        seq,
        base: None,
        payload,
        len: payload.len() as u32,
        packet,
    }
}

/// The same of a stream whose SYN was seen: its first byte has the number 1000.
fn told(at: u32, payload: &[u8], packet: u64) -> Segment<'_> {
    Segment {
        base: Some(1000),
        ..segment(1000_u32.wrapping_add(at), payload, packet)
    }
}

#[test]
fn segments_and_repetitions_make_one_stream() {
    let mut head = Head::default();
    let base = u32::MAX - 1;
    let mut place = |after: u32, payload: &[u8], packet| {
        head.place(&segment(base.wrapping_add(after), payload, packet), true)
    };
    assert_eq!(place(0, b"abcd", 1), Placed::New);
    assert_eq!(place(0, b"abcd", 2), Placed::Nothing);
    assert_eq!(place(2, b"cdef", 4), Placed::New);
    assert_eq!(head.bytes(), b"abcdef");
    assert_eq!(head.first_segment(), b"abcd");
    assert_eq!(head.brought(3..9), [(1, 3..4), (4, 2..4)]);
    assert_eq!(head.brought(4..5), [(4, 2..3)]);
}

#[test]
fn what_comes_before_its_turn_waits() {
    let mut head = Head::default();
    assert_eq!(head.place(&told(6, b"gh", 1), true), Placed::Early);
    assert_eq!(head.place(&told(2, b"cd", 2), true), Placed::Early);
    assert_eq!(head.first_len(), 0);
    assert_eq!(head.place(&told(0, b"ab", 3), true), Placed::New);
    assert_eq!((head.bytes(), head.first_len()), (&b"abcd"[..], 2));
    assert_eq!(head.place(&told(4, b"ef", 4), true), Placed::New);
    assert_eq!(head.bytes(), b"abcdefgh");
    assert_eq!(
        head.brought(1..7),
        [(3, 1..2), (2, 0..2), (4, 0..2), (1, 0..1)]
    );
}

#[test]
fn the_first_copy_counts() {
    let mut head = Head::default();
    head.place(&told(3, b"DEF", 1), true);
    head.place(&told(0, b"abcdefgh", 2), true);
    head.place(&told(0, b"????????", 3), true);
    assert_eq!(head.bytes(), b"abcDEFgh");
    assert_eq!(head.brought(0..8), [(2, 0..3), (1, 0..3), (2, 6..8)]);
}

#[test]
fn keeps_no_more_than_it_needs() {
    let mut head = Head::default();
    head.place(&segment(0, &[7; 1000], 1), true);
    assert_eq!(head.bytes().len(), KEPT);
    assert_eq!(head.place(&segment(1000, b"x", 5), true), Placed::Nothing);
    assert_eq!(head.first_len(), 1000);
    let mut head = Head::default();
    for at in 1..=255 {
        head.place(&told(2 * at, b"x", 1), true);
        head.place(&told(300 * at, &[7; 200], 1), true);
    }
    assert!(head.early.len() <= MOST_EARLY);
    // Ever earlier, with no SYN to say where it begins.
    for (roomy, most) in [(false, KEPT), (true, KEPT_HELLO)] {
        for len in [1, 100, 300] {
            let mut head = Head::default();
            for at in 0..10_000_u32 {
                let seq = 0_u32.wrapping_sub(at * len);
                head.place(&segment(seq, &vec![0x87; len as usize], 1), roomy);
                assert!(head.bytes.len() <= most && head.early.len() <= MOST_EARLY);
                assert!(head.pieces.len() <= MOST_PIECES + MOST_EARLY + 1);
            }
        }
    }
}

#[test]
fn another_connection_is_told_by_its_numbers() {
    let mut head = Head::default();
    head.place(&segment(5000, b"abc", 6), true);
    assert_eq!(
        head.place(&segment(5000 - 4097, b"x", 7), true),
        Placed::Foreign
    );
    let far = segment(5000 + WINDOW, b"x", 8);
    assert_eq!(head.place(&far, true), Placed::Foreign);
    let mut head = Head::default();
    head.place(&told(0, b"abc", 1), true);
    assert_eq!(head.place(&told(u32::MAX, b"x", 2), true), Placed::Nothing);
    let next = Segment {
        base: Some(1001),
        ..told(1, b"x", 3)
    };
    assert_eq!(head.place(&next, true), Placed::Foreign);
}

#[test]
fn a_syn_corrects_the_guess() {
    let mut head = Head::default();
    head.place(&segment(1002, b"cd", 1), true);
    assert_eq!(head.place(&told(0, b"ab", 2), true), Placed::New);
    assert_eq!(head.bytes(), b"ab");
}

#[test]
fn a_guess_can_be_too_late() {
    let mut head = Head::default();
    head.place(&segment(1004, b"ef", 1), true);
    head.place(&segment(1006, b"g", 2), true);
    assert_eq!(head.place(&segment(1001, b"bc", 3), true), Placed::New);
    assert_eq!(head.bytes(), b"bc");
    assert_eq!(head.place(&segment(1000, b"abcd", 4), true), Placed::New);
    assert_eq!(head.bytes(), b"abcdefg");
    assert_eq!(
        head.brought(0..7),
        [(4, 0..1), (3, 0..2), (4, 3..4), (1, 0..2), (2, 0..1)]
    );
}

#[test]
fn a_cut_off_segment_leaves_a_gap() {
    let mut head = Head::default();
    let cut = Segment {
        len: 10,
        ..segment(0, b"ab", 9)
    };
    assert_eq!(head.place(&cut, true), Placed::New);
    assert_eq!(head.place(&segment(10, b"next", 10), true), Placed::Early);
    assert_eq!((head.bytes(), head.first_len()), (&b"ab"[..], 10));
    assert_eq!(head.place(&segment(1, b"bcdefghij", 11), true), Placed::New);
    assert_eq!(head.bytes(), b"abcdefghijnext");
}

#[test]
fn begins_anew_behind_what_is_skipped() {
    let mut head = Head::default();
    head.place(&told(0, b"abcdef", 1), true);
    head.place(&told(8, b"ijkl", 2), true);
    head.skip(4);
    assert_eq!((head.bytes(), head.first_len()), (&b"ef"[..], 2));
    assert_eq!(head.brought(0..2), [(1, 4..6)]);
    head.place(&told(2, b"????gh", 3), true);
    assert_eq!(head.bytes(), b"efghijkl");
    assert_eq!(head.brought(1..5), [(1, 5..6), (3, 4..6), (2, 0..1)]);
    // Behind what is not there yet.
    head.skip_gap();
    head.skip(9);
    assert!(head.bytes().is_empty());
    head.place(&told(12, b"mno", 4), true);
    assert_eq!(head.brought(0..2), [(4, 1..3)]);
    head.forget_bytes();
    head.place(&told(20, b"xyz", 5), true);
    head.skip_gap();
    assert_eq!(head.bytes(), b"xyz");
}

proptest! {
    /// Pieces that overlap, in any order; what the packets brought is what the head says.
    #[test]
    fn any_pieces_in_any_order_make_the_stream(
        stream in prop::collection::vec(any::<u8>(), 1..80),
        cuts in prop::collection::vec((0usize..80, 1usize..80), 0..6),
        at in 0usize..7,
        skip in 0usize..80,
    ) {
        let whole = (0, stream.len());
        let mut cuts: Vec<_> = cuts
            .into_iter()
            .map(|(from, len)| (from.min(stream.len() - 1), len))
            .map(|(from, len)| (from, (from + len).min(stream.len())))
            .collect();
        cuts.insert(at.min(cuts.len()), whole);
        let mut head = Head::default();
        for (packet, (from, to)) in (0..).zip(&cuts) {
            head.place(&told(*from as u32, &stream[*from..*to], packet), true);
        }
        prop_assert_eq!(head.bytes(), &stream[..]);
        let skip = skip.min(stream.len());
        head.skip(skip);
        prop_assert_eq!(head.bytes(), &stream[skip..]);
        let mut told = Vec::new();
        for (packet, part) in head.brought(0..stream.len()) {
            let (from, to) = cuts[packet as usize];
            told.extend_from_slice(&stream[from..to][part.start as usize..part.end as usize]);
        }
        prop_assert_eq!(&told[..], head.bytes());
    }
}
