//! Attaching the classifier to interfaces, and what the kernel reports of it.

use aya::programs::tc::{TcAttachType, TcError, qdisc_add_clsact, qdisc_detach_program};
use aya::programs::{ProgramError, SchedClassifier, XdpMode};
use skype_ips_common::layout::Hook;

use super::bpf::{BpfError, Programs};
use super::link::Link;
use super::tool::command;
use crate::policy::HookChoice;

/// Where the classifier of an interface runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the stack.
    XdpGeneric,
    /// TC only.
    Tc,
}

impl Attachment {
    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// The classifier was not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The program is not there.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// The interface refuses XDP in this mode.
    #[error(
        "interface {interface} refuses {mode} XDP: {reason}; write `hook = \"tc\"`, or `\"auto\"` to let it be chosen"
    )]
    Xdp {
        /// The interface.
        interface: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The interface refuses a TC program.
    #[error(
        "interface {interface} refuses a TC program: {reason}; write `hook = \"off\"` to do without"
    )]
    Tc {
        /// The interface.
        interface: String,
        /// What the kernel said.
        reason: String,
    },
}

/// Attaches the classifier to an interface: TC first, then XDP in front of it, so that no packet
/// finds XDP's word without someone to read it.
///
/// # Errors
/// The interface refuses, and the choice is not `auto`.
pub fn attach(
    programs: &mut Programs,
    link: &Link,
    inside: bool,
    choice: HookChoice,
) -> Result<Attachment, AttachError> {
    attach_tc(programs, link, Hook::Ingress)?;
    if inside {
        attach_tc(programs, link, Hook::Egress)?;
    }
    let (mode, attachment) = match choice {
        HookChoice::Xdp => (XdpMode::Driver, Attachment::XdpNative),
        HookChoice::XdpGeneric => (XdpMode::Skb, Attachment::XdpGeneric),
        HookChoice::Tc | HookChoice::Off => return Ok(Attachment::Tc),
        HookChoice::Auto => {
            // On a virtual device native XDP undoes segmentation offload: a TCP stream falls to
            // a fraction. Only hardware that speaks Ethernet gains by it.
            if link.kind.is_some() || !link.ethernet {
                return Ok(Attachment::Tc);
            }
            return Ok(
                match programs
                    .xdp()?
                    .attach_to_if_index(link.index, XdpMode::Driver)
                {
                    Ok(_) => Attachment::XdpNative,
                    Err(error) => {
                        tracing::info!(
                            interface = link.name,
                            "no native XDP, classifying in TC instead: {}",
                            reason(&error)
                        );
                        Attachment::Tc
                    }
                },
            );
        }
    };
    programs
        .xdp()?
        .attach_to_if_index(link.index, mode)
        .map_err(|error| AttachError::Xdp {
            interface: link.name.clone(),
            mode: if mode == XdpMode::Driver {
                "native"
            } else {
                "generic"
            },
            reason: reason(&error),
        })?;
    Ok(attachment)
}

fn attach_tc(programs: &mut Programs, link: &Link, hook: Hook) -> Result<(), AttachError> {
    let refused = |reason: String| AttachError::Tc {
        interface: link.name.clone(),
        reason,
    };
    let (direction, _, program) = DIRECTIONS[usize::from(hook == Hook::Egress)];
    // Kernels with tcx (6.6) need no qdisc; before that, one that is already there is as good.
    if !has_tcx() {
        match qdisc_add_clsact(&link.name) {
            Ok(()) => {}
            Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => return Err(refused(error.to_string())),
        }
        // One that a killed daemon left would run after ours, and put its own mark over ours.
        if let Err(error) = remove_filter(&link.name, direction, program) {
            return Err(refused(error.to_string()));
        }
    }
    programs
        .classifier(hook)?
        .attach(&link.name, direction)
        .map(drop)
        .map_err(|error| refused(reason(&error)))
}

/// Whether the kernel has tcx, which ties programs to the process by a descriptor.
pub fn has_tcx() -> bool {
    aya::util::KernelVersion::current()
        .is_ok_and(|version| version >= aya::util::KernelVersion::new(6, 6, 0))
}

/// An error with all of its causes, since aya's outermost words rarely tell.
fn reason(error: &ProgramError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Where TC programs run, in tc's words, and the name of ours there.
const DIRECTIONS: [(TcAttachType, &str, &str); 2] = [
    (TcAttachType::Ingress, "ingress", "skype_ips_ingress"),
    (TcAttachType::Egress, "egress", "skype_ips_egress"),
];

/// What the kernel reports to be attached to an interface, ours among it: `xdp native`,
/// `tc ingress`, `tc egress`.
pub fn attached(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    match Link::read(name) {
        Ok(link) => found.extend(link.xdp.map(|mode| format!("xdp {mode}"))),
        Err(error) => tracing::warn!("{error}"),
    }
    for (direction, word, program) in DIRECTIONS {
        let ours = if has_tcx() {
            runs_in_tcx(name, direction)
        } else {
            has_filter(name, word, program)
        };
        match ours {
            Ok(ours) => found.extend(ours.then(|| format!("tc {word}"))),
            Err(error) => tracing::warn!(interface = name, "{error}"),
        }
    }
    found
}

fn runs_in_tcx(interface: &str, direction: TcAttachType) -> Result<bool, String> {
    let (_, programs) = SchedClassifier::query_tcx(interface, direction).map_err(|e| reason(&e))?;
    let mut names = programs.iter().filter_map(|program| program.name_as_str());
    Ok(names.any(|name| name.starts_with("skype_ips")))
}

fn has_filter(interface: &str, direction: &str, program: &str) -> Result<bool, String> {
    let output = command("tc")
        .args(["filter", "show", "dev", interface, direction])
        .output()
        .map_err(|error| format!("cannot run `tc` (package iproute2): {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).contains(program))
}

/// Removes TC filters of ours from every interface and says which; only kernels before 6.6 keep
/// them without a process.
pub fn remove_filters() -> Vec<String> {
    // Of this network namespace, and also those without an address: a name and a colon, after
    // two lines of headings.
    let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let mut removed = Vec::new();
    for line in interfaces.lines().skip(2) {
        let Some((interface, _)) = line.trim_start().rsplit_once(':') else {
            continue;
        };
        for (direction, word, program) in DIRECTIONS {
            if remove_filter(interface, direction, program).is_ok_and(|found| found) {
                removed.push(format!("{interface}: TC {word} filter removed"));
            }
        }
    }
    removed
}

/// Removes the TC filters of that name in one direction of an interface, and says whether there
/// were any.
fn remove_filter(interface: &str, direction: TcAttachType, program: &str) -> Result<bool, TcError> {
    match qdisc_detach_program(interface, direction, program) {
        Ok(()) => Ok(true),
        Err(TcError::IoError(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
