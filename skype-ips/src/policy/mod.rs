//! From TOML to a checked policy, and from a finding to an action.

mod model;
mod vocabulary;

pub use model::{Compiled, Policy, PolicySet, from_mapped, mapped_prefix, to_mapped};
pub use vocabulary::{Action, Class, Confidence, Mode, Role};
