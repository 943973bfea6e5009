//! What is in force at the moment, swapped whole: those who read it never wait.

use std::sync::Arc;

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

/// The policies in force.
#[derive(Debug, Default)]
pub(super) struct Current {
    in_force: ArcSwap<InForce>,
}

impl Current {
    pub(super) fn new(in_force: InForce) -> Self {
        Self {
            in_force: ArcSwap::from_pointee(in_force),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<InForce>> {
        self.in_force.load()
    }

    pub(super) fn swap(&self, next: InForce) {
        self.in_force.store(Arc::new(next));
    }
}
