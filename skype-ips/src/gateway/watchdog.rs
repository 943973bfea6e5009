//! A second process that ends a hung daemon.
//!
//! With a classifier in the kernel an old heartbeat is enough: it stops tagging. With the queue
//! alone (`hook = "off"`) packets would wait for a daemon that hangs; ended, its sockets close and
//! the rules' bypass lets traffic go on.

use std::io::{self, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{HEARTBEAT_LIMIT, Shared, clock};

/// How often the daemon says that its shards live.
const INTERVAL: Duration = Duration::from_millis(100);
/// Name of the hidden subcommand that the second process runs.
const SUBCOMMAND: &str = "watchdog";

/// The daemon's end.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let pipe = child
            .stdin
            .take()
            .ok_or_else(|| io::Error::other("the watchdog has no standard input"))?;
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn({
                let ended = ended.clone();
                move || report(pipe, &shared, &ended)
            })?;
        Ok(Self {
            child,
            ended,
            thread: Some(thread),
        })
    }
}

fn report(mut pipe: ChildStdin, shared: &Shared, ended: &AtomicBool) {
    while !ended.load(Relaxed) {
        let fresh = clock::monotonic().saturating_sub(shared.oldest_beat()) < HEARTBEAT_LIMIT;
        if fresh && pipe.write_all(b".").is_err() {
            tracing::error!("the watchdog is gone: a hang of this daemon would hold up traffic");
            return;
        }
        std::thread::sleep(INTERVAL);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        // The thread closes the pipe, which ends the child.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = self.child.wait();
    }
}

/// The second process: returns when its parent closes the pipe or dies, after ending a parent that
/// was silent for too long.
///
/// # Errors
/// The parent can't be watched.
pub fn watch() -> io::Result<()> {
    // SAFETY: no arguments, no preconditions.
    let parent = unsafe { libc::getppid() };
    // A descriptor, not a number: numbers are used again.
    // SAFETY: the arguments are plain numbers; the result is checked.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, parent, 0) } as libc::c_int;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    let limit = (HEARTBEAT_LIMIT / 1_000_000) as libc::c_int;
    let mut byte = [0u8; 64];
    loop {
        let mut waiting = libc::pollfd {
            fd: libc::STDIN_FILENO,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, valid for reads and writes.
        match unsafe { libc::poll(&raw mut waiting, 1, limit) } {
            0 => break,
            n if n < 0 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            // SAFETY: `byte` is valid for writes of its length.
            _ => match unsafe {
                libc::read(libc::STDIN_FILENO, byte.as_mut_ptr().cast(), byte.len())
            } {
                0 => return Ok(()),
                n if n < 0 => return Err(io::Error::last_os_error()),
                _ => {}
            },
        }
    }
    eprintln!("skype-ips: the daemon hangs; ending it so that traffic goes on");
    let no_information = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is a process's; a null siginfo is allowed.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            descriptor,
            libc::SIGKILL,
            no_information,
            0,
        )
    };
    Ok(())
}
