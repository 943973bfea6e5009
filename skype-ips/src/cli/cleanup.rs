//! `skype-ips cleanup`: removes what a dead daemon left.

use super::{Failure, print};
use crate::gateway::{RunDir, RunDirError};
use crate::kernel;

/// Remove everything that a dead daemon left: rules, TC filters, its folder
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only the daemon of this name; else all of them
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Folder under which daemons have theirs
    #[arg(long, value_name = "DIR", default_value = crate::gateway::DEFAULT_RUN_DIR)]
    run_dir: std::path::PathBuf,
}

/// Cleans up.
///
/// # Errors
/// Status 1 if a daemon of that name runs.
pub fn run(args: &Args) -> Result<(), Failure> {
    let instances = match &args.instance {
        Some(instance) => vec![instance.clone()],
        None => {
            let mut all = kernel::instances();
            let folders = std::fs::read_dir(&args.run_dir)
                .into_iter()
                .flatten()
                .flatten();
            let folders = folders.filter(|entry| entry.path().join("lock").exists());
            all.extend(folders.filter_map(|entry| entry.file_name().into_string().ok()));
            all.sort();
            all.dedup();
            all
        }
    };
    let mut running = Vec::new();
    let mut report = String::new();
    for instance in instances {
        // Whoever holds the folder is alive; otherwise taking and leaving it removes it.
        match RunDir::take(&args.run_dir, &instance) {
            Ok(folder) => {
                let rules = kernel::remove_rules(&instance);
                report += &format!(
                    "{instance}: {}\n",
                    if rules {
                        "rules removed"
                    } else {
                        "no rules were left"
                    }
                );
                drop(folder);
            }
            Err(RunDirError::Held { .. }) => running.push(instance),
            Err(error) => return Err(Failure::failed(error)),
        }
    }
    if running.is_empty() {
        for line in kernel::remove_filters() {
            report += &line;
            report.push('\n');
        }
    }
    print(if report.is_empty() {
        "nothing was left\n"
    } else {
        &report
    })?;
    if running.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "still running, and left alone: {}; stop it first",
            running.join(", ")
        )))
    }
}
