//! The real daemon as a child in the gateway's namespace.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skype_ips::control::blocking;
use tempfile::TempDir;

use crate::net::{Net, try_shell};

/// Enforcing, two queues, no connection tracking but where it is in use.
pub(crate) const CONFIG: &str = r#"
version = 1
mode = "enforce"
[[interface]]
name = "in0"
side = "inside"
[[interface]]
name = "out0"
side = "outside"
[queues]
first = 300
count = 2
[[policy]]
name = "skype"
subnets = ["10.0.0.0/8"]
default = "drop"
"#;

/// As [`CONFIG`], with other policies.
pub(crate) fn under(policies: &str) -> String {
    let (gateway, _) = CONFIG.split_once("[[policy]]").expect("it has a policy");
    format!("{gateway}{policies}")
}

/// As [`CONFIG`], with other keys in its policy than `default`.
pub(crate) fn saying(keys: &str) -> String {
    CONFIG.replace("default = \"drop\"", keys)
}

/// As [`CONFIG`], failing closed.
pub(crate) fn closed() -> String {
    CONFIG.replace("[queues]", "[failure]\ndaemon-down = \"closed\"\n[queues]")
}

pub(crate) struct Daemon {
    child: Child,
    events: Receiver<Value>,
    folder: TempDir,
}

/// Writes the configuration in one step, as an editor does.
fn write(folder: &TempDir, config: &str) -> PathBuf {
    let (file, next) = (
        folder.path().join("gateway.toml"),
        folder.path().join("next"),
    );
    std::fs::write(&next, config).expect("a writable folder");
    std::fs::rename(&next, &file).expect("the same folder");
    file
}

/// The command line of a daemon, for tests that expect it to refuse.
pub(crate) fn command(net: &Net, folder: &TempDir, config: &str, arguments: &[&str]) -> Command {
    let file = write(folder, config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
    command
        .arg("run")
        .arg("--config")
        .arg(file)
        .arg("--run-dir")
        .arg(folder.path())
        .arg("--state-dir")
        .arg(folder.path().join("state"));
    if !arguments.contains(&"--instance") {
        command.args(["--instance", "test"]);
    }
    command.args(["--events", "-"]).args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    net.gateway.place(&mut command);
    command
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(net: &Net, config: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        Self::start_in(net, folder, config, arguments)
    }

    /// As [`Daemon::start`], where an earlier one has been.
    pub(crate) fn start_in(net: &Net, folder: TempDir, config: &str, arguments: &[&str]) -> Self {
        let mut child = command(net, &folder, config, arguments)
            .spawn()
            .expect("the binary was built");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut stderr = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("event lines are JSON"));
            }
        });
        let mut daemon = Self {
            child,
            events,
            folder,
        };
        match daemon.event("engine", Duration::from_secs(60)) {
            Some(event) if event["engine"]["state"] == "ready" => {
                net.note_programs(daemon.child.id());
                daemon
            }
            _ => {
                let _ = daemon.child.kill();
                panic!(
                    "the daemon did not become ready: {}",
                    log.join().unwrap_or_default()
                )
            }
        }
    }

    /// The next event of a type, within a time.
    pub(crate) fn event(&mut self, event_type: &str, limit: Duration) -> Option<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).ok()?;
            if event["event_type"] == event_type {
                return Some(event);
            }
        }
    }

    pub(crate) fn status(&self) -> Value {
        blocking::status(&self.socket()).expect("the daemon answers")
    }

    /// Packets that all queues have handed over so far.
    pub(crate) fn queued(&self) -> u64 {
        let status = self.status();
        let queues = status["queues"].as_array().expect("a list");
        let received = queues.iter().filter_map(|queue| queue["received"].as_u64());
        received.sum()
    }

    pub(crate) fn bypass(&self, on: bool) {
        self.post("/v1/bypass", &json!({ "on": on }))
            .expect("the daemon answers");
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        blocking::get(&self.socket(), path).expect("the daemon answers")
    }

    /// Asks for a change; the error is what the daemon says.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        blocking::post(&self.socket(), path, body).map_err(|error| error.to_string())
    }

    /// Writes the configuration anew, in the place of the one that it was started with.
    pub(crate) fn write(&self, config: &str) {
        write(&self.folder, config);
    }

    /// Runs a subcommand about this daemon.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
        command.args(arguments);
        command
            .args(["--instance", "test", "--run-dir"])
            .arg(self.folder.path());
        command.output().expect("the binary was built")
    }

    pub(crate) fn folder(&self) -> &TempDir {
        &self.folder
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("test/control.sock")
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: a plain call; the child has not been waited for, so its number is its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Waits for its end, and returns its folder for the next one.
    pub(crate) fn wait(mut self) -> (ExitStatus, TempDir) {
        (self.child.wait().expect("a child"), self.folder)
    }

    /// Stops it as a service manager does.
    pub(crate) fn stop(self) -> TempDir {
        self.signal(libc::SIGTERM);
        let (status, folder) = self.wait();
        assert!(status.success(), "SIGTERM: {status}");
        folder
    }
}

/// Everything that the kernel still lists of ours after a while: it frees programs behind our back.
pub(crate) fn leftovers(net: &Net, folder: &TempDir) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let found = listed(net, folder);
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn listed(net: &Net, folder: &TempDir) -> Vec<String> {
    let mut found = Vec::new();
    for line in [
        "nft list ruleset",
        "iptables-save",
        "ip6tables-save",
        "ip -details link",
        "tc filter show dev in0 ingress",
        "tc filter show dev in0 egress",
        "tc filter show dev out0 ingress",
        "tc qdisc show",
    ] {
        let text = try_shell(&net.gateway, line).unwrap_or_default();
        let ours = |text: &&str| {
            let text = text.to_lowercase();
            ["skype", "nfqueue", "queue flags", "prog/xdp", "clsact"]
                .iter()
                .any(|word| text.contains(word))
        };
        found.extend(
            text.lines()
                .filter(ours)
                .map(|text| format!("{line}: {text}")),
        );
    }
    found.extend(
        aya::programs::loaded_programs()
            .filter_map(Result::ok)
            .filter(|program| net.answers_for(program.id()))
            .filter_map(|program| Some(program.name_as_str()?.to_owned()))
            .filter(|name| name.starts_with("skype_ips"))
            .map(|name| format!("BPF program {name}")),
    );
    let queues = net
        .gateway
        .run(|| std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue"));
    found.extend(
        queues
            .unwrap_or_default()
            .lines()
            .map(|line| format!("queue {line}")),
    );
    if folder
        .path()
        .join("state")
        .read_dir()
        .is_ok_and(|mut kept| kept.next().is_some())
    {
        found.push("its state".to_owned());
    }
    if folder.path().join("test").exists() {
        found.push("its folder".to_owned());
    }
    found
}
