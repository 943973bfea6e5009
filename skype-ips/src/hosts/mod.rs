//! What is remembered of hosts over time: their UDP endpoints, their flows and
//! what those carry, in bounded memory.

pub mod endpoints;
pub mod flows;
pub mod hints;
mod recent;
pub mod traffic;

pub use recent::Recent;
