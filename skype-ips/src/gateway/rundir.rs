//! The daemon's own folder: a lock that one daemon of a name can hold, and the control socket.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where daemons keep their folders unless told otherwise.
pub const DEFAULT: &str = "/run/skype-ips";
/// Longest instance name: what fits a chain name of iptables.
pub const MAX_INSTANCE: usize = 16;

/// The folder was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// Another daemon of this name runs.
    #[error(
        "a daemon named {instance:?} already runs here (it holds {path}); stop it, or give this one another --instance"
    )]
    Held {
        /// The name.
        instance: String,
        /// The lock.
        path: String,
    },
    /// The name won't do.
    #[error("the instance name {0:?} won't do: write 1 to {MAX_INSTANCE} of a-z, 0-9 and `-`")]
    Name(String),
    /// The file system refuses.
    #[error("cannot use {path}: {source}; give another folder with --run-dir")]
    Io {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The folder, as long as this daemon has it.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

/// The control socket of an instance.
pub fn socket(base: &Path, instance: &str) -> PathBuf {
    base.join(instance).join("control.sock")
}

impl RunDir {
    /// Takes the folder of an instance, and what a dead daemon left in it.
    ///
    /// # Errors
    /// Another daemon holds it, the name won't do, or the file system refuses.
    pub fn take(base: &Path, instance: &str) -> Result<Self, RunDirError> {
        let fits = (1..=MAX_INSTANCE).contains(&instance.len())
            && instance
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !fits {
            return Err(RunDirError::Name(instance.to_owned()));
        }
        let path = base.join(instance);
        let io = |path: &Path| {
            let path = path.display().to_string();
            move |source| RunDirError::Io { path, source }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&path)
            .map_err(io(&path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunDirError::Held {
                    instance: instance.to_owned(),
                    path: lock_path.display().to_string(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(&lock_path)(source)),
        }
        // The lock is ours, so whoever made this socket is gone.
        let _ = std::fs::remove_file(path.join("control.sock"));
        Ok(Self { path, _lock: lock })
    }

    /// Where the control socket goes.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.path.join("lock"));
        let _ = std::fs::remove_dir(&self.path);
        // Only if no other instance has its folder there.
        if let Some(base) = self
            .path
            .parent()
            .filter(|base| *base == Path::new(DEFAULT))
        {
            let _ = std::fs::remove_dir(base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_of_a_name_at_a_time_and_nothing_left_after_it() {
        let base = tempfile::tempdir().expect("a folder for temporary files");
        let first = RunDir::take(base.path(), "a").expect("nobody holds it");
        assert!(matches!(
            RunDir::take(base.path(), "a"),
            Err(RunDirError::Held { .. })
        ));
        let other = RunDir::take(base.path(), "b").expect("another name");
        drop((first, other));
        assert_eq!(std::fs::read_dir(base.path()).expect("readable").count(), 0);
        RunDir::take(base.path(), "a").expect("free again");
    }

    #[test]
    fn names_that_no_chain_could_carry_are_refused() {
        let base = tempfile::tempdir().expect("a folder for temporary files");
        for name in ["", "Main", "a b", "../x", "seventeen-letters"] {
            assert!(
                matches!(RunDir::take(base.path(), name), Err(RunDirError::Name(_))),
                "{name}"
            );
        }
    }
}
