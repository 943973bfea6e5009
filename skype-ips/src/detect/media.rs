//! What a flow that is known to be Skype carries, by rates and sizes: voice, video, a file, or
//! none of them (chat, presence, keep-alives, signalling).
//!
//! Media are all ciphertext, so this says nothing of *whether* a flow is Skype. The bounds are
//! those of the papers: Baset & Schulzrinne (2004), Bonfiglio et al. (SIGCOMM 2007), Adami et al.
//! (2009), and Tstat's for video.

use std::borrow::Cow;

use skype_ips_common::layout::FlowState;

const SECOND: u64 = 1_000_000_000;

/// A window has to last for this long, nanoseconds: search answers and bursts are shorter.
const SHORTEST: u64 = SECOND;
/// And to hold so many packets of both directions (Adami et al.), or to last for [`LONG`].
const ENOUGH: u64 = 95;
/// See [`ENOUGH`].
const LONG: u64 = 10 * SECOND;

/// Packets a second of a voice direction, in tenths: one each 60 ms (iSAC) to one each 10 ms.
/// There is no silence suppression (Baset and Schulzrinne), so both directions keep to it; what
/// the network loses of it is below the lower bound's margin of a third.
const VOICE_RATE: std::ops::RangeInclusive<u64> = 110..=1100;
/// Mean payload bytes of a voice direction: `(rate * interval + 8) * redundancy + 4` of the codecs
/// from SILK at 6 kbit/s to G.711 and iPCM-wb (Bonfiglio et al.).
const VOICE_SIZE: std::ops::RangeInclusive<u64> = 20..=300;
/// Least of the bytes of the thinner direction for each hundred of the other's, in a call.
const CALL_BALANCE: u64 = 40;
/// Least share of large packets in video, per cent: Tstat says 10, some get lost.
const VIDEO_LARGE: u64 = 8;
/// Least rate of a direction with video, bytes a second: 40 kbit/s.
const VIDEO_RATE: u64 = 5_000;
/// Least packets a second of a direction beside or with video, in tenths: it carries the voice,
/// or at the least reports on what arrives.
const VIDEO_BESIDE: u64 = 50;
/// Least share of all bytes in the direction of a file, per cent.
const FILE_SHARE: u64 = 80;
/// Least share of large packets in that direction, per cent.
const FILE_LARGE: u64 = 85;
/// Least mean payload bytes in that direction: video is packets of at most 980 among small ones.
const FILE_SIZE: u64 = 950;
/// Least rate of a file, bytes a second: relays were said to give half a kilobyte.
const FILE_RATE: u64 = 400;

/// What the gate counted of a flow so far, per direction: outbound, inbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes of IP packets.
    pub bytes: [u64; 2],
    /// Packets of 400 payload bytes or more.
    pub large: [u32; 2],
}

impl Counters {
    /// What was counted since `before`; `None` if the gate has begun anew.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut counted = Self::default();
        for direction in [0, 1] {
            let each =
                |of: fn(&Self) -> [u64; 2]| of(self)[direction].checked_sub(of(before)[direction]);
            counted.packets[direction] = each(|counters| counters.packets)?;
            counted.bytes[direction] = each(|counters| counters.bytes)?;
            counted.large[direction] = self.large[direction].wrapping_sub(before.large[direction]);
        }
        Some(counted)
    }
}

impl From<&FlowState> for Counters {
    fn from(state: &FlowState) -> Self {
        Self {
            packets: state.packets,
            bytes: state.bytes,
            large: state.large,
        }
    }
}

/// What a window of a flow looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Steady small packets both ways.
    Voice,
    /// The same with large packets among them.
    Video,
    /// Full packets one way, small ones the other.
    File,
    /// Anything else.
    Quiet,
}

/// A part of a flow between two looks at its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Nanoseconds.
    pub duration: u64,
    /// What was counted in it.
    pub counted: Counters,
    /// Bytes of headers in each packet.
    pub headers: u64,
}

