//! What uTP and QUIC have in common: chunks that are sent until they are acknowledged, and put in
//! order where they arrive.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::simulator::net::program::Instant;

/// Before anything is known of the path, and the least and the most (RFC 9002; libutp has the
/// same least).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(500);
const MOST_TIMEOUT: Duration = Duration::from_secs(8);
/// So many later chunks arrived: this one is lost (RFC 9002, and TCP's three).
const OVERTAKEN: u32 = 3;
/// Time-outs in a row after which the other end is gone.
const PATIENCE: u32 = 8;
/// Chunks under way at first and at most.
const FIRST_WINDOW: f64 = 4.0;
const MOST_WINDOW: f64 = 256.0;
/// The queueing delay that LEDBAT aims at (RFC 6817).
const TARGET: Duration = Duration::from_millis(100);

/// A chunk under way.
#[derive(Clone, Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// When it was sent last; `None`: it is to be sent again.
    sent: Option<Instant>,
    /// Whether it was sent once only, so that its acknowledgement measures the path.
    once: bool,
}

/// The sending end. Chunks are numbered from 1.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    queue: VecDeque<Vec<u8>>,
    under_way: BTreeMap<u32, Chunk>,
    last: u32,
    window: f64,
    /// Whether the window still opens by one for each acknowledgement.
    opening: bool,
    smoothed: Option<Duration>,
    timeouts: u32,
    /// No further reaction to losses of chunks up to this one.
    recovered: u32,
}

impl Sender {
    /// One with nothing to send.
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            under_way: BTreeMap::new(),
            last: 0,
            window: FIRST_WINDOW,
            opening: true,
            smoothed: None,
            timeouts: 0,
            recovered: 0,
        }
    }

    /// Sends these bytes, in chunks of at most `most`.
    pub(super) fn push(&mut self, bytes: &[u8], most: usize) {
        self.queue.extend(bytes.chunks(most).map(<[u8]>::to_vec));
    }

    /// Sends a chunk without bytes: the end.
    pub(super) fn push_end(&mut self) {
        self.queue.push_back(Vec::new());
    }

    /// The number of the next new chunk.
    pub(super) fn next_number(&self) -> u32 {
        self.last + 1
    }

    /// Whether everything was acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way.is_empty()
    }

    /// Whether the other end has been silent for too long.
    pub(super) fn gave_up(&self) -> bool {
        self.timeouts > PATIENCE
    }

    /// The next chunk that may go out now.
    pub(super) fn take(&mut self, now: Instant) -> Option<(u32, Vec<u8>)> {
        let again = self.under_way.iter_mut();
        let again = again.map(|(number, chunk)| (*number, chunk));
        let mut again = again.filter(|(_, chunk)| chunk.sent.is_none());
        if let Some((number, chunk)) = again.next() {
            chunk.sent = Some(now);
            chunk.once = false;
            return Some((number, chunk.bytes.clone()));
        }
        if self.under_way.len() as f64 >= self.window {
            return None;
        }
        let bytes = self.queue.pop_front()?;
        self.last += 1;
        let chunk = Chunk {
            bytes: bytes.clone(),
            sent: Some(now),
            once: true,
        };
        self.under_way.insert(self.last, chunk);
        Some((self.last, bytes))
    }

    fn timeout(&self) -> Duration {
        let path = self.smoothed.map_or(FIRST_TIMEOUT, |time| time * 2);
        let path = path.max(LEAST_TIMEOUT) * (1 << self.timeouts.min(4));
        path.min(MOST_TIMEOUT)
    }

    /// When the oldest chunk is overdue; `None`: nothing is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        let sent = self.under_way.values().filter_map(|chunk| chunk.sent);
        sent.min().map(|sent| sent + self.timeout())
    }

    /// Sends again what is overdue.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        self.timeouts += 1;
        self.window = (self.window / 2.0).max(1.0);
        self.opening = false;
        for chunk in self.under_way.values_mut() {
            chunk.sent = None;
        }
    }

    /// The other end has all up to `all`, and some beyond. `delay` is what its packets waited in
    /// queues, if it says so: then this end makes room as LEDBAT has it, else as TCP.
    pub(super) fn acknowledged(
        &mut self,
        now: Instant,
        all: u32,
        beyond: &[u32],
        delay: Option<Duration>,
    ) {
        let beyond_has = |number: &u32| beyond.contains(number);
        let arrived: Vec<u32> = self
            .under_way
            .keys()
            .filter(|number| **number <= all || beyond_has(number))
            .copied()
            .collect();
        for number in &arrived {
            let Some(chunk) = self.under_way.remove(number) else {
                continue;
            };
            self.timeouts = 0;
            if let (true, Some(sent)) = (chunk.once, chunk.sent) {
                let path = now.saturating_sub(sent);
                let smoothed = self.smoothed.unwrap_or(path);
                self.smoothed = Some((smoothed * 7 + path) / 8);
            }
            self.widen(delay);
        }
        let Some(highest) = beyond.iter().copied().max() else {
            return;
        };
        let mut lost = false;
        for (number, chunk) in &mut self.under_way {
            // A chunk that is sent again has a path's time to arrive.
            let waited = chunk.sent.map(|sent| now.saturating_sub(sent));
            let patience = if chunk.once { None } else { self.smoothed };
            let overtaken = highest >= number + OVERTAKEN;
            if overtaken && waited.is_some_and(|waited| Some(waited) > patience) {
                chunk.sent = None;
                lost |= *number > self.recovered;
            }
        }
        if lost {
            self.recovered = self.last;
            self.window = (self.window / 2.0).max(2.0);
            self.opening = false;
        }
    }

    fn widen(&mut self, delay: Option<Duration>) {
        let free = delay.map_or(1.0, |delay| {
            1.0 - delay.as_secs_f64() / TARGET.as_secs_f64()
        });
        self.opening &= free > 0.0;
        let step = match self.opening {
            true => 1.0,
            false => free.max(-1.0) / self.window,
        };
        self.window = (self.window + step).clamp(1.0, MOST_WINDOW);
    }
}

