//! What the shards and the control side share: settings that don't change, and a few switches.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::Guard;
use skype_ips_common::layout::Met;
use skype_ips_common::mark::{Field, MAX_QUEUES};

use super::counters::ShardCounters;
use super::in_force::{Current, InForce};
use super::shard::engine_settings;
use crate::detect::knowledge::Knowledge;
use crate::engine::Settings;
use crate::policy::Failure;

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// Name of this daemon.
    pub instance: String,
    pub(super) current: Current,
    /// Where the code stands in marks.
    pub field: Field,
    /// What happens to packets that can't be judged.
    pub failure: Failure,
    /// Whether connections carry codes.
    pub conntrack: bool,
    /// Numbers of the inside interfaces.
    pub inside: HashSet<u32>,
    /// What is known of all interfaces, by number.
    pub places: HashMap<u32, Place>,
    /// Number of the first queue.
    pub first_queue: u16,
    /// One per shard.
    pub counters: Vec<ShardCounters>,
    /// NAT addresses of inside hosts, as configured.
    pub public_addresses: Vec<IpAddr>,
    /// The gateway's own, where it may translate.
    pub(super) outside_addresses: OutsideAddresses,
    /// What the detection packs say.
    pub knowledge: Arc<Knowledge>,
    /// Set once, when the shards are to end.
    pub stopping: AtomicBool,
    pub(super) bypass: AtomicBool,
    pub(super) beats: [AtomicU64; MAX_QUEUES as usize],
}

/// What is known of an interface without asking the kernel again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Its zone.
    pub zone: u16,
    /// What policies may ask for: its number, and its VLAN.
    pub met: Met,
    /// Bytes of the longest packet that it carries.
    pub mtu: u32,
}

/// Addresses of the gateway's own outside interfaces, which change while it runs.
#[derive(Debug, Default)]
pub(super) struct OutsideAddresses {
    addresses: RwLock<Vec<IpAddr>>,
    version: AtomicU64,
}

impl OutsideAddresses {
    /// Sets them; whether they are others than before.
    pub(super) fn set(&self, mut addresses: Vec<IpAddr>) -> bool {
        addresses.sort_unstable();
        let mut known = self
            .addresses
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let changed = *known != addresses;
        if changed {
            *known = addresses;
            self.version.fetch_add(1, Relaxed);
        }
        changed
    }

    /// A number that grows when they change.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// The addresses, sorted.
    pub(super) fn get(&self) -> Vec<IpAddr> {
        let known = self
            .addresses
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }
}

impl Shared {
    /// Whether nothing is to be dropped for now.
    pub fn bypass(&self) -> bool {
        self.bypass.load(Relaxed)
    }

    /// The policies in force. To be let go soon: what is held is not the newest after a while.
    pub fn in_force(&self) -> Guard<Arc<InForce>> {
        self.current.load()
    }

    pub(super) fn engine_settings(&self) -> Settings {
        Settings {
            public_addresses: self.public_addresses.clone(),
            knowledge: self.knowledge.clone(),
            hosts: self.in_force().standing.set().hosts,
            ..engine_settings(self.counters.len() as u8)
        }
    }

    pub(super) fn beat(&self, shard: u8, now: u64) {
        self.beats[usize::from(shard)].store(now, Relaxed);
    }

    /// The oldest sign of life of all shards, nanoseconds of CLOCK_MONOTONIC.
    pub fn oldest_beat(&self) -> u64 {
        self.beats[..self.counters.len()]
            .iter()
            .map(|beat| beat.load(Relaxed))
            .min()
            .unwrap_or(0)
    }
}
