//! What is remembered of hosts over time: their UDP endpoints and their flows, in bounded memory.

pub mod endpoints;
pub mod flows;
mod recent;

pub use recent::Recent;
