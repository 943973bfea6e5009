//! The emulated machine itself.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::process;

/// How the line begins by which the machine says how the test ended.
const ENDED: &str = "skype-ips-vm: exit status ";
/// Longest that a machine may run, seconds: the test takes about a minute in emulation.
const LONGEST: u32 = 1200;

/// Boots the kernel, shows what the machine prints, and says whether the test passed.
pub(super) fn test_passes(kernel: &Kernel, image: &Path, test: &[String]) -> Result<bool> {
    let command_line = format!(
        "console=ttyS0 quiet panic=-1 skype-ips-args=[{}]",
        test.join(" ")
    );
    let mut machine = Command::new("timeout");
    machine
        .arg(LONGEST.to_string())
        .arg("qemu-system-x86_64")
        .args(["-accel", "tcg", "-cpu", "max", "-m", "2048", "-smp", "1"])
        .args([
            "-nographic",
            "-no-reboot",
            "-nic",
            "none",
            "-monitor",
            "none",
        ])
        .arg("-kernel")
        .arg(&kernel.file)
        .arg("-initrd")
        .arg(image)
        .args(["-append", &command_line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    eprintln!("$ {}", process::shown(&machine));
    let mut running = machine.spawn().context("cannot start qemu-system-x86_64")?;
    let output = running.stdout.take().expect("it is piped");
    let mut ended = None;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("reading what the machine prints")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        println!("{line}");
        if let Some(status) = line.strip_prefix(ENDED) {
            ended = Some(status == "0");
        }
    }
    let status = running.wait().context("waiting for qemu-system-x86_64")?;
    match ended {
        Some(passed) => Ok(passed),
        None if status.code() == Some(124) => {
            bail!("the machine was still running after {LONGEST} seconds")
        }
        None => bail!("the machine ended before the test did ({status})"),
    }
}
