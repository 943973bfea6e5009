//! `skype-ips reload`: the files are read again.

use serde_json::{Value, json};

use super::Failure;
use super::ask::{Output, Reason, items, problem, seconds, word};

/// Read the configuration again: all of it, or nothing if anything is wrong
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Go back by itself unless `skype-ips confirm` follows within this time, such as 5m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    confirm_within: Option<u64>,
    /// Go back before that if more packets than this are lost since the reload; 100 unless said
    #[arg(long, value_name = "PACKETS", requires = "confirm_within")]
    max_lost: Option<u64>,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    instance: super::Instance,
}

/// Tells the daemon.
///
/// # Errors
/// Status 2 if the files can't be used, 1 if no daemon answers or if it needs a restart for them; what
/// was in force goes on.
pub fn run(args: &Args) -> Result<(), Failure> {
    let body = json!({
        "confirm_within_seconds": args.confirm_within,
        "max_lost": args.max_lost,
        "reason": args.reason.reason,
    });
    let answer = args.instance.post("/v1/reload", &body)?;
    args.output.print(&answer, text)
}

fn text(answer: &Value) -> String {
    let warnings = items(&answer["warnings"]);
    let mut text: String = warnings.map(|one| problem(one) + "\n").collect();
    let version = word(&answer["policy"]["version"]);
    text += &match answer["unchanged"] == true {
        true => format!("the files are the same as before (sha-256 {version})\n"),
        false => format!("in force: sha-256 {version}\n"),
    };
    if let Some(until) = answer["confirm_until"].as_str() {
        text += &format!("goes back at {until} unless `skype-ips confirm` comes before\n");
    }
    text
}
