//! The random generator of every classic Skype process.
//!
//! A 32-bit linear congruential generator, `x' = 69069 x + 17009 mod 2^32`, draws the IVs of UDP
//! datagrams and the padding of TCP handshakes. The constants follow from three consecutive IVs
//! that an open capture shows in clear (packets 15ea, 15ec, 15ee of the Wireshark sample
//! `SkypeIRC.cap`); two slides of Biondi & Desclaux, "Silver Needle in the Skype" (2006),
//! confirm them.

/// Multiplier of the generator.
pub const MULTIPLIER: u32 = 0x0001_0DCD;
/// Increment of the generator.
pub const INCREMENT: u32 = 0x0000_4271;

/// The state after `state`.
#[inline(always)]
pub const fn next(state: u32) -> u32 {
    state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT)
}

/// The low byte of the state after one whose low byte is `byte`: low bytes form a generator of
/// their own, of period 256.
#[inline(always)]
pub const fn next_byte(byte: u8) -> u8 {
    byte.wrapping_mul(MULTIPLIER as u8)
        .wrapping_add(INCREMENT as u8)
}

/// How many steps lead from `from` to `to`.
///
/// The generator has full period, so the number always exists; for unrelated values it is uniform
/// on 2^32, which makes `distance <= k` by chance a matter of `k / 2^32`.
///
/// The number is found bit by bit: a step count with bit `i` set needs the 2^i-step jump, and bit
/// `i` of the state depends on bits `0..=i` of the count only.
pub const fn distance(from: u32, to: u32) -> u32 {
    let (mut multiplier, mut increment) = (MULTIPLIER, INCREMENT);
    let (mut state, mut steps, mut bit) = (from, 0u32, 1u32);
    while state != to {
        if (state ^ to) & bit != 0 {
            state = state.wrapping_mul(multiplier).wrapping_add(increment);
            steps |= bit;
        }
        increment = multiplier.wrapping_add(1).wrapping_mul(increment);
        multiplier = multiplier.wrapping_mul(multiplier);
        bit = bit.wrapping_shl(1);
    }
    steps
}

/// How many successive relations of low bytes hold from the start of `bytes`: `bytes.len() - 1`
/// for a pure generator run. Each holds by chance once in 256.
pub fn run_length(bytes: &[u8]) -> usize {
    bytes
        .windows(2)
        .take_while(|pair| next_byte(pair[0]) == pair[1])
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_states_are_a_few_steps_apart() {
        assert_eq!(distance(0x0937_63FB, 0x118A_C037), 4);
        assert_eq!(distance(0x118A_C037, 0x33FB_AF76), 7);
        assert_eq!(distance(0x8B3E_BE25, 0x31EB_8C94), 2863);
    }

    #[test]
    fn consecutive_ivs_of_an_open_capture_are_one_step_apart() {
        for pair in [0x7f0d_ac3a_u32, 0x1bec_1ee3, 0x7889_8538, 0x071b_c849].windows(2) {
            assert_eq!(next(pair[0]), pair[1]);
            assert_eq!(distance(pair[0], pair[1]), 1);
        }
    }

    #[test]
    fn low_bytes_form_their_own_generator() {
        let mut state = 0xdead_beef_u32;
        for _ in 0..1000 {
            assert_eq!(next_byte(state as u8), next(state) as u8);
            state = next(state);
        }
        assert_eq!(
            run_length(&[0x12, next_byte(0x12), next_byte(next_byte(0x12)), 0]),
            2
        );
        assert_eq!(run_length(&[]), 0);
    }

    proptest::proptest! {
        #[test]
        fn distance_is_the_inverse_of_stepping(start: u32, steps in 0u32..5000) {
            let mut state = start;
            for _ in 0..steps { state = next(state); }
            proptest::prop_assert_eq!(distance(start, state), steps);
        }

        #[test]
        fn there_and_back_is_the_whole_period(a: u32, b: u32) {
            proptest::prop_assert_eq!(distance(a, b).wrapping_add(distance(b, a)), 0);
        }
    }
}
