//! `skype-ips lab up`: a scenario's networks for experiments by hand.

use std::ffi::OsString;

use super::super::{Failure, print};
use super::{Which, failure, list, scenario};
use crate::lab::{catch_signals, hand};

/// Build a scenario's networks and keep them, for experiments by hand
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A ready scenario's name (see `lab list`) or a file
    scenario: String,
    #[command(flatten)]
    which: Which,
    /// Print what was built as a JSON line
    #[arg(long)]
    json: bool,
}

/// Builds them.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let plan = hand::Plan::of(&scenario::read(&args.scenario)?);
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("finding this program's file: {error}")))?;
    let which = args.which.which();
    let mut arguments: Vec<OsString> = ["lab", "hold", "--instance", &which.instance]
        .map(Into::into)
        .into();
    arguments.extend(["--run-dir".into(), which.run_dir.clone().into()]);
    catch_signals().map_err(Failure::failed)?;
    let holder = hand::Holder { program, arguments };
    let state = hand::up(&which, &holder, &plan).map_err(failure)?;
    if args.json {
        return print(&list::json(&state)?);
    }
    let mut text = list::table(&state);
    let party = state.plan.parties.first();
    let party = party.map_or("gateway", |party| party.name.as_str());
    let options = args.which.text();
    text += &format!("try   skype-ips lab exec{options} {party} -- ip address\n");
    text += &format!("      skype-ips lab down{options}\n");
    print(&text)
}
