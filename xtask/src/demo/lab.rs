//! One run of `skype-ips lab replay`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::{process, workspace};

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
    /// All packets were sent. Whether the lab was content is judged from the figures.
    WithStats(Box<Stats>),
    /// This machine has no lab; the lab has said why.
    Incapable,
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

/// What became of the packets of one kind of conversation.
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
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    match output.status.code() {
        Some(0 | PROMISE_BROKEN) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let stats = last_record(&text).context("what the lab printed")?;
            Ok(Ended::WithStats(Box::new(stats)))
        }
        Some(INCAPABLE) => Ok(Ended::Incapable),
        _ => bail!("`{}` failed: {}", process::shown(&command), output.status),
    }
}

fn last_record(text: &str) -> Result<Stats> {
    let line = text.lines().last().context("no record")?;
    let record: Value = serde_json::from_str(line)?;
    if record["event_type"] != "stats" {
        bail!("the last record is no stats record: {line}");
    }
    Ok(serde_json::from_value(record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_must_be_the_totals() {
        let error = last_record("{\"event_type\":\"flow\"}\n").expect_err("only a flow");
        assert!(error.to_string().contains("no stats record"), "{error}");
        assert!(last_record("").is_err());
    }
}
