//! What is in force changes: a window opens or closes, an exemption ends, or other files are read. The
//! packet path sees one swap, learned state stays, and no rule, queue or hook is touched.

use super::audit::Outcome;
use super::confirm::{Kept, Record, Stage};
use super::exemptions::Exemptions;
use super::restart::needs_restart;
use super::source::Source;
use super::status::shown;
use super::{Gateway, InForce, clock, lock};
use crate::kernel::BpfError;
use crate::policy::{Config, Problems, Standing};
use crate::telemetry::{Who, timestamp};

/// What the control side knows, which no packet asks for.
#[derive(Debug)]
pub(super) struct Administration {
    pub(super) source: Source,
    /// What is in force was made of this.
    pub(super) config: Config,
    /// What a reload that waits for its confirmation goes back to.
    pub(super) confirmed: Option<Config>,
    pub(super) kept: Kept,
    /// Lost packets before the reload that waits.
    pub(super) lost_before: u64,
    pub(super) exemptions: Exemptions,
    /// Nanoseconds since the Unix epoch at which the bypass ends by itself.
    pub(super) bypass_until: Option<u64>,
    /// The last reload, if there was one.
    pub(super) last: Option<LastReload>,
    /// Why the daemon started with something else than the files say, if it did.
    pub(super) instead: Option<String>,
}

/// How the last reload ended.
#[derive(Clone, Debug)]
pub(super) struct LastReload {
    /// Nanoseconds since the Unix epoch.
    pub(super) at: u64,
    /// Why it was refused, if it was.
    pub(super) refused: Option<Refusal>,
}

/// What a reload is asked to do.
#[derive(Clone, Debug, Default)]
pub struct ReloadRequest {
    /// Seconds within which it has to be confirmed.
    pub confirm_within: Option<u64>,
    /// Lost packets since the reload over which it goes back before that.
    pub max_lost: u64,
    /// Why it is asked for.
    pub reason: Option<String>,
}

/// Why a reload was not done; what was in force still is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The files are wrong.
    #[error("{}", .0.summary())]
    Problems(Problems),
    /// They ask for other rules, queues or hooks.
    #[error("needs restart: {}", .0.join("; "))]
    NeedsRestart(Vec<String>),
    /// The same was taken back before.
    #[error(
        "these files were taken back at {at} ({why}) and are the same since; change them, or ask for them with `skype-ips reload`"
    )]
    TakenBack {
        /// When.
        at: String,
        /// Why.
        why: String,
    },
    /// The way back can't be kept.
    #[error("the way back can't be kept: {0}; give another folder with `run --state-dir`")]
    State(String),
    /// The kernel refused.
    #[error("the kernel's tables were not written: {0}")]
    Kernel(String),
}

/// A reload that was done.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// Whether the files are the same as before.
    pub unchanged: bool,
    /// What is odd about the files.
    pub warnings: Problems,
    /// When it goes back unless it is confirmed.
    pub confirm_until: Option<String>,
}

impl Administration {
    /// What a configuration says now.
    pub(super) fn in_force(&self, config: &Config) -> InForce {
        let set = config.policies.clone();
        let open = set.open(jiff::Timestamp::now());
        let mode = config.gateway.mode;
        InForce {
            standing: Standing::new(set, mode, open, self.exemptions.nets()),
            version: config.hash.clone(),
        }
    }

    pub(super) fn waits(&self) -> Option<&Record> {
        let record = self.kept.record()?;
        matches!(record.stage, Stage::Pending { .. }).then_some(record)
    }
}

impl Gateway {
    /// Reads the files again and puts them in force, or says why not.
    ///
    /// # Errors
    /// What keeps it from that; what was in force goes on.
    pub fn reload(&self, request: &ReloadRequest, who: Who) -> Result<Reloaded, Refusal> {
        let change = self.change("reload", who, request.reason.as_deref());
        let mut administration = lock(&self.administration);
        let result = self.try_reload(&mut administration, request, &change.who);
        administration.last = Some(LastReload {
            at: clock::wall(),
            refused: result.as_ref().err().cloned(),
        });
        drop(administration);
        match &result {
            Ok(reloaded) => {
                let outcome = if reloaded.unchanged {
                    Outcome::Unchanged
                } else {
                    Outcome::Done
                };
                let detail = reloaded.confirm_until.as_ref();
                let detail = detail.map(|until| format!("goes back at {until} unless confirmed"));
                self.audit(change, outcome, detail);
            }
            Err(Refusal::Problems(problems)) => {
                let renderer = annotate_snippets::Renderer::plain();
                self.audit(change, Outcome::Refused, problems.render(&renderer));
            }
            Err(refusal) => self.audit(change, Outcome::Refused, refusal.to_string()),
        }
        result
    }

