//! The sending end of a file: which piece goes out next, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Report;
use crate::simulator::net::program::Instant;

/// Pieces in flight at the start (RFC 6928), and after a silence.
const FIRST_WINDOW: f64 = 10.0;
const LEAST_WINDOW: f64 = 2.0;
/// What is left of the window after a loss (RFC 9438).
const DECREASE: f64 = 0.7;
/// A queue longer than this is not fed further: a call beside the file wants to live.
const MOST_QUEUE: Duration = Duration::from_millis(200);
/// Before the first measurement, and the bounds of later ones (RFC 6298, with a lower floor).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(300);
const MOST_TIMEOUT: Duration = Duration::from_secs(4);
/// Room for packets that overtake each other.
const REORDERING: Duration = Duration::from_millis(20);

/// How fast pieces may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As fast as the path takes them.
    Free,
    /// One in so long at the most: a relay's cap.
    Every(Duration),
    /// TCP beneath decides, and loses nothing.
    Stream,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    at: Instant,
    again: bool,
}

/// A file on its way out.
#[derive(Debug)]
pub(crate) struct Sender {
    bytes: u64,
    piece: u32,
    pace: Pace,
    /// Pieces never sent begin here.
    next: u32,
    in_flight: BTreeMap<u32, InFlight>,
    lost: BTreeSet<u32>,
    arrived: u64,
    /// Congestion window and slow-start threshold, pieces.
    window: f64,
    threshold: f64,
    /// Losses of what was sent before this are of a congestion that was answered already.
    answered: Instant,
    round_trip: Option<RoundTrip>,
    /// When the newest piece that has arrived was sent.
    newest: Instant,
    timeout_factor: u32,
    /// When the timeout last began to run.
    waiting_since: Instant,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug)]
struct RoundTrip {
    smooth: Duration,
    variation: Duration,
    least: Duration,
}

impl Sender {
    /// A file of `bytes` in pieces of `piece` bytes, of which nothing has gone.
    pub(crate) fn new(now: Instant, bytes: u64, piece: u32, pace: Pace) -> Self {
        Self {
            bytes,
            piece,
            pace,
            next: 0,
            in_flight: BTreeMap::new(),
            lost: BTreeSet::new(),
            arrived: 0,
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            answered: now,
            round_trip: None,
            newest: now,
            timeout_factor: 1,
            waiting_since: now,
            not_before: now,
        }
    }

    /// Goes on over another path: what is in flight is lost, what was measured is void.
    pub(crate) fn change_path(&mut self, now: Instant, pace: Pace) {
        let in_flight = std::mem::take(&mut self.in_flight);
        self.lost.extend(in_flight.into_keys());
        let fresh = Self::new(now, self.bytes, self.piece, pace);
        *self = Self {
            next: self.next,
            lost: std::mem::take(&mut self.lost),
            arrived: self.arrived,
            ..fresh
        };
    }

    /// Bytes in piece `index`.
    pub(crate) fn length(&self, index: u32) -> usize {
        super::length(self.bytes, self.piece, index) as usize
    }

    /// Bytes that the receiver has, as it has said.
    pub(crate) const fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether the receiver has all.
    pub(crate) const fn whole(&self) -> bool {
        self.arrived == self.bytes
    }

    fn pending(&self) -> bool {
        !self.lost.is_empty() || self.next < super::pieces(self.bytes, self.piece)
    }

    fn window_open(&self) -> bool {
        self.pace == Pace::Stream || (self.in_flight.len() as f64) < self.window.floor()
    }

    /// The piece to be sent now, if there is one. It counts as sent.
    pub(crate) fn send(&mut self, now: Instant) -> Option<u32> {
        self.look_for_losses(now);
        if !self.pending() || !self.window_open() || now < self.not_before {
            return None;
        }
        let (index, again) = match self.lost.pop_first() {
            Some(index) => (index, true),
            None => {
                self.next += 1;
                (self.next - 1, false)
            }
        };
        if self.in_flight.is_empty() {
            self.waiting_since = now;
        }
        self.in_flight.insert(index, InFlight { at: now, again });
        // A burst of what is due since the last time, not of all that was missed.
        self.not_before = self.not_before.max(now.saturating_sub(BURST)) + self.gap();
        Some(index)
    }

    /// Between two pieces.
    fn gap(&self) -> Duration {
        let free = match self.round_trip {
            // A fifth faster than the window, so that pacing never holds it back.
            Some(trip) => trip.smooth.div_f64(1.2 * self.window.max(1.0)),
            None => Duration::from_millis(2),
        };
        match self.pace {
            Pace::Free => free,
            Pace::Every(gap) => gap.max(free),
            Pace::Stream => Duration::ZERO,
        }
    }

