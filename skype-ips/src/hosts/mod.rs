//! What is remembered of hosts over time: their UDP endpoints, their flows and the names that they
//! asked for, in bounded memory.

pub mod endpoints;
pub mod flows;
pub mod late;
pub mod names;
mod recent;

pub use recent::Recent;
