//! `skype-ips lab generate`: captures of made-up traffic.

use std::path::PathBuf;

use super::super::Failure;
use crate::lab::generate;

/// Write a capture of made-up Skype sessions and other traffic, and its labels
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The capture; the labels go beside it, to FILE.labels.tsv
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// The same number gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Writes the capture.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    generate::write(&args.write, args.seed).map_err(Failure::failed)
}
