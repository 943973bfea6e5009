//! `cargo xtask setup`: what this machine needs, checked, and installed where we may.

use std::process::Command;

use crate::ebpf::toolchain::{DEBIAN_LLVM, DEBIAN_PACKAGES, LINKER_INSTALL, Toolchain};
use crate::failure::Failure;
use crate::{machine, process};

/// Checks for, and as root on Debian installs, the tools that skype-ips needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also what building the kernel object needs
    #[arg(long)]
    ebpf: bool,
    /// Also what `cargo xtask eval` compares with, if it can be had
    #[arg(long)]
    eval: bool,
    /// Install nothing; name what is missing and exit with 4
    #[arg(long)]
    no_install: bool,
}

/// Something that one of several programs can do.
#[derive(Debug)]
struct Need {
    /// Any one of them will do.
    programs: &'static [&'static str],
    /// What brings them on Debian.
    packages: &'static [&'static str],
    purpose: &'static str,
}

const RUNNING: &[Need] = &[
    Need {
        programs: &["ip"],
        packages: &["iproute2"],
        purpose: "the lab's network namespaces",
    },
    Need {
        programs: &["tc"],
        packages: &["iproute2"],
        purpose: "the tests' look at traffic control",
    },
    Need {
        programs: &["iptables", "nft"],
        packages: &["iptables", "nftables"],
        purpose: "the rules that feed the queues",
    },
    Need {
        programs: &["unshare"],
        packages: &["util-linux"],
        purpose: "the lab without root",
    },
];

const TESTING: &[Need] = &[
    Need {
        programs: &["iptables"],
        packages: &["iptables"],
        purpose: "tests of the rules",
    },
    Need {
        programs: &["nft"],
        packages: &["nftables"],
        purpose: "tests of the rules",
    },
    Need {
        programs: &["conntrack"],
        packages: &["conntrack"],
        purpose: "tests with address translation",
    },
];

const EVALUATING: &[Need] = &[Need {
    programs: &["ndpiReader"],
    packages: &["libndpi-bin"],
    purpose: "another detector to compare with",
}];

const BENCHING: &[Need] = &[
    Need {
        programs: &["tc"],
        packages: &["iproute2"],
        purpose: "a limit to compare with",
    },
    Need {
        programs: &["nft"],
        packages: &["nftables"],
        purpose: "a limit to compare with",
    },
];

const EMULATING: &[Need] = &[
    Need {
        programs: &["qemu-system-x86_64"],
        packages: &["qemu-system-x86"],
        purpose: "a machine for other kernels",
    },
    Need {
        programs: &["busybox"],
        packages: &["busybox-static"],
        purpose: "a shell in that machine",
    },
    Need {
        programs: &["cpio"],
        packages: &["cpio"],
        purpose: "that machine's file system",
    },
    Need {
        programs: &["apt-get"],
        packages: &["apt"],
        purpose: "Debian's kernels",
    },
];

/// Whether missing things may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    /// Where we are root and packages come by apt-get.
    IfPossible,
    /// Only name them.
    Never,
}

impl Install {
    /// From a subcommand's `--no-install`.
    pub(crate) const fn unless(no_install: bool) -> Self {
        if no_install {
            Self::Never
        } else {
            Self::IfPossible
        }
    }
}

/// Runs `cargo xtask setup`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let install = Install::unless(args.no_install);
    for_running(install)?;
    if args.ebpf {
        for_building_the_object(install)?;
    }
    if args.eval {
        for_evaluating(install);
    }
    println!("ok: all that is needed is here");
    Ok(())
}

/// Sees to what the daemon and the lab need.
pub(crate) fn for_running(install: Install) -> Result<(), Failure> {
    see_to(&missing(RUNNING, has), install)
}

/// Sees to what the tests need; without rights to install, only what running needs is required.
pub(crate) fn for_testing(install: Install) -> Result<(), Failure> {
    let wanted = [missing(RUNNING, has), missing(TESTING, has)].concat();
    if may_install(install) {
        return see_to(&wanted, install);
    }
    for need in missing(TESTING, has) {
        eprintln!(
            "missing: {}: {} will be skipped",
            need.programs.join(" or "),
            need.purpose
        );
    }
    for_running(install)
}

