//! What holds hosts to a budget: skype-ips, and what Linux has for it.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::case::Case;
use crate::net::{INSIDE, Net, OUTSIDE, input};

/// Who holds the hosts to their budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limiter {
    /// The daemon, whose kernel program drops what a budget has no room for.
    SkypeIps,
    /// Hierarchical token buckets on the outside interface, which delay packets in short queues.
    Tc,
    /// The firewall's `limit`, which drops.
    Nft,
}

impl Limiter {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::SkypeIps, Self::Tc, Self::Nft];

    /// Its name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SkypeIps => "skype-ips",
            Self::Tc => "tc-htb",
            Self::Nft => "nft-limit",
        }
    }

    /// Puts it in force on a gateway.
    pub(crate) fn start(self, net: &Net, cases: &[Case]) -> io::Result<Running> {
        match self {
            Self::SkypeIps => daemon(net, &configuration(cases)).map(Running::Daemon),
            Self::Tc => {
                input(&net.gateway, "tc", &["-batch", "-"], &htb(cases)).map(|()| Running::Kernel)
            }
            Self::Nft => {
                input(&net.gateway, "nft", &["-f", "-"], &nft(cases)).map(|()| Running::Kernel)
            }
        }
    }
}

/// A limiter in force.
pub(crate) enum Running {
    /// Our daemon and the folder that it runs in.
    Daemon((Child, TempDir)),
    /// Something that lives as long as its namespace.
    Kernel,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Daemon((child, _)) = self {
            // SAFETY: a plain call; the child has not been waited for, so its number is its own.
            unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
            // It fails only for a process that has ended.
            let _ = child.wait();
        }
    }
}

/// A policy and a budget for each case.
pub(crate) fn configuration(cases: &[Case]) -> String {
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

/// Starts the daemon and waits until it is ready.
pub(crate) fn daemon(net: &Net, configuration: &str) -> io::Result<(Child, TempDir)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, configuration)?;
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
            return Ok((child, folder));
        }
    }
    child.wait()?;
    let log = log.join().unwrap_or_default();
    Err(io::Error::other(format!("the daemon did not start: {log}")))
}

/// A class for each case, chosen by the sender's address, with a queue of ten packets: what it does
/// with packets for which there is no room at the moment.
fn htb(cases: &[Case]) -> String {
    let mut text = format!("qdisc add dev {OUTSIDE} root handle 1: htb\n");
    for case in cases {
        let (class, rate, burst) = (case.number + 1, case.rate, case.burst());
        let subnet = case.subnet();
        let written = write!(
            text,
            "class add dev {OUTSIDE} parent 1: classid 1:{class} htb rate {rate}bps burst {burst}b \
             cburst {burst}b quantum 1514\n\
             qdisc add dev {OUTSIDE} parent 1:{class} pfifo limit 10\n\
             filter add dev {OUTSIDE} parent 1: protocol ip prio 1 u32 match ip src {subnet} \
             flowid 1:{class}\n"
        );
        written.expect("a string takes everything");
    }
    text
}

/// A rule for each case.
fn nft(cases: &[Case]) -> String {
    let mut text = String::from(
        "table ip limits {\n chain forward {\n  type filter hook forward priority filter;\n",
    );
    for case in cases {
        let (rate, burst) = (case.rate, case.burst());
        let written = writeln!(
            text,
            "  ip saddr {} limit rate over {rate} bytes/second burst {burst} bytes drop",
            case.subnet()
        );
        written.expect("a string takes everything");
    }
    text + " }\n}\n"
}
