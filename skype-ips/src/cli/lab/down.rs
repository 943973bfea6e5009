//! `skype-ips lab down`: the end of `lab up`.

use super::super::Failure;
use super::{Which, failure};
use crate::lab::hand;

/// Remove what `lab up` built, with all processes in it
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

/// Removes it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    hand::down(&args.which.which()).map_err(failure)
}
