//! `skype-ips status`: what is really in force.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Failure, print};
use crate::control::blocking;

/// Show what is really in force, read back from the kernel
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    instance: super::Instance,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

/// Asks the daemon.
///
/// # Errors
/// Status 1 if none answers.
pub fn run(args: &Args) -> Result<(), Failure> {
    let status = blocking::status(&args.instance.socket()).map_err(Failure::failed)?;
    if args.json {
        print(&format!("{status}\n"))
    } else {
        print(&text(&status))
    }
}

fn text(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        writeln!(text, "{label:<10} {value}").expect("writing to a string never fails");
    };
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    line("instance", word(&status["instance"]));
    line("mode", word(&status["mode"]));
    if status["bypass"]["on"] == true {
        let until = status["bypass"]["until"]
            .as_str()
            .map_or("until told otherwise".to_owned(), |until| {
                format!("until {until}")
            });
        line("BYPASS", format!("on, {until}: everything passes"));
    }
    let policies: Vec<String> = items(&status["policy"]["policies"]).map(word).collect();
    let version: String = word(&status["policy"]["version"])
        .chars()
        .take(12)
        .collect();
    line(
        "policies",
        format!("{} (version {version})", policies.join(", ")),
    );
    for hook in items(&status["hooks"]) {
        let attached: Vec<String> = items(&hook["attached"]).map(word).collect();
        line(
            "interface",
            format!(
                "{} ({}): {}; attached: {}",
                word(&hook["interface"]),
                word(&hook["side"]),
                word(&hook["hook"]),
                if attached.is_empty() {
                    "nothing".to_owned()
                } else {
                    attached.join(", ")
                }
            ),
        );
    }
    let firewall = &status["firewall"];
    line(
        "firewall",
        format!(
            "{}, {} rules, connection tracking {}",
            word(&firewall["backend"]),
            items(&firewall["rules"]).count(),
            if firewall["conntrack"] == true {
                "used"
            } else {
                "not used"
            }
        ),
    );
    for queue in items(&status["queues"]) {
        let count = |name: &str| queue[name].as_u64().unwrap_or(0);
        line(
            "queue",
            format!(
                "{}: {} received, {} accepted, {} dropped; {} waiting; lost in the kernel {} full, {} not handed over",
                count("number"),
                count("received"),
                count("accepted"),
                count("dropped"),
                count("waiting"),
                count("kernel_dropped"),
                count("user_dropped")
            ),
        );
    }
    if let Some(hooks) = status["kernel"].as_object() {
        for (hook, counters) in hooks {
            let counts: Vec<String> = counters
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            line("kernel", format!("{hook}: {}", counts.join(", ")));
        }
    }
    line("decisions", status["decisions"].to_string());
    let failures: Vec<String> = status["failures"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    line("failures", failures.join(", "));
    text
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
