//! How much of other traffic goes to user space, counted by the kernel program itself.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::{machine, process, workspace};

/// The folder of a corpus that the test runs through the kernel program.
const FOLDER: &str = "other";
/// What is run of the kernel program's test.
const PART: [&str; 2] = ["--locked", "other_traffic"];
/// How a line with figures begins.
const LINE: &str = "queue-share ";

/// What the kernel program did with a choice of detection packs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Share {
    /// The choice's name.
    pub(super) packs: String,
    pub(super) packets: u64,
    /// Packets sent up.
    pub(super) tagged: u64,
    pub(super) flows: u64,
    /// Flows of which a packet was sent up.
    pub(super) flows_tagged: u64,
}

/// What the kernel counted, or why it did not.
pub(super) type Counted = Result<Vec<Share>, String>;

/// Runs the test over the captures of a folder.
pub(super) fn count(captures: &Path) -> Counted {
    if !captures.join(FOLDER).is_dir() {
        return Err(format!("there is no folder `{FOLDER}`"));
    }
    if !machine::is_root() {
        return Err("only root may run kernel programs".to_owned());
    }
    // Built as the caller, run with all rights: then nothing is left to build.
    let mut build = machine::cargo();
    build
        .args(workspace::KERNEL_TEST)
        .args(PART)
        .arg("--no-run");
    process::run(build.current_dir(workspace::root())).map_err(|error| error.to_string())?;
    let mut test = machine::privileged_cargo();
    test.args(workspace::KERNEL_TEST)
        .args(PART)
        .args(["--", "--nocapture"])
        .env("SKYPE_IPS_CAPTURES", captures)
        .current_dir(workspace::root());
    output(&mut test)
}

fn output(test: &mut Command) -> Counted {
    eprintln!("$ {}", process::shown(test));
    let output = test
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let shares: Vec<_> = text.lines().filter_map(share).collect();
    if !output.status.success() {
        eprintln!("the test of the kernel program failed:\n{text}");
    }
    if !shares.is_empty() {
        return Ok(shares);
    }
    let skipped = text.lines().find(|line| line.starts_with("SKIPPED"));
    Err(skipped.unwrap_or("the test gave no figures").to_owned())
}

/// `queue-share classic packets=… tagged=… flows=… flows-tagged=…`; libtest may put the test's
/// name in front.
fn share(line: &str) -> Option<Share> {
    let mut words = line[line.find(LINE)? + LINE.len()..].split_whitespace();
    let packs = words.next()?.to_owned();
    let mut number = |name: &str| {
        words
            .next()?
            .strip_prefix(name)?
            .strip_prefix('=')?
            .parse()
            .ok()
    };
    Some(Share {
        packs,
        packets: number("packets")?,
        tagged: number("tagged")?,
        flows: number("flows")?,
        flows_tagged: number("flows-tagged")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_wherever_the_line_begins() {
        let line = "queue-share classic packets=21173 tagged=71 flows=644 flows-tagged=15";
        let expected = Share {
            packs: "classic".to_owned(),
            packets: 21173,
            tagged: 71,
            flows: 644,
            flows_tagged: 15,
        };
        assert_eq!(share(line), Some(expected.clone()));
        let named = format!("test queue_share::other_traffic_stays ... {line}");
        assert_eq!(share(&named), Some(expected));
        assert_eq!(share("queue-share classic packets=many"), None);
        assert_eq!(share("test result: ok. 1 passed"), None);
    }
}
