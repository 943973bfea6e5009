//! What flows that are known to be Skype carry, in bounded memory.

use skype_ips_common::layout::FlowKey;

use crate::detect::media::{Counters, Traffic, Window};
use crate::detect::path::MediaPath;
use crate::detect::skypeout::Framing;
use crate::recent::Recent;

/// A flow that came up last so long ago is forgotten, nanoseconds: of one of three packets a second
/// each 1024th does.
const LIFE: u64 = 3600 * 1_000_000_000;

/// What is known of one flow.
#[derive(Clone, Debug)]
pub struct Carried {
    since: u64,
    counters: Counters,
    carries: Traffic,
    leaning: Option<Traffic>,
    /// How the media that it carries came about, if that is known.
    path: Option<MediaPath>,
    /// Whether it was ever decided to carry media.
    had_media: bool,
    /// What the datagrams that the inside host sent have in common.
    pub framing: Framing,
}

impl Carried {
    fn new(now: u64, counters: Counters) -> Self {
        Self {
            since: now,
            counters,
            carries: Traffic::Quiet,
            leaning: None,
            path: None,
            had_media: false,
            framing: Framing::default(),
        }
    }

    /// What it was last decided to carry.
    pub const fn carries(&self) -> Traffic {
        self.carries
    }

    /// Whether it remains to be said, after a window that makes it `changes`, how its media came about.
    pub fn lacks_path(&self, window: &Window, changes: bool) -> bool {
        let media = match self.carries {
            // One direction that fails later is no leg. And both ends were heard at some time: else it
            // may be that one direction goes another way.
            Traffic::Quiet => {
                let heard = self.counters.packets.iter().all(|count| *count > 0);
                !self.had_media && heard && window.is_one_way()
            }
            _ => changes,
        };
        media && self.path.is_none()
    }

    /// Takes in the counters at `now`. Gives what the window since the last look is, if there is
    /// enough in it.
    ///
    /// The decision changes from quiet at once, and from anything else when two windows agree.
    pub fn look(&mut self, now: u64, counters: Counters, headers: u64) -> Option<(Window, bool)> {
        let Some(counted) = counters.since(&self.counters) else {
            // The gate began anew: it is another flow between the same ports.
            *self = Self {
                framing: self.framing,
                ..Self::new(now, counters)
            };
            return None;
        };
        let window = Window {
            duration: now.saturating_sub(self.since),
            counted,
            headers,
        };
        if !window.suffices() {
            return None;
        }
        (self.since, self.counters) = (now, counters);
        let traffic = window.traffic();
        let changes = traffic != self.carries
            && (self.carries == Traffic::Quiet || self.leaning == Some(traffic));
        self.leaning = (traffic != self.carries && !changes).then_some(traffic);
        if changes {
            self.carries = traffic;
        }
        self.had_media |= self.carries != Traffic::Quiet;
        if self.carries == Traffic::Quiet && (self.had_media || !window.is_one_way()) {
            self.path = None;
        }
        Some((window, changes))
    }
}

/// A call to the telephone network that shows nothing for so long is forgotten, nanoseconds.
const CALL_LIFE: u64 = 600 * 1_000_000_000;

/// A flow that may be a call to the telephone network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// What its datagrams have in common.
    pub framing: Framing,
    /// Whether it was found to be one.
    pub found: bool,
}

/// All of them; the longest silent goes first.
#[derive(Debug)]
pub struct Traffics {
    flows: Recent<FlowKey, Carried>,
    calls: Recent<FlowKey, Call>,
    most: usize,
}

