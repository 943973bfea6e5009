//! What is kept beside the kernel object: what it was made of, and by what.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::toolchain::Versions;
use crate::{source_hash, workspace};

/// Where the object and its manifest are kept, from the workspace's folder.
const FOLDER: &str = "skype-ips-ebpf/prebuilt";

const HEADER: &str = "# Written by `cargo xtask ebpf`; `cargo xtask ebpf --check` proves it.\n";

/// What the kept object was made of, and by what.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Manifest {
    /// SHA-256 of the object.
    pub(crate) object_sha256: String,
    /// SHA-256 of its sources, by [`source_hash::of_sources`].
    pub(crate) sources_sha256: String,
    /// What built it.
    pub(crate) toolchain: Versions,
}

/// The kept object's file.
pub(crate) fn object() -> PathBuf {
    workspace::root().join(FOLDER).join("skype-ips.bpf.o")
}

fn manifest_file() -> PathBuf {
    workspace::root().join(FOLDER).join("manifest.toml")
}

impl Manifest {
    /// Describes an object that has just been built from the sources as they are.
    pub(crate) fn of(object: &Path, toolchain: Versions) -> Result<Self> {
        Ok(Self {
            object_sha256: source_hash::of_file(object)?,
            sources_sha256: source_hash::of_sources(&workspace::root())?,
            toolchain,
        })
    }

    /// The kept object's.
    pub(crate) fn read() -> Result<Self> {
        let file = manifest_file();
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no manifest", file.display()))
    }

    /// Keeps `object` and this beside it.
    pub(crate) fn keep(&self, built: &Path) -> Result<()> {
        fs::create_dir_all(workspace::root().join(FOLDER))?;
        fs::copy(built, object()).context("cannot keep the object")?;
        let text = format!("{HEADER}{}", toml::to_string(self)?);
        fs::write(manifest_file(), text).context("cannot keep the object's manifest")
    }
}
