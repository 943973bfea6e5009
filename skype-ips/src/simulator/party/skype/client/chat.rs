//! Talk in writing: a message every few seconds, and something in between that keeps the path open.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::simulator::net::program::Instant;

/// Between two messages of one end, milliseconds.
const PAUSE: std::ops::RangeInclusive<u64> = 2_000..=9_000;
/// Letters of a message.
const LETTERS: std::ops::RangeInclusive<usize> = 12..=180;
/// Words that were not read are sent again after so long.
const AGAIN: Duration = Duration::from_millis(1_500);
/// Between two signs of life.
const STILL: Duration = Duration::from_secs(10);

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// Words of so many letters, for the first time or again.
    Words {
        /// How many there were before.
        number: u32,
        /// How long.
        letters: usize,
    },
    /// A sign of life.
    Still,
}

/// One end's part of a talk.
#[derive(Debug)]
pub(super) struct Chat {
    lasting: Duration,
    until: Option<Instant>,
    next: Option<Instant>,
    still: Option<Instant>,
    written: u32,
    read: u64,
    /// Words that the other end has not read, when they are sent again, and how long they are.
    unread: BTreeMap<u32, (Instant, usize)>,
}

impl Chat {
    /// A talk of that length which has not begun.
    pub(super) const fn new(lasting: Duration) -> Self {
        Self {
            lasting,
            until: None,
            next: None,
            still: None,
            written: 0,
            read: 0,
            unread: BTreeMap::new(),
        }
    }

    /// How long it goes on.
    pub(super) const fn lasting(&self) -> Duration {
        self.lasting
    }

    /// There is a path, the first or another.
    pub(super) fn begin(&mut self, now: Instant, rng: &mut fastrand::Rng) {
        if self.until.is_none() {
            self.until = Some(now + self.lasting);
            self.next = Some(now + Duration::from_millis(rng.u64(200..=3_000)));
        }
        self.still = Some(now + STILL);
    }

    /// What is due.
    pub(super) fn poll(&mut self, now: Instant, rng: &mut fastrand::Rng) -> Option<Say> {
        if let Some(late) = self.unread.iter_mut().find(|(_, words)| words.0 <= now) {
            late.1.0 = now + AGAIN;
            return Some(Say::Words {
                number: *late.0,
                letters: late.1.1,
            });
        }
        if self.next.is_some_and(|next| next <= now) {
            let letters = rng.usize(LETTERS);
            let number = self.written;
            self.unread.insert(number, (now + AGAIN, letters));
            self.written += 1;
            let next = now + Duration::from_millis(rng.u64(PAUSE));
            // The last words get time to arrive.
            let last = self.until.map(|until| until.saturating_sub(2 * AGAIN));
            self.next = Some(next).filter(|next| last.is_some_and(|last| *next < last));
            self.still = Some(now + STILL);
            return Some(Say::Words { number, letters });
        }
        if self.still.is_some_and(|still| still <= now) {
            self.still = Some(now + STILL);
            return Some(Say::Still);
        }
        None
    }

    /// The other end has read those words.
    pub(super) fn read(&mut self, number: u32) {
        self.read += u64::from(self.unread.remove(&number).is_some());
    }

    /// When [`Chat::poll`] is to be called next.
    pub(super) fn wake(&self) -> Option<Instant> {
        let unread = self.unread.values().map(|words| words.0);
        unread.chain(self.next).chain(self.still).min()
    }

    /// Messages written and read.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.written as u64, self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_repeated_until_they_are_read() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut chat = Chat::new(Duration::from_secs(60));
        assert_eq!(chat.wake(), None);
        chat.begin(Duration::ZERO, &mut rng);
        let mut said = Vec::new();
        while let Some(at) = chat.wake().filter(|at| at.as_secs() < 60) {
            let say = chat.poll(at, &mut rng).expect("something is due");
            if let Say::Words { number, .. } = say {
                if said.contains(&number) {
                    chat.read(number);
                    chat.read(number);
                }
                said.push(number);
            }
        }
        let (written, read) = chat.counts();
        assert!(written >= 6, "{written}");
        assert_eq!((written, said.len() as u64), (read, 2 * written));
    }
}
