//! From TOML to a checked policy, and from a finding to an action.

mod config;
mod explain;
mod gateway;
mod model;
mod places;
mod read;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use crate::toml_file::{
    Excerpt, LONG_LINE, MAX_FILE, Place, Problem, Problems, Related, Severity,
};
pub use config::{Config, FileSummary};
pub use explain::{Covering, Explanation, Outcome, Setting};
pub use gateway::{Failure, Gateway, Interface, Queues};
pub use model::{Compiled, MAX_PREFIXES, Policy, PolicySet, from_mapped, mapped_prefix, to_mapped};
pub use places::{Places, PolicyPlaces, SubnetPlace};
pub use read::{Pack, load, parse};
pub use vocabulary::{
    Action, Class, Confidence, ConntrackUse, HookChoice, InterfaceSide, Mode, OnFailure, Role,
};
