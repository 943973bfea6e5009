//! `skype-ips lab`: the gateway tried out in network namespaces. One file per subcommand.

mod generate;
mod replay;

use clap::Subcommand;
use serde_json::Value;

use super::Failure;
use crate::lab::LabError;

/// Try the gateway out in network namespaces
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(replay::Args),
    Generate(generate::Args),
}

/// Runs what was asked for.
///
/// # Errors
/// Status 2 for wrong arguments, 3 for a broken promise, 4 where the machine can't, else 1.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Replay(args) => replay::run(args),
        Command::Generate(args) => generate::run(&args),
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
