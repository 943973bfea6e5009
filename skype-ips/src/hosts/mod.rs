//! What is remembered of hosts over time: their UDP endpoints, their flows and what those carry, and
//! the names that they asked for, in bounded memory.

pub mod endpoints;
pub mod flows;
pub mod hints;
pub mod late;
pub mod listeners;
pub mod names;
pub mod paths;
pub mod relays;
pub mod services;
pub mod traffic;
pub mod watches;
