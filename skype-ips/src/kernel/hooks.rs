//! Attaching the classifier to interfaces, and what the kernel reports of it.

use aya::programs::tc::{TcAttachType, TcError, qdisc_add_clsact};
use aya::programs::{ProgramError, SchedClassifier, XdpMode};
use skype_ips_common::layout::Hook;

use super::bpf::{BpfError, Programs};
use super::link::Link;
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
    // Kernels with tcx (6.6) need no qdisc; before that, one that is already there is as good.
    if !has_tcx() {
        match qdisc_add_clsact(&link.name) {
            Ok(()) | Err(TcError::AlreadyAttached) => {}
            Err(error) => return Err(refused(error.to_string())),
        }
    }
    let direction = if hook == Hook::Egress {
        TcAttachType::Egress
    } else {
        TcAttachType::Ingress
    };
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

/// What the kernel reports to be attached to an interface, ours among it: `xdp native`,
/// `tc ingress`, `tc egress`.
pub fn attached(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    match Link::read(name) {
        Ok(link) => found.extend(link.xdp.map(|mode| format!("xdp {mode}"))),
        Err(error) => tracing::warn!("{error}"),
    }
    if !has_tcx() {
        return found;
    }
    for (direction, word) in [
        (TcAttachType::Ingress, "tc ingress"),
        (TcAttachType::Egress, "tc egress"),
    ] {
        match SchedClassifier::query_tcx(name, direction) {
            Ok((_, programs)) => {
                let ours = |name: &str| name.starts_with("skype_ips");
                let mut names = programs.iter().filter_map(|program| program.name_as_str());
                found.extend(names.any(ours).then(|| word.to_owned()));
            }
            Err(error) => tracing::warn!(interface = name, "{}", reason(&error)),
        }
    }
    found
}

/// Removes TC filters of ours from every interface and says which; only kernels before 6.6 keep
/// them without a process.
pub fn remove_filters() -> Vec<String> {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("tc")
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut removed = Vec::new();
    for interface in if_addrs::get_if_addrs()
        .into_iter()
        .flatten()
        .map(|interface| interface.name)
    {
        for direction in ["ingress", "egress"] {
            let filters =
                run(&["filter", "show", "dev", &interface, direction]).unwrap_or_default();
            for filter in filters.lines().filter(|line| line.contains("skype_ips")) {
                // `filter protocol all pref 49152 bpf chain 0 handle 0x1 skype_ips_ingress ...`
                let mut words = filter.split_whitespace().skip_while(|word| *word != "pref");
                if let Some(preference) = words.nth(1)
                    && run(&[
                        "filter", "del", "dev", &interface, direction, "pref", preference,
                    ])
                    .is_some()
                {
                    removed.push(format!("{interface}: TC {direction} filter removed"));
                }
            }
        }
    }
    removed.dedup();
    removed
}