impl Traffics {
    /// Room for `most` flows, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            flows: Recent::default(),
            calls: Recent::default(),
            most: most.max(1),
        }
    }

    /// A flow, remembered from now on, with its counters as they are now if it is new.
    pub fn flow(&mut self, key: &FlowKey, now: u64, counters: Counters) -> &mut Carried {
        let fresh = || Carried::new(now, counters);
        self.flows.entry_or(key, now, self.most, fresh)
    }

    /// What a flow was last decided to carry.
    pub fn carries(&self, key: &FlowKey) -> Traffic {
        self.flows.get(key).map_or(Traffic::Quiet, Carried::carries)
    }

    /// How the media of a flow came about.
    pub fn path(&self, key: &FlowKey) -> Option<MediaPath> {
        self.flows.get(key)?.path
    }

    /// Remembers that, of a flow that is known already.
    pub fn came_by(&mut self, key: &FlowKey, path: MediaPath) {
        if let Some(carried) = self.flows.get_mut(key) {
            carried.path = Some(path);
        }
    }

    /// Forgets a flow.
    pub fn forget(&mut self, key: &FlowKey) {
        self.flows.remove(key);
        self.calls.remove(key);
    }

    /// A flow of a known host's to where calls to the telephone network go, remembered from now on.
    pub fn call(&mut self, key: &FlowKey, now: u64) -> &mut Call {
        self.calls.entry_or(key, now, self.most, Call::default)
    }

    /// Whether a flow was found to be such a call.
    pub fn is_call(&self, key: &FlowKey) -> bool {
        self.calls.get(key).is_some_and(|call| call.found)
    }

    /// Forgets what was silent for too long.
    pub fn expire(&mut self, now: u64) {
        let before = now.saturating_sub(LIFE);
        while self.flows.pop_older_than(before).is_some() {}
        let before = now.saturating_sub(CALL_LIFE);
        while self.calls.pop_older_than(before).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Counters after so many seconds of 50 small packets a second each way, from `before` on.
    fn call(before: Counters, seconds: u64) -> Counters {
        Counters {
            packets: before.packets.map(|packets| packets + 50 * seconds),
            bytes: before.bytes.map(|bytes| bytes + 50 * 100 * seconds),
            large: before.large,
        }
    }

    /// Nothing but one packet each way.
    fn silence(before: Counters) -> Counters {
        Counters {
            packets: before.packets.map(|packets| packets + 1),
            bytes: before.bytes.map(|bytes| bytes + 31),
            large: before.large,
        }
    }

    #[test]
    fn quiet_ends_at_once_and_a_call_when_two_windows_agree() {
        let mut counters = Counters::default();
        let mut carried = Carried::new(0, counters);
        let mut look = |now: u64, counters| carried.look(now * SECOND, counters, 28);
        counters = call(counters, 2);
        assert!(look(2, counters).is_some_and(|(_, changes)| changes));
        let mut decided = Vec::new();
        for (now, speaks) in [(20, false), (25, true), (40, false), (60, false)] {
            counters = if speaks {
                call(counters, 5)
            } else {
                silence(counters)
            };
            decided.push(look(now, counters).is_some_and(|(_, changes)| changes));
        }
        assert_eq!(decided, [false, false, false, true]);
        assert_eq!(carried.carries(), Traffic::Quiet);
    }

    #[test]
    fn counters_that_begin_anew_are_another_flow() {
        let mut carried = Carried::new(0, Counters::default());
        let first = call(Counters::default(), 4);
        assert!(carried.look(4 * SECOND, first, 28).is_some());
        assert_eq!(carried.carries(), Traffic::Voice);
        let again = silence(Counters::default());
        assert!(carried.look(500 * SECOND, again, 28).is_none());
        assert_eq!(carried.carries(), Traffic::Quiet);
    }

    #[test]
    fn one_direction_alone_is_a_leg_unless_the_other_fails_later() {
        let one_way = |before: Counters, seconds: u64| {
            let mut counters = call(before, seconds);
            counters.packets[1] = before.packets[1];
            counters.bytes[1] = before.bytes[1];
            counters
        };
        let lacks = |unheard: bool, calls: bool| {
            let mut counters = silence(Counters::default());
            if unheard {
                (counters.packets[1], counters.bytes[1]) = (0, 0);
            }
            let mut carried = Carried::new(0, counters);
            if calls {
                counters = call(counters, 4);
                assert!(carried.look(4 * SECOND, counters, 28).is_some());
            }
            let mut lacks = Vec::new();
            for now in [8, 12] {
                counters = one_way(counters, 4);
                let (window, changes) = carried.look(now * SECOND, counters, 28).expect("enough");
                lacks.push(carried.lacks_path(&window, changes));
            }
            lacks
        };
        assert_eq!(lacks(false, false), [true, true]);
        assert_eq!(lacks(true, false), [false, false]);
        assert_eq!(lacks(false, true), [false, false]);
    }
}
