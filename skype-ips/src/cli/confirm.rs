//! `skype-ips confirm`: the last reload stays.

use serde_json::json;

use super::Failure;
use super::ask::{Output, Reason, word};

/// Keep what `reload --confirm-within` has put in force
#[derive(clap::Args, Debug)]
pub struct Args {
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
/// Status 1 if none answers, or if no reload waits.
pub fn run(args: &Args) -> Result<(), Failure> {
    let body = json!({ "reason": args.reason.reason });
    let answer = args.instance.post("/v1/confirm", &body)?;
    args.output.print(&answer, |answer| {
        let version = word(&answer["policy"]["version"]);
        format!("confirmed: sha-256 {version} stays\n")
    })
}
