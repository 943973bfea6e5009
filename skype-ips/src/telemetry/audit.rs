//! Events about what was changed in the daemon itself.

use std::fmt;

use serde::Serialize;

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Who {
    /// A program that spoke to the control socket.
    Peer {
        /// Its user, as the kernel says (SO_PEERCRED).
        uid: u32,
        /// Its process, as the kernel says; absent if it doesn't.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
    },
    /// A signal, which doesn't say who sent it.
    Signal,
    /// The daemon itself: a time was over, or a limit was passed.
    Daemon,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { uid, pid: None } => write!(f, "user {uid}"),
            Self::Peer {
                uid,
                pid: Some(pid),
            } => write!(f, "user {uid} (process {pid})"),
            Self::Signal => f.write_str("a signal"),
            Self::Daemon => f.write_str("the daemon"),
        }
    }
}

/// Something was changed in the daemon, or was to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRecord {
    /// Always `audit`.
    pub event_type: &'static str,
    /// When.
    pub timestamp: String,
    /// What.
    pub audit: AuditDetail,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditDetail {
    /// `reload`, `confirm`, `rollback`, `window`, `exempt-add`, `exempt-remove`, `exempt-end`,
    /// `bypass-on`, `bypass-off` or `forget`.
    pub action: &'static str,
    /// Who asked for it.
    pub by: Who,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The hosts that it is about; absent if it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// SHA-256 of the configuration in force before.
    pub policy_before: String,
    /// SHA-256 of the configuration in force after it.
    pub policy_after: String,
    /// `done`, `unchanged` or `refused`.
    pub outcome: &'static str,
    /// What was said about it.
    pub detail: Option<String>,
}
