//! `cargo xtask test`: all tests of the workspace.

use crate::failure::Failure;
use crate::setup::{self, Install};
use crate::{machine, process, workspace};

/// Runs all tests.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install nothing: tests whose tools are missing skip, and say so
    #[arg(long)]
    no_install: bool,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    setup::for_testing(Install::unless(args.no_install))?;
    take_back_target()?;
    // Built as the caller, run with all rights: then nothing is left to build.
    let tests = [
        "test",
        "--workspace",
        "--exclude",
        "skype-ips-ebpf",
        "--locked",
    ];
    process::run(
        machine::cargo()
            .args(tests)
            .arg("--no-run")
            .current_dir(workspace::root()),
    )?;
    process::run(
        machine::privileged_cargo()
            .args(tests)
            .current_dir(workspace::root()),
    )?;
    say_what_was_skipped();
    Ok(())
}

/// After an earlier run as root, the caller behind `sudo` could not build.
pub(crate) fn take_back_target() -> Result<(), Failure> {
    let folder = workspace::target_folder()?;
    if let Some(caller) = machine::Caller::behind_sudo()
        && folder.exists()
    {
        caller.take_back(&folder)?;
    }
    Ok(())
}

fn say_what_was_skipped() {
    if !machine::is_root() {
        eprintln!("skipped: tests that need root (kernel programs, attaching, several lab setups)");
    }
    if workspace::captures().is_none() {
        eprintln!(
            "skipped: tests on real captures; set SKYPE_IPS_CAPTURES to their folder to run them"
        );
    }
}
