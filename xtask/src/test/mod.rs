//! `cargo xtask test`: all tests of the workspace.

mod output;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use self::output::Reader;
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

const TESTS: [&str; 5] = [
    "test",
    "--workspace",
    "--exclude",
    "skype-ips-ebpf",
    "--locked",
];

/// Runs `cargo xtask test`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    setup::for_testing(Install::unless(args.no_install))?;
    take_back_target()?;
    // Built as the caller, run with all rights: then nothing is left to build.
    process::run(
        machine::cargo()
            .args(TESTS)
            .arg("--no-run")
            .current_dir(workspace::root()),
    )?;
    let mut tests = machine::privileged_cargo();
    tests
        .args(TESTS)
        .args(["--no-fail-fast", "--", "--show-output"]);
    let (passed, outcome) = summed_up(tests.current_dir(workspace::root()))?;
    say_what_this_machine_lacks();
    println!("\n{outcome}");
    if passed {
        Ok(())
    } else {
        Err(Failure::failed("the tests did not pass"))
    }
}

/// Runs the tests; returns whether they passed, and their sum in words.
fn summed_up(tests: &mut Command) -> Result<(bool, String)> {
    eprintln!("$ {}", process::shown(tests));
    let mut child = tests
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let stdout = child
        .stdout
        .take()
        .context("the tests' output is not piped")?;
    let mut reader = Reader::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read the tests' output")?;
        let line = String::from_utf8_lossy(&line);
        if reader.read(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    Ok((status.success(), reader.to_string()))
}

/// After an earlier run as root, the caller behind `sudo` could not build.
pub(crate) fn take_back_target() -> Result<()> {
    let folder = workspace::target_folder()?;
    if let Some(caller) = machine::Caller::behind_sudo()
        && folder.exists()
    {
        caller.take_back(&folder)?;
    }
    Ok(())
}

fn say_what_this_machine_lacks() {
    if !machine::is_root() {
        println!("not root: tests of kernel programs and of the gateway itself skip");
    }
    if workspace::captures().is_none() {
        println!("no captures: set SKYPE_IPS_CAPTURES to their folder to run the tests on them");
    }
}
