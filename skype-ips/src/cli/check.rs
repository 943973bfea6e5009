//! `skype-ips check`: what is wrong with a configuration, and what it means for a host.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;

use annotate_snippets::Renderer;
use serde::Serialize;

use super::{Failure, print};
use crate::policy::{self, Config};

/// Check configuration files: every problem of every file in one run
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration files; what they include is checked with them
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
/// Status 2 if the configuration can't be used; status 1 if the output can't be written.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args {
        files,
        explain_host,
        json,
    } = args;
    let loaded = policy::load(&files);
    let problems = match &loaded {
        Ok(config) => &config.warnings,
        Err(problems) => problems,
    };
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
    let Ok(config) = &loaded else {
        let summary = problems.summary();
        return Err(Failure::usage(format!("{summary}: this can't be used")));
    };
    if !json {
        print(&describe(config))?;
    }
    match explain_host.map(|host| config.explain(host)) {
        Some(explanation) if json => print(&json_line(&explanation)?),
        Some(explanation) => print(&format!("{explanation}\n")),
        None => Ok(()),
    }
}

/// A line per file, and one for all.
fn describe(config: &Config) -> String {
    let files = config.files.iter().map(|file| config.describe(file) + "\n");
    let summary = config.warnings.summary();
    files.collect::<String>() + &format!("ok, {summary} (sha-256 {})\n", config.hash)
}

fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|line| line + "\n")
        .map_err(Failure::failed)
}
