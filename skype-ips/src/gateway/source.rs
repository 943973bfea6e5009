//! Where the configuration comes from: files, and what the command line says instead of them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::policy::{self, Config, HookChoice, Interface, Mode, Problems, Snapshot};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The gateway's file.
    pub file: PathBuf,
    /// Instead of the file's mode.
    pub mode: Option<Mode>,
    /// Instead of the file's hook.
    pub hook: Option<HookChoice>,
    /// Instead of the file's interfaces, unless empty.
    pub interfaces: Vec<Interface>,
}

impl Source {
    /// Reads the files as they are now.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(&self) -> Result<Config, Problems> {
        self.finish(policy::load(std::slice::from_ref(&self.file))?)
    }

    /// Reads the files as they once were.
    ///
    /// # Errors
    /// Everything that is wrong with them: this version may ask for more than the one that kept them.
    pub(super) fn restore(&self, snapshot: &Snapshot) -> Result<Config, Problems> {
        self.finish(policy::restore(snapshot)?)
    }

    fn finish(&self, mut config: Config) -> Result<Config, Problems> {
        if !self.interfaces.is_empty() {
            config.gateway.interfaces.clone_from(&self.interfaces);
            let names = self.interfaces.iter().map(|one| one.name.clone());
            Arc::make_mut(&mut config.policies).interfaces = names.collect();
        }
        config.gateway.mode = self.mode.unwrap_or(config.gateway.mode);
        config.gateway.hook = self.hook.unwrap_or(config.gateway.hook);
        config.require_gateway()?;
        Ok(config)
    }
}
