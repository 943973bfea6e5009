//! `skype-ips check`: what is wrong with a configuration or a scenario, and what it means for a
//! host.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use annotate_snippets::Renderer;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Serialize;
use skype_ips_common::layout::Met;

use super::{Failure, print};
use crate::policy::{self, Asked, Config, Problems, Severity};
use crate::simulator::scenario::{self, Scenario};
use crate::toml_file::printable;

/// Check configuration files and scenarios: every problem of every file in one run
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration files, which make one configuration with what they include; scenarios of the
    /// lab, each by itself
    #[arg(value_name = "FILE", required_unless_present = "language")]
    files: Vec<PathBuf>,

    /// Print what the configuration means for this host, and which line says so
    #[arg(long, value_name = "ADDR")]
    explain_host: Option<IpAddr>,

    /// Explain it at this time, such as 2026-11-24T14:30 (in the policy's time zone) or
    /// 2026-11-24T13:30Z; without it, now
    #[arg(long, value_name = "TIME", requires = "explain_host")]
    at: Option<Time>,

    /// Explain it for a host that is met in this VLAN
    #[arg(long, value_name = "N", requires = "explain_host",
        value_parser = clap::value_parser!(u16).range(1..=4094))]
    vlan: Option<u16>,

    /// Explain it for a host that is met at this interface of the gateway
    #[arg(long, value_name = "NAME", requires = "explain_host")]
    interface: Option<String>,

    /// Print the reference of the policy language, in Markdown
    #[arg(long, exclusive = true)]
    language: bool,

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
        at,
        vlan,
        interface,
        json,
        language,
    } = args;
    if language {
        return print(&policy::reference());
    }
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
    let Some((config, host)) = config.zip(explain_host) else {
        return Ok(());
    };
    let met = Met {
        interface: match interface {
            Some(name) => interface_number(&config, &name)?,
            None => 0,
        },
        vlan: vlan.unwrap_or(0),
    };
    let at = match at {
        Some(time) => time.of(&config, met, host)?,
        None => Timestamp::now(),
    };
    let explanation = config.explain_at(Asked { host, met, at });
    match json {
        true => print(&json_line(&explanation)?),
        false => print(&format!("{explanation}\n")),
    }
}

/// A time as it was asked for.
#[derive(Clone, Copy, Debug)]
enum Time {
    Exact(Timestamp),
    /// What the clocks of a policy's time zone show.
    Shown(DateTime),
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let exact = text.parse().map(Self::Exact);
        exact
            .or_else(|_| text.parse().map(Self::Shown))
            .map_err(|_| {
                "write a date and a time, such as 2026-11-24T14:30 or 2026-11-24T13:30Z".into()
            })
    }
}

impl Time {
    fn of(self, config: &Config, met: Met, host: IpAddr) -> Result<Timestamp, Failure> {
        let shown = match self {
            Self::Exact(at) => return Ok(at),
            Self::Shown(shown) => shown,
        };
        let zone = config.zone_for(host, met);
        let zoned = zone.to_ambiguous_timestamp(shown).compatible();
        zoned.map_err(|error| Failure::usage(format!("--at {shown}: {error}")))
    }
}

/// The number of one of the gateway's interfaces.
fn interface_number(config: &Config, name: &str) -> Result<u16, Failure> {
    let names = &config.policies.interfaces;
    if let Some(place) = names.iter().position(|known| known == name) {
        return Ok(place as u16 + 1);
    }
    let known = match names.is_empty() {
        true => "these files name none".to_owned(),
        false => format!("there are {}", names.join(", ")),
    };
    Err(Failure::usage(format!(
        "the gateway has no interface {name}: {known}"
    )))
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
