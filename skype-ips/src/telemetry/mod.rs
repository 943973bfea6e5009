//! What the drivers tell the world: event records in the shape of Suricata's EVE.

pub mod audit;
pub mod community_id;
pub mod eve;
pub mod passage;
pub mod tunnel;

pub use audit::{AuditDetail, AuditRecord, Who};
pub use eve::{
    AlertFinding, AlertPolicy, AlertRecord, AlertSkype, Ambiguous, FlowCounters, FlowPolicy,
    FlowRecord, FlowSkype, LabCounts, SkypeDetail, StatsCounters, StatsRecord, timestamp,
};
