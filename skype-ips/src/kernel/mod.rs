//! The kernel's edges, each behind a small trait with an in-memory twin.

mod tables;

pub use tables::{MemoryTables, VerdictTables};
