//! Scenarios by name or file, for the subcommands that take one.

use super::super::Failure;
use crate::simulator::scenario::{Scenario, load, ready};

/// The scenario of that name or file. What is odd about it is said.
pub(super) fn read(name_or_path: &str) -> Result<Scenario, Failure> {
    let scenario = load(name_or_path).map_err(Failure::usage)?;
    if !scenario.warnings.is_empty() {
        eprintln!("{}", scenario.warnings);
    }
    Ok(scenario)
}

/// Ready scenarios: name, and what it is about.
pub(super) fn all_ready() -> Vec<(&'static str, String)> {
    let scenarios = ready().iter();
    scenarios
        .map(|ready| (ready.name, ready.scenario().about))
        .collect()
}
