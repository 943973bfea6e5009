//! `cargo xtask ebpf`: the kernel object that is kept in the repository.

mod compare;
mod manifest;
mod recipe;
pub(crate) mod toolchain;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use self::manifest::Manifest;
use self::toolchain::{Toolchain, Versions};
use crate::failure::Failure;
use crate::{machine, process, source_hash, workspace};

/// Builds the kernel object and keeps it, or proves that the kept one is what its sources give.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep nothing: build afresh and compare with the kept object
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask ebpf`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // Before the tools are looked for: a stale object is one whatever this machine has.
    let kept = if args.check { Some(kept()?) } else { None };
    let toolchain = Toolchain::find().map_err(Failure::cannot)?;
    let versions = toolchain.versions()?;
    eprintln!("{versions}");
    match kept {
        Some(kept) => check(&toolchain, &versions, &kept),
        None => Ok(keep(&toolchain, versions)?),
    }
}

fn keep(toolchain: &Toolchain, versions: Versions) -> Result<()> {
    let object = recipe::build(toolchain, &workspace::target_folder()?.join("ebpf"))?;
    let manifest = Manifest::of(&object, versions)?;
    manifest.keep(&object)?;
    let size = fs::metadata(&object)?.len();
    println!(
        "kept: {} ({size} bytes, sha256 {})",
        shown(&manifest::object()),
        manifest.object_sha256
    );
    Ok(())
}

/// The kept object's manifest, if the object and the sources are the ones it tells of.
fn kept() -> Result<Manifest, Failure> {
    let manifest = Manifest::read()?;
    let object =
        source_hash::of_file(&manifest::object()).context("cannot read the kept object")?;
    if object != manifest.object_sha256 {
        return Err(Failure::unmet(format_args!(
            "{} is not the object that its manifest tells of; run `cargo xtask ebpf`",
            shown(&manifest::object())
        )));
    }
    let sources = source_hash::of_sources(&workspace::root()).context("cannot read the sources")?;
    if sources != manifest.sources_sha256 {
        return Err(Failure::unmet(
            "the kept kernel object is older than its sources: run `cargo xtask ebpf`",
        ));
    }
    Ok(manifest)
}

fn check(toolchain: &Toolchain, versions: &Versions, kept: &Manifest) -> Result<(), Failure> {
    // Built from nothing, so that nothing of an earlier build can vouch for it.
    let folder = workspace::target_folder()?.join("ebpf-check");
    clear(&folder)?;
    let outcome = recipe::build(toolchain, &folder)
        .map_err(Failure::from)
        .and_then(|fresh| judge(&fresh, versions, kept));
    clear(&folder)?;
    outcome
}

fn judge(fresh: &Path, versions: &Versions, kept: &Manifest) -> Result<(), Failure> {
    if *versions == kept.toolchain {
        return same_bytes(fresh);
    }
    println!("other toolchain than the recorded one, so the bytes may differ:");
    println!("  recorded: {}\n  here:     {versions}", kept.toolchain);
    if !machine::is_root() {
        println!("the fresh object builds; loading and testing it needs root: skipped");
        return Ok(());
    }
    process::run(
        machine::privileged_cargo()
            .args(workspace::KERNEL_TEST)
            .env("SKYPE_IPS_EBPF_OBJECT", fresh)
            .current_dir(workspace::root()),
    )?;
    println!("ok: the fresh object builds, loads and passes the kept one's tests");
    Ok(())
}

fn same_bytes(fresh: &Path) -> Result<(), Failure> {
    let read =
        |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let (kept, fresh) = (read(&manifest::object())?, read(fresh)?);
    if kept == fresh {
        println!("ok: the kept object is, byte for byte, what its sources give");
        return Ok(());
    }
    let mut lines = vec![format!(
        "the kept object ({} bytes) is not what its sources give ({} bytes); these sections differ:",
        kept.len(),
        fresh.len()
    )];
    lines.extend(compare::differing_sections(&kept, &fresh));
    lines.push("run `cargo xtask ebpf` and look at why".to_owned());
    Err(Failure::unmet(lines.join("\n  ")))
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

/// A path as seen from the workspace's folder.
fn shown(path: &Path) -> String {
    let root = workspace::root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}
