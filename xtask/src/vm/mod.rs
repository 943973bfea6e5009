//! `cargo xtask vm`: the kernel program before the verifiers of other kernels.
//!
//! An emulated machine boots a kernel of Debian's, with nothing in its memory but the test of the
//! kernel program and what that needs. Emulation is slow and has no hardware to offer, so this is
//! about what a kernel accepts and decides, not about speed.

mod boot;
mod image;
mod kernel;

use std::fs;

use anyhow::Context;

use crate::failure::Failure;
use crate::setup::{self, Install};
use crate::workspace;

/// Kernels tried without being asked: the oldest that is supported, and the one after it.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Runs the test of the kernel program on other kernels, in an emulated machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Series of a Debian kernel, such as 6.1; several may be given
    #[arg(long = "kernel", value_name = "SERIES", value_parser = kernel::series)]
    kernels: Vec<String>,
    /// Install nothing; name what is missing and exit with 4
    #[arg(long)]
    no_install: bool,
    /// Arguments of the test, such as the name of one
    #[arg(last = true, value_name = "ARG")]
    test: Vec<String>,
}

/// Runs `cargo xtask vm`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    setup::for_emulating(Install::unless(args.no_install))?;
    let folder = workspace::target_folder()?.join("vm");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let image = image::build(&folder)?;
    let series: Vec<&str> = match &args.kernels[..] {
        [] => SERIES.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let mut failed = Vec::new();
    for series in series {
        let kernel = kernel::fetch(series, &folder)?;
        println!("=== {} (emulated)", kernel.release);
        if boot::test_passes(&kernel, &image, &args.test)? {
            println!("=== {}: passed", kernel.release);
        } else {
            println!("=== {}: FAILED", kernel.release);
            failed.push(kernel.release);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        let failed = failed.join(", ");
        Err(Failure::unmet(format_args!(
            "the kernel program's test fails on {failed}"
        )))
    }
}
