//! `cargo xtask demo`: Skype is found and stopped by the real daemon, and everything else arrives.

mod lab;
mod report;
mod traffic;

use std::path::{Path, PathBuf};
use std::process::Command;

use self::lab::{Ended, Run};
use crate::failure::Failure;
use crate::setup::{self, Install};
use crate::{machine, process, test, workspace};

/// Shows on this machine that Skype is found and blocked, and that everything else arrives.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install nothing; name what is missing and exit with 4
    #[arg(long)]
    no_install: bool,
}

/// Runs with root's rights: what classifies is a kernel program.
const WITH_KERNEL_PROGRAMS: [Run; 3] = [
    Run {
        mode: "monitor",
        hook: "auto",
    },
    Run {
        mode: "enforce",
        hook: "xdp",
    },
    Run {
        mode: "enforce",
        hook: "auto",
    },
];

/// Runs without: the firewall's rules choose what is judged.
const WITHOUT_KERNEL_PROGRAMS: [Run; 2] = [
    Run {
        mode: "monitor",
        hook: "off",
    },
    Run {
        mode: "enforce",
        hook: "off",
    },
];

/// Runs `cargo xtask demo`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    setup::for_running(Install::unless(args.no_install))?;
    let program = build()?;
    let captures = traffic::captures(&program)?;
    let runs: &[Run] = if machine::is_root() {
        &WITH_KERNEL_PROGRAMS
    } else {
        println!(
            "Not root: the lab runs in a user namespace, with real NFQUEUE but without kernel \
             programs.\nRoot adds classification at XDP and TC, so that only packets that could \
             be evidence go up."
        );
        &WITHOUT_KERNEL_PROGRAMS
    };
    let mut reports = Vec::new();
    for (number, run) in (1..).zip(runs) {
        println!("\n[{number}/{}] {run}", runs.len());
        match lab::replay(&program, run, &captures.files)? {
            Ended::Complete(outcome) => {
                print!("{}", report::stages(&outcome.stats));
                reports.push((run, outcome));
            }
            Ended::Incapable => return only_replay(&program, &captures.files),
        }
    }
    print!("\n{}", report::table(&reports));
    let broken: Vec<_> = reports
        .iter()
        .flat_map(|(run, outcome)| report::broken_promises(run, outcome))
        .collect();
    if broken.is_empty() {
        println!("\nok: enforcement stopped Skype after its decision, and all else arrived");
        return Ok(());
    }
    Err(Failure::unmet(broken.join("\n       ")))
}

/// Builds the daemon as the caller; returns its file.
fn build() -> Result<PathBuf, Failure> {
    println!("building skype-ips");
    test::take_back_target()?;
    let build = ["build", "--release", "--locked", "--package", "skype-ips"];
    process::run(machine::cargo().args(build).current_dir(workspace::root()))?;
    Ok(workspace::target_folder()?.join("release/skype-ips"))
}

/// What is left where no lab can be had: what would be found, and no proof that it is stopped.
fn only_replay(program: &Path, captures: &[PathBuf]) -> Result<(), Failure> {
    println!("\nNo lab on this machine (see above): the captures are only judged, not sent.");
    let mut replay = Command::new(program);
    replay
        .args(["replay", "--mode", "enforce", "--config", lab::CONFIG])
        .args(captures);
    process::run(replay.current_dir(workspace::root()))?;
    Err(Failure::cannot(
        "without network namespaces and NFQUEUE, enforcement can't be shown here",
    ))
}