impl Window {
    /// Whether there is enough in it to say what it looks like.
    pub fn suffices(&self) -> bool {
        let packets = self.counted.packets.iter().sum::<u64>();
        self.duration >= SHORTEST && (packets >= ENOUGH || self.duration >= LONG)
    }

    /// What it looks like.
    pub fn traffic(&self) -> Traffic {
        let directions = [0, 1].map(|direction| self.direction(direction));
        let (thin, thick) = if directions[0].bytes <= directions[1].bytes {
            (directions[0], directions[1])
        } else {
            (directions[1], directions[0])
        };
        if thick.is_file() && thick.bytes * 100 >= (thick.bytes + thin.bytes) * FILE_SHARE {
            return Traffic::File;
        }
        let beside = |one: &Direction| one.rate >= VIDEO_BESIDE;
        if directions.iter().any(Direction::is_video) && directions.iter().all(beside) {
            return Traffic::Video;
        }
        let balanced = thin.bytes * 100 >= thick.bytes * CALL_BALANCE;
        if balanced && directions.iter().all(Direction::is_voice) {
            return Traffic::Voice;
        }
        Traffic::Quiet
    }

    /// Whether it looks like one direction of a call, and nothing came the other way.
    pub fn is_one_way(&self) -> bool {
        let directions = [0, 1].map(|direction| self.direction(direction));
        let media = |one: &Direction| one.is_voice() || one.is_video();
        directions.iter().any(media) && directions.iter().any(|one| one.packets == 0)
    }

    fn direction(&self, direction: usize) -> Direction {
        let packets = self.counted.packets[direction];
        let bytes = self.counted.bytes[direction].saturating_sub(packets * self.headers);
        let per_second = |count: u64| {
            let count = u128::from(count) * u128::from(SECOND);
            u64::try_from(count / u128::from(self.duration.max(1))).unwrap_or(u64::MAX)
        };
        Direction {
            packets,
            bytes,
            rate: per_second(packets.saturating_mul(10)),
            byte_rate: per_second(bytes),
            mean: bytes.checked_div(packets).unwrap_or(0),
            large: u64::from(self.counted.large[direction])
                .saturating_mul(100)
                .checked_div(packets)
                .unwrap_or(0),
        }
    }

    /// The figures that the answer rests on, in words.
    pub fn words(&self, traffic: Traffic) -> Cow<'static, str> {
        let what = match traffic {
            Traffic::Voice => "steady small packets both ways: a voice call",
            Traffic::Video => "a call with large packets: video",
            Traffic::File => "full packets one way, small ones the other: a file",
            Traffic::Quiet => "too little for a call or a file: signalling",
        };
        let [sent, received] = [0, 1].map(|direction| self.direction(direction));
        let tenths = |number: u64| format!("{}.{}", number / 10, number % 10);
        format!(
            "{what}. In {} s it sent {} packets ({}/s, {} bytes on average, {} % of them large) and \
             received {} ({}/s, {}, {} %)",
            tenths(self.duration / (SECOND / 10)),
            sent.packets,
            tenths(sent.rate),
            sent.mean,
            sent.large,
            received.packets,
            tenths(received.rate),
            received.mean,
            received.large,
        )
        .into()
    }
}

/// One direction of a window.
#[derive(Clone, Copy, Debug)]
struct Direction {
    packets: u64,
    /// Payload bytes.
    bytes: u64,
    /// Tenths of packets a second.
    rate: u64,
    /// Payload bytes a second.
    byte_rate: u64,
    /// Mean payload bytes.
    mean: u64,
    /// Large packets, per cent.
    large: u64,
}

impl Direction {
    fn is_voice(&self) -> bool {
        VOICE_RATE.contains(&self.rate)
            && VOICE_SIZE.contains(&self.mean)
            && self.large < VIDEO_LARGE
    }

    fn is_video(&self) -> bool {
        self.large >= VIDEO_LARGE
            && self.byte_rate >= VIDEO_RATE
            && self.rate >= *VOICE_RATE.start()
    }

    fn is_file(&self) -> bool {
        self.large >= FILE_LARGE && self.mean >= FILE_SIZE && self.byte_rate >= FILE_RATE
    }
}

#[cfg(test)]
mod tests;
