//! Counters in front of constants, all of them.
//!
//! Between words that differ by a multiple of 2^j lies a number of steps that is one too, and for
//! 2^15 and more the number depends on no bit that such a counter changes: what fits once then
//! fits always, and the pairs are one trial instead of many.

use skype_ips_common::layout::UDP;

use crate::shard::Shard;

/// Strides of the word where an IV would be: of a counter of 16 bits in its upper half, of every
/// second, and of one that starts a few bits lower.
const STRIDES: [u32; 4] = [0x1_0000, 0x2_0000, 0x8000, 0x4000];
/// Lower bits of a word that say how it goes on in such strides.
const CONSTANTS: u32 = 1 << 15;
/// Datagrams of an endpoint: the engine compares one with the three before it.
const DATAGRAMS: u32 = 8;

#[test]
fn a_counter_in_front_of_any_constant_is_never_accused() {
    let mut shard = Shard::new(1);
    for constant in 0..CONSTANTS {
        for stride in STRIDES {
            for stride in [stride, stride.wrapping_neg()] {
                let flow = shard.host(UDP);
                for index in 0..DATAGRAMS {
                    let word = (0x1234_0000 | constant).wrapping_add(index.wrapping_mul(stride));
                    let mut bytes = [0; 30];
                    bytes[1..3].copy_from_slice(&[index as u8, 2]);
                    bytes[3..7].copy_from_slice(&word.to_be_bytes());
                    bytes[7] = index as u8;
                    shard.datagram(flow, true, &bytes);
                }
            }
        }
    }
    let tally = shard.end("a counter in front of a constant");
    println!("{} of {} endpoints", tally.accusations, tally.flows);
    assert_eq!(tally.accusations, 0, "{:#?}", tally.examples);
}
