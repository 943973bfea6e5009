//! Everything passes for a while, watching goes on; and hosts that are let alone.

use ipnet::IpNet;
use skype_ips_common::layout::flag;
use std::sync::atomic::Ordering::Relaxed;

use super::audit::Outcome;
use super::exemptions::{Exemption, MOST};
use super::reload::Administration;
use super::status::shown;
use super::{Gateway, clock, lock};
use crate::kernel::BpfError;
use crate::telemetry::{Who, timestamp};

const SECOND: u64 = 1_000_000_000;

/// Why a host was not exempted.
#[derive(Debug, thiserror::Error)]
pub enum ExemptError {
    /// There are too many.
    #[error("there are {MOST} exemptions already; remove some, or write `exempt` into a policy")]
    Full,
    /// There is none to remove.
    #[error("{0} has no exemption; `skype-ips exempt list` names those that have")]
    Unknown(IpNet),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] BpfError),
}

impl Gateway {
    /// Lets everything pass, for some seconds or until told otherwise, or stops doing so.
    ///
    /// # Errors
    /// The kernel's table was not written.
    pub fn set_bypass(
        &self,
        on: bool,
        for_seconds: Option<u64>,
        reason: Option<&str>,
        who: Who,
    ) -> Result<(), BpfError> {
        let action = if on { "bypass-on" } else { "bypass-off" };
        let change = self.change(action, who, reason);
        let mut administration = lock(&self.administration);
        self.write_bypass(on)?;
        administration.bypass_until = for_seconds.filter(|_| on).map(from_now);
        let until = administration.bypass_until.map(timestamp);
        drop(administration);
        let detail = until.map(|until| format!("until {until}"));
        self.audit(change, Outcome::Done, detail);
        Ok(())
    }

    fn write_bypass(&self, on: bool) -> Result<(), BpfError> {
        let mut config = lock(&self.gate_config);
        config.flags = if on {
            config.flags | flag::BYPASS
        } else {
            config.flags & !flag::BYPASS
        };
        if let Some(programs) = lock(&self.programs).as_mut() {
            programs.set_config(*config)?;
        }
        self.shared.bypass.store(on, Relaxed);
        Ok(())
    }

    /// Ends a bypass that has had its time.
    pub(super) fn end_bypass(&self, administration: &mut Administration, now: u64) {
        if administration.bypass_until.is_none_or(|until| until > now) {
            return;
        }
        match self.write_bypass(false) {
            Ok(()) => {
                administration.bypass_until = None;
                let change = self.change("bypass-off", Who::Daemon, None);
                self.audit(change, Outcome::Done, "its time is over".to_owned());
            }
            // The next tick tries again.
            Err(error) => tracing::error!("the bypass did not end: {error}"),
        }
    }

    /// Lets hosts alone for some seconds.
    ///
    /// # Errors
    /// See [`ExemptError`].
    pub fn exempt(
        &self,
        net: IpNet,
        for_seconds: u64,
        reason: Option<&str>,
        who: Who,
    ) -> Result<(), ExemptError> {
        let mut change = self.change("exempt-add", who, reason);
        change.host = Some(shown(net));
        let until = from_now(for_seconds);
        let mut administration = lock(&self.administration);
        let before = administration.exemptions.clone();
        let exemption = Exemption {
            net,
            until,
            reason: reason.map(str::to_owned),
        };
        let result = if administration.exemptions.add(exemption) {
            let next = administration.in_force(&administration.config);
            self.put_in_force(next).map_err(ExemptError::Kernel)
        } else {
            Err(ExemptError::Full)
        };
        if result.is_err() {
            administration.exemptions = before;
        }
        drop(administration);
        match &result {
            Ok(()) => self.audit(change, Outcome::Done, format!("until {}", timestamp(until))),
            Err(error) => self.audit(change, Outcome::Refused, error.to_string()),
        }
        result
    }

    /// Ends an exemption before its time.
    ///
    /// # Errors
    /// See [`ExemptError`].
    pub fn end_exemption(
        &self,
        net: IpNet,
        reason: Option<&str>,
        who: Who,
    ) -> Result<(), ExemptError> {
        let mut change = self.change("exempt-remove", who, reason);
        change.host = Some(shown(net));
        let mut administration = lock(&self.administration);
        let result = match administration.exemptions.remove(net) {
            None => Err(ExemptError::Unknown(net)),
            Some(exemption) => {
                let next = administration.in_force(&administration.config);
                self.put_in_force(next).map_err(|error| {
                    administration.exemptions.add(exemption);
                    ExemptError::Kernel(error)
                })
            }
        };
        drop(administration);
        match &result {
            Ok(()) => self.audit(change, Outcome::Done, None),
            Err(error) => self.audit(change, Outcome::Refused, error.to_string()),
        }
        result
    }
}

/// Nanoseconds since the Unix epoch at which some seconds are over.
fn from_now(seconds: u64) -> u64 {
    clock::wall().saturating_add(seconds.saturating_mul(SECOND))
}
