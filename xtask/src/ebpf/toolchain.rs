//! What builds the kernel object: a compiler with the sources of `core`, and `bpf-linker`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{machine, process};

/// The Debian packages that make a set: compiler, cargo, sources of `core`, and the LLVM that
/// `bpf-linker` is built with (which must not be older than the compiler's own).
pub(crate) const DEBIAN_PACKAGES: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "llvm-22-dev",
    "libpolly-22-dev",
];

/// Where Debian's LLVM lies.
pub(crate) const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";

/// The linker's version and how it is built with Debian's LLVM.
pub(crate) const LINKER_INSTALL: [&str; 6] = [
    "install",
    "bpf-linker@0.13.0",
    "--locked",
    "--no-default-features",
    "--features",
    "llvm-22",
];

/// What to do where there is no Debian set.
const REMEDY: &str = "as root on Debian: `cargo xtask setup --ebpf`; elsewhere: `rustup toolchain \
    install nightly --component rust-src --component llvm-tools` and `cargo install bpf-linker`";

/// Programs that build the kernel object.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// Its cargo.
    pub(crate) cargo: PathBuf,
    /// Root of the compiler's own sources, as the compiler names it.
    pub(crate) rust_src: PathBuf,
    /// True if unstable flags have to be unlocked, as a stable compiler is used.
    pub(crate) is_stable: bool,
    linker: PathBuf,
    /// Takes the debugger's sections out; none on some systems, and the object is kept whole.
    strip: Option<PathBuf>,
}

/// Versions of all that decides the object's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Versions {
    /// First line of `rustc -V`.
    pub(crate) rustc: String,
    /// LLVM of the compiler.
    pub(crate) rustc_llvm: String,
    /// `bpf-linker --version`.
    pub(crate) bpf_linker: String,
    /// LLVM of the tools that strip the object, on Debian the linker's own; empty if there are none.
    pub(crate) llvm_tools: String,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rustc,
            rustc_llvm,
            bpf_linker,
            llvm_tools,
        } = self;
        write!(
            f,
            "{rustc} with LLVM {rustc_llvm}, {bpf_linker}, LLVM tools {llvm_tools}"
        )
    }
}

impl Toolchain {
    /// Debian's set if it is there, else rustup's nightly with the sources of `core`; if neither,
    /// what is missing and how to get it.
    pub(crate) fn find() -> Result<Self, String> {
        let Some(compiler) = debian().or_else(nightly) else {
            return Err(format!("no compiler with the sources of `core`; {REMEDY}"));
        };
        let linker = machine::find("bpf-linker").or_else(installed_linker);
        let Some(linker) = linker else {
            return Err(format!("no bpf-linker; {REMEDY}"));
        };
        Ok(Self { linker, ..compiler })
    }

    /// What to record, and to compare with what was recorded.
    pub(crate) fn versions(&self) -> Result<Versions> {
        let verbose = process::output(Command::new(&self.rustc).arg("-Vv"))?;
        let llvm_tools = match &self.strip {
            Some(strip) => {
                let said = process::output(Command::new(strip).arg("--version"))?;
                said.lines().find_map(version_in).unwrap_or_default()
            }
            None => String::new(),
        };
        Ok(Versions {
            rustc: verbose.lines().next().unwrap_or_default().to_owned(),
            rustc_llvm: verbose
                .lines()
                .find_map(|line| line.strip_prefix("LLVM version: "))
                .unwrap_or_default()
                .to_owned(),
            bpf_linker: process::output(Command::new(&self.linker).arg("--version"))?,
            llvm_tools,
        })
    }

    /// The linker, for rustc.
    pub(crate) fn linker(&self) -> &Path {
        &self.linker
    }

    /// Takes the debugger's sections out of `object`, if there is a tool for it; BTF stays.
    pub(crate) fn strip(&self, object: &Path) -> Result<()> {
        match &self.strip {
            Some(strip) => process::run(Command::new(strip).arg("--strip-debug").arg(object))
                .context("while taking the debugger's sections out"),
            None => Ok(()),
        }
    }
}

/// The version in a line such as `Debian LLVM version 22.1.8`.
fn version_in(line: &str) -> Option<String> {
    let (_, version) = line.split_once("LLVM version ")?;
    Some(version.trim().to_owned())
}

fn debian() -> Option<Toolchain> {
    let (rustc, cargo) = ("/usr/bin/rustc", "/usr/bin/cargo");
    let both = Path::new(rustc).exists() && Path::new(cargo).exists();
    both.then(|| compiler(rustc.into(), cargo.into(), true))
        .flatten()
}

fn nightly() -> Option<Toolchain> {
    let which = |program| {
        let mut rustup = Command::new("rustup");
        let said = process::output(rustup.args(["which", "--toolchain", "nightly", program]));
        said.ok().map(PathBuf::from)
    };
    compiler(which("rustc")?, which("cargo")?, false)
}

/// A toolchain but for its linker; `None` if it lacks the sources of `core`.
fn compiler(rustc: PathBuf, cargo: PathBuf, is_stable: bool) -> Option<Toolchain> {
    let sysroot = process::output(Command::new(&rustc).args(["--print", "sysroot"])).ok()?;
    let libraries = Path::new(&sysroot).join("lib/rustlib");
    let rust_src = libraries.join("src/rust");
    if !rust_src.join("library/core/src/lib.rs").exists() {
        return None;
    }
    Some(Toolchain {
        strip: strip_beside(&rustc, &libraries),
        rustc,
        cargo,
        rust_src,
        is_stable,
        linker: PathBuf::new(),
    })
}

/// A tool that strips BPF objects: Debian's, or the one of rustup's `llvm-tools`.
fn strip_beside(rustc: &Path, libraries: &Path) -> Option<PathBuf> {
    let host = process::output(Command::new(rustc).args(["--print", "host-tuple"])).ok()?;
    let places = [
        Path::new(DEBIAN_LLVM).join("bin/llvm-objcopy"),
        libraries.join(host).join("bin/llvm-objcopy"),
    ];
    places.into_iter().find(|place| place.exists())
}

/// The linker where cargo installs it, which need not be in PATH.
fn installed_linker() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin/bpf-linker")).filter(|file| file.exists())
}
