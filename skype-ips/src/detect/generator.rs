//! E1 and E4: the IVs of an endpoint's type-2 datagrams are states of one generator.
//!
//! Every pair of datagrams is a trial, and a campus makes 10^8 of them a day with datagrams that
//! only look alike. So a pair counts by its odds, trials that fail cost, and what a protocol with
//! a counter or a constant in front would show anyway (the [companion]) counts at most once, and
//! not at all after a trial that failed in spite of it.
//!
//! [companion]: Companion

use std::ops::Range;

use skype_ips_common::lcg;

use super::Evidence;

/// Most steps between two datagrams sent within [`NEAR`] of each other. Words that differ by a
/// multiple of 2^15, as those of a counter in front of a constant, are a multiple of 2^15 steps
/// apart, always the same: they would fit every time if that were allowed.
pub const MAX_STEPS: u32 = (1 << 15) - 1;
/// Most steps between two datagrams sent within [`FAR`], and between a datagram and its repetition.
pub const MAX_STEPS_FAR: u32 = 1024;
/// Time in which a working client takes at most [`MAX_STEPS`] steps, nanoseconds.
pub const NEAR: u64 = 60 * SECOND;
/// Longest time between two datagrams that are compared, nanoseconds.
pub const FAR: u64 = 300 * SECOND;
/// Bits that prove an endpoint: 2^-32 would accuse somebody by chance every few weeks on a
/// campus, 2^-42 once in a lifetime.
pub const PROOF: i32 = 42;

const SECOND: u64 = 1_000_000_000;
/// Where the IV stands in a type-2 datagram.
const IV: Range<u32> = 3..7;
/// Most steps back that are evidence, because datagrams can overtake each other: a busy node takes
/// 52 a second. A state anywhere in there, also between two others, is as improbable as one so
/// far on, since the odds count both ways.
const OVERTAKEN: u32 = 1024;
/// States of a sequence that are evidence although they come late: two of three can.
const MOST_LATE: u8 = 2;
/// States of a sequence that are remembered, so that none counts twice: more than these in
/// a cycle would be evidence enough.
const SEEN: usize = 4;
/// What it counts that a state goes on from another port of the same host, where Skype was proved:
/// 24 bits are enough then. Of 10^5 look-alikes a day from other ports of such hosts that is one
/// wrong port in half a year, on a host that runs Skype.
const KNOWN_HOST: u32 = PROOF as u32 - 24;
/// What a failed trial costs, and the most that is owed: one pair alone can't make up for it.
const PENALTY: i32 = 16;
const MOST_OWED: i32 = -16;
/// More says nothing.
const CEILING: i32 = 256;
const HEADS: usize = 3;
/// Pairs that are remembered for the proof to cite; any working client is proved within four.
const CITED: usize = 4;

/// The clear fields of a type-2 datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Message ID.
    pub id: u16,
    /// Initial value of its encryption: a state of the generator.
    pub iv: u32,
    /// CRC-32 of what is encrypted.
    pub check: u32,
    /// Payload bytes.
    pub len: u32,
}

/// What else fits besides the generator's state. A protocol with a counter or a constant header
/// would show the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Companion {
    /// Nothing.
    None,
    /// It repeats ID, CRC and length of a datagram sent to the same peer in the last 30 seconds.
    Repetition {
        /// Whether other datagrams to that peer had another ID and CRC: constants they are not.
        varied: bool,
    },
}

/// What a datagram did to the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Nothing to compare it with, or it says nothing either way.
    Neutral,
    /// It fits.
    Fits,
    /// It doesn't.
    Fails,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    at: u64,
    sent: Sent,
    /// The datagram's number.
    packet: u64,
    /// The newest states of the sequence, this one too.
    seen: [u32; SEEN],
    /// States that counted although they came late.
    late: u8,
    /// Whether another port of the host sent it.
    inherited: bool,
}

/// How a state stands to the head of a sequence.
enum Relation {
    /// So many steps on.
    Later(u32),
    /// So many steps back, and no more than overtaking explains.
    Earlier(u32),
    /// Neither.
    None,
    /// The head is too old to tell.
    TooOld,
}

impl Head {
    fn having_seen(mut self, iv: u32) -> Self {
        self.seen.rotate_right(1);
        self.seen[0] = iv;
        self
    }

