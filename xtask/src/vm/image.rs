//! The emulated machine's file system: a shell, the test, and the libraries that it is linked to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{machine, process, workspace};

/// What the first process of the machine does: runs the test with the words of the kernel's command
/// line, says how it ended, and switches off.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox ip link set lo up
ARGS=$(/bin/busybox sed -n 's/.*skype-ips-args=\[\(.*\)\].*/\1/p' /proc/cmdline)
cd /tmp
/test --test-threads=1 $ARGS 2>&1
echo "skype-ips-vm: exit status $?"
/bin/busybox poweroff -f
"#;

/// Builds the test and packs it; the archive's file.
pub(super) fn build(folder: &Path) -> Result<PathBuf> {
    let test = test_program()?;
    let tree = folder.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    let put = |from: &Path, to: &str| -> Result<()> {
        let to = tree.join(to.trim_start_matches('/'));
        let parent = to.parent().expect("it lies in the tree");
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
        Ok(())
    };
    let busybox = machine::find("busybox").context("there is no busybox")?;
    put(&busybox, "bin/busybox")?;
    put(&test, "test")?;
    for library in libraries(&process::output(Command::new("ldd").arg(&test))?) {
        put(Path::new(library), library)?;
    }
    let init = tree.join("init");
    fs::write(&init, INIT).with_context(|| format!("writing {}", init.display()))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).context("init")?;
    let archive = folder.join("initramfs.cpio");
    pack(&tree, &archive)?;
    Ok(archive)
}

/// The files that `ldd` names.
fn libraries(said: &str) -> Vec<&str> {
    let words = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.find(|word| word.starts_with('/'))
    });
    words.collect()
}

/// The test of the kernel program, built.
fn test_program() -> Result<PathBuf> {
    let said = process::output(
        machine::cargo()
            .args(workspace::KERNEL_TEST)
            .args(["--locked", "--no-run", "--message-format=json"])
            .current_dir(workspace::root()),
    )?;
    let executable = |line: &str| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let of_test = message["target"]["name"] == "kernel_program";
        let file = message["executable"].as_str().filter(|_| of_test)?;
        Some(file.into())
    };
    said.lines()
        .find_map(executable)
        .context("cargo names no file of the test")
}

fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let names = process::output(Command::new("find").args([".", "-print"]).current_dir(tree))?;
    let file =
        fs::File::create(archive).with_context(|| format!("creating {}", archive.display()))?;
    let mut cpio = Command::new("cpio")
        .args(["--quiet", "-o", "-H", "newc"])
        .current_dir(tree)
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .context("cannot start cpio")?;
    let mut input = cpio.stdin.take().expect("it is piped");
    std::io::Write::write_all(&mut input, (names + "\n").as_bytes()).context("telling cpio")?;
    drop(input);
    let status = cpio.wait().context("waiting for cpio")?;
    if !status.success() {
        bail!("cpio failed: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_files_that_ldd_names() {
        let said = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t\
                    /lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let expected = ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(libraries(said), expected);
        assert_eq!(libraries("\tstatically linked\n"), [""; 0]);
    }
}
