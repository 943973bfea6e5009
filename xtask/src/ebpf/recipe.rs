//! How the kernel object is built: the same bytes from any folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::toolchain::Toolchain;
use crate::{process, workspace};

const TARGET: &str = "bpfel-unknown-none";
const CRATE: &str = "skype-ips-ebpf";

/// Variables of the person's own setup that may stay: where things lie and how they are fetched.
const KEPT_VARIABLES: [&str; 5] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_TERM_",
];

/// Builds the kernel object under `target_folder`; returns its path.
pub(crate) fn build(toolchain: &Toolchain, target_folder: &Path) -> Result<PathBuf> {
    let root = workspace::root();
    // The registry's folders must be there before their names can be taken out.
    process::run(
        cargo(toolchain)
            .args(["fetch", "--locked", "--target", TARGET])
            .current_dir(&root),
    )?;
    process::run(
        cargo(toolchain)
            .args(["build", "--release", "--locked", "-Z", "build-std=core"])
            .args(["--package", CRATE, "--target", TARGET])
            .env("CARGO_TARGET_DIR", target_folder)
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                flags(toolchain, &root)?.join("\x1f"),
            )
            .current_dir(&root),
    )?;
    let built = target_folder.join(TARGET).join("release").join(CRATE);
    let object = target_folder.join("skype-ips.bpf.o");
    fs::copy(&built, &object).with_context(|| format!("cannot copy {}", built.display()))?;
    toolchain.strip(&object)?;
    Ok(object)
}

/// The toolchain's cargo, free of what the caller's environment would change in the object.
fn cargo(toolchain: &Toolchain) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let alien = text.starts_with("CARGO") || text.starts_with("RUST");
        if alien && !KEPT_VARIABLES.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_INCREMENTAL", "0");
    if toolchain.is_stable {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command
}

fn flags(toolchain: &Toolchain, root: &Path) -> Result<Vec<String>> {
    let mut flags = vec![
        format!("-Clinker={}", toolchain.linker().display()),
        // Line information and types: the verifier's messages show them.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // One object serves all machines, so it must not depend on the one that builds it.
        r#"--cfg=bpf_target_arch="x86_64""#.to_owned(),
    ];
    for (from, to) in remapped_folders(toolchain, root)? {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    Ok(flags)
}

/// Folders that differ between machines, and what stands for them. The last match counts.
fn remapped_folders(toolchain: &Toolchain, root: &Path) -> Result<Vec<(PathBuf, &'static str)>> {
    let mut folders = vec![(root.to_owned(), "/skype-ips")];
    for folder in [
        toolchain.rust_src.clone(),
        fs::canonicalize(&toolchain.rust_src)?,
    ] {
        folders.push((folder, "/rust"));
    }
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let sources = home
        .context("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    let listed =
        fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?;
    // One folder per registry; its name depends on whether a mirror is used.
    for registry in listed {
        folders.push((registry?.path(), "/crates"));
    }
    Ok(folders)
}
