//! Why the lab could not do its work.

use std::io;

use thiserror::Error;

use crate::capture::CaptureError;
use crate::policy::Problems;

/// The lab's errors. [`LabError::is_incapable`] and [`LabError::is_usage`] sort them.
#[derive(Debug, Error)]
pub enum LabError {
    /// No right to make network namespaces.
    #[error(
        "can't make network namespaces: {0}; run it as root, or allow everyone user namespaces \
         (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
         kernel.apparmor_restrict_unprivileged_userns)"
    )]
    Unprivileged(io::Error),
    /// The kernel has none.
    #[error("can't make a network namespace: {0}")]
    Namespace(io::Error),
    /// A program that the lab runs is not there.
    #[error("{tool} is not installed (package {package})")]
    MissingTool {
        /// The program.
        tool: String,
        /// The package that has it.
        package: String,
    },
    /// A program that the lab runs refused.
    #[error("{tool} failed: {message}")]
    Tool {
        /// The program.
        tool: String,
        /// What it wrote.
        message: String,
    },
    /// An operation of the system failed.
    #[error("{what} failed: {source}")]
    Failed {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A capture can't be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The configuration has errors.
    #[error("the configuration won't do\n{0}")]
    Configuration(Problems),
    /// The captures use every network that the lab could take for itself.
    #[error(
        "the captures use all of 198.18.0.0/15 and 100.64.0.0/10: no addresses left for the lab"
    )]
    NoAddresses,
    /// IPv6 was asked for.
    #[error("this kernel has no IPv6")]
    NoIpv6,
    /// The daemon didn't start, or stopped by itself.
    #[error("the daemon {what}{}{stderr}", if stderr.is_empty() { "" } else { "; it wrote:\n" })]
    Daemon {
        /// What it did, after "the daemon".
        what: String,
        /// Its exit status, if it ended with one.
        status: Option<i32>,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// SIGINT or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

impl LabError {
    pub(super) fn failed(what: &str, source: io::Error) -> Self {
        Self::Failed {
            what: what.to_owned(),
            source,
        }
    }

    pub(super) fn namespace(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Unprivileged(source),
            _ => Self::Namespace(source),
        }
    }

    /// Whether the machine can't: a right, a kernel feature or a tool is missing.
    pub fn is_incapable(&self) -> bool {
        match self {
            Self::Unprivileged(_) | Self::Namespace(_) | Self::NoIpv6 => true,
            Self::MissingTool { .. } => true,
            Self::Daemon { status, .. } => *status == Some(4),
            _ => false,
        }
    }

    /// Whether the arguments or the configuration are wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Configuration(_) => true,
            Self::Daemon { status, .. } => *status == Some(2),
            _ => false,
        }
    }
}
