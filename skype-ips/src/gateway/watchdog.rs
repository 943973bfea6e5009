//! A second process that takes the queue rules out of the way of a daemon that hangs.
//!
//! With a classifier in the kernel an old heartbeat is enough: it stops tagging. With the queue
//! alone (`hook = "off"`) packets would wait for a daemon that hangs, or that a busy machine
//! starves. The second process then suspends the rules, and puts them back when the daemon lives.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{HEARTBEAT_LIMIT, Shared, clock};
use crate::kernel::{resume_rules, suspend_rules};

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
            .args([SUBCOMMAND, &shared.instance])
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

/// The second process: returns when its parent closes the pipe or dies. While the parent is silent
/// the rules of `instance` are suspended.
///
/// # Errors
/// The pipe can't be read.
pub fn watch(instance: &str) -> io::Result<()> {
    let limit = (HEARTBEAT_LIMIT / 1_000_000) as libc::c_int;
    let mut bytes = [0u8; 64];
    let mut suspended = false;
    loop {
        let mut waiting = libc::pollfd {
            fd: libc::STDIN_FILENO,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, valid for reads and writes.
        let ready = unsafe { libc::poll(&raw mut waiting, 1, limit) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        } else if ready == 0 {
            if !suspended {
                eprintln!(
                    "skype-ips: the daemon hangs; its rules are suspended so that traffic goes on"
                );
                suspend_rules(instance);
                suspended = true;
            }
        } else {
            match io::stdin().lock().read(&mut bytes)? {
                0 => return Ok(()),
                _ if suspended => {
                    eprintln!("skype-ips: the daemon lives again; its rules are back");
                    resume_rules(instance);
                    suspended = false;
                }
                _ => {}
            }
        }
    }
}
