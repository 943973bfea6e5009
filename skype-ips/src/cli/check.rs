//! `skype-ips check`: what is wrong with a configuration or a scenario, and what it means for a
//! host.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;

use annotate_snippets::Renderer;
use serde::Serialize;

use super::{Failure, print};
use crate::policy::{self, Config, Problems, Severity};
use crate::simulator::scenario::{self, Scenario};
use crate::toml_file::printable;

/// Check configuration files and scenarios: every problem of every file in one run
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration files, which make one configuration with what they include; scenarios of the
    /// lab, each by itself
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Print what the configuration means for this host, and which line says so
    #[arg(long, value_name = "ADDR")]
    explain_host: Option<IpAddr>,

    /// Print one JSON object per problem, and one for --explain-host
    #[arg(long)]
    json: bool,
}

/// Runs `check`.
///
/// # Errors
/// Status 2 if the configuration or a scenario can't be used; status 1 if the output can't be
/// written.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args {
        files,
        explain_host,
        json,
    } = args;
    let (scenarios, files): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| scenario::is_scenario(file));
    if files.is_empty() && explain_host.is_some() {
        let message = "--explain-host is about a configuration, and none is named";
        return Err(Failure::usage(message));
    }
    let config = (!files.is_empty()).then(|| policy::load(&files));
    let scenarios: Vec<_> = scenarios
        .iter()
        .map(|file| (file, scenario::read(file)))
        .collect();
    let of_config = config.iter().map(|config| match config {
        Ok(config) => &config.warnings,
        Err(problems) => problems,
    });
    let of_scenarios = scenarios.iter().map(|(_, scenario)| match scenario {
        Ok(scenario) => &scenario.warnings,
        Err(problems) => problems,
    });
    let problems: Problems = of_config.chain(of_scenarios).cloned().collect();
    if json {
        for problem in problems.list() {
            print(&json_line(problem)?)?;
        }
    } else if !problems.is_empty() {
        let renderer = match io::stderr().is_terminal() {
            true => Renderer::styled(),
            false => Renderer::plain(),
        };
        eprintln!("{}\n", problems.render(&renderer));
    }
    let summary = problems.summary();
    if problems.count(Severity::Error) > 0 {
        return Err(Failure::usage(format!("{summary}: this can't be used")));
    }
    let config = config.and_then(Result::ok);
    if !json {
        for (file, scenario) in &scenarios {
            if let Ok(scenario) = scenario {
                print(&format!("{}: {}\n", printable(file), describe(scenario)))?;
            }
        }
        match &config {
            Some(config) => print(&describe_config(config, &summary))?,
            None => print(&format!("ok, {summary}\n"))?,
        }
    }
    let explanation = config.zip(explain_host);
    match explanation.map(|(config, host)| config.explain(host)) {
        Some(explanation) if json => print(&json_line(&explanation)?),
        Some(explanation) => print(&format!("{explanation}\n")),
        None => Ok(()),
    }
}

/// A line per file, and one for all.
fn describe_config(config: &Config, summary: &str) -> String {
    let files = config.files.iter().map(|file| config.describe(file) + "\n");
    files.collect::<String>() + &format!("ok, {summary} (sha-256 {})\n", config.hash)
}

/// What a scenario consists of.
fn describe(scenario: &Scenario) -> String {
    let counted = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    format!(
        "scenario {}, {} s: {}, {}, {}, {}",
        scenario.name,
        scenario.duration.as_secs_f64(),
        counted(scenario.networks.len(), "network", "networks"),
        counted(scenario.parties.len(), "party", "parties"),
        counted(scenario.actions.len(), "action", "actions"),
        counted(scenario.expectations.len(), "goal", "goals"),
    )
}

fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|line| line + "\n")
        .map_err(Failure::failed)
}
