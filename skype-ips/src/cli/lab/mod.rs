//! `skype-ips lab`: the gateway tried out in network namespaces. One file per subcommand.

mod down;
mod exec;
mod generate;
mod hold;
mod list;
mod progress;
mod replay;
mod run;
mod scenario;
mod up;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::Failure;
use crate::lab::run::Report;
use crate::lab::{LabError, hand};

/// Try the gateway out in network namespaces
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Run(run::Args),
    Replay(replay::Args),
    Generate(generate::Args),
    Up(up::Args),
    Exec(exec::Args),
    Down(down::Args),
    #[command(hide = true)]
    Hold(hold::Args),
}

/// Which lab is meant.
#[derive(clap::Args, Debug)]
struct Which {
    /// Name of the lab among others on this machine
    #[arg(long, value_name = "NAME", default_value = MAIN)]
    instance: String,
    /// Folder under which labs have theirs [default: /run/skype-ips; not root: $XDG_RUNTIME_DIR/skype-ips]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

/// The lab that is meant where none is named.
const MAIN: &str = "main";

impl Which {
    fn which(&self) -> hand::Which {
        hand::Which {
            instance: self.instance.clone(),
            run_dir: self.run_dir.clone().unwrap_or_else(hand::default_run_dir),
        }
    }

    /// The options that lead to it, as one writes them.
    fn text(&self) -> String {
        let mut text = String::new();
        if self.instance != MAIN {
            text += &format!(" --instance {}", self.instance);
        }
        if let Some(folder) = &self.run_dir {
            text += &format!(" --run-dir {}", folder.display());
        }
        text
    }
}

/// Runs what was asked for.
///
/// # Errors
/// Status 2 for wrong arguments, 3 for a broken promise, 4 where the machine can't, else 1.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list::run(&args),
        Command::Run(args) => run::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Generate(args) => generate::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Hold(args) => hold::run(&args),
    }
}

fn failure(error: LabError) -> Failure {
    if error.is_incapable() {
        Failure::cannot(error)
    } else if error.is_usage() {
        Failure::usage(error)
    } else {
        Failure::failed(error)
    }
}

/// Problems that are told one by one.
const TOLD: usize = 20;

/// Says what makes a scenario's figures doubtful, and fails if not all went as it had to.
fn conclude(report: &Report<'_>) -> Result<(), Failure> {
    for doubt in report.doubts() {
        eprintln!("warning: {doubt}");
    }
    let problems = report.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let told = &problems[..problems.len().min(TOLD)];
    let more = match problems.len() - told.len() {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    Err(Failure::unmet(format!(
        "not all went as it had to:\n  {}{more}",
        told.join("\n  ")
    )))
}

/// What the daemon says of itself: hooks, and the packets of each stage.
fn gateway_lines(status: &Value) -> String {
    let Value::Object(_) = status else {
        return String::new();
    };
    let mut text = String::new();
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    text += &format!("mode {}", word(&status["mode"]));
    for hook in status["hooks"].as_array().into_iter().flatten() {
        let attached: Vec<String> = hook["attached"]
            .as_array()
            .into_iter()
            .flatten()
            .map(word)
            .collect();
        text += &format!(
            ", {}: hook {}",
            word(&hook["interface"]),
            word(&hook["hook"])
        );
        if !attached.is_empty() {
            text += &format!(" ({})", attached.join(", "));
        }
    }
    text += &format!(", firewall {}\n", word(&status["firewall"]["backend"]));
    for hook in ["xdp", "ingress", "egress"] {
        let counts = &status["kernel"][hook];
        if counts["packets"].as_u64().unwrap_or(0) > 0 {
            text += &format!(
                "{hook}: {} packets, {} tagged, {} dropped\n",
                counts["packets"], counts["tagged"], counts["dropped"]
            );
        }
    }
    let queues = || status["queues"].as_array().into_iter().flatten();
    let sum = |name: &str| {
        queues()
            .filter_map(|queue| queue[name].as_u64())
            .sum::<u64>()
    };
    text += &format!(
        "queues: {} packets, {} accepted, {} dropped; {} decisions\n",
        sum("received"),
        sum("accepted"),
        sum("dropped"),
        status["decisions"]
    );
    text
}

/// Rows in columns as wide as needed.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: Vec<usize> = (0..N)
        .map(|at| {
            rows.iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}
