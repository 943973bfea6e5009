//! How far a scenario has come.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Seconds of a scenario that are over, and all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    done: f64,
    total: f64,
}

impl Done {
    pub(super) fn of(done: Duration, total: Duration) -> Self {
        Self {
            done: done.as_secs_f64(),
            total: total.as_secs_f64(),
        }
    }

    /// In tenths.
    fn tenth(self) -> u64 {
        (10.0 * self.done / self.total.max(0.001)) as u64
    }
}

/// A line that changes on a terminal; elsewhere one line per tenth.
#[derive(Debug, Default)]
pub(super) struct ProgressLine {
    shown: Option<u64>,
}

impl ProgressLine {
    pub(super) fn show(&mut self, done: Done, more: &str) {
        let terminal = std::io::stderr().is_terminal();
        let tenth = done.tenth();
        if self.shown.replace(tenth) == Some(tenth) && !terminal {
            return;
        }
        let (begin, end) = if terminal {
            ("\r\x1b[K", "")
        } else {
            ("", "\n")
        };
        let Done { done, total } = done;
        // Progress that nobody can read is no reason to stop.
        let _ = write!(
            std::io::stderr(),
            "{begin}{done:.0} of {total:.0} s, {more}{end}"
        );
    }

    pub(super) fn end(&self) {
        if std::io::stderr().is_terminal() && self.shown.is_some() {
            eprintln!();
        }
    }
}
