//! How the flows of known endpoints began, in bounded memory.

use skype_ips_common::layout::{Address, FlowKey};

use crate::detect::path::Opening;
use crate::detect::udp::Message;
use crate::recent::Recent;

/// Most flows: half of them would do for the peers of the busiest super node on record.
const MOST: usize = 4096;
/// A flow without a message for so long is forgotten, nanoseconds.
const LIFE: u64 = 3600 * 1_000_000_000;

/// All of them; the longest silent goes first.
#[derive(Debug, Default)]
pub struct Openings {
    flows: Recent<FlowKey, Opening>,
}

impl Openings {
    /// Takes in a message of a flow; `packet` is its number.
    pub fn observe(
        &mut self,
        key: &FlowKey,
        now: u64,
        outbound: bool,
        message: &Message,
        packet: u64,
    ) {
        let opening = self.flows.entry_or(key, now, MOST, Opening::default);
        opening.observe(now, outbound, message, packet);
    }

    /// How a flow began.
    pub fn get(&self, key: &FlowKey) -> Option<&Opening> {
        self.flows.get(key)
    }

    /// Those of a host by which it tried in vain to reach somebody lately.
    pub fn failed<'a>(
        &'a self,
        now: u64,
        zone: u16,
        host: &'a Address,
    ) -> impl Iterator<Item = (&'a FlowKey, &'a Opening)> {
        self.flows.iter().filter(move |(key, opening)| {
            (key.zone, &key.inside) == (zone, host) && opening.failed(now)
        })
    }

    /// Forgets flows.
    pub fn forget_where(&mut self, gone: impl Fn(&FlowKey) -> bool) {
        self.flows.remove_where(gone);
    }

    /// Forgets what was silent for too long.
    pub fn expire(&mut self, now: u64) {
        let before = now.saturating_sub(LIFE);
        while self.flows.pop_older_than(before).is_some() {}
    }
}
