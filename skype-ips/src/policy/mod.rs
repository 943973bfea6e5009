//! From TOML to a checked policy, and from a finding to an action.

mod config;
mod explain;
mod gateway;
mod model;
mod place;
mod places;
mod problems;
mod read;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use config::{Config, FileSummary};
pub use explain::{Covering, Explanation, Outcome, Setting};
pub use gateway::{Failure, Gateway, Interface, Queues};
pub use model::{Compiled, MAX_PREFIXES, Policy, PolicySet, from_mapped, mapped_prefix, to_mapped};
pub use place::{Excerpt, LONG_LINE, Place};
pub use places::{Places, PolicyPlaces, SubnetPlace};
pub use problems::{Problem, Problems, Related, Severity};
pub use read::{MAX_FILE, Pack, load, parse};
pub use vocabulary::{
    Action, Class, Confidence, ConntrackUse, HookChoice, InterfaceSide, Mode, OnFailure, Role,
};
