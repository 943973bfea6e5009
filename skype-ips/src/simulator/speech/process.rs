use std::net::Ipv4Addr;
use std::ops::Range;

use super::udp::{self, FRAGMENT_HEAD, FRAGMENT_LEN, Noise, Part};
use super::{Generator, noise};

const SECOND: u64 = 1_000_000_000;

/// What a client draws per second besides its IVs, in hundredths (measured: 0.67; a super node
/// or server 11 to 52).
const CLIENT_LOAD: u32 = 67;

/// A message of type 2 as its sender remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its ID.
    pub id: u16,
    /// CRC-32 of its contents, which stays the same however often it is sent.
    pub check: u32,
    /// Bytes of its contents.
    pub len: usize,
    /// The datagram.
    pub datagram: Vec<u8>,
}

/// A running Skype program: its generator, its message IDs, its clock.
#[derive(Clone, Debug)]
pub struct Process {
    /// Where it draws from; TCP openings draw from it too.
    pub generator: Generator,
    next_id: u16,
    /// Hundredths of a step per second.
    load: u32,
    /// Time, nanoseconds, and the part of a step that has not been made.
    now: u64,
    owed: u64,
}

impl Process {
    /// An ordinary client that starts at time 0.
    pub fn client(rng: &mut fastrand::Rng) -> Self {
        Self {
            generator: Generator::new(rng.u32(..)),
            next_id: rng.u16(..),
            load: CLIENT_LOAD,
            now: 0,
            owed: 0,
        }
    }

    /// A super node or a server, which is busy with others.
    pub fn super_node(rng: &mut fastrand::Rng) -> Self {
        Self {
            load: rng.u32(1100..=5200),
            ..Self::client(rng)
        }
    }

    /// The program's own business goes on until `now`, nanoseconds; not back.
    pub fn wait_until(&mut self, now: u64) {
        let passed = now.saturating_sub(self.now);
        self.now = self.now.max(now);
        let step = 100 * SECOND;
        self.owed += passed * u64::from(self.load);
        self.generator.advance((self.owed / step) as u32);
        self.owed %= step;
    }

    /// An IV: the next word, now and then a few later (measured: at most 4 steps nine times in ten).
    pub fn iv(&mut self, rng: &mut fastrand::Rng) -> u32 {
        if rng.u8(..) < 64 {
            self.generator.advance(rng.u32(1..=3));
        }
        self.generator.word()
    }

