//! One number for all that decides the kernel object's bytes.
//!
//! `cargo xtask ebpf` writes it beside the object that it keeps; the build script of `skype-ips`,
//! which shares this file, refuses an object whose sources have changed since.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Files and folders, from the workspace's folder, that the kernel object is made of.
pub(crate) const SOURCES: [&str; 4] = [
    "skype-ips-common/Cargo.toml",
    "skype-ips-common/src",
    "skype-ips-ebpf/Cargo.toml",
    "skype-ips-ebpf/src",
];

/// Holds the versions of the crates that the kernel object is made of.
pub(crate) const LOCK_FILE: &str = "Cargo.lock";

/// Crates that end up in the kernel object: their names begin so.
const KERNEL_CRATES: &str = "aya-ebpf";

/// SHA-256, in hex, over the sources' names and contents in order of name, and over the locked
/// versions of the kernel's crates.
pub(crate) fn of_sources(workspace: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(workspace, source.to_owned(), &mut files)?;
    }
    files.sort_unstable();
    let mut hash = Sha256::new();
    for name in files {
        let content = fs::read(workspace.join(&name))?;
        hash.update(format!("{name}\0{}\0", content.len()));
        hash.update(content);
    }
    let lock = fs::read_to_string(workspace.join(LOCK_FILE))?;
    for (name, version) in locked(&lock).filter(|(name, _)| name.starts_with(KERNEL_CRATES)) {
        hash.update(format!("{name}\0{version}\0"));
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// SHA-256 of a file's content, in hex.
pub(crate) fn of_file(file: &Path) -> io::Result<String> {
    Ok(format!("{:x}", Sha256::digest(fs::read(file)?)))
}

/// Adds the files at and under `name`, with `/` between folders on every system.
fn collect(workspace: &Path, name: String, files: &mut Vec<String>) -> io::Result<()> {
    let path = workspace.join(&name);
    if !path.is_dir() {
        files.push(name);
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.file_name();
        collect(
            workspace,
            format!("{name}/{}", entry.to_string_lossy()),
            files,
        )?;
    }
    Ok(())
}

/// Names and versions in a lock file, in its order, which is by name.
fn locked(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    lock.split("[[package]]").skip(1).filter_map(|package| {
        let field = |key: &str| {
            package.lines().find_map(|line| {
                let quoted = line.strip_prefix(key)?.strip_prefix(" = ")?;
                Some(quoted.trim_matches('"'))
            })
        };
        Some((field("name")?, field("version")?))
    })
}
