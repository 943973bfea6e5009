//! `skype-ips lab hold`: the process that `lab up` leaves behind for `lab down`.

use super::super::Failure;
use super::{Which, failure};
use crate::lab::hand;

/// Hold a lab's namespaces (`lab up` starts this itself)
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// The process that starts it
    parent: u32,
}

/// Holds them until SIGTERM.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    hand::hold(&args.which.which(), args.parent).map_err(failure)
}
