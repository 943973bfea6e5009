//! What the kernel says of a network interface, read through `ip -json`.

use serde::Deserialize;

use super::tool::command;

/// An interface as the kernel has it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Whether frames begin with an Ethernet header.
    pub ethernet: bool,
    /// The kind of a virtual device (`veth`, `bridge`, `tun`, ...); `None` for hardware.
    pub kind: Option<String>,
    /// Bytes of the longest packet that it carries.
    pub mtu: u32,
    /// The VLAN whose packets it carries, 1 to 4094; 0 where it is no VLAN's.
    pub vlan: u16,
    /// `native`, `generic` or `offloaded` where an XDP program is attached.
    pub xdp: Option<&'static str>,
}

/// Why nothing is known of an interface.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no such interface.
    #[error("there is no interface named {0:?} here")]
    Missing(String),
    /// The `ip` command is not there.
    #[error("cannot run `ip` (package iproute2): {0}")]
    Tool(std::io::Error),
    /// The `ip` command answered something else.
    #[error("`ip -json link show {name}` answered what it should not: {reason}")]
    Answer {
        /// The interface asked for.
        name: String,
        /// What was wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    ifindex: u32,
    mtu: u32,
    #[serde(default)]
    link_type: String,
    linkinfo: Option<LinkInfo>,
    xdp: Option<XdpInfo>,
}

#[derive(Deserialize)]
struct LinkInfo {
    info_kind: Option<String>,
    #[serde(default)]
    info_data: InfoData,
}

/// What a kind of virtual device says of itself, of which we know a VLAN's number.
#[derive(Default, Deserialize)]
struct InfoData {
    id: Option<u16>,
}

#[derive(Deserialize)]
struct XdpInfo {
    mode: u8,
}

impl Link {
    /// Asks the kernel.
    ///
    /// # Errors
    /// There is no such interface, or `ip` can't be run.
    pub fn read(name: &str) -> Result<Self, LinkError> {
        let output = command("ip")
            .args(["-json", "-details", "link", "show", "dev", name])
            .output()
            .map_err(LinkError::Tool)?;
        if !output.status.success() {
            return Err(LinkError::Missing(name.to_owned()));
        }
        let reason = |reason: String| LinkError::Answer {
            name: name.to_owned(),
            reason,
        };
        let answers: Vec<Answer> =
            serde_json::from_slice(&output.stdout).map_err(|error| reason(error.to_string()))?;
        let answer = answers
            .into_iter()
            .next()
            .ok_or_else(|| reason("an empty list".to_owned()))?;
        let vlan = answer.linkinfo.as_ref().and_then(|info| {
            let is_vlan = info.info_kind.as_deref() == Some("vlan");
            info.info_data.id.filter(|_| is_vlan)
        });
        Ok(Self {
            name: name.to_owned(),
            index: answer.ifindex,
            mtu: answer.mtu,
            vlan: vlan.unwrap_or(0),
            ethernet: answer.link_type == "ether",
            kind: answer.linkinfo.and_then(|info| info.info_kind),
            // Numbers of enum XDP_ATTACHED_* in the kernel's if_link.h.
            xdp: answer.xdp.and_then(|xdp| match xdp.mode {
                1 => Some("native"),
                2 => Some("generic"),
                3 => Some("offloaded"),
                _ => None,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there_and_no_other_of_a_made_up_name() {
        match Link::read("lo") {
            Ok(lo) => assert_eq!((lo.index, lo.xdp), (1, None)),
            Err(LinkError::Tool(error)) => eprintln!("skipped: no `ip` here: {error}"),
            Err(error) => panic!("{error}"),
        }
        assert!(Link::read("no-such-if").is_err());
    }
}
