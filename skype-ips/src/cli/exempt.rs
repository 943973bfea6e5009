//! `skype-ips exempt`: hosts that are let alone for a while.

use serde_json::{Value, json};

use super::Failure;
use super::ask::{Output, Reason, items, seconds, table, word};

/// Let hosts alone for a while, whatever policies say
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    instance: super::Instance,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Let a host or a prefix alone; it ends by itself, and holds through a reload
    Add {
        /// Address or prefix
        host: String,
        /// For how long, such as 30m
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        time: u64,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        output: Output,
    },
    /// Show who is let alone, and until when
    List {
        #[command(flatten)]
        output: Output,
    },
    /// End it before its time
    Remove {
        /// Address or prefix, as it was added
        host: String,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        output: Output,
    },
}

/// Tells or asks the daemon.
///
/// # Errors
/// Status 2 if the host won't do, 1 if no daemon answers or if it refuses.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (answer, output) = match &args.what {
        What::Add {
            host,
            time,
            reason,
            output,
        } => {
            let body = json!({ "host": host, "for_seconds": time, "reason": reason.reason });
            (args.instance.post("/v1/exempt/add", &body)?, output)
        }
        What::List { output } => (args.instance.get("/v1/exemptions")?, output),
        What::Remove {
            host,
            reason,
            output,
        } => {
            let body = json!({ "host": host, "reason": reason.reason });
            (args.instance.post("/v1/exempt/remove", &body)?, output)
        }
    };
    output.print(&answer, text)
}

fn text(answer: &Value) -> String {
    const COLUMNS: [&str; 3] = ["host", "until", "reason"];
    let mut rows = items(&answer["exemptions"])
        .map(|one| COLUMNS.map(|key| word(&one[key])))
        .peekable();
    if rows.peek().is_none() {
        return "no host is exempt beside those of the files\n".to_owned();
    }
    table(COLUMNS, rows)
}
