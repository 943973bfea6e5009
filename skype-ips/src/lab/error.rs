//! Why the lab could not do its work.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::capture::CaptureError;
use crate::gateway::RunDirError;
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
    /// The folder that says where a lab is.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The folder is somebody else's.
    #[error("{0:?} belongs to somebody else; give another folder with --run-dir")]
    NotOwner(PathBuf),
    /// `lab up`, and one of that name is up.
    #[error(
        "a lab named {instance:?} is up already{}{scenario}; end it with `skype-ips lab down`, or \
         give this one another --instance",
        if scenario.is_empty() { "" } else { " with " }
    )]
    AlreadyUp {
        /// Its name.
        instance: String,
        /// Its scenario, if it is known.
        scenario: String,
    },
    /// `lab exec` or `lab down`, and none of that name is up.
    #[error("no lab named {instance:?} is up here; `skype-ips lab up SCENARIO` starts one")]
    NotUp {
        /// The name.
        instance: String,
    },
    /// A lab is being built.
    #[error("the lab named {instance:?} is not ready yet")]
    NotReady {
        /// Its name.
        instance: String,
    },
    /// The process that held a lab was killed.
    #[error(
        "the lab named {instance:?} has lost the process that held it; `skype-ips lab down` \
         clears up what is left"
    )]
    HolderGone {
        /// Its name.
        instance: String,
    },
    /// The process that is to hold a lab ended.
    #[error("{}", if message.is_empty() { "the process that holds the lab ended" } else { message })]
    Holder {
        /// Its exit status, if it ended with one.
        status: Option<i32>,
        /// What it wrote to standard error.
        message: String,
    },
    /// `lab exec` with a name that nobody has.
    #[error("the lab has no {party:?}: it has {}", known.join(", "))]
    UnknownParty {
        /// The name.
        party: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A party is named as a part of the lab, or as another party.
    #[error("a party can't be named {0:?}: the lab, or another party, has that name")]
    PartyName(String),
    /// The command of `lab exec` can't be run.
    #[error("can't run {program}: {source}")]
    Command {
        /// The command.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Processes that don't end.
    #[error("these processes of the lab don't end: {0}")]
    ProcessesLeft(String),
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
            Self::Daemon { status, .. } | Self::Holder { status, .. } => *status == Some(4),
            _ => false,
        }
    }

    /// Whether the arguments or the configuration are wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::UnknownParty { .. } | Self::PartyName(_) => true,
            Self::RunDir(RunDirError::Name(_)) => true,
            Self::Daemon { status, .. } | Self::Holder { status, .. } => *status == Some(2),
            _ => false,
        }
    }
}
