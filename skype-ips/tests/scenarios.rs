//! Scenarios: the ready ones, and what is said about wrong ones.

use std::path::Path;

use skype_ips::policy::{Problem, Problems, Severity};
use skype_ips::simulator::scenario::{self, Scenario};

fn parse(text: &str) -> Result<Scenario, Problems> {
    scenario::parse(Path::new("test.toml"), text)
}

#[test]
fn every_ready_scenario_is_clean() {
    let mut wrong = 0;
    for ready in scenario::ready() {
        match scenario::parse(Path::new(ready.name), ready.text) {
            Ok(scenario) => {
                if !scenario.warnings.is_empty() {
                    println!("{}", scenario.warnings);
                    wrong += 1;
                }
                println!(
                    "{} {} parties {} goals",
                    ready.name,
                    scenario.parties.len(),
                    scenario.expectations.len()
                );
            }
            Err(problems) => {
                println!("{problems}");
                wrong += 1
            }
        }
    }
    assert_eq!(wrong, 0);
}
