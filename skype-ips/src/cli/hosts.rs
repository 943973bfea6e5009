//! `skype-ips hosts`: inside hosts of which something is known, and forgetting it.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::Failure;
use super::ask::{Output, Paging, Reason, items, more, number, table, word};

/// Show inside hosts: roles and why, where Skype listens, what of their budgets is used
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Only this host
    #[arg(long, value_name = "ADDR")]
    host: Option<IpAddr>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    instance: super::Instance,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Forget what was learned of a host: its address may be somebody else's now
    Forget {
        /// Its address
        host: IpAddr,
        #[command(flatten)]
        reason: Reason,
    },
}

/// Asks or tells the daemon.
///
/// # Errors
/// Status 1 if none answers.
pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(What::Forget { host, reason }) = &args.what {
        let body = json!({ "host": host, "reason": reason.reason });
        let answer = args.instance.post("/v1/hosts/forget", &body)?;
        let forgotten = number(&answer["forgotten"]);
        return super::print(&format!("{host}: {forgotten} things forgotten\n"));
    }
    let query = args.paging.query(args.host);
    let answer = args.instance.get(&format!("/v1/hosts?{query}"))?;
    args.output.print(&answer, text)
}

fn text(answer: &Value) -> String {
    let rows = items(&answer["hosts"]).map(|host| {
        let ports = items(&host["endpoints"]).map(|one| number(&one["port"]));
        let listening = items(&host["listening"]).map(|one| number(&one["port"]));
        [
            word(&host["host"]),
            roles(host),
            listed(ports),
            listed(listening),
            word(&host["policy"]),
            listed(items(&host["budgets"]).map(budget)),
            listed(
                items(&host["roles"])
                    .flat_map(|role| items(&role["evidence"]))
                    .map(evidence),
            ),
        ]
    });
    let headings = [
        "host",
        "roles",
        "UDP ports",
        "listens on",
        "policy",
        "budgets: room of burst",
        "because",
    ];
    table(headings, rows) + &more(answer, "hosts")
}

/// What a host is to others.
fn roles(host: &Value) -> String {
    let roles: Vec<_> = items(&host["roles"])
        .map(|one| word(&one["role"]))
        .collect();
    match roles.is_empty() {
        true => "client".to_owned(),
        false => roles.join(", "),
    }
}

fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(", "),
    }
}

/// Evidence by its name, and what it says.
pub(super) fn evidence(evidence: &Value) -> String {
    let says: Vec<_> = items(&evidence["says"]).map(word).collect();
    match says.is_empty() {
        true => word(&evidence["name"]),
        false => format!("{} ({})", word(&evidence["name"]), says.join("; ")),
    }
}

/// A bucket in a few words; of one that all addresses of a network share, which network.
pub(super) fn budget(bucket: &Value) -> String {
    let network = bucket["host"].as_str().filter(|host| host.contains('/'));
    format!(
        "{} {}{}: {} of {} bytes",
        word(&bucket["budget"]),
        word(&bucket["direction"]),
        network.map_or_else(String::new, |network| format!(" of {network}")),
        number(&bucket["room_bytes"]),
        number(&bucket["burst_bytes"])
    )
}

/// What is done with a flow, and by which budgets.
pub(super) fn done(flow: &Value) -> String {
    let budgets: Vec<_> = items(&flow["budgets"]).map(word).collect();
    match budgets.is_empty() {
        true => word(&flow["action"]),
        false => format!("{} ({})", word(&flow["action"]), budgets.join(", ")),
    }
}