/// Sees to what detection is compared with. Nothing depends on it: what can't be had is named.
pub(crate) fn for_evaluating(install: Install) {
    if let Err(failure) = see_to(&missing(EVALUATING, has), install) {
        eprintln!("going on without it: {failure}");
    }
}

/// Sees to what measuring beside others needs.
pub(crate) fn for_benching(install: Install) -> Result<(), Failure> {
    for_running(install)?;
    see_to(&missing(BENCHING, has), install)
}

/// Sees to what trying other kernels needs.
pub(crate) fn for_emulating(install: Install) -> Result<(), Failure> {
    see_to(&missing(EMULATING, has), install)
}

fn for_building_the_object(install: Install) -> Result<(), Failure> {
    let Err(problem) = Toolchain::find() else {
        return Ok(());
    };
    if !may_install(install) {
        return Err(Failure::cannot(problem));
    }
    eprintln!("building the kernel object: {problem}");
    apt_install(&DEBIAN_PACKAGES)?;
    if machine::find("bpf-linker").is_none() {
        eprintln!("installing bpf-linker, which takes a minute or two");
        process::run(
            machine::cargo()
                .args(LINKER_INSTALL)
                .env("LLVM_PREFIX", DEBIAN_LLVM),
        )?;
    }
    Toolchain::find().map(drop).map_err(Failure::cannot)
}

fn has(program: &str) -> bool {
    machine::find(program).is_some()
}

fn missing(needs: &'static [Need], has: impl Fn(&str) -> bool) -> Vec<&'static Need> {
    let lacks = |need: &&Need| !need.programs.iter().any(|program| has(program));
    needs.iter().filter(lacks).collect()
}

fn see_to(missing: &[&Need], install: Install) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    for need in missing {
        eprintln!(
            "missing: {}, for {}",
            need.programs.join(" or "),
            need.purpose
        );
    }
    let packages = packages_of(missing);
    if !may_install(install) {
        return Err(Failure::cannot(format_args!(
            "not installed (on Debian, as root: apt-get install {})",
            packages.join(" ")
        )));
    }
    apt_install(&packages)
}

fn packages_of(needs: &[&Need]) -> Vec<&'static str> {
    let mut packages: Vec<_> = needs
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn may_install(install: Install) -> bool {
    install == Install::IfPossible && machine::is_root() && machine::is_debian_like()
}

fn apt_install(packages: &[&str]) -> Result<(), Failure> {
    eprintln!("installing {}", packages.join(" "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        command
    };
    process::run(apt().arg("update"))?;
    let options = ["install", "--yes", "--no-install-recommends"];
    process::run(apt().args(options).args(packages))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(needs: &[&Need]) -> Vec<&'static str> {
        needs
            .iter()
            .flat_map(|need| need.programs)
            .copied()
            .collect()
    }

    #[test]
    fn either_firewall_program_will_do_for_running() {
        assert_eq!(
            programs(&missing(RUNNING, |name| name != "iptables")),
            [""; 0]
        );
        assert_eq!(programs(&missing(RUNNING, |name| name != "nft")), [""; 0]);
        let neither = missing(RUNNING, |name| name != "nft" && name != "iptables");
        assert_eq!(programs(&neither), ["iptables", "nft"]);
    }

    #[test]
    fn each_package_is_named_once() {
        let all = missing(RUNNING, |_| false);
        assert_eq!(
            packages_of(&all),
            ["iproute2", "iptables", "nftables", "util-linux"]
        );
    }

    #[test]
    fn what_is_missing_is_refused_where_nothing_may_be_installed() {
        let refused = see_to(&missing(RUNNING, |_| false), Install::Never);
        let failure = refused.expect_err("nothing is there");
        assert_eq!(failure.status(), 4);
        assert!(
            failure
                .to_string()
                .contains("apt-get install iproute2 iptables"),
            "{failure}"
        );
        assert!(see_to(&[], Install::Never).is_ok());
    }
}