    /// When [`Sender::send`] is to be called next; `None` if only a report can change anything.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let next = (self.pending() && self.window_open()).then_some(self.not_before);
        let timeout = (self.pace != Pace::Stream && !self.in_flight.is_empty())
            .then(|| self.waiting_since + self.timeout());
        let late = self.late_from().and_then(|from| {
            let first = self.in_flight.values().map(|sent| sent.at).min()?;
            (first < self.newest).then_some(first + from)
        });
        [next, timeout, late].into_iter().flatten().min()
    }

    fn timeout(&self) -> Duration {
        let measured = match self.round_trip {
            None => FIRST_TIMEOUT,
            Some(trip) => (trip.smooth + 4 * trip.variation).max(LEAST_TIMEOUT),
        };
        (measured * self.timeout_factor).min(MOST_TIMEOUT)
    }

    /// How long after its sending a piece is late, when one sent after it has arrived.
    fn late_from(&self) -> Option<Duration> {
        if self.pace == Pace::Stream {
            return None;
        }
        let trip = self.round_trip?;
        Some(trip.smooth + (trip.smooth / 4).max(REORDERING))
    }

    fn look_for_losses(&mut self, now: Instant) {
        if self.pace == Pace::Stream {
            return;
        }
        if let Some(late) = self.late_from() {
            let lost: Vec<u32> = self
                .in_flight
                .iter()
                .filter(|(_, sent)| sent.at < self.newest && sent.at + late <= now)
                .map(|(index, _)| *index)
                .collect();
            for index in lost {
                let sent = self.in_flight.remove(&index).expect("just found");
                self.lost.insert(index);
                if sent.at >= self.answered {
                    self.window = (self.window * DECREASE).max(LEAST_WINDOW);
                    self.threshold = self.window;
                    self.answered = now;
                }
            }
        }
        if !self.in_flight.is_empty() && now >= self.waiting_since + self.timeout() {
            // Nothing comes back: begin anew, slower each time.
            self.lost
                .extend(std::mem::take(&mut self.in_flight).into_keys());
            self.threshold = (self.window * DECREASE).max(LEAST_WINDOW);
            self.window = LEAST_WINDOW;
            self.answered = now;
            self.timeout_factor = (2 * self.timeout_factor).min(8);
            self.waiting_since = now;
            self.not_before = now;
        }
    }

    /// The receiver has reported.
    pub(crate) fn report(&mut self, now: Instant, report: &Report) {
        let below: Vec<u32> = (self.in_flight.range(..report.upto))
            .map(|(index, _)| *index)
            .chain(self.lost.range(..report.upto).copied())
            .collect();
        let before = (0..64)
            .filter(|back| report.before >> back & 1 == 1)
            .filter_map(|back| report.latest.checked_sub(back + 1));
        let mut news = 0;
        for index in below.into_iter().chain(before).chain([report.latest]) {
            news += u32::from(self.acknowledge(now, index, index == report.latest));
        }
        if news > 0 {
            self.timeout_factor = 1;
            self.waiting_since = now;
            self.grow(news);
        }
        self.look_for_losses(now);
    }

    /// Whether that is news.
    fn acknowledge(&mut self, now: Instant, index: u32, latest: bool) -> bool {
        let sent = self.in_flight.remove(&index);
        let news = sent.is_some() || self.lost.remove(&index);
        if news {
            self.arrived += super::length(self.bytes, self.piece, index);
        }
        if let Some(sent) = sent {
            let took = now.saturating_sub(sent.at);
            // Sooner than any answer: it is the first sending that has arrived.
            let first = sent.again && self.round_trip.is_some_and(|trip| took < trip.least);
            if !first {
                self.newest = self.newest.max(sent.at);
            }
            if latest && !sent.again {
                self.measure(took);
            }
        }
        news
    }

    fn measure(&mut self, sample: Duration) {
        let trip = self.round_trip.get_or_insert(RoundTrip {
            smooth: sample,
            variation: sample / 2,
            least: sample,
        });
        trip.variation = (3 * trip.variation + trip.smooth.abs_diff(sample)) / 4;
        trip.smooth = (7 * trip.smooth + sample) / 8;
        trip.least = trip.least.min(sample);
    }

    fn grow(&mut self, news: u32) {
        let queue = (self.round_trip).map_or(Duration::ZERO, |trip| trip.smooth - trip.least);
        if self.pace == Pace::Stream || queue > MOST_QUEUE {
            return;
        }
        let news = f64::from(news);
        self.window += match self.window < self.threshold {
            true => news,
            false => news / self.window,
        };
    }
}

