//! The messages of Skype's UDP, and E2 and E3: exchanges that only Skype makes.
//!
//! probe (type 2) → NACK (type 7) → resend (type 3) → answer; or message (type 2) → ACK (type 5).
//! NACK and ACK tell the sender of the message under which address it is seen.

use std::net::Ipv4Addr;

use skype_ips_common::lcg;

use super::generator::{Companion, MAX_STEPS_FAR, Sent};

/// The three bits 0x70 of the type byte are noise except in type 2.
const TYPE_MASK: u8 = 0x8f;
const SECOND: u64 = 1_000_000_000;
/// Longest time from a message to its ACK or NACK, and from a NACK to the resend, nanoseconds.
const ANSWER_WITHIN: u64 = 10 * SECOND;
/// Longest time from a message to its repetition, nanoseconds.
const REPEAT_WITHIN: u64 = 30 * SECOND;
/// Messages remembered per direction of a flow.
const REMEMBERED: usize = 4;

/// A payload that looks like a message with clear fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Type 2: probe, query, answer.
    Payload(Sent),
    /// Types 5 and 7.
    Answer(Answer),
    /// Type 3.
    Resend(Resend),
    /// Type f.
    Fragment(Fragment),
}

/// An ACK or NACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// ID of the message that it answers.
    pub id: u16,
    /// NACK rather than ACK.
    pub nack: bool,
    /// The address under which the message's sender is seen.
    pub named: Ipv4Addr,
    /// What a resend has to repeat.
    pub challenge: u32,
}

/// A message once more, after a NACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    /// ID of the message.
    pub id: u16,
    /// The NACK's challenge.
    pub challenge: u32,
    /// Where it is sent.
    pub destination: Ipv4Addr,
    /// CRC of the message.
    pub check: u32,
    /// Payload bytes, five more than the message's.
    pub len: u32,
}

/// A part of a big answer, such as that to a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// ID of the set.
    pub id: u16,
    /// ID of what it answers.
    pub request: u16,
    /// Place in the set, from 0.
    pub index: u8,
    /// Initial value of its encryption: a state of the generator, two steps after the last part's.
    pub iv: u32,
}

impl Message {
    /// Reads the clear fields of a payload of `len` bytes, of which at least the first may be at
    /// hand; `None` if it is of another kind.
    pub fn read(payload: &[u8], len: u32) -> Option<Self> {
        let word = |at: usize| {
            let bytes = payload.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let id = u16::from_be_bytes(payload.get(..2)?.try_into().ok()?);
        let kind = *payload.get(2)?;
        match (kind, kind & TYPE_MASK, len) {
            (_, 0x05 | 0x07, 11) => Some(Self::Answer(Answer {
                id,
                nack: kind & TYPE_MASK == 0x07,
                named: word(3)?.into(),
                challenge: word(7)?,
            })),
            (0x02, _, 18..) => Some(Self::Payload(Sent {
                id,
                iv: word(3)?,
                check: word(7)?,
                len,
            })),
            (_, 0x03, 23..) if payload.get(3) == Some(&0x01) => Some(Self::Resend(Resend {
                id,
                challenge: word(4)?,
                destination: word(8)?.into(),
                check: word(12)?,
                len,
            })),
            (_, 0x0f, 16..) if payload.get(6) == Some(&0x02) => Some(Self::Fragment(Fragment {
                id,
                request: u16::from_be_bytes(payload.get(3..5)?.try_into().ok()?),
                index: payload.get(5)? & 0x7f,
                iv: word(7)?,
            })),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    at: u64,
    sent: Sent,
    packet: u64,
}

/// A message that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its clear fields.
    pub sent: Sent,
    /// Its packet's number.
    pub packet: u64,
}

#[derive(Clone, Copy, Debug)]
struct Challenged {
    at: u64,
    /// The direction of the message, not of the NACK.
    direction: usize,
    challenge: u32,
    message: Asked,
    packet: u64,
}

/// What a resend repeats, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resent {
    /// Odds of chance, as bits.
    pub bits: u32,
    /// Number of the message's packet.
    pub message: u64,
    /// Number of the NACK's packet.
    pub nack: u64,
}

/// The parts of a big answer so far.
#[derive(Clone, Copy, Debug)]
struct Parts {
    last: Fragment,
    /// Pairs that fitted.
    pairs: u32,
    /// Numbers of the newest three packets, the oldest first.
    packets: [u64; 3],
}

/// A set of parts that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentSet {
    /// Odds of chance, as bits.
    pub bits: u32,
    /// Numbers of the newest three packets, the oldest first.
    pub packets: [u64; 3],
}

