//! Flows that are legs of a session which an inside host carries for others, in bounded memory.

use skype_ips_common::layout::FlowKey;

use crate::recent::Recent;

/// Most legs; the longest silent goes first.
const MOST: usize = 4096;

/// A leg. `F` is what the flow was found to be.
#[derive(Clone, Debug)]
pub struct LegOf<F> {
    /// Number of the session: the same for both legs, and for no other pair.
    pub session: u32,
    /// The other leg.
    pub other: FlowKey,
    /// What the flow was found to be.
    pub finding: F,
    /// Since when it is known, nanoseconds of the engine's clock.
    pub since: u64,
    /// Why, in words.
    pub says: String,
}

/// All of them.
#[derive(Debug)]
pub struct Relays<F> {
    legs: Recent<FlowKey, LegOf<F>>,
}

impl<F> Default for Relays<F> {
    fn default() -> Self {
        Self {
            legs: Recent::default(),
        }
    }
}

/// The number of the session of two legs, whichever comes first; never 0.
pub fn session(one: &FlowKey, other: &FlowKey) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for key in [one.min(other), one.max(other)] {
        sum.update(&[key.protocol]);
        sum.update(&key.zone.to_be_bytes());
        sum.update(&key.inside_port.to_be_bytes());
        sum.update(&key.outside_port.to_be_bytes());
        sum.update(&key.inside);
        sum.update(&key.outside);
    }
    sum.finalize().max(1)
}

impl<F> Relays<F> {
    /// A flow is a leg. Gives the leg that has to go for it.
    pub fn found(&mut self, key: &FlowKey, leg: LegOf<F>) -> Option<(FlowKey, LegOf<F>)> {
        let room = if self.legs.len() >= MOST {
            self.legs.pop_oldest()
        } else {
            None
        };
        self.legs.insert(*key, leg, 0);
        room
    }

    /// What is known of a leg.
    pub fn get(&self, key: &FlowKey) -> Option<&LegOf<F>> {
        self.legs.get(key)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, key: &FlowKey) -> Option<&mut LegOf<F>> {
        self.legs.get_mut(key)
    }

    /// The number of a flow's session; 0 if it is no leg.
    pub fn session(&self, key: &FlowKey) -> u32 {
        self.get(key).map_or(0, |leg| leg.session)
    }

    /// All legs.
    pub fn iter(&self) -> impl Iterator<Item = (&FlowKey, &LegOf<F>)> {
        self.legs.iter()
    }

    /// A flow is no leg any more.
    pub fn remove(&mut self, key: &FlowKey) -> Option<LegOf<F>> {
        self.legs.remove(key)
    }
}
