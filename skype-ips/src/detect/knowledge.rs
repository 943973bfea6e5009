//! What detection packs say: facts that change over time and are data, not code.

use std::collections::BTreeSet;

use skype_ips_common::layout::Address;

use super::names::Names;

/// All loaded packs together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// What the gate sends up: bits of [`skype_ips_common::prefilter`].
    pub predicates: u32,
    /// Whose host names are.
    pub names: Names,
    /// Hosts that are built into the program, by address and port: where it asks first.
    pub bootstrap: BTreeSet<(Address, u16)>,
    /// Types of STUN attributes that only Microsoft's dialect has.
    pub stun_marks: BTreeSet<u16>,
}

impl Knowledge {
    /// Adds what another pack says; of a domain that both have, its word holds.
    pub fn add(&mut self, other: Self) {
        self.predicates |= other.predicates;
        self.names.extend(other.names);
        self.bootstrap.extend(other.bootstrap);
        self.stun_marks.extend(other.stun_marks);
    }
}
