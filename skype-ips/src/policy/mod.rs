//! From TOML to a checked policy, and from a finding to an action.

mod budget;
mod compiled;
mod config;
mod explain;
mod gateway;
mod host;
mod model;
mod places;
mod read;
mod rule;
mod standing;
#[cfg(test)]
mod tests;
mod vocabulary;
mod window;

pub use crate::toml_file::{
    Excerpt, LONG_LINE, MAX_FILE, Place, Problem, Problems, Related, Severity,
};
pub use budget::{Budget, MTU};
pub use compiled::Compiled;
pub use config::{Config, FileSummary};
pub use explain::{
    Asked, BudgetTold, Covering, Exempt, Explanation, Held, Outcome, Said, Setting, Told,
    WindowState,
};
pub use gateway::{Failure, Gateway, Interface, Queues};
pub use host::HostRule;
pub use model::{MAX_PREFIXES, Open, Policy, PolicySet, from_mapped, mapped_prefix, to_mapped};
pub use places::{Places, PolicyPlaces, RulePlaces, SubnetPlace, WindowPlaces};
pub use read::{Pack, Snapshot, load, parse, reference, restore};
pub use rule::{Rule, RuleKey, Rules};
pub use standing::{Decided, Standing};
pub use vocabulary::{
    Action, Class, Confidence, ConntrackUse, Day, Direction, HookChoice, InterfaceSide, Mode,
    OnFailure, Restriction, Role, Scope,
};
pub use window::{DAY, Window};
