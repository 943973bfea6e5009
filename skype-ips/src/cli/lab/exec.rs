//! `skype-ips lab exec`: a command where a party is.

use std::ffi::OsString;
use std::io;

use super::super::Failure;
use super::{Which, failure};
use crate::lab::{LabError, hand};

/// Run a command in the namespace of a party of `lab up`, or of its gateway
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// A party, or `gateway` (see `lab list`)
    party: String,
    /// The command with its arguments, after `--`
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Becomes the command, whose exit status is then this program's.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (program, arguments) = args.command.split_first().expect("clap wants one");
    let Err(error) = hand::exec(&args.which.which(), &args.party, program, arguments);
    Err(match &error {
        // As shells, `env` and `nsenter` have it, so that it can be told from the command's.
        LabError::Command { source, .. } => Failure {
            status: match source.kind() {
                io::ErrorKind::NotFound => 127,
                _ => 126,
            },
            message: error.to_string(),
        },
        _ => failure(error),
    })
}
