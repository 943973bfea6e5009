//! What keeps the gateway from starting or from going on.

use super::RunDirError;
use crate::kernel::{AttachError, BpfError, FirewallError, LinkError, QueueError};
use crate::policy::{Place, Problems};

/// The gateway could not be set up, or stopped working.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration names an interface that isn't there.
    #[error("{place}: {source}")]
    Interface {
        /// Where it is named.
        place: Place,
        /// What is wrong with it.
        source: LinkError,
    },
    /// The configuration can't be used.
    #[error(transparent)]
    Configuration(#[from] Problems),
    /// The folder of this instance.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The kernel programs.
    #[error("{0}")]
    Bpf(#[from] BpfError),
    /// The hooks.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The firewall rules.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// A thread, a file or a socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A queue's thread ended on its own.
    #[error(
        "queue {number} stopped working: {reason}; the gateway is shutting down, as `daemon-down` says"
    )]
    QueueDied {
        /// The queue.
        number: u16,
        /// Why.
        reason: String,
    },
}

impl GatewayError {
    /// Whether the machine can't do it, as opposed to a failure on the way.
    pub fn is_incapable(&self) -> bool {
        match self {
            Self::Queue(QueueError::Permission | QueueError::Unsupported(_))
            | Self::Firewall(FirewallError::NoBackend { .. })
            | Self::Attach(_)
            | Self::Bpf(BpfError::Load(_) | BpfError::Program { .. })
            | Self::Interface {
                source: LinkError::Tool(_),
                ..
            } => true,
            Self::Bpf(error) => error.is_permission(),
            _ => false,
        }
    }

    /// Whether the arguments or the configuration are wrong.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Configuration(_)
                | Self::Interface {
                    source: LinkError::Missing(_),
                    ..
                }
                | Self::RunDir(RunDirError::Name(_))
        )
    }
}

/// An error of a thread, a file or a socket, from what was tried.
pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> GatewayError {
    let what = what.into();
    move |source| GatewayError::Io { what, source }
}
