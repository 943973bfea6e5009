use proptest::prelude::*;
use skype_ips_common::lcg;

use super::*;

/// IVs of consecutive probes 15e8 to 15fe of the Wireshark sample SkypeIRC.cap.
const OPEN_CAPTURE: [u32; 12] = [
    0x2bb7_2fed,
    0x7f0d_ac3a,
    0x1bec_1ee3,
    0x7889_8538,
    0x071b_c849,
    0xe2b4_59e6,
    0xc568_9dc4,
    0x028d_8c65,
    0xc7df_d052,
    0x3c20_3e1b,
    0x0714_5d10,
    0x1118_9841,
];

fn sent(id: u16, iv: u32) -> Sent {
    Sent {
        id,
        iv,
        check: iv.rotate_left(9) ^ 0x5bd1_e995,
        len: 18,
    }
}

fn steps(mut state: u32, count: u32) -> u32 {
    for _ in 0..count {
        state = lcg::next(state);
    }
    state
}

/// The first observation after which there is proof.
fn proved_after(sents: impl IntoIterator<Item = (u64, Sent)>) -> Option<usize> {
    let mut generator = Generator::default();
    sents.into_iter().position(|(at, sent)| {
        generator.observe(at * SECOND, sent, Companion::None, 1);
        generator.proof().is_some()
    })
}

/// A stream of words that has nothing to do with the generator (xorshift).
fn unrelated(seed: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(seed | 1), |word| {
        let mut next = *word;
        next ^= next << 13;
        next ^= next >> 17;
        next ^= next << 5;
        Some(next)
    })
}

#[test]
fn two_datagrams_of_the_open_capture_are_proof() {
    let sents = OPEN_CAPTURE.iter().zip(0u16..);
    let sents = sents.map(|(iv, index)| (60, sent(0x15e8 + 2 * index, *iv)));
    assert_eq!(proved_after(sents), Some(1));
}

#[test]
fn without_consecutive_ids_it_takes_three() {
    let sents = OPEN_CAPTURE.iter().zip(0u16..);
    let sents = sents.map(|(iv, index)| (60, sent(0x15e8 + 977 * index, *iv)));
    assert_eq!(proved_after(sents), Some(2));
}

#[test]
fn a_busy_client_is_found_by_several_pairs() {
    let mut iv = 0x0123_4567;
    let sents = (0..6u16).map(|index| {
        iv = steps(iv, 20_000);
        (u64::from(index) * 30, sent(index * 300, iv))
    });
    assert!(proved_after(sents).is_some_and(|index| index <= 4));
}

#[test]
fn equal_datagrams_and_constant_ivs_are_no_evidence() {
    let one = sent(5, 77);
    assert_eq!(proved_after((0..1000).map(|at| (at, one))), None);
    let constant = (0..1000u16).map(|id| (1, sent(id, 77)));
    assert_eq!(proved_after(constant), None);
}

#[test]
fn counters_are_no_evidence() {
    for step in [1, 2, 3, 256, 0x0001_0000, 0x0100_0000, 0xffff_ffff] {
        for start in [0, 1, 0x1234_5678, 0xffff_fff0] {
            let counting = (0..5000u16).map(|index| {
                let iv = u32::from(index).wrapping_mul(step).wrapping_add(start);
                (u64::from(index) / 50, sent(index, iv))
            });
            assert_eq!(proved_after(counting), None, "{step} {start}");
        }
    }
}

#[test]
fn a_lucky_pair_repeated_does_not_add_up() {
    let (a, b) = (0xdead_beef, steps(0xdead_beef, 50_000));
    for values in [&[a, b][..], &[a, b, 5, 9], &[a, b, b, a]] {
        let repeating = (0..500u16).map(|index| {
            let iv = values[usize::from(index) % values.len()];
            (
                1,
                Sent {
                    check: u32::from(index),
                    ..sent(index, iv)
                },
            )
        });
        assert_eq!(proved_after(repeating), None, "{values:x?}");
    }
}

#[test]
fn random_words_behind_a_counter_are_no_evidence() {
    for seed in 1..200 {
        let words = unrelated(seed).take(1000).zip(0u16..);
        let sents = words.map(|(iv, id)| (u64::from(id) / 20, sent(id, iv)));
        assert_eq!(proved_after(sents), None, "{seed}");
    }
}

