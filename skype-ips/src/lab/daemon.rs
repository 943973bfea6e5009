//! The real daemon as a child process in the gateway's namespace.

use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::LabError;
use super::alert::{Alert, Event, parse};
use super::netns::Netns;
use super::signals::interrupted;
use crate::control::Client;
use crate::policy::{HookChoice, InterfaceSide, Mode};

/// How long the daemon may take until it says that it is ready: loading BPF programs takes a
/// second or two of an idle machine's, and the machine may have much else to do.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long it may take to stop: its queues run dry first.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How much of its standard error is kept for a message, bytes.
const KEPT_STDERR: usize = 16 * 1024;

/// The daemon. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    events: Receiver<Result<Event, String>>,
    stderr: Option<JoinHandle<String>>,
    alerts: Vec<Alert>,
    control: Control,
}

#[derive(Debug)]
struct Control {
    runtime: tokio::runtime::Runtime,
    client: Option<Client>,
    socket: PathBuf,
}

/// How the daemon is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    /// The `skype-ips` program.
    pub(super) program: &'a Path,
    /// Its configuration.
    pub(super) config: &'a Path,
    /// Instead of the configuration's mode.
    pub(super) mode: Option<Mode>,
    /// Instead of the configuration's hook.
    pub(super) hook: Option<HookChoice>,
    /// The gateway's interfaces.
    pub(super) interfaces: &'a [(String, InterfaceSide)],
    /// Folder for its lock and control socket.
    pub(super) run_dir: &'a Path,
}