/// The recent messages of one flow, for the tests between them. Directions are 0 and 1.
#[derive(Clone, Debug, Default)]
pub struct Exchanges {
    /// Per direction, the oldest first.
    messages: [Vec<Remembered>; 2],
    challenged: Option<Challenged>,
    fragments: [Option<Parts>; 2],
}

impl Exchanges {
    /// Takes in a type-2 message and says whether it repeats one.
    /// `packet` is its number.
    pub fn message(&mut self, now: u64, direction: usize, sent: Sent, packet: u64) -> Companion {
        let known = &mut self.messages[direction & 1];
        if known.iter().any(|old| old.sent == sent) {
            return Companion::None;
        }
        let repeats = known.iter().any(|old| {
            let steps = lcg::distance(old.sent.iv, sent.iv);
            now.saturating_sub(old.at) <= REPEAT_WITHIN
                && (old.sent.id, old.sent.check, old.sent.len) == (sent.id, sent.check, sent.len)
                && (1..=MAX_STEPS_FAR).contains(&steps)
        });
        let varied = known
            .iter()
            .any(|old| old.sent.id != sent.id && old.sent.check != sent.check);
        if known.len() == REMEMBERED {
            known.remove(0);
        }
        known.push(Remembered {
            at: now,
            sent,
            packet,
        });
        if repeats {
            Companion::Repetition { varied }
        } else {
            Companion::None
        }
    }

    /// Whether a message of type 2 was sent in a direction.
    pub fn has_messages(&self, direction: usize) -> bool {
        !self.messages[direction & 1].is_empty()
    }

    /// Takes in an ACK or NACK and says which message of the other direction it answers.
    /// `packet` is its number.
    pub fn answer(
        &mut self,
        now: u64,
        direction: usize,
        answer: &Answer,
        packet: u64,
    ) -> Option<Asked> {
        let asked = (direction & 1) ^ 1;
        let message = self.messages[asked].iter().rev().find(|message| {
            message.sent.id == answer.id && now.saturating_sub(message.at) <= ANSWER_WITHIN
        })?;
        let message = Asked {
            sent: message.sent,
            packet: message.packet,
        };
        if answer.nack {
            self.challenged = Some(Challenged {
                at: now,
                direction: asked,
                challenge: answer.challenge,
                message,
                packet,
            });
        }
        Some(message)
    }

    /// Takes in a part of a big answer (`packet` is its number); gives the odds of its set once
    /// two pairs of parts fit. Each pair has equal headers and IVs apart by exactly two steps a
    /// part: 32 bits.
    pub fn fragment(
        &mut self,
        direction: usize,
        fragment: Fragment,
        packet: u64,
    ) -> Option<FragmentSet> {
        let place = &mut self.fragments[direction & 1];
        let (pairs, packets) = match place {
            Some(parts) if parts.last == fragment => return None,
            Some(Parts {
                last,
                pairs,
                packets: [_, older, newer],
            }) if (last.id, last.request) == (fragment.id, fragment.request)
                && last.index < fragment.index
                && lcg::distance(last.iv, fragment.iv)
                    == 2 * u32::from(fragment.index - last.index) =>
            {
                (*pairs + 1, [*older, *newer, packet])
            }
            _ => (0, [packet; 3]),
        };
        *place = Some(Parts {
            last: fragment,
            pairs,
            packets,
        });
        (pairs >= 2).then_some(FragmentSet {
            bits: 32 * pairs,
            packets,
        })
    }

    /// Whether a part answers a message that the other direction sent.
    pub fn asked_for(&self, direction: usize, fragment: &Fragment) -> bool {
        let asked = &self.messages[(direction & 1) ^ 1];
        asked.iter().any(|one| one.sent.id == fragment.request)
    }

    /// Whether a resend answers the flow's last NACK in every field, and with what odds.
    /// `destination` is the address it is sent to, `None` for IPv6.
    pub fn resend(
        &self,
        now: u64,
        direction: usize,
        resend: &Resend,
        destination: Option<Ipv4Addr>,
    ) -> Option<Resent> {
        let nack = self.challenged?;
        let message = nack.message.sent;
        let holds = nack.direction == direction
            && now.saturating_sub(nack.at) <= ANSWER_WITHIN
            && resend.id == message.id
            && resend.challenge == nack.challenge
            && resend.check == message.check
            && resend.len == message.len.saturating_add(5)
            && destination.is_none_or(|destination| destination == resend.destination);
        // ID 16, challenge 32, CRC 32, and the address.
        holds.then_some(Resent {
            bits: if destination.is_some() { 112 } else { 80 },
            message: nack.message.packet,
            nack: nack.packet,
        })
    }
}

#[cfg(test)]
mod tests;
