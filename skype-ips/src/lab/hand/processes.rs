//! The processes that run in a lab's namespaces, which end with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use super::super::LabError;

/// How long processes may take to end by themselves.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the kernel may take to end them.
const LIMIT: Duration = Duration::from_secs(5);

/// Ends the processes in the network namespaces of these numbers, if `ours` says so too.
pub(super) fn end_all(
    namespaces: &BTreeSet<u64>,
    ours: impl Fn(u32) -> bool,
) -> Result<(), LabError> {
    let start = Instant::now();
    let mut asked = false;
    loop {
        let left: Vec<u32> = inside(namespaces)
            .filter(|process| ours(*process))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > LIMIT {
            let list: Vec<String> = left.iter().map(ToString::to_string).collect();
            return Err(LabError::ProcessesLeft(list.join(", ")));
        }
        // Asked once: what they run to clear up after themselves is left to end by itself.
        let signal = match (asked, start.elapsed() < PATIENCE) {
            (false, true) => Some(libc::SIGTERM),
            (true, true) => None,
            (_, false) => Some(libc::SIGKILL),
        };
        asked = true;
        if let Some(signal) = signal {
            for process in left {
                // SAFETY: plain numbers. It was seen in one of the namespaces just now.
                unsafe { libc::kill(process as libc::pid_t, signal) };
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose network namespace is one of these, but for this one.
fn inside(namespaces: &BTreeSet<u64>) -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| *process != std::process::id())
        .filter(|process| {
            // Of others' processes nothing can be read, and of one that ended nothing is left.
            fs::metadata(format!("/proc/{process}/ns/net"))
                .is_ok_and(|data| namespaces.contains(&data.ino()))
        })
}

/// Whether a process was started with this variable in its environment.
pub(super) fn started_with(process: u32, variable: &str, value: &str) -> bool {
    let wanted = format!("{variable}={value}");
    fs::read(format!("/proc/{process}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted.as_bytes())
    })
}
