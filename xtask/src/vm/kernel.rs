//! A kernel of Debian's, unpacked and not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::process;

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Its release, as `uname -r` says.
    pub(super) release: String,
    /// Its image.
    pub(super) file: PathBuf,
}

/// A series as `6.1`.
pub(super) fn series(text: &str) -> Result<String, String> {
    let numbers: Vec<_> = text.split('.').collect();
    let number = |text: &&str| text.parse::<u16>().is_ok();
    if numbers.len() == 2 && numbers.iter().all(number) {
        Ok(text.to_owned())
    } else {
        Err("write a series of kernels, such as 6.1".to_owned())
    }
}

/// The newest kernel of a series, from the folder where it was kept, else by apt-get.
pub(super) fn fetch(series: &str, folder: &Path) -> Result<Kernel, Failure> {
    let kept = folder.join(format!("linux-{series}"));
    if let Some(kernel) = unpacked(&kept)? {
        return Ok(kernel);
    }
    let pattern = format!(
        "^linux-image-{}\\..*-cloud-amd64-unsigned$",
        series.replace('.', "\\.")
    );
    let found =
        process::output(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    let names = found.lines().filter_map(|line| line.split(' ').next());
    let Some(package) = newest(names) else {
        return Err(Failure::cannot(format_args!(
            "no package linux-image-{series}.*-cloud-amd64-unsigned is to be had: try another \
             --kernel, or `apt-get update`"
        )));
    };
    let download = folder.join("download");
    // What an interrupted run left there would be taken for the package.
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download).with_context(|| format!("creating {}", download.display()))?;
    process::run(
        Command::new("apt-get")
            .args(["-q", "download", package])
            .current_dir(&download),
    )?;
    let unpacking = folder.join("unpacking");
    let _ = fs::remove_dir_all(&unpacking);
    for file in fs::read_dir(&download).context("reading the download")? {
        let file = file.context("reading the download")?.path();
        process::run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&unpacking))?;
    }
    fs::rename(&unpacking, &kept).with_context(|| format!("creating {}", kept.display()))?;
    let _ = fs::remove_dir_all(&download);
    unpacked(&kept)?.ok_or_else(|| Failure::failed(format_args!("{package} holds no kernel")))
}

/// The kernel in an unpacked package.
fn unpacked(folder: &Path) -> Result<Option<Kernel>> {
    let Ok(files) = fs::read_dir(folder.join("boot")) else {
        return Ok(None);
    };
    for file in files {
        let file = file.context("reading the unpacked package")?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if let Some(release) = name.strip_prefix("vmlinuz-") {
            return Ok(Some(Kernel {
                release: release.to_owned(),
                file: file.clone(),
            }));
        }
    }
    Ok(None)
}

/// The name with the highest numbers.
fn newest<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let numbers = |name: &&str| -> Vec<u32> {
        let digits = name.split(|c: char| !c.is_ascii_digit());
        digits.filter_map(|digits| digits.parse().ok()).collect()
    };
    names.max_by_key(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_told_by_its_numbers() {
        let names = [
            "linux-image-6.1.0-9-cloud",
            "linux-image-6.1.0-56-cloud",
            "linux-image-6.1.0-47",
        ];
        assert_eq!(newest(names.into_iter()), Some(names[1]));
        assert_eq!(newest([].into_iter()), None);
    }

    #[test]
    fn a_series_is_two_numbers() {
        assert_eq!(series("6.12"), Ok("6.12".to_owned()));
        for wrong in ["6", "6.1.0", "v6.1", "6.x", ""] {
            assert!(series(wrong).is_err(), "{wrong}");
        }
    }
}
