//! What is in force changes: a window opens or closes, or other files are read. The packet path
//! sees one swap, learned state stays.

use super::exemptions::Exemptions;
use super::{Gateway, InForce, lock};
use crate::kernel::BpfError;
use crate::policy::{Config, Standing};

/// What the control side knows, which no packet asks for.
#[derive(Debug)]
pub(super) struct Administration {
    /// What is in force was made of this.
    pub(super) config: Config,
    pub(super) exemptions: Exemptions,
}

impl Administration {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            exemptions: Exemptions::default(),
        }
    }

    /// What this configuration says now.
    fn in_force(&self, config: &Config) -> InForce {
        let set = config.policies.clone();
        let open = set.open(jiff::Timestamp::now());
        let mode = config.gateway.mode;
        InForce {
            standing: Standing::new(set, mode, open, self.exemptions.nets()),
            version: config.hash.clone(),
        }
    }
}

impl Gateway {
    /// Follows the clock: opens and closes windows.
    ///
    /// # Errors
    /// A kernel table was not written; what was in force stays.
    pub(super) fn follow_clock(&self) -> Result<(), BpfError> {
        let administration = lock(&self.administration);
        let open = administration.config.policies.open(jiff::Timestamp::now());
        if open == *self.shared.in_force().standing.open() {
            return Ok(());
        }
        tracing::info!("other time windows are open than before");
        self.put_in_force(administration.in_force(&administration.config))
    }

    /// Swaps what is in force: the kernel's gate first, for it may refuse, then the shards.
    fn put_in_force(&self, next: InForce) -> Result<(), BpfError> {
        if let Some(programs) = lock(&self.programs).as_mut() {
            programs.set_policy(next.standing.compiled())?;
        }
        self.shared.current.swap(next);
        Ok(())
    }
}
