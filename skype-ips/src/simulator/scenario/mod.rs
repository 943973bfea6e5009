//! Scenarios: who is where, does what and when, and is expected to achieve what.
//!
//! The language is described in `docs/scenarios.md`.

mod language;
mod model;
mod read;
mod vocabulary;

pub use model::{
    Action, Client, Expectation, Link, Nat, Network, Party, Scenario, Settings, SuperNode, Wanted,
    What,
};
pub use read::{is_scenario, parse, read};
pub use vocabulary::{
    Application, Blocked, Deed, Generation, IfDropped, Kind, NatKind, Path, ProxyKind, Side,
};
