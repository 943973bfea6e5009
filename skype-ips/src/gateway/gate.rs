//! Where the gate that chooses the packets stands, and the tables that it and the shard share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skype_ips_common::gate::Work;
use skype_ips_common::layout::{EndpointKey, FlowKey, FlowState, GateConfig, Verdict};

use crate::kernel::{BpfError, MemoryTables, ShardTables, VerdictTables};

/// See the module.
pub(super) enum Gate {
    /// In the kernel: queued packets have passed it.
    Kernel(Box<ShardTables>),
    /// Here: everything is queued. All shards share it, as they share the kernel's tables: budgets of
    /// subnets, and flows between two inside hosts, concern more shards than one.
    User(Arc<Mutex<UserGate>>),
}

/// The gate in user space, for `hook = "off"`.
#[derive(Debug)]
pub(super) struct UserGate {
    pub(super) tables: MemoryTables,
    pub(super) config: GateConfig,
    pub(super) work: Work,
}

/// A panic under this lock leaves counts that may lack one packet, nothing worse.
pub(super) fn lock(gate: &Mutex<UserGate>) -> MutexGuard<'_, UserGate> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// What the gate remembers of a flow.
    pub(super) fn flow(&self, key: &FlowKey) -> Option<FlowState> {
        match self {
            Self::Kernel(tables) => tables.flow(key),
            Self::User(gate) => lock(gate).tables.flow_state(key).copied(),
        }
    }
}

/// Writes to the kernel may fail, writes to memory don't.
macro_rules! either {
    ($gate:expr, $tables:ident => $write:expr) => {
        match $gate {
            Gate::Kernel(tables) => {
                let $tables = tables;
                $write
            }
            Gate::User(gate) => {
                let $tables = &mut lock(gate).tables;
                $write.map_err(|never| match never {})
            }
        }
    };
}

impl VerdictTables for Gate {
    type Error = BpfError;

    fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict) -> Result<(), BpfError> {
        either!(self, tables => tables.set_verdict(key, verdict))
    }

    fn remove_verdict(&mut self, key: &FlowKey) -> Result<(), BpfError> {
        either!(self, tables => tables.remove_verdict(key))
    }

    fn set_endpoint(&mut self, key: &EndpointKey, verdict: Verdict) -> Result<(), BpfError> {
        either!(self, tables => tables.set_endpoint(key, verdict))
    }

    fn remove_endpoint(&mut self, key: &EndpointKey) -> Result<(), BpfError> {
        either!(self, tables => tables.remove_endpoint(key))
    }
}
