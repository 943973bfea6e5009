//! SIGINT and SIGTERM end a run in an orderly way.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on the two signals are noted instead of ending the process. For the process as a
/// whole: a program's business, not a library's.
pub fn catch() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe; all other
        // fields may be zero. Without SA_RESTART, so that waits return.
        let done = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether one has come.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits until one has come.
pub(super) fn wait() -> io::Result<()> {
    // SAFETY: the sets live through the calls and may begin as zero. Both signals are blocked
    // between the question and the wait, so that none comes unnoticed.
    unsafe {
        let mut both: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut both);
        libc::sigaddset(&raw mut both, libc::SIGINT);
        libc::sigaddset(&raw mut both, libc::SIGTERM);
        let blocked = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const both, &raw mut before);
        if blocked != 0 {
            return Err(io::Error::from_raw_os_error(blocked));
        }
        while !interrupted() {
            libc::sigsuspend(&raw const before);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
    }
    Ok(())
}
