//! Where things lie.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{machine, process};

/// How cargo is told to run the test of the kernel program.
pub(crate) const KERNEL_TEST: [&str; 5] =
    ["test", "--package", "skype-ips", "--test", "kernel_program"];

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    // Cargo's word at run time comes first: one build may serve several checkouts.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask)
        .parent()
        .expect("xtask lies in the workspace's folder")
        .to_owned()
}

/// The folder where cargo puts what it builds for this workspace.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let said = process::output(
        machine::cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(root()),
    )?;
    let said: serde_json::Value =
        serde_json::from_str(&said).context("what cargo metadata said")?;
    let folder = said["target_directory"].as_str();
    folder
        .map(PathBuf::from)
        .context("cargo metadata names no target_directory")
}

/// The folder of the shared captures, if they are on this machine: `$SKYPE_IPS_CAPTURES`, else
/// beside the workspace.
pub(crate) fn captures() -> Option<PathBuf> {
    let folder = env::var_os("SKYPE_IPS_CAPTURES")
        .map_or_else(|| root().join("../shared/captures"), PathBuf::from);
    fs::canonicalize(folder).ok().filter(|path| path.is_dir())
}
