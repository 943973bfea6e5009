//! A folder for one run's files, gone with it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "skype-ips-lab-";

/// The folder. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one that only this user can enter, and removes those whose owners were killed.
    pub(super) fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        remove_abandoned(&base);
        let mut attempt = 0;
        loop {
            let path = base.join(format!("{PREFIX}{}-{attempt}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: the next run tries again.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_abandoned(base: &Path) {
    // SAFETY: takes nothing and can't fail.
    let user = unsafe { libc::geteuid() };
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            name.strip_prefix(PREFIX)?
                .split('-')
                .next()?
                .parse::<u32>()
                .ok()
        });
        let Some(owner) = owner else { continue };
        let ours = entry
            .metadata()
            .is_ok_and(|data| data.is_dir() && data.uid() == user);
        if ours && !Path::new(&format!("/proc/{owner}")).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
