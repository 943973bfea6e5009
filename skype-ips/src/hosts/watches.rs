//! The flows of known Skype whose counters are looked at twice a second, in bounded memory: those that
//! carry something, and those that came up lately. A flood of new ones takes no room from what
//! carries.

use std::collections::VecDeque;

use skype_ips_common::layout::{FlowKey, FlowState};

use crate::detect::media::Counters;
use crate::detect::relay::Look;
use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// Most flows of each kind: a look takes a microsecond or two.
const MOST: usize = 2048;
/// Looks that are remembered.
pub const REMEMBERED: usize = 24;
/// A flow carries something from so many bytes of IP packets a look on, both directions together:
/// relays were said to give a file half a kilobyte a second, and what keeps a path open is far less.
const CARRIES: u32 = 200;
/// So many looks with less end it.
const PAUSE: u32 = 3;
/// A flow that shows nothing for so long is not looked at any more, nanoseconds.
const LIFE: u64 = 120 * SECOND;

/// What is seen of a flow.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Since when it is looked at.
    pub since: u64,
    /// Number of its newest packet that came up.
    pub packet: u64,
    /// When its last packet came, by the gate; 0 before the first look.
    pub seen: u64,
    /// Whether the outside end opened it, by the gate.
    pub called: bool,
    /// Whether what the inside host itself said proves that it is Skype.
    pub own: bool,
    /// The gate's counters at the last look.
    pub counters: Counters,
    /// What came between the newest looks, the oldest first.
    looks: VecDeque<Look>,
    /// Which look the newest is of.
    look: u64,
    /// Looks in a row with less than carries anything.
    pause: u32,
    /// What it has carried since it began to, and as of which look.
    carries: Option<(u64, Counters)>,
    /// In which of the newest 64 looks something had come, whatever became of it.
    heard: u64,
}

impl Watched {
    fn new(now: u64, packet: u64) -> Self {
        Self {
            since: now,
            packet,
            seen: 0,
            called: false,
            own: false,
            counters: Counters::default(),
            looks: VecDeque::new(),
            look: 0,
            pause: 0,
            carries: None,
            heard: !0,
        }
    }

    /// Takes in the gate's counters.
    fn look(&mut self, look: u64, state: &FlowState) {
        let counters = Counters::from(state);
        let first = self.seen == 0;
        self.heard = self.heard << 1 | u64::from(state.last_seen != self.seen);
        self.seen = state.last_seen;
        self.called |= state.called != 0;
        let counted = (!first).then(|| counters.since(&self.counters)).flatten();
        let Some(counted) = counted else {
            // The first look, or the gate began anew.
            self.looks.clear();
            self.carries = None;
            (self.counters, self.look) = (counters, look);
            return;
        };
        if self.look + 1 != look {
            self.looks.clear();
        }
        let few = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let new = Look {
            packets: counted.packets.map(few),
            bytes: counted.bytes.map(few),
        };
        let bytes = new.bytes[0].saturating_add(new.bytes[1]);
        if bytes >= CARRIES {
            self.pause = 0;
            self.carries.get_or_insert((look, self.counters));
        } else {
            self.pause += 1;
            if self.pause >= PAUSE {
                self.carries = None;
            }
        }
        if self.looks.len() == REMEMBERED {
            self.looks.pop_front();
        }
        self.looks.push_back(new);
        (self.counters, self.look) = (counters, look);
    }

    /// Since which look it carries something.
    pub fn carries_since(&self) -> Option<u64> {
        self.carries.map(|(look, _)| look)
    }

    /// What it has carried since then, and for how many looks.
    pub fn carried(&self) -> Option<(u64, Counters)> {
        let (since, before) = self.carries?;
        Some((self.look + 1 - since, self.counters.since(&before)?))
    }

    /// What came between the newest looks since it began to carry something: not what came with the beginning.
    pub fn looks(&self) -> Vec<Look> {
        let Some((since, _)) = self.carries else {
            return Vec::new();
        };
        let full = (self.look - since) as usize;
        let skip = self.looks.len().saturating_sub(full);
        self.looks.iter().skip(skip).copied().collect()
    }

    /// Whether the newest look is of this number.
    pub fn is_of(&self, look: u64) -> bool {
        self.look == look
    }

    /// Whether hardly anything has come for half a minute, not even what was dropped.
    pub fn is_over(&self) -> bool {
        self.heard.count_ones() < 8
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Watches {
    idle: Recent<FlowKey, Watched>,
    carrying: Recent<FlowKey, Watched>,
    /// Number of the look that is going on.
    look: u64,
}

impl Watches {
    /// A packet of a flow that is known to be Skype came up.
    pub fn came_up(&mut self, key: &FlowKey, now: u64, packet: u64) {
        if let Some(watched) = self.carrying.get_mut(key) {
            watched.packet = packet;
            return;
        }
        let fresh = || Watched::new(now, packet);
        self.idle.entry_or(key, now, MOST, fresh).packet = packet;
    }

    /// What the inside host itself said proves a flow to be Skype.
    pub fn own(&mut self, key: &FlowKey) {
        let watched = match self.carrying.get_mut(key) {
            Some(watched) => Some(watched),
            None => self.idle.get_mut(key),
        };
        if let Some(watched) = watched {
            watched.own = true;
        }
    }

    /// Which to look at, those of one host beside each other: so they are looked at together.
    pub fn keys(&self) -> Vec<FlowKey> {
        let keys = self.idle.iter().chain(self.carrying.iter());
        let mut keys: Vec<_> = keys.map(|(key, _)| *key).collect();
        keys.sort_unstable_by_key(|key| (key.zone, key.inside, key.inside_port));
        keys
    }

    /// Takes in the gate's counters of one; what is seen of it by now.
    pub fn look(&mut self, key: &FlowKey, now: u64, state: &FlowState) -> Option<&Watched> {
        let look = self.look;
        let (from, to) = if self.carrying.get(key).is_some() {
            (&mut self.carrying, &mut self.idle)
        } else {
            (&mut self.idle, &mut self.carrying)
        };
        let was_carrying = from.get(key)?.carries.is_some();
        let quiet = now.saturating_sub(state.last_seen) > SECOND;
        let watched = if quiet {
            from.get_mut(key)?
        } else {
            from.touch(key, now)?
        };
        watched.look(look, state);
        if watched.carries.is_some() == was_carrying {
            return from.get(key);
        }
        let watched = from.remove(key)?;
        Some(to.entry_or(key, now, MOST, || watched))
    }

    /// What is seen of a flow.
    pub fn get(&self, key: &FlowKey) -> Option<&Watched> {
        self.carrying.get(key).or_else(|| self.idle.get(key))
    }

    /// Those that carry something.
    pub fn carrying(&self) -> impl Iterator<Item = (&FlowKey, &Watched)> {
        self.carrying.iter()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&FlowKey, &Watched)> {
        self.idle.iter().chain(self.carrying.iter())
    }

    /// Number of the look that is going on.
    pub const fn number(&self) -> u64 {
        self.look
    }

    /// A look is over; forgets what was silent for too long.
    pub fn next(&mut self, now: u64) {
        self.look += 1;
        let before = now.saturating_sub(LIFE);
        while self.idle.pop_older_than(before).is_some() {}
        while self.carrying.pop_older_than(before).is_some() {}
    }

    /// Forgets a flow.
    pub fn forget(&mut self, key: &FlowKey) {
        self.idle.remove(key);
        self.carrying.remove(key);
    }
}