    /// Whether a state that lies a few steps back may count.
    fn takes_late(&self, iv: u32) -> bool {
        self.late < MOST_LATE && !self.seen.contains(&iv)
    }

    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.at)
    }

    fn relation(&self, now: u64, iv: u32) -> Relation {
        let age = self.age(now);
        if age > FAR {
            return Relation::TooOld;
        }
        let most = if age <= NEAR {
            MAX_STEPS
        } else {
            MAX_STEPS_FAR
        };
        let later = lcg::distance(self.sent.iv, iv);
        let earlier = later.wrapping_neg();
        if (1..=most).contains(&later) {
            Relation::Later(later)
        } else if (1..=OVERTAKEN).contains(&earlier) {
            Relation::Earlier(earlier)
        } else {
            Relation::None
        }
    }
}

/// Two datagrams whose states are kin.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// Number and state of the one seen first.
    from: (u64, u32),
    /// The same of the other.
    to: (u64, u32),
    /// Steps from the first to the other; back if it was overtaken.
    steps: u32,
    back: bool,
    repetition: bool,
}

/// The case against one endpoint, from its own datagrams only.
#[derive(Clone, Debug, Default)]
pub struct Generator {
    /// The newest states of up to three sequences: after a restart the client begins another.
    heads: [Option<Head>; HEADS],
    newest_id: Option<u16>,
    score: i32,
    /// Bits of pairs that are repetitions, and of the others.
    repetition_bits: u32,
    pair_bits: u32,
    companion_counted: bool,
    companion_worthless: bool,
    /// The newest pairs that counted.
    pairs: Vec<Pair>,
}

impl Generator {
    /// Takes in a datagram sent at `now` (nanoseconds); `packet` is its number.
    pub fn observe(&mut self, now: u64, sent: Sent, companion: Companion, packet: u64) -> Trial {
        if self.heads.iter().flatten().any(|head| head.sent == sent) {
            return Trial::Neutral;
        }
        let counted = self.newest_id.is_some_and(|id| follows(sent.id, id));
        self.newest_id = Some(sent.id);

        let heads = self.heads.iter().flatten();
        let compared = heads.filter(|head| head.age(now) <= FAR).count() as u64;
        let mut tried = false;
        let known_host = |head: &Head| if head.inherited { KNOWN_HOST } else { 0 };
        for place in 0..HEADS {
            let Some(head) = self.heads[place] else {
                continue;
            };
            match head.relation(now, sent.iv) {
                Relation::Later(steps) => {
                    let bonus = match companion {
                        Companion::Repetition { varied: true } if steps <= MAX_STEPS_FAR => 24,
                        Companion::Repetition { varied: false } if steps <= MAX_STEPS_FAR => 13,
                        _ if follows(sent.id, head.sent.id) => 13,
                        _ => 0,
                    };
                    self.heads[place] = Some(Head {
                        at: now,
                        sent,
                        packet,
                        inherited: false,
                        ..head.having_seen(sent.iv)
                    });
                    let bits = odds(steps, compared) + known_host(&head);
                    self.credit(bits, bonus, companion);
                    self.pair(&head, (packet, sent.iv), (steps, false), companion);
                    return Trial::Fits;
                }
                Relation::Earlier(steps) if head.takes_late(sent.iv) => {
                    let bonus = if follows(head.sent.id, sent.id) {
                        13
                    } else {
                        0
                    };
                    self.heads[place] = Some(Head {
                        late: head.late + 1,
                        ..head.having_seen(sent.iv)
                    });
                    self.credit(odds(steps, compared), bonus, companion);
                    self.pair(&head, (packet, sent.iv), (steps, true), companion);
                    return Trial::Fits;
                }
                Relation::Earlier(_) => return Trial::Neutral,
                Relation::None => tried |= head.age(now) <= NEAR && !head.inherited,
                Relation::TooOld => {}
            }
        }
        self.begin(now, sent, packet);
        if !tried {
            return Trial::Neutral;
        }
        self.score = (self.score - PENALTY).max(MOST_OWED);
        self.companion_worthless |= counted || companion != Companion::None;
        if self.score <= 0 {
            (self.pair_bits, self.repetition_bits) = (0, 0);
            self.pairs = Vec::new();
            self.companion_counted = false;
        }
        Trial::Fails
    }

    fn credit(&mut self, bits: u32, bonus: u32, companion: Companion) {
        let bonus = if self.companion_counted || self.companion_worthless {
            0
        } else {
            bonus
        };
        self.companion_counted |= bonus > 0;
        let bits = bits + bonus;
        self.score = (self.score + bits as i32).min(CEILING);
        let total = match companion {
            Companion::None => &mut self.pair_bits,
            Companion::Repetition { .. } => &mut self.repetition_bits,
        };
        *total = (*total + bits).min(CEILING as u32);
    }