    fn try_reload(
        &self,
        administration: &mut Administration,
        request: &ReloadRequest,
        who: &Who,
    ) -> Result<Reloaded, Refusal> {
        let next = administration.source.read().map_err(Refusal::Problems)?;
        if let Some(Record {
            stage: Stage::TakenBack { at, why },
            tried,
            ..
        }) = administration.kept.record()
            && *who == Who::Signal
            && *tried == next.hash
        {
            return Err(Refusal::TakenBack {
                at: timestamp(*at),
                why: why.clone(),
            });
        }
        let others = {
            let firewall = lock(&self.firewall);
            needs_restart(&administration.config, &next, firewall.plan())
        };
        if !others.is_empty() {
            return Err(Refusal::NeedsRestart(others));
        }
        let unchanged = next.hash == administration.config.hash;
        let before = administration.kept.record().cloned();
        let record = self.record_of(administration, &next, request, unchanged);
        if let Some(record) = record.clone() {
            let kept = administration.kept.keep(record);
            kept.map_err(|error| Refusal::State(error.to_string()))?;
        }
        if let Err(error) = self.put_in_force(administration.in_force(&next)) {
            let restored = match before {
                Some(before) => administration.kept.keep(before),
                None => {
                    administration.kept.forget();
                    Ok(())
                }
            };
            if let Err(error) = restored {
                tracing::error!("{error}");
            }
            return Err(Refusal::Kernel(error.to_string()));
        }
        let warnings = next.warnings.clone();
        let last = std::mem::replace(&mut administration.config, next);
        administration.instead = None;
        if record.is_none() {
            administration.kept.forget();
            administration.confirmed = None;
        } else if administration.confirmed.is_none() {
            administration.confirmed = Some(last);
        }
        if request.confirm_within.is_some() {
            administration.lost_before = self.lost();
        }
        let until = administration.waits().and_then(Record::deadline);
        Ok(Reloaded {
            unchanged,
            warnings,
            confirm_until: until.map(timestamp),
        })
    }

    /// What has to be kept of a reload to `next`. One that takes the place of another that waits has
    /// to be confirmed too, and goes back to the same.
    fn record_of(
        &self,
        administration: &Administration,
        next: &Config,
        request: &ReloadRequest,
        unchanged: bool,
    ) -> Option<Record> {
        let waits = administration.waits();
        let (hash, files) = match waits {
            Some(record) => (&record.confirmed, record.files()),
            None => (&administration.config.hash, &administration.config.snapshot),
        };
        if next.hash == *hash {
            return None;
        }
        match (request.confirm_within, waits) {
            (Some(within), _) if !unchanged || waits.is_some() => Some(Record::pending(
                next,
                (hash, files),
                (within, request.max_lost),
                clock::wall(),
                request.reason.clone(),
            )),
            (_, Some(record)) => Some(record.of(next)),
            _ => None,
        }
    }

    /// Confirms the reload that waits.
    ///
    /// # Errors
    /// None waits.
    pub fn confirm(&self, reason: Option<&str>, who: Who) -> Result<(), &'static str> {
        let change = self.change("confirm", who, reason);
        let mut administration = lock(&self.administration);
        if administration.waits().is_none() {
            drop(administration);
            let message = "no reload waits for a confirmation";
            self.audit(change, Outcome::Refused, message.to_owned());
            return Err(message);
        }
        administration.kept.forget();
        administration.confirmed = None;
        drop(administration);
        self.audit(change, Outcome::Done, None);
        Ok(())
    }

    /// Follows the clock: opens and closes windows, and ends what has an end.
    pub(super) fn follow_clock(&self) {
        let now = clock::wall();
        let mut administration = lock(&self.administration);
        self.end_bypass(&mut administration, now);
        self.go_back_if_due(&mut administration, now);
        let ended = administration.exemptions.ended(now);
        let open = administration.config.policies.open(jiff::Timestamp::now());
        let windows = open != *self.shared.in_force().standing.open();
        let exempt = administration.exemptions.nets();
        if !windows && *self.shared.in_force().standing.exempt() == exempt {
            return;
        }
        let change = self.change("window", Who::Daemon, None);
        let result = self.put_in_force(administration.in_force(&administration.config));
        drop(administration);
        for exemption in ended {
            let mut change = self.change("exempt-end", Who::Daemon, exemption.reason.as_deref());
            change.host = Some(shown(exemption.net));
            self.audit(change, Outcome::Done, None);
        }
        match result {
            Ok(()) if windows => {
                let detail = "other time windows are open than before".to_owned();
                self.audit(change, Outcome::Done, detail);
            }
            Ok(()) => {}
            Err(error) => tracing::error!("what the clock asks for is not in force: {error}"),
        }
    }

    /// Goes back to what was confirmed, if the reload that waits had its time, or costs packets.
    fn go_back_if_due(&self, administration: &mut Administration, now: u64) {
        let Some(record) = administration.waits().cloned() else {
            return;
        };
        let Stage::Pending {
            max_lost, within, ..
        } = record.stage
        else {
            return;
        };
        let lost = self.lost().saturating_sub(administration.lost_before);
        let why = if lost > max_lost {
            format!("{lost} packets were lost since, and at most {max_lost} may be")
        } else if record.left(now) == Some(0) {
            format!("it was not confirmed within {within} s")
        } else {
            return;
        };
        let Some(confirmed) = administration.confirmed.clone() else {
            return;
        };
        let change = self.change("rollback", Who::Daemon, record.reason.as_deref());
        if let Err(error) = self.put_in_force(administration.in_force(&confirmed)) {
            // The next tick tries again.
            tracing::error!("the reload can't be taken back: {error}");
            return;
        }
        administration.config = confirmed;
        administration.confirmed = None;
        if let Err(error) = administration
            .kept
            .keep(record.taken_back(now, why.clone()))
        {
            tracing::error!("a restart would take what was taken back: {error}");
        }
        self.audit(change, Outcome::Done, why);
    }

    /// Swaps what is in force: the kernel's gate first, for it may refuse, then the shards.
    pub(super) fn put_in_force(&self, next: InForce) -> Result<(), BpfError> {
        if let Some(programs) = lock(&self.programs).as_mut() {
            programs.set_policy(next.standing.compiled())?;
        }
        if let Some(gate) = &self.user_gate {
            let compiled = next.standing.compiled();
            super::gate::lock(gate).tables.set_policy(compiled);
        }
        self.shared.current.swap(next);
        Ok(())
    }
}
