//! Both directions of a call: what this end sends and when, and how much of the other's arrived.

use std::time::Duration;

use crate::simulator::net::program::Instant;
use crate::simulator::party::Direction;
use crate::simulator::speech::media::{Beat, Media, Voice};

/// Voice over a relay: with its headers both directions stay under 4 KB/s (the relay's cap for a
/// call, Kho 2008).
const RELAYED_VOICE: Voice = Voice {
    interval: 60,
    rate: 8_000,
    redundancy: 1,
    variable: true,
};
/// Most bits a second of video over a relay: one packet in each of five frames a second, which
/// with the voice stays under 10 KB/s both ways (the relay's cap for video).
const RELAYED_VIDEO: u64 = 16_000;
/// Bits a second under which the model's video has no shape.
const LEAST_VIDEO: u64 = 40_000;

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long it lasts.
    pub(super) lasting: Duration,
    /// Bits a second of video from both ends.
    pub(super) video: Option<u64>,
    /// The voice of both ends.
    voice: Voice,
}

impl Terms {
    /// Of the session of that number, from which both ends draw the same codec.
    pub(super) fn new(session: u32, lasting: Duration, video: Option<u64>) -> Self {
        Self {
            lasting,
            video,
            voice: Voice::some(&mut fastrand::Rng::with_seed(session.into())),
        }
    }

    /// What the figures call it.
    pub(super) const fn kind(&self) -> &'static str {
        match self.video {
            None => "voice",
            Some(_) => "video",
        }
    }

    /// Packets that one end sends in a call that all goes well in.
    pub(super) fn packets(self, rng: &mut fastrand::Rng) -> u32 {
        Stream::new(rng, self, false, Instant::ZERO, 0).planned()
    }

    fn media(&self, relayed: bool) -> Media {
        let voice = if relayed { RELAYED_VOICE } else { self.voice };
        match self.video {
            None => Media::Call(voice),
            Some(rate) => Media::Video {
                voice,
                rate: match relayed {
                    true => RELAYED_VIDEO,
                    false => rate.max(LEAST_VIDEO),
                },
                from: [true, true],
            },
        }
    }
}

/// What one end sends. No silence suppression: it goes on all the time (Baset).
#[derive(Debug)]
pub(super) struct Stream {
    beats: Vec<Beat>,
    next: usize,
    /// The number of the first packet: those of an earlier path count on.
    first: u32,
    from: Instant,
}

impl Stream {
    /// What is sent from `from` on for `lasting`; its first packet has the number `first`.
    pub(super) fn new(
        rng: &mut fastrand::Rng,
        terms: Terms,
        relayed: bool,
        from: Instant,
        first: u32,
    ) -> Self {
        let seconds = terms.lasting.as_secs() + u64::from(terms.lasting.subsec_nanos() > 0);
        let mut beats = terms.media(relayed).beats(rng, seconds);
        let until = terms.lasting.as_nanos() as u64;
        beats.retain(|beat| beat.outbound && beat.at < until);
        Self {
            beats,
            next: 0,
            first,
            from,
        }
    }

    /// The number and length of a packet that is due at `now`, payload bytes with its head.
    pub(super) fn due(&mut self, now: Instant) -> Option<(u32, usize)> {
        let beat = *self.beats.get(self.next)?;
        if self.from + Duration::from_nanos(beat.at) > now {
            return None;
        }
        let number = self.sent();
        self.next += 1;
        Some((number, beat.len))
    }

    /// When the next packet is due; `None` after the last.
    pub(super) fn wake(&self) -> Option<Instant> {
        let beat = self.beats.get(self.next)?;
        Some(self.from + Duration::from_nanos(beat.at))
    }

    /// Packets that have been sent, those of earlier paths with them.
    pub(super) fn sent(&self) -> u32 {
        self.first + self.next as u32
    }

    /// Packets that this will have sent at its end, those of earlier paths with them.
    pub(super) fn planned(&self) -> u32 {
        self.first + self.beats.len() as u32
    }
}

/// What has arrived of the other end's stream, by the numbers in its packets.
#[derive(Debug)]
pub(super) struct Meter {
    since: Instant,
    last: Option<Instant>,
    longest_gap: Duration,
    /// A bit for each number that has arrived.
    seen: Vec<u64>,
    highest: Option<u32>,
    arrived: u64,
    bytes: u64,
}