    /// Remembers a pair that counted; `steps` says how many, and whether back.
    fn pair(&mut self, from: &Head, to: (u64, u32), steps: (u32, bool), companion: Companion) {
        if self.pairs.len() == CITED {
            self.pairs.remove(0);
        }
        self.pairs.push(Pair {
            from: (from.packet, from.sent.iv),
            to,
            steps: steps.0,
            back: steps.1,
            repetition: companion != Companion::None,
        });
    }

    /// Keeps the state as the start of another sequence, in the place of the longest silent.
    fn begin(&mut self, now: u64, sent: Sent, packet: u64) {
        let place = self
            .heads
            .iter_mut()
            .min_by_key(|head| head.map_or((false, 0), |head| (true, head.at)));
        if let Some(place) = place {
            *place = Some(Head {
                at: now,
                sent,
                packet,
                seen: [sent.iv; SEEN],
                late: 0,
                inherited: false,
            });
        }
    }

    /// The start of a case against another port of the same host, on which the program may go on.
    pub fn heir(&self) -> Self {
        let inherit = |head: Head| Head {
            late: MOST_LATE,
            inherited: true,
            ..head
        };
        Self {
            heads: self.heads.map(|head| head.map(inherit)),
            ..Self::default()
        }
    }

    /// How many steps `word` is on from the newest state, if that was sent within [`FAR`], and
    /// the number of the datagram that showed that state.
    pub fn steps_to(&self, now: u64, word: u32) -> Option<(u32, u64)> {
        let newest = self.heads.iter().flatten().max_by_key(|head| head.at)?;
        (newest.age(now) <= FAR).then(|| (lcg::distance(newest.sent.iv, word), newest.packet))
    }

    /// Whether a state was sent within [`FAR`], and in which datagram the newest was.
    pub fn spoke_lately(&self, now: u64) -> Option<u64> {
        let newest = self.heads.iter().flatten().max_by_key(|head| head.at)?;
        (newest.age(now) <= FAR).then_some(newest.packet)
    }

    /// The evidence, if it is proof by now.
    pub fn proof(&self) -> Option<Vec<Evidence>> {
        self.supported_proof(0)
    }

    /// The same with `support` bits more, of which at most 18 count, as for a known host.
    pub fn supported_proof(&self, support: u32) -> Option<Vec<Evidence>> {
        if self.score + (support.min(KNOWN_HOST) as i32) < PROOF {
            return None;
        }
        let parts = [
            ("udp-generator", self.pair_bits),
            ("udp-retransmission", self.repetition_bits),
        ];
        let parts = parts.into_iter().filter(|(_, bits)| *bits > 0);
        Some(parts.map(|(name, bits)| self.cite(name, bits)).collect())
    }

    fn cite(&self, name: &'static str, bits: u32) -> Evidence {
        let repetition = name == "udp-retransmission";
        let mut evidence = Evidence::new(name, bits);
        let mut last = None;
        for pair in self
            .pairs
            .iter()
            .filter(|pair| pair.repetition == repetition)
        {
            let (packet, iv) = pair.from;
            if last != Some(packet) {
                let says = format!("IV {iv:08x}, a state of the generator");
                evidence = evidence.citing(packet, IV, says);
            }
            let (packet, iv) = pair.to;
            let (steps, from) = (pair.steps, pair.from.0);
            let ending = if steps == 1 { "" } else { "s" };
            let way = if pair.back { "before" } else { "after" };
            let mut says = format!("IV {iv:08x}, {steps} step{ending} {way} that of packet {from}");
            if repetition {
                says += "; ID, CRC and length repeat an earlier message's";
            }
            evidence = evidence.citing(packet, IV, says);
            last = Some(packet);
        }
        evidence
    }
}

/// Whether a message ID is one of the next eight after another: 13 bits.
fn follows(id: u16, other: u16) -> bool {
    (1..=8).contains(&id.wrapping_sub(other))
}

/// Bits of a distance of `steps` either way from one of `compared` states.
fn odds(steps: u32, compared: u64) -> u32 {
    let ways = (2 * u64::from(steps) + 1) * compared.max(1);
    ((1_u64 << 32) / ways).checked_ilog2().unwrap_or(0)
}

#[cfg(test)]
mod tests;