impl Daemon {
    /// Starts it and waits until it is ready. It ends with the calling thread.
    pub(super) fn start(start: &Start<'_>, gateway: &Netns) -> Result<Self, LabError> {
        let run_dir = start.run_dir;
        let instance = format!("lab-{}", std::process::id());
        let mut command = Command::new(start.program);
        command.arg("run").arg("--config").arg(start.config);
        command
            .args(["--instance", &instance])
            .arg("--run-dir")
            .arg(run_dir);
        command.args(["--events", "-"]);
        for (interface, side) in start.interfaces {
            let side = side.word();
            command
                .arg("--interface")
                .arg(format!("{interface}={side}"));
        }
        if let Some(mode) = start.mode {
            command.args(["--mode", mode.word()]);
        }
        if let Some(hook) = start.hook {
            command.args(["--hook", hook.word()]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the lab, which then stops the daemon.
        command.process_group(0);
        gateway.place(&mut command);
        die_with_parent(&mut command);
        let failed = |error| LabError::failed("starting the daemon", error);
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take().expect("it was piped");
        let stderr = child.stderr.take().expect("it was piped");
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let event = line.map_err(|error| error.to_string());
                if sender.send(event.and_then(|line| parse(&line))).is_err() {
                    break;
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let mut daemon = Self {
            child,
            events,
            stderr: Some(std::thread::spawn(move || keep_end(stderr))),
            alerts: Vec::new(),
            control: Control {
                runtime: runtime.map_err(failed)?,
                client: None,
                socket: run_dir.join(&instance).join("control.sock"),
            },
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    fn wait_until_ready(&mut self) -> Result<(), LabError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if interrupted() {
                return Err(LabError::Interrupted);
            }
            match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(Ok(Event::Engine(state))) if state == "ready" => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(reason)) => return Err(self.gave_up(&broken_line(&reason))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.gave_up("ended before it was ready"));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    let what = format!("was not ready within {} s", START_LIMIT.as_secs());
                    return Err(self.gave_up(&what));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// How many packets it has dropped so far, at all hooks and queues together.
    pub(super) fn drops(&mut self) -> Result<u64, LabError> {
        self.take_events()?;
        let counters = self.control.get(async |client| client.counters().await);
        match counters {
            Ok(counters) => Ok(sum_drops(&counters)),
            Err(reason) => Err(self.gave_up(&reason)),
        }
    }

    /// Its status as it reports it.
    pub(super) fn status(&mut self) -> Result<Value, LabError> {
        let status = self.control.get(async |client| client.status().await);
        status.map_err(|reason| self.gave_up(&reason))
    }

    /// Collects what it has reported; an error if it has ended.
    pub(super) fn take_events(&mut self) -> Result<(), LabError> {
        loop {
            match self.events.try_recv() {
                Ok(Ok(Event::Alert(alert))) => self.alerts.push(alert),
                Ok(Ok(_)) => {}
                Ok(Err(reason)) => return Err(self.gave_up(&broken_line(&reason))),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(self.gave_up("ended by itself")),
            }
        }
    }

    /// Stops it and returns all that it found.
    pub(super) fn stop(mut self) -> Result<Vec<Alert>, LabError> {
        // Its connection would keep the daemon's server waiting.
        self.control.client = None;
        // SAFETY: the child has not been waited for, so the number is still its.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Ok(Event::Alert(alert))) => self.alerts.push(alert),
                Ok(Ok(_)) => {}
                Ok(Err(reason)) => return Err(self.gave_up(&broken_line(&reason))),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let what = format!("did not stop within {} s", STOP_LIMIT.as_secs());
                    return Err(self.gave_up(&what));
                }
            }
        }
        let failed = |error| LabError::failed("waiting for the daemon", error);
        if !self.child.wait().map_err(failed)?.success() {
            return Err(self.gave_up("ended badly"));
        }
        Ok(std::mem::take(&mut self.alerts))
    }

    /// Ends it if need be, and says what was wrong.
    fn gave_up(&mut self, what: &str) -> LabError {
        // A process that is ending by itself has a moment to do so and to say why.
        let deadline = Instant::now() + Duration::from_millis(500);
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Ok(status) => break status.and_then(|status| status.code()),
                Err(_) => break None,
            }
        };
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let stderr = self.stderr.take().and_then(|reader| reader.join().ok());
        LabError::Daemon {
            what: what.to_owned(),
            status,
            stderr: stderr.unwrap_or_default().trim_end().to_owned(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Control {
    /// Asks over one connection, which is opened with the first question.
    fn get(
        &mut self,
        question: impl AsyncFnOnce(&mut Client) -> Result<Value, crate::control::ClientError>,
    ) -> Result<Value, String> {
        let Self {
            runtime,
            client,
            socket,
        } = self;
        runtime
            .block_on(async {
                let client = match client {
                    Some(client) => client,
                    None => client.insert(Client::connect(socket).await?),
                };
                question(client).await
            })
            .map_err(|error| format!("doesn't tell its status: {error}"))
    }
}

fn broken_line(reason: &str) -> String {
    format!("wrote an event that can't be read ({reason})")
}

fn sum_drops(counters: &Value) -> u64 {
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap_or(0);
    let hooks: u64 = ["xdp", "ingress", "egress"]
        .iter()
        .map(|hook| &counters["kernel"][*hook])
        .map(|hook| number(hook, "dropped") + number(hook, "refused"))
        .sum();
    let queues = counters["queues"].as_array().map_or(&[][..], Vec::as_slice);
    hooks
        + queues
            .iter()
            .map(|queue| number(queue, "dropped"))
            .sum::<u64>()
}

/// Has the kernel kill the child when the thread that starts it ends, whatever the reason.
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id() as libc::pid_t;
    let prepare = move || {
        // SAFETY: prctl with plain numbers, and getppid, are async-signal-safe.
        let (set, current) = unsafe {
            (
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
                libc::getppid(),
            )
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        if current != parent {
            // The parent ended before the request: no signal will come.
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        Ok(())
    };
    // SAFETY: between fork and exec only the two calls above are made.
    unsafe { command.pre_exec(prepare) };
}

/// Reads to the end and keeps the last bytes.
fn keep_end(mut stream: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..len]);
        let surplus = kept.len().saturating_sub(KEPT_STDERR);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KEPT_STDERR, keep_end, sum_drops};

    #[test]
    fn drops_are_those_of_all_hooks_and_queues() {
        let counters = json!({
            "kernel": {
                "xdp": {"dropped": 1, "refused": 2, "packets": 1000},
                "ingress": {"dropped": 4, "refused": 8},
                "egress": {"dropped": 16, "refused": 32},
            },
            "queues": [{"dropped": 64, "accepted": 1000}, {"dropped": 128}],
        });
        assert_eq!(sum_drops(&counters), 255);
        assert_eq!(
            sum_drops(&json!({"kernel": null, "queues": [{"dropped": 3}]})),
            3
        );
    }

    #[test]
    fn of_a_long_complaint_the_end_is_kept() {
        let long = ["x".repeat(3 * KEPT_STDERR), "end".to_owned()].concat();
        let kept = keep_end(long.as_bytes());
        assert_eq!(kept.len(), KEPT_STDERR);
        assert!(kept.ends_with("end"));
    }
}