/// Numbers beyond this are not believed: a day of the densest stream has fewer.
const MOST_PACKETS: u32 = 1 << 24;

impl Meter {
    /// Nothing has arrived; the call is on since `since`.
    pub(super) const fn new(since: Instant) -> Self {
        Self {
            since,
            last: None,
            longest_gap: Duration::ZERO,
            seen: Vec::new(),
            highest: None,
            arrived: 0,
            bytes: 0,
        }
    }

    /// Packet `number` with `len` bytes has arrived.
    pub(super) fn packet(&mut self, now: Instant, number: u32, len: usize) {
        if number >= MOST_PACKETS {
            return;
        }
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            return;
        }
        self.seen[word] |= bit;
        self.arrived += 1;
        self.bytes += len as u64;
        self.highest = self.highest.max(Some(number));
        self.longest_gap = self.gap(now);
        self.last = Some(now);
    }

    /// When something arrived last, or the call began.
    pub(super) fn heard(&self) -> Instant {
        self.last.unwrap_or(self.since).max(self.since)
    }

    /// The longest gap, the one that is going on at `now` with it.
    fn gap(&self, now: Instant) -> Duration {
        self.longest_gap.max(now.saturating_sub(self.heard()))
    }

    /// What the figures say at `now`, or at the call's end. `sent` is what the other end has said or
    /// must be taken to have sent; its numbers may show more.
    pub(super) fn direction(&self, now: Instant, sent: u64) -> Direction {
        Direction {
            sent: sent.max(self.highest.map_or(0, |highest| u64::from(highest) + 1)),
            arrived: self.arrived,
            bytes: self.bytes,
            longest_gap: self.gap(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn all(stream: &mut Stream) -> Vec<(Instant, u32, usize)> {
        let mut sent = Vec::new();
        while let Some(at) = stream.wake() {
            assert_eq!(stream.due(at.saturating_sub(Duration::from_nanos(1))), None);
            let (number, len) = stream.due(at).expect("due");
            sent.push((at, number, len));
        }
        sent
    }

    #[test]
    fn packets_are_numbered_from_the_first_to_the_planned_last() {
        let mut rng = fastrand::Rng::with_seed(1);
        let terms = Terms::new(1, Duration::from_millis(9_500), None);
        let mut stream = Stream::new(&mut rng, terms, false, SECOND, 7);
        let planned = stream.planned();
        let sent = all(&mut stream);
        assert_eq!(sent.first().map(|packet| packet.1), Some(7));
        assert_eq!(sent.last().map(|packet| packet.1 + 1), Some(planned));
        assert!(sent.iter().all(|packet| packet.0 < SECOND + terms.lasting));
        assert!(sent.len() >= 158);
    }

    #[test]
    fn over_a_relay_both_directions_stay_within_its_caps() {
        // IPv4 and UDP headers, and eight bytes that the relay needs.
        const OVERHEAD: usize = 28 + 8;
        for (video, cap) in [(None, 4_000), (Some(500_000), 10_000)] {
            let mut rng = fastrand::Rng::with_seed(2);
            let lasting = 60 * SECOND;
            let terms = Terms::new(2, lasting, video);
            let mut stream = Stream::new(&mut rng, terms, true, SECOND, 0);
            let bytes: usize = all(&mut stream).iter().map(|sent| sent.2 + OVERHEAD).sum();
            assert!(2 * bytes < 60 * cap, "{video:?}: {bytes}");
        }
    }

    #[test]
    fn a_packet_counts_once_and_gaps_are_found() {
        let mut meter = Meter::new(SECOND);
        for (at, number) in [(1.5, 0), (2.0, 1), (2.0, 1), (5.0, 70), (5.5, 2)] {
            meter.packet(Duration::from_secs_f64(at), number, 10);
        }
        let direction = meter.direction(6 * SECOND, 0);
        assert_eq!((direction.sent, direction.arrived), (71, 4));
        assert_eq!((direction.bytes, direction.longest_gap), (40, 3 * SECOND));
        let later = meter.direction(10 * SECOND, 100);
        assert_eq!((later.sent, later.longest_gap), (100, 4500 * SECOND / 1000));
    }
}
