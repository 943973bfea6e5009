//! What this machine has, and who we are on it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a plain user's PATH often doesn't look, but root's tools are.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The program's file, looked up in PATH and then in the system's folders.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    find_in(
        program,
        &env::var_os("PATH").unwrap_or_default(),
        &SYSTEM_FOLDERS,
    )
}

fn find_in(program: &str, path: &OsStr, more: &[&str]) -> Option<PathBuf> {
    env::split_paths(path)
        .chain(more.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

/// PATH with the system's folders behind it, for programs that look up root's tools.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    // Folders that can't be joined can't be in PATH either.
    env::join_paths(folders).unwrap_or(path)
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.mode() & 0o111 != 0)
}

/// True if this process may install packages and load kernel programs.
pub(crate) fn is_root() -> bool {
    // The owner of a process's own folder is its effective user.
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

/// True where packages come by apt-get.
pub(crate) fn is_debian_like() -> bool {
    find("apt-get").is_some() && Path::new("/etc/debian_version").exists()
}

/// The person who called us through `sudo`: builds and caches are theirs, not root's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl Caller {
    /// The caller behind `sudo`; `None` if there is none, or it is root itself.
    pub(crate) fn behind_sudo() -> Option<Self> {
        if !is_root() {
            return None;
        }
        let number = |name| env::var(name).ok()?.parse::<u32>().ok();
        let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
        let home = home_of(uid, &fs::read_to_string("/etc/passwd").ok()?)?;
        (uid != 0).then_some(Self { uid, gid, home })
    }

    /// Makes the command run as the caller.
    fn adopt(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
        self.lend_tools(command);
    }

    /// Points the command at the caller's Rust toolchain.
    fn lend_tools(&self, command: &mut Command) {
        command.env("HOME", &self.home);
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if env::var_os(name).is_none() {
                command.env(name, self.home.join(folder));
            }
        }
    }

    /// Gives the build products of an earlier run as root back to the caller.
    pub(crate) fn take_back(&self, folder: &Path) -> anyhow::Result<()> {
        let owner = format!("{}:{}", self.uid, self.gid);
        crate::process::run(Command::new("chown").arg("-R").arg(owner).arg(folder))
    }
}

fn home_of(uid: u32, passwd: &str) -> Option<PathBuf> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.nth(2)?.parse() == Ok(uid);
        found.then(|| fields.nth(2).map(PathBuf::from))?
    })
}

/// The cargo that called us, to be run as the caller.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(cargo_program());
    if let Some(caller) = Caller::behind_sudo() {
        caller.adopt(&mut command);
    }
    command
}

/// The cargo that called us, to be run with all rights that we have.
pub(crate) fn privileged_cargo() -> Command {
    let mut command = Command::new(cargo_program());
    if let Some(caller) = Caller::behind_sudo() {
        caller.lend_tools(&mut command);
    }
    command
}

fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_before_the_system_folders() {
        let found = find_in("sh", OsStr::new("/nonexistent:/bin"), &["/usr/bin"]);
        assert_eq!(found, Some("/bin/sh".into()));
        let fallback = find_in("sh", OsStr::new("/nonexistent"), &["/usr/bin"]);
        assert_eq!(fallback, Some("/usr/bin/sh".into()));
        assert_eq!(find_in("sh", OsStr::new("/nonexistent"), &[]), None);
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_no_program() {
        assert_eq!(find_in("passwd", OsStr::new("/etc"), &[]), None);
    }

    #[test]
    fn a_home_is_the_one_of_that_very_user() {
        let passwd = "root:x:0:0:root:/srv/root:/bin/sh\nann:x:1000:1000:Ann:/srv/ann:/bin/sh\n";
        assert_eq!(home_of(1000, passwd), Some("/srv/ann".into()));
        assert_eq!(home_of(100, passwd), None);
    }
}
