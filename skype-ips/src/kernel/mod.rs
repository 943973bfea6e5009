//! The kernel's edges, each behind a small trait with an in-memory twin.

#[cfg(target_os = "linux")]
pub mod addresses;
#[cfg(target_os = "linux")]
mod bpf;
#[cfg(target_os = "linux")]
mod firewall;
#[cfg(target_os = "linux")]
mod halves;
#[cfg(target_os = "linux")]
mod hooks;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod neighbours;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
pub mod reset;
mod tables;
#[cfg(target_os = "linux")]
mod tool;

#[cfg(target_os = "linux")]
pub use bpf::{BpfError, Fill, OBJECT_VARIABLE, Programs, ShardTables};
#[cfg(target_os = "linux")]
pub use firewall::{
    Backend, Firewall, FirewallError, Plan, conntrack_in_use, holds_connections,
    in_force as rules_in_force, instances, queued_by_rules, remove_all as remove_rules,
    resume as resume_rules, suspend as suspend_rules,
};
#[cfg(target_os = "linux")]
pub use hooks::{AttachError, Attachment, attach, attached, has_tcx, remove_filters};
#[cfg(target_os = "linux")]
pub use link::{Link, LinkError};
#[cfg(target_os = "linux")]
pub use neighbours::{Mac, Moved, Neighbours};
#[cfg(target_os = "linux")]
pub use queue::{
    KernelQueue, Queue, QueueError, QueueStatistics, QueueVerdict, QueuedPacket,
    statistics as queue_statistics,
};
pub use tables::{MemoryTables, VerdictTables};