/// How much of missed time a burst may make up for.
const BURST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::Receiver;
    use super::*;

    const PIECE: u32 = 1_300;

    /// A path: `delay` each way, `rate` bytes a second behind a queue of `queue`, `loss` of all
    /// packets, `jitter` on top.
    struct Path {
        delay: Duration,
        jitter: Duration,
        rate: f64,
        queue: Duration,
        loss: f64,
    }

    struct Transfer {
        took: Duration,
        sent: u64,
    }

    /// Sends a file over the path, or panics after an hour.
    fn transfer(path: &Path, bytes: u64, pace: Pace) -> Transfer {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut now = Duration::ZERO;
        let (mut sender, mut receiver) = (
            Sender::new(now, bytes, PIECE, pace),
            Receiver::new(bytes, PIECE),
        );
        // What is under way, by time of arrival and order of sending.
        let mut pieces: BTreeMap<(Instant, u64), u32> = BTreeMap::new();
        let mut reports: BTreeMap<(Instant, u64), Report> = BTreeMap::new();
        let (mut sent, mut free) = (0, Duration::ZERO);
        while !sender.whole() {
            assert!(now < Duration::from_secs(3600), "an hour has passed");
            while let Some(index) = sender.send(now) {
                sent += 1;
                let wire = Duration::from_secs_f64(f64::from(PIECE) / path.rate);
                let begins = free.max(now);
                if begins > now + path.queue || rng.f64() < path.loss {
                    continue;
                }
                free = begins + wire;
                let at = free + path.delay + path.jitter.mul_f64(rng.f64());
                pieces.insert((at, sent), index);
            }
            let first = |at: Option<Instant>| at.unwrap_or(Duration::MAX);
            now = first(pieces.keys().next().map(|key| key.0))
                .min(first(reports.keys().next().map(|key| key.0)))
                .min(first(sender.wake()).max(now))
                .min(first(receiver.wake()).max(now));
            let mut answers = Vec::new();
            while let Some(entry) = pieces.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                answers.extend(receiver.piece(now, entry.remove()));
            }
            if receiver.wake().is_some_and(|wake| wake <= now) {
                answers.push(receiver.report());
            }
            for report in answers {
                sent += 1 << 32;
                if rng.f64() >= path.loss {
                    reports.insert((now + path.delay, sent), report);
                }
            }
            while let Some(entry) = reports.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let report = entry.remove();
                sender.report(now, &report);
            }
        }
        assert!(receiver.whole());
        Transfer {
            took: now,
            sent: sent & 0xffff_ffff,
        }
    }

    const GOOD: Path = Path {
        delay: Duration::from_millis(20),
        jitter: Duration::ZERO,
        rate: 250_000.0,
        queue: Duration::from_millis(100),
        loss: 0.0,
    };

    #[test]
    fn a_file_fills_its_link() {
        for jitter in [0, 10] {
            let jitter = Duration::from_millis(jitter);
            let path = Path { jitter, ..GOOD };
            let bytes = 5_000_000;
            let transfer = transfer(&path, bytes, Pace::Free);
            let best = bytes as f64 / path.rate;
            let took = transfer.took.as_secs_f64();
            assert!(took < 1.25 * best, "{took} s instead of {best}");
            let wasted = transfer.sent as f64 * f64::from(PIECE) / bytes as f64;
            assert!(wasted < 1.05, "{wasted}");
        }
    }

    #[test]
    fn loss_slows_a_file_but_does_not_stop_it() {
        // At a loss of 40 % it lives from its timeouts.
        for (loss, seconds) in [(0.02, 3.0), (0.1, 5.0), (0.4, 150.0)] {
            let path = Path { loss, ..GOOD };
            let transfer = transfer(&path, 500_000, Pace::Free);
            let took = transfer.took.as_secs_f64();
            assert!(took < seconds, "{loss}: {took} s");
        }
    }

    #[test]
    fn a_pace_is_kept() {
        let pace = Pace::Every(Duration::from_millis(500));
        let transfer = transfer(&GOOD, 26_000, pace);
        let took = transfer.took.as_secs_f64();
        assert!((9.5..10.5).contains(&took), "{took}");
    }

    #[test]
    fn a_narrow_policer_is_survived() {
        // 3 KB/s without a queue, as a budget in a gateway.
        let path = Path {
            rate: 3_000.0,
            queue: Duration::from_millis(400),
            ..GOOD
        };
        let transfer = transfer(&path, 100_000, Pace::Free);
        let took = transfer.took.as_secs_f64();
        assert!(took < 60.0, "{took}");
    }

    #[test]
    fn another_path_sends_again_what_was_in_flight() {
        let now = Duration::from_secs(1);
        let mut sender = Sender::new(now, 10 * u64::from(PIECE), PIECE, Pace::Stream);
        let first: Vec<u32> = std::iter::from_fn(|| sender.send(now)).collect();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        let report = Report {
            upto: 4,
            latest: 5,
            before: 0b1_1110,
        };
        sender.report(now, &report);
        assert_eq!(sender.arrived(), 5 * u64::from(PIECE));
        sender.change_path(now, Pace::Stream);
        let again: Vec<u32> = std::iter::from_fn(|| sender.send(now)).collect();
        assert_eq!(again, [4, 6, 7, 8, 9]);
    }
}