    /// The next message ID: two on, in bursts now and then one (measured).
    pub fn id(&mut self, rng: &mut fastrand::Rng) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(if rng.u8(..) < 16 { 1 } else { 2 });
        id
    }

    /// A new message with `len` bytes of contents: 7 in the probes of 2006, up to 26 in 2015.
    pub fn message(&mut self, rng: &mut fastrand::Rng, len: usize) -> Sent {
        let (id, check) = (self.id(rng), rng.u32(..));
        let datagram = udp::message(id, self.iv(rng), check, &noise(rng, len));
        Sent {
            id,
            check,
            len,
            datagram,
        }
    }

    /// The same message again, unanswered for about two seconds, then four: under a new IV.
    pub fn repeat(&mut self, rng: &mut fastrand::Rng, sent: &Sent) -> Vec<u8> {
        udp::message(sent.id, self.iv(rng), sent.check, &noise(rng, sent.len))
    }

    /// The same message after a NACK that asked for `challenge`, to the address `destination`.
    pub fn resend(
        &mut self,
        rng: &mut fastrand::Rng,
        sent: &Sent,
        challenge: u32,
        destination: Ipv4Addr,
    ) -> Vec<u8> {
        let cipher = noise(rng, sent.len);
        let noise = Noise::some(rng);
        udp::resend(sent.id, noise, challenge, destination, sent.check, &cipher)
    }

    /// The two sets of fragments that answer a search, of `len` bytes of data each.
    pub fn fragments(&mut self, rng: &mut fastrand::Rng, request: u16, len: usize) -> Vec<Vec<u8>> {
        let sealed = |rng: &mut fastrand::Rng, _, _, range: Range<usize>| {
            (rng.u32(..), noise(rng, range.len()))
        };
        self.fragment_sets(rng, request, [len; 2], sealed)
    }

    /// The two sets of fragments that answer a search: each an IV of exactly two steps after the
    /// other, the second set under the next ID (measured). `lens` is the bytes of data in each set,
    /// of which 128 parts are sent at most; `seal` gives the checksum and the ciphertext of a range
    /// of them for a part and its IV.
    pub fn fragment_sets(
        &mut self,
        rng: &mut fastrand::Rng,
        request: u16,
        lens: [usize; 2],
        mut seal: impl FnMut(&mut fastrand::Rng, Part, u32, Range<usize>) -> (u32, Vec<u8>),
    ) -> Vec<Vec<u8>> {
        let first = self.id(rng);
        self.next_id = first.wrapping_add(2);
        let most = FRAGMENT_LEN - FRAGMENT_HEAD;
        let mut datagrams = Vec::new();
        for (id, len) in [first, first.wrapping_add(1)].into_iter().zip(lens) {
            let len = len.min(128 * most);
            let parts = len.div_ceil(most).max(1);
            for index in 0..parts {
                self.generator.advance(1);
                let iv = self.generator.word();
                let part = Part {
                    id,
                    request,
                    index: index as u8,
                    last: index + 1 == parts,
                };
                let range = index * most..len.min((index + 1) * most);
                let (check, data) = seal(rng, part, iv, range);
                datagrams.push(udp::fragment(part, Noise::some(rng), iv, check, &data));
            }
        }
        datagrams
    }
}

#[cfg(test)]
mod tests {
    use skype_ips_common::lcg;

    use super::*;

    fn iv(datagram: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(datagram[at..at + 4].try_into().expect("four bytes"))
    }

    #[test]
    fn ids_go_on_by_one_or_two_and_ivs_by_at_most_four() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut process = Process::client(&mut rng);
        let sent: Vec<_> = (0..500).map(|_| process.message(&mut rng, 7)).collect();
        for pair in sent.windows(2) {
            let steps = lcg::distance(iv(&pair[0].datagram, 3), iv(&pair[1].datagram, 3));
            assert!((1..=4).contains(&steps), "{steps}");
            assert!((1..=2).contains(&pair[1].id.wrapping_sub(pair[0].id)));
        }
    }

    #[test]
    fn a_repetition_keeps_id_check_and_length() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut process = Process::client(&mut rng);
        let sent = process.message(&mut rng, 19);
        let again = process.repeat(&mut rng, &sent);
        assert_eq!((again.len(), &again[..3]), (30, &sent.datagram[..3]));
        assert_eq!(again[7..11], sent.datagram[7..11]);
        assert_ne!(again[3..7], sent.datagram[3..7]);
    }

    #[test]
    fn time_draws_numbers_too() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut process = Process::client(&mut rng);
        let before = process.generator.state();
        (1..=1000).for_each(|second| process.wait_until(second * SECOND));
        process.wait_until(0);
        assert_eq!(lcg::distance(before, process.generator.state()), 670);
    }

    #[test]
    fn fragments_are_two_steps_apart_in_two_sets() {
        let mut rng = fastrand::Rng::with_seed(4);
        let mut process = Process::super_node(&mut rng);
        let parts = process.fragments(&mut rng, 0x1672, 3000);
        let lens: Vec<_> = parts.iter().map(Vec::len).collect();
        assert_eq!(lens, [1355, 1355, 335, 1355, 1355, 335]);
        for pair in parts.windows(2) {
            assert_eq!(lcg::distance(iv(&pair[0], 7), iv(&pair[1], 7)), 2);
        }
        let places: Vec<_> = parts.iter().map(|part| part[5]).collect();
        assert_eq!(places, [0, 1, 0x82, 0, 1, 0x82]);
        assert!(parts.iter().all(|part| part[3..5] == [0x16, 0x72]));
    }
}
