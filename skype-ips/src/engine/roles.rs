//! What inside hosts do for others, from the counters of flows that are known to be Skype.

use skype_ips_common::layout::{Address, FlowKey, FlowState};

use super::view::{FlowView, HostView};
use super::{Engine, Event};

impl Engine {
    /// Flows whose counters are worth a look now, bounded; those of one host beside each other. To
    /// be asked about once a second.
    pub fn watching(&self) -> Vec<FlowKey> {
        Vec::new()
    }

    /// Takes in what the gate has counted of a flow of [`Engine::watching`].
    pub fn counters(
        &mut self,
        _now: u64,
        _key: &FlowKey,
        _state: &FlowState,
        _events: &mut Vec<Event>,
    ) {
    }

    /// What is known of all hosts.
    pub fn hosts(&self, _now: u64) -> Vec<HostView> {
        Vec::new()
    }

    /// What is known of all flows.
    pub fn flows(&self, _now: u64) -> Vec<FlowView> {
        Vec::new()
    }

    /// Forgets everything about a host, which may be somebody else's address by now.
    pub fn forget(&mut self, _zone: u16, _host: &Address, _events: &mut Vec<Event>) {}
}
