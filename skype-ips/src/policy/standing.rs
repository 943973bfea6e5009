//! What is in force, with the words for it.

use std::sync::Arc;

use ipnet::IpNet;
use skype_ips_common::layout::{ActionEntry, Address, FlowKey, Met, PolicyEntry, Verdict};

use super::budget::Budget;
use super::compiled::Compiled;
use super::model::{Open, Policy, PolicySet};
use super::vocabulary::{Action, Mode};

/// Policies, compiled for the windows that are open and the hosts that are exempt.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    set: Arc<PolicySet>,
    mode: Mode,
    open: Open,
    exempt: Vec<IpNet>,
    compiled: Compiled,
}

/// What is done with a flow, and who says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided<'a> {
    /// The policy of the inside host.
    pub policy: &'a Policy,
    /// What is done.
    pub action: Action,
    /// Of a throttle: the budgets that are obeyed.
    pub budgets: Vec<&'a Budget>,
}

impl Standing {
    /// What policies say under a gateway's mode.
    pub fn new(set: Arc<PolicySet>, mode: Mode, open: Open, exempt: Vec<IpNet>) -> Self {
        let compiled = set.compile(mode, &open, &exempt);
        Self {
            set,
            mode,
            open,
            exempt,
            compiled,
        }
    }

    /// The policies.
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// The gateway's mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The windows that are open.
    pub const fn open(&self) -> &Open {
        &self.open
    }

    /// Hosts that are exempt besides those of the files.
    pub fn exempt(&self) -> &[IpNet] {
        &self.exempt
    }

    /// The same as the gate's tables hold it.
    pub const fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// The policy of a host, where it was met; `None` if it is under none.
    pub fn of(&self, met: Met, host: &Address) -> Option<(PolicyEntry, &Policy)> {
        let entry = self.compiled.policy_of(met, host)?;
        Some((entry, self.set.policies.get(usize::from(entry.index))?))
    }

    /// What is done with a flow of which `verdict` is known; `called` says that the outside opened it.
    /// `None` if its inside host is under no policy.
    pub fn decide(
        &self,
        key: &FlowKey,
        met: Met,
        called: bool,
        verdict: &Verdict,
    ) -> Option<Decided<'_>> {
        let (entry, action) = self.compiled.decide(key, met, called, verdict)?;
        Some(Decided {
            policy: self.set.policies.get(usize::from(entry.index))?,
            action: Action::from_number(action.action),
            budgets: self.budgets(&action),
        })
    }

    /// The budgets that an entry of the action table names.
    pub fn budgets(&self, entry: &ActionEntry) -> Vec<&Budget> {
        let places = entry.budgets.iter().take_while(|place| **place != 0);
        let budgets = places.filter_map(|place| self.set.budgets.get(usize::from(place - 1)));
        budgets.collect()
    }
}
