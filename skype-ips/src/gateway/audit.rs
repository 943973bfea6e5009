//! Who changed what: a line among the events for each change of what is in force.

use serde::Serialize;

use super::{Gateway, clock};
use crate::telemetry::{AuditDetail, AuditRecord, Who, timestamp};

/// A change, as far as it is known before its outcome.
#[derive(Clone, Debug)]
pub(super) struct Change<'a> {
    pub(super) action: &'static str,
    pub(super) who: Who,
    pub(super) reason: Option<&'a str>,
    /// Version in force before it.
    pub(super) before: String,
    /// The hosts that it is about, if it is about some.
    pub(super) host: Option<String>,
}

impl Gateway {
    /// A change that begins now.
    pub(super) fn change<'a>(
        &self,
        action: &'static str,
        who: Who,
        reason: Option<&'a str>,
    ) -> Change<'a> {
        Change {
            action,
            who,
            reason,
            before: self.shared.in_force().version.clone(),
            host: None,
        }
    }

    /// Writes the line of a change: to the events, and to the log.
    pub(super) fn audit(
        &self,
        change: Change<'_>,
        outcome: Outcome,
        detail: impl Into<Option<String>>,
    ) {
        let detail = detail.into();
        let after = self.shared.in_force().version.clone();
        let said = detail.as_deref().unwrap_or_default();
        match outcome {
            Outcome::Done | Outcome::Unchanged => tracing::info!(
                by = %change.who, reason = change.reason, policy = after,
                "{} {}: {said}", change.action, outcome.word()
            ),
            Outcome::Refused => tracing::warn!(
                by = %change.who, reason = change.reason, policy = after,
                "{} refused: {said}", change.action
            ),
        }
        let record = AuditRecord {
            event_type: "audit",
            timestamp: timestamp(clock::wall()),
            audit: AuditDetail {
                action: change.action,
                by: change.who,
                reason: change.reason.map(str::to_owned),
                host: change.host,
                policy_before: change.before,
                policy_after: after,
                outcome: outcome.word(),
                detail,
            },
        };
        if !self.events.send(&record) {
            tracing::error!(
                "the audit line of {} was lost: the reader of events is too slow",
                record.audit.action
            );
        }
    }
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Done,
    /// There was nothing to change.
    Unchanged,
    Refused,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}
