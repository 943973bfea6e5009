//! Scenarios: who is where, does what and when, and is expected to achieve what.
//!
//! The language is described in `docs/scenarios.md`.

mod build;
mod judge;
mod language;
mod model;
mod plan;
mod read;
mod ready;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use build::{Built, GATEWAY, achieved, build};
pub use judge::{Achieved, Goal, judge};
pub use model::{
    Action, Client, Expectation, Link, Nat, Network, Party, Scenario, Settings, SuperNode, Wanted,
    What,
};
pub use plan::{HostPlan, Plan, PlannedOrder, Program, ProgramPlan, plan};
pub use read::{is_scenario, parse, read};
pub use ready::{Ready, load, ready};
pub use vocabulary::{
    Application, Blocked, Deed, Generation, IfDropped, Kind, NatKind, Path, ProxyKind, Side,
};
