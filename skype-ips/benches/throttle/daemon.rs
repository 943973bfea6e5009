//! The real daemon in the gateway's namespace, with a policy and a budget for each case.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::case::Case;
use crate::net::{INSIDE, Net, OUTSIDE};

/// The daemon. It stops when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    _folder: TempDir,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(net: &Net, cases: &[Case]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, configuration(cases))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
        command
            .arg("run")
            .arg("--config")
            .arg(&file)
            .arg("--run-dir")
            .arg(folder.path())
            .args(["--instance", "throttle", "--events", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        net.gateway.place(&mut command);
        let mut child = command.spawn()?;
        let mut stderr = child.stderr.take().expect("it was piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            // What can't be read is only missing from a message.
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line?)?;
            if event["engine"]["state"] == "ready" {
                // Its output must be read on, or it would wait.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self {
                    child,
                    _folder: folder,
                });
            }
        }
        child.wait()?;
        let log = log.join().unwrap_or_default();
        Err(io::Error::other(format!("the daemon did not start: {log}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: a plain call; the child has not been waited for, so its number is its own.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        // It fails only for a process that has ended.
        let _ = self.child.wait();
    }
}

/// A policy and a budget for each case.
fn configuration(cases: &[Case]) -> String {
    let mut text = format!(
        "version = 1\nmode = \"enforce\"\n\n[[interface]]\nname = \"{INSIDE}\"\nside = \"inside\"\n\n\
         [[interface]]\nname = \"{OUTSIDE}\"\nside = \"outside\"\n"
    );
    for case in cases {
        let Case { name, rate, .. } = case;
        let scope = if case.hosts == 1 { "host" } else { "subnet" };
        let subnet = case.subnet();
        let written = write!(
            text,
            "\n[[budget]]\nname = \"{name}\"\nrate = \"{rate} B/s\"\nscope = \"{scope}\"\n\n\
             [[policy]]\nname = \"{name}\"\nsubnets = [\"{subnet}\"]\n\
             default = {{ throttle = \"{name}\" }}\n"
        );
        written.expect("a string takes everything");
    }
    text
}
