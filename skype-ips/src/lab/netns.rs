//! Network namespaces without a name: they are gone as soon as nobody holds them, even after
//! `kill -9`.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// A network namespace held by a descriptor.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
}

impl Netns {
    /// A new one, empty but for its loopback device.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_SYS_ADMIN`.
    pub fn new() -> io::Result<Self> {
        // A thread of its own: only that thread moves, and it ends here.
        let created = std::thread::spawn(|| {
            // SAFETY: takes no pointers; moves the calling thread only.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
        })
        .join();
        created
            .expect("the thread doesn't panic")
            .map(|fd| Self { fd })
    }

    /// A path under which other processes reach it, as long as this one lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()).into()
    }

    /// The number by which the kernel tells it from others, as long as it lives.
    ///
    /// # Errors
    /// None that the kernel documents.
    pub fn inode(&self) -> io::Result<u64> {
        fs::metadata(self.path()).map(|data| data.ino())
    }

    /// Runs `work` inside, on a thread of its own. Sockets opened there belong to the namespace
    /// for good.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(self.fd.as_raw_fd())?;
                work()
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Makes a command run inside.
    pub fn place(&self, command: &mut Command) {
        let fd = self.fd.as_raw_fd();
        // SAFETY: between fork and exec only setns is called, which is async-signal-safe; the
        // descriptor is open for as long as `self`, and the child has a copy of the table.
        unsafe { command.pre_exec(move || enter(fd)) };
    }
}

fn enter(fd: i32) -> io::Result<()> {
    // SAFETY: takes no pointers; moves the calling thread only.
    match unsafe { libc::setns(fd, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
