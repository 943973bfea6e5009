//! The system's network tools and parameters, applied in a namespace.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::LabError;
use super::netns::Netns;

/// A link-layer address as the tools read it.
pub(super) fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Sets a kernel parameter of the calling thread's network namespace.
pub(super) fn sysctl(name: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new("/proc/sys").join(name), value)
        .map_err(|error| io::Error::new(error.kind(), format!("{name} = {value}: {error}")))
}

/// Runs lines of `ip` commands in a namespace.
pub(super) fn ip(netns: &Netns, lines: String) -> Result<(), LabError> {
    let mut command = Command::new("ip");
    command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    run(netns, command, Some(lines), "iproute2")
}

/// Runs a tool in a namespace to its end. `package` is where it comes from.
pub(super) fn run(
    netns: &Netns,
    mut command: Command,
    input: Option<String>,
    package: &str,
) -> Result<(), LabError> {
    let name = command.get_program().to_string_lossy().into_owned();
    netns.place(&mut command);
    let output = command
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        });
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(LabError::Tool {
            tool: name,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LabError::MissingTool {
            tool: name,
            package: package.to_owned(),
        }),
        Err(error) => Err(LabError::failed(&format!("running {name}"), error)),
    }
}
