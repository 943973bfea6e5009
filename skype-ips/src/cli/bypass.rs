//! `skype-ips bypass`: everything passes, watching goes on.

use serde_json::{Value, json};

use super::Failure;
use super::ask::{Output, Reason, seconds};

/// Let everything pass, or stop doing so; watching goes on either way
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    switch: Switch,
    #[command(flatten)]
    instance: super::Instance,
}

#[derive(clap::Subcommand, Debug)]
enum Switch {
    /// Everything passes, within a second
    On {
        /// End by itself after this time, such as 90s, 30m or 2h
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        time: Option<u64>,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        output: Output,
    },
    /// Policies hold again
    Off {
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        output: Output,
    },
}

/// Tells the daemon.
///
/// # Errors
/// Status 1 if none answers, or if it refuses.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (on, time, reason, output) = match &args.switch {
        Switch::On {
            time,
            reason,
            output,
        } => (true, *time, reason, output),
        Switch::Off { reason, output } => (false, None, reason, output),
    };
    let body = json!({ "on": on, "for_seconds": time, "reason": reason.reason });
    let status = args.instance.post("/v1/bypass", &body)?;
    output.print(&status, |status: &Value| {
        match (on, status["bypass"]["until"].as_str()) {
            (true, Some(until)) => format!("bypass on until {until}: everything passes\n"),
            (true, None) => {
                "bypass on: everything passes until `skype-ips bypass off`\n".to_owned()
            }
            (false, _) => "bypass off: policies hold\n".to_owned(),
        }
    })
}
