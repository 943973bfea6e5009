//! `cargo xtask lint`: what must hold before a change is sent.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::failure::Failure;
use crate::{machine, process, workspace};

const KERNEL_CRATE: &str = "skype-ips-ebpf";

/// Folders of persons and of machines; the project's text has to make sense elsewhere too.
/// Written in pieces, so that this file does not hold them itself.
const PRIVATE_FOLDERS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Use", "rs/"),
    concat!("C:", "\\Users\\"),
];

/// Runs `cargo xtask lint`.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["fmt", "--all", "--check"])?;
    clippy(&["--workspace", "--exclude", KERNEL_CRATE, "--all-targets"])?;
    kernel_clippy(&[])?;
    kernel_clippy(&["--features", "log"])?;
    process::run(
        machine::cargo()
            .args([
                "doc",
                "--workspace",
                "--exclude",
                KERNEL_CRATE,
                "--no-deps",
                "--locked",
            ])
            .arg("--document-private-items")
            .env("RUSTDOCFLAGS", "-D warnings")
            .current_dir(workspace::root()),
    )?;
    dependencies()?;
    no_private_folders()
}

/// Licences, banned crates and known holes.
fn dependencies() -> Result<()> {
    if machine::find("cargo-deny").is_none() {
        eprintln!("skipped: licences and advisories, as cargo-deny is not installed");
        return Ok(());
    }
    cargo(&[
        "deny",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ])?;
    if cargo(&["deny", "fetch", "db"]).is_err() {
        eprintln!("skipped: advisories, as their database can't be fetched");
        return Ok(());
    }
    cargo(&["deny", "--workspace", "check", "advisories"])
}

fn cargo(args: &[&str]) -> Result<()> {
    process::run(machine::cargo().args(args).current_dir(workspace::root()))
}

fn clippy(args: &[&str]) -> Result<()> {
    process::run(clippy_command(args).current_dir(workspace::root()))
}

/// The kernel crate has no standard library, hence no unwinding; checked for this machine's own
/// target it needs no sources of `core`. Its intrinsics are a nightly compiler's, or one's that is told
/// to take them of this crate.
fn kernel_clippy(args: &[&str]) -> Result<()> {
    process::run(
        clippy_command(&[&["--package", KERNEL_CRATE], args].concat())
            .env("CARGO_PROFILE_DEV_PANIC", "abort")
            .env("RUSTC_BOOTSTRAP", "skype_ips_ebpf")
            // In the common folder the other setting would have everything built anew.
            .env(
                "CARGO_TARGET_DIR",
                workspace::target_folder()?.join("kernel-lint"),
            )
            .current_dir(workspace::root()),
    )
}

fn clippy_command(args: &[&str]) -> Command {
    let mut command = machine::cargo();
    command
        .args(["clippy", "--locked"])
        .args(args)
        .args(["--", "-D", "warnings"]);
    command
}

/// No tracked text names a folder of one person or machine.
fn no_private_folders() -> Result<(), Failure> {
    let root = workspace::root();
    let Ok(tracked) = process::output(Command::new("git").args(["ls-files"]).current_dir(&root))
    else {
        eprintln!("skipped: the look for private folders, as this is no git checkout");
        return Ok(());
    };
    let found: Vec<_> = tracked
        .lines()
        .flat_map(|name| private_lines(&root, name))
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format_args!(
        "these lines name a folder of one person or machine:\n{}",
        found.join("\n")
    )))
}

fn private_lines(root: &Path, name: &str) -> Vec<String> {
    // Anything that is no text, such as the kernel object, is none of this check's business.
    let text = fs::read_to_string(root.join(name)).unwrap_or_default();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| names_private_folder(line));
    lines
        .map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim()))
        .collect()
}

fn names_private_folder(line: &str) -> bool {
    PRIVATE_FOLDERS.iter().any(|folder| line.contains(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_private_and_a_system_folder_is_not() {
        assert!(names_private_folder(concat!("see /ho", "me/ann/notes")));
        assert!(names_private_folder(concat!("see /ro", "ot/notes")));
        assert!(!names_private_folder("see /usr/share/skype-ips/detection"));
    }
}