#[test]
fn after_a_failure_one_close_pair_is_not_enough() {
    let close = |from: u32| [sent(10, from), sent(12, steps(from, 1))];
    let mut generator = Generator::default();
    assert_eq!(
        generator.observe(0, sent(1, 0x1111_1111), Companion::None, 1),
        Trial::Neutral
    );
    let [first, second] = close(0x0bad_cafe);
    assert_eq!(
        generator.observe(1, first, Companion::None, 1),
        Trial::Fails
    );
    assert_eq!(
        generator.observe(2, second, Companion::None, 1),
        Trial::Fits
    );
    assert_eq!(generator.proof(), None);
    // A client that was started again goes on like this.
    let third = sent(14, steps(second.iv, 2));
    assert_eq!(generator.observe(3, third, Companion::None, 1), Trial::Fits);
    assert!(generator.proof().is_some());
}

#[test]
fn reordered_datagrams_are_proof_too() {
    let late = sent(0x15ea, OPEN_CAPTURE[1]);
    let early = sent(0x15ec, OPEN_CAPTURE[2]);
    assert_eq!(proved_after([(1, early), (1, late)]), Some(1));
}

#[test]
fn a_state_between_two_others_is_evidence_once() {
    let state = |index: u16| {
        sent(
            0x100 + 2 * index,
            steps(OPEN_CAPTURE[0], u32::from(index) * 300),
        )
    };
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let sents = order.map(|index| (1, state(index)));
        assert_eq!(proved_after(sents), Some(2), "{order:?}");
    }
    let mut generator = Generator::default();
    let mut observe = |index, id| {
        let sent = Sent { id, ..state(index) };
        generator.observe(SECOND, sent, Companion::None, 1)
    };
    for (index, trial) in [
        (0, Trial::Neutral),
        (3, Trial::Fits),
        (2, Trial::Fits),
        // Seen before in other datagrams.
        (0, Trial::Neutral),
        (2, Trial::Neutral),
        (1, Trial::Fits),
        // Two states that come late are enough.
        (6, Trial::Fits),
        (5, Trial::Neutral),
    ] {
        assert_eq!(observe(index, index.wrapping_mul(9973)), trial, "{index}");
    }
}

#[test]
fn old_states_are_compared_closely_or_not_at_all() {
    let first = sent(1, 0x1357_9bdf);
    for (seconds, count, trial) in [
        (60, MAX_STEPS, Trial::Fits),
        (60, MAX_STEPS + 1, Trial::Fails),
        (61, 1025, Trial::Neutral),
        (300, 1024, Trial::Fits),
        (301, 1, Trial::Neutral),
    ] {
        let mut generator = Generator::default();
        generator.observe(0, first, Companion::None, 1);
        let second = sent(900, steps(first.iv, count));
        let result = generator.observe(seconds * SECOND, second, Companion::None, 1);
        assert_eq!(result, trial, "{count} steps in {seconds} s");
    }
}

#[test]
fn a_constant_header_makes_repetitions_weak() {
    let first = sent(0x30, 0x1357_9bdf);
    let again = Sent {
        iv: steps(first.iv, 500),
        ..first
    };
    let mut generator = Generator::default();
    generator.observe(0, first, Companion::None, 1);
    generator.observe(1, again, Companion::Repetition { varied: false }, 1);
    assert_eq!(generator.proof(), None);
    let mut generator = Generator::default();
    generator.observe(0, first, Companion::None, 1);
    generator.observe(1, again, Companion::Repetition { varied: true }, 1);
    let names: Vec<_> = generator
        .proof()
        .into_iter()
        .flatten()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["udp-retransmission"]);
}

#[test]
fn odds_are_counted_per_state_compared_and_both_ways() {
    assert_eq!(odds(1, 1), 30);
    assert_eq!(odds(1, 3), 28);
    assert_eq!(odds(65_536, 3), 13);
    assert_eq!(odds(u32::MAX, 3), 0);
}

proptest! {
    #[test]
    fn unrelated_datagrams_never_prove_anything(
        datagrams in proptest::collection::vec(any::<(u16, u32, u32, u8)>(), 0..60)
    ) {
        let mut at = 0;
        let sents = datagrams.into_iter().map(|(id, iv, check, pause)| {
            at += u64::from(pause);
            (at, Sent { id, iv, check, len: 18 })
        });
        prop_assert_eq!(proved_after(sents), None);
    }

    #[test]
    fn every_ordinary_client_is_found_within_four_datagrams(
        seed: u32,
        first_id: u16,
        gaps in proptest::collection::vec((1u32..700, 1u16..3, 0u64..20), 5)
    ) {
        let (mut iv, mut id, mut at) = (seed, first_id, 0);
        let sents = gaps.into_iter().map(|(count, ids, pause)| {
            iv = steps(iv, count);
            id = id.wrapping_add(2 * ids);
            at += pause;
            (at, sent(id, iv))
        });
        prop_assert!(proved_after(sents).is_some_and(|index| index <= 3));
    }
}
