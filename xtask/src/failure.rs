//! Why a subcommand didn't do what was asked, and the exit status that says so.

use std::fmt;

/// A message for the developer and an exit status, the same ones that `skype-ips` uses.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Something failed on the way (exit status 1).
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(1, message)
    }

    /// Arguments or files that can't be used (exit status 2).
    pub(crate) fn wrong(message: impl fmt::Display) -> Self {
        Self::new(2, message)
    }

    /// An expectation was not met (exit status 3).
    pub(crate) fn unmet(message: impl fmt::Display) -> Self {
        Self::new(3, message)
    }

    /// This machine can't: a right or a tool is missing (exit status 4).
    pub(crate) fn cannot(message: impl fmt::Display) -> Self {
        Self::new(4, message)
    }

    /// The process's exit status.
    pub(crate) const fn status(&self) -> u8 {
        self.status
    }

    fn new(status: u8, message: impl fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format_args!("{error:#}"))
    }
}
