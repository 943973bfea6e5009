//! Running the system's network tools.

use std::ffi::OsString;
use std::process::Command;

/// Where Debian and others keep tools that an ordinary user's `PATH` leaves out.
const ADMIN_FOLDERS: &str = "/usr/sbin:/sbin";

/// A command that is also looked for in the administrator's folders.
pub(super) fn command(name: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    path.push(":");
    path.push(ADMIN_FOLDERS);
    let mut command = Command::new(name);
    command.env("PATH", path);
    command
}
