//! What is in force at the moment, swapped whole: those who read it never wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::policy::Standing;

/// Policies in force, and which they are.
#[derive(Debug, Default)]
pub struct InForce {
    /// What they say now.
    pub standing: Standing,
    /// Their version: the hash of the configuration.
    pub version: String,
}

/// The policies in force, and a number that grows with each swap.
#[derive(Debug, Default)]
pub(super) struct Current {
    in_force: ArcSwap<InForce>,
    swaps: AtomicU64,
}

impl Current {
    pub(super) fn new(in_force: InForce) -> Self {
        Self {
            in_force: ArcSwap::from_pointee(in_force),
            swaps: AtomicU64::new(0),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<InForce>> {
        self.in_force.load()
    }

    pub(super) fn swap(&self, next: InForce) {
        self.in_force.store(Arc::new(next));
        // Whoever sees the number loads what it counts, or something newer.
        self.swaps.fetch_add(1, Ordering::Release);
    }

    /// How many swaps there were: cheap enough to be asked for each packet.
    pub(super) fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Acquire)
    }
}