/// The receiving end.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    all: u32,
    beyond: BTreeMap<u32, Vec<u8>>,
}

impl Receiver {
    /// A chunk has come; returns those that are in order now.
    pub(super) fn hear(&mut self, number: u32, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        if number > self.all {
            self.beyond.insert(number, bytes);
        }
        let mut ready = Vec::new();
        while let Some(bytes) = self.beyond.remove(&(self.all + 1)) {
            self.all += 1;
            ready.push(bytes);
        }
        ready
    }

    /// All chunks up to this one have come.
    pub(super) fn all(&self) -> u32 {
        self.all
    }

    /// Those that have come beyond a gap.
    pub(super) fn beyond(&self) -> impl Iterator<Item = u32> {
        self.beyond.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn everything_arrives_in_order_whatever_is_lost() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut sender, mut receiver) = (Sender::new(), Receiver::default());
        let content: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        sender.push(&content, 1000);
        let (mut heard, mut now) = (Vec::new(), Duration::ZERO);
        while !sender.is_idle() {
            now += 20 * MS;
            sender.expire(now);
            let mut flight = Vec::new();
            while let Some(chunk) = sender.take(now) {
                flight.push(chunk);
            }
            flight.retain(|_| rng.u8(0..10) > 0);
            rng.shuffle(&mut flight);
            for (number, bytes) in flight {
                heard.extend(receiver.hear(number, bytes).concat());
                let beyond: Vec<u32> = receiver.beyond().collect();
                if rng.u8(0..10) > 0 {
                    sender.acknowledged(now + 10 * MS, receiver.all(), &beyond, None);
                }
            }
            assert!(!sender.gave_up());
        }
        assert_eq!(heard, content);
    }

    #[test]
    fn a_sender_gives_up_on_one_that_is_gone() {
        let (mut sender, mut now) = (Sender::new(), Duration::ZERO);
        sender.push(b"hello", 1000);
        while !sender.gave_up() {
            assert!(sender.take(now).is_some());
            now = sender.due().expect("it is under way");
            sender.expire(now);
        }
        assert!(now > Duration::from_secs(20));
    }

    #[test]
    fn a_queue_on_the_way_keeps_the_window_small() {
        let mut windows = [Duration::ZERO, 300 * MS].map(|delay| {
            let (mut sender, mut now) = (Sender::new(), Duration::ZERO);
            sender.push(&[0; 100_000], 100);
            for _ in 0..50 {
                now += 50 * MS;
                while sender.take(now).is_some() {}
                let all = sender.last;
                sender.acknowledged(now + 40 * MS, all, &[], Some(delay));
            }
            sender.window
        });
        windows.sort_by(f64::total_cmp);
        assert!(windows[0] < 3.0 && windows[1] > 50.0, "{windows:?}");
    }
}
