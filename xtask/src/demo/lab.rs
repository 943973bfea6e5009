//! One run of `skype-ips lab replay`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::{machine, process, workspace};

/// The configuration that is shipped, from the workspace's folder.
pub(crate) const CONFIG: &str = "rules/gateway.toml";

/// What of the configuration is changed for a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// `monitor` or `enforce`.
    pub(crate) mode: &'static str,
    /// `auto`, `xdp`, … or `off`.
    pub(crate) hook: &'static str,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, hook {}", self.mode, self.hook)
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All packets were sent.
    Complete(Box<Outcome>),
    /// This machine has no lab; the lab has said why.
    Incapable,
}

/// What the lab reported.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Whether the lab found every promise kept; if not, it has said what was broken.
    pub(crate) is_content: bool,
    /// All conversations.
    pub(crate) flows: Vec<Flow>,
    /// The totals.
    pub(crate) stats: Stats,
}

/// A conversation's record, as far as the demo reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Flow {
    /// What it was found to be.
    pub(crate) skype: Finding,
    /// What became of its packets.
    pub(crate) lab: Counts,
}

/// What a conversation was found to be.
#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    /// Whether it is Skype.
    pub(crate) detected: bool,
}

/// The lab's last record, as far as the demo reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Stats {
    /// What became of the packets.
    pub(crate) lab: Totals,
    /// The daemon's status at the end.
    pub(crate) gateway: Value,
}

/// What became of the packets.
#[derive(Debug, Deserialize)]
pub(crate) struct Totals {
    /// Packets of conversations that are Skype.
    pub(crate) skype: Counts,
    /// All others.
    pub(crate) other: Counts,
    /// Packets that no gateway would forward, so they were not sent.
    pub(crate) unroutable: u64,
}

/// What became of the packets of one conversation, or of all of a kind.
#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    /// Sent into the gateway.
    pub(crate) sent: u64,
    /// Arrived on the other side.
    pub(crate) delivered: u64,
    /// Of those sent, the ones after their conversation's decision.
    pub(crate) sent_after_decision: u64,
    /// Of those delivered, the ones after their conversation's decision.
    pub(crate) delivered_after_decision: u64,
}

/// The lab's exit statuses that are results, not failures.
const PROMISE_BROKEN: i32 = 3;
const INCAPABLE: i32 = 4;

/// Sends the captures through a gateway; its progress goes to the terminal.
pub(crate) fn replay(program: &Path, run: &Run, captures: &[PathBuf]) -> Result<Ended> {
    let mut command = Command::new(program);
    command
        .args(["lab", "replay", "--json", "--config", CONFIG])
        .args(["--mode", run.mode, "--hook", run.hook])
        .args(captures)
        .current_dir(workspace::root())
        .env("PATH", machine::search_path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    match output.status.code() {
        Some(status @ (0 | PROMISE_BROKEN)) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let (flows, stats) = records(&text).context("what the lab printed")?;
            Ok(Ended::Complete(Box::new(Outcome {
                is_content: status == 0,
                flows,
                stats,
            })))
        }
        Some(INCAPABLE) => Ok(Ended::Incapable),
        _ => bail!("`{}` failed: {}", process::shown(&command), output.status),
    }
}

/// The flow records, and the totals in the last record.
fn records(text: &str) -> Result<(Vec<Flow>, Stats)> {
    let mut flows = Vec::new();
    let mut stats = None;
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if record["event_type"] == "flow" {
            flows.push(serde_json::from_value(record).with_context(|| line.to_owned())?);
        } else if record["event_type"] == "stats" {
            stats = Some(serde_json::from_value(record).with_context(|| line.to_owned())?);
        }
    }
    Ok((flows, stats.context("no record of the totals")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_totals_is_an_error() {
        let counts =
            r#"{"sent":1,"delivered":1,"sent_after_decision":0,"delivered_after_decision":0}"#;
        let flow =
            format!(r#"{{"event_type":"flow","skype":{{"detected":false}},"lab":{counts}}}"#);
        let error = records(&flow).expect_err("only a flow");
        assert!(
            error.to_string().contains("no record of the totals"),
            "{error}"
        );
        let totals = format!(
            r#"{{"event_type":"stats","lab":{{"skype":{counts},"other":{counts},"unroutable":0}},"gateway":null}}"#
        );
        let (flows, stats) = records(&format!("{flow}\n{totals}\n")).expect("both are there");
        assert_eq!((flows.len(), stats.lab.other.sent), (1, 1));
    }
}
