//! The receiving end of a file: which pieces have come, and when to tell the sender.

use std::time::Duration;

use super::Report;
use crate::simulator::net::program::Instant;

/// How long a piece waits for another before it is reported by itself.
const REPORT_DELAY: Duration = Duration::from_millis(100);

/// What has arrived of a file that is sent in pieces.
#[derive(Debug)]
pub(crate) struct Receiver {
    bytes: u64,
    piece: u32,
    /// A bit for each piece that has arrived.
    seen: Vec<u64>,
    /// All pieces below this have arrived.
    upto: u32,
    arrived: u64,
    latest: u32,
    /// A piece that has not been reported since then.
    unreported: Option<Instant>,
}

impl Receiver {
    /// Nothing has arrived of `bytes`, which come in pieces of `piece` bytes, one at least.
    pub(crate) fn new(bytes: u64, piece: u32) -> Self {
        let pieces = super::pieces(bytes, piece);
        Self {
            bytes,
            piece,
            seen: vec![0; (pieces as usize).div_ceil(64)],
            upto: 0,
            arrived: 0,
            latest: 0,
            unreported: None,
        }
    }

    fn has(&self, piece: u32) -> bool {
        let word = self.seen.get(piece as usize / 64);
        word.is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    /// Piece `index` has arrived. A report is due at once if it is the second in a row, or shows
    /// that another is missing, came twice, or is the last.
    pub(crate) fn piece(&mut self, now: Instant, index: u32) -> Option<Report> {
        let pieces = super::pieces(self.bytes, self.piece);
        if index >= pieces {
            return None;
        }
        let in_order = index == self.upto;
        if !self.has(index) {
            self.seen[index as usize / 64] |= 1 << (index % 64);
            self.arrived += super::length(self.bytes, self.piece, index);
            while self.has(self.upto) {
                self.upto += 1;
            }
        }
        self.latest = index;
        let second = self.unreported.is_some();
        if !in_order || second || self.whole() {
            return Some(self.report());
        }
        self.unreported = Some(now);
        None
    }

    /// When a report is due if nothing else comes.
    pub(crate) fn wake(&self) -> Option<Instant> {
        Some(self.unreported? + REPORT_DELAY)
    }

    /// What has arrived, to be sent now.
    pub(crate) fn report(&mut self) -> Report {
        self.unreported = None;
        let before = (0..64)
            .filter(|back| (self.latest.checked_sub(back + 1)).is_some_and(|piece| self.has(piece)))
            .fold(0, |bits, back| bits | 1 << back);
        Report {
            upto: self.upto,
            latest: self.latest,
            before,
        }
    }

    /// Bytes that have arrived, each counted once.
    pub(crate) const fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether all has arrived.
    pub(crate) const fn whole(&self) -> bool {
        self.arrived == self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_piece_is_reported_and_a_missing_one_at_once() {
        let mut receiver = Receiver::new(10_050, 100);
        let now = Duration::from_secs(1);
        assert_eq!(receiver.piece(now, 0), None);
        assert_eq!(receiver.wake(), Some(now + REPORT_DELAY));
        let report = receiver.piece(now, 1).expect("the second");
        assert_eq!((report.upto, report.latest, report.before), (2, 1, 1));
        assert_eq!(receiver.wake(), None);
        let report = receiver.piece(now, 4).expect("two are missing");
        assert_eq!((report.upto, report.latest, report.before), (2, 4, 0b1100));
        assert_eq!(receiver.piece(now, 200), None, "there is no such piece");
        assert_eq!(receiver.arrived(), 300);
    }

    #[test]
    fn the_last_piece_is_shorter_and_makes_the_file_whole() {
        let mut receiver = Receiver::new(250, 100);
        let now = Duration::ZERO;
        for piece in [2, 1, 1] {
            receiver.piece(now, piece);
            assert!(!receiver.whole());
        }
        let report = receiver.piece(now, 0).expect("the end");
        assert!(receiver.whole());
        assert_eq!((report.upto, receiver.arrived()), (3, 250));
    }
}
