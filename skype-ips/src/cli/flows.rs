//! `skype-ips flows`: what is known to be Skype.

use std::net::IpAddr;

use serde_json::Value;

use super::Failure;
use super::ask::{Output, Paging, items, more, number, table, word};

/// Show the flows that are known to be Skype, and what is done with them
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only flows of this host, inside or outside
    #[arg(long, value_name = "ADDR")]
    host: Option<IpAddr>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    instance: super::Instance,
}

/// Asks the daemon.
///
/// # Errors
/// Status 1 if none answers.
pub fn run(args: &Args) -> Result<(), Failure> {
    let query = args.paging.query(args.host);
    let answer = args.instance.get(&format!("/v1/flows?{query}"))?;
    args.output.print(&answer, text)
}

fn text(answer: &Value) -> String {
    let rows = items(&answer["flows"]).map(|flow| {
        [
            word(&flow["proto"]),
            word(&flow["inside"]),
            word(&flow["outside"]),
            format!("{} {}", word(&flow["role"]), word(&flow["class"])),
            word(&flow["path"]),
            word(&flow["confidence"]),
            word(&flow["policy"]),
            super::hosts::done(flow),
            format!(
                "{}/{}",
                number(&flow["bytes"][0]),
                number(&flow["bytes"][1])
            ),
            word(&flow["seen"]),
        ]
    });
    let headings = [
        "proto",
        "inside",
        "outside",
        "what",
        "path",
        "confidence",
        "policy",
        "action",
        "bytes out/in",
        "seen",
    ];
    table(headings, rows) + &more(answer, "flows")
}
