//! Without root: the same in a user namespace, where the caller is root over namespaces of their
//! own but may not load BPF programs.

use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::LabError;

/// Set for the second start.
const MARK: &str = "SKYPE_IPS_LAB_USER_NAMESPACE";

/// Whether this process was started again in a user namespace.
pub fn in_user_namespace() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Puts this program, with the same arguments, in its own place inside new user, mount and
/// network namespaces. Returns only if that fails.
///
/// # Errors
/// The system doesn't let this user make user namespaces, or `unshare` is missing.
pub fn again_in_user_namespace() -> Result<Infallible, LabError> {
    let program = std::env::current_exe()
        .map_err(|error| LabError::failed("finding this program's file", error))?;
    let error = in_new_user_namespace(&program)?
        .args(std::env::args_os().skip(1))
        .exec();
    Err(match error.kind() {
        io::ErrorKind::NotFound => LabError::MissingTool {
            tool: "unshare".to_owned(),
            package: "util-linux".to_owned(),
        },
        _ => LabError::failed("running unshare", error),
    })
}

/// A command that runs a program in new user, mount and network namespaces, if the system lets
/// this user make them.
pub(super) fn in_new_user_namespace(program: &Path) -> Result<Command, LabError> {
    check_allowed()?;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "--mount", "--"])
        .arg(program)
        .env(MARK, "1");
    Ok(command)
}

/// Tries it in a child, so that a refusal can be told apart from whatever fails later.
fn check_allowed() -> Result<(), LabError> {
    let mut probe = Command::new("true");
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWNS;
    // SAFETY: between fork and exec only unshare is called, which is async-signal-safe.
    unsafe {
        probe.pre_exec(move || match libc::unshare(flags) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        })
    };
    match probe.status() {
        Ok(_) => Ok(()),
        Err(error) => Err(LabError::Unprivileged(error)),
    }
}
