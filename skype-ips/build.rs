//! Hands the kept kernel object to the library, after making sure that it is not older than its
//! sources.

use std::env;
use std::fs;
use std::path::Path;

#[path = "../xtask/src/source_hash.rs"]
mod source_hash;

/// Turns the refusal of a stale object into a warning, for work on the kernel side.
const STALE_OK: &str = "SKYPE_IPS_EBPF_STALE_OK";

fn main() {
    println!("cargo::rerun-if-env-changed={STALE_OK}");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = workspace.expect("the crate lies in the workspace's folder");
    let prebuilt = workspace.join("skype-ips-ebpf/prebuilt");
    let object = prebuilt.join("skype-ips.bpf.o");
    for input in source_hash::SOURCES
        .into_iter()
        .chain([source_hash::LOCK_FILE])
    {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!("cargo::rerun-if-changed={}", prebuilt.display());
    if let Some(problem) = problem_with(workspace, &object, &prebuilt.join("manifest.toml")) {
        if env::var_os(STALE_OK).is_none() || !object.exists() {
            println!("cargo::error={problem}: run `cargo xtask ebpf`, or set {STALE_OK}=1");
            return;
        }
        println!("cargo::warning={problem}");
    }
    println!("cargo::rustc-env=SKYPE_IPS_EBPF={}", object.display());
}

/// Why the kept object must not be used, if so.
fn problem_with(workspace: &Path, object: &Path, manifest: &Path) -> Option<String> {
    if !object.exists() {
        return Some(format!("there is no {}", object.display()));
    }
    let text = match fs::read_to_string(manifest) {
        Ok(text) => text,
        Err(error) => return Some(format!("cannot read {}: {error}", manifest.display())),
    };
    let sources = source_hash::of_sources(workspace);
    if recorded(&text, "sources-sha256") != sources.ok().as_deref() {
        return Some("the kept kernel object is older than its sources".to_owned());
    }
    if recorded(&text, "object-sha256") != source_hash::of_file(object).ok().as_deref() {
        return Some("the kept kernel object is not the one that its manifest tells of".to_owned());
    }
    None
}

/// The value of a key in the manifest, which a tool wrote: one key a line, in quotes.
fn recorded<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    manifest.lines().find_map(|line| {
        let quoted = line.strip_prefix(key)?.strip_prefix(" = ")?;
        Some(quoted.trim_matches('"'))
    })
}
