//! What network devices do to packets beyond sending them, switched off.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Requests of the kernel's `ethtool.h` that each take a number, 0 for off: checksums of packets
/// that are sent, scatter-gather, segmentation by the device, segmentation before the device,
/// packets put together on arrival.
const FEATURES: [u32; 5] = [
    0x17, // ETHTOOL_STXCSUM
    0x19, // ETHTOOL_SSG
    0x1f, // ETHTOOL_STSO
    0x24, // ETHTOOL_SGSO
    0x2c, // ETHTOOL_SGRO
];
/// The request code of all ethtool requests (`linux/sockios.h`).
const SIOCETHTOOL: libc::c_ulong = 0x8946;

#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Switches them off on an interface of the calling thread's network namespace, so that what
/// leaves it are whole packets with checksums, no longer than its MTU: an XDP program on a veth
/// makes the kernel put arriving segments together, which only a device could take apart.
pub(super) fn switch_off(interface: &str) -> io::Result<()> {
    for command in FEATURES {
        match request(interface, command, 0) {
            // A device that can't do it doesn't do it.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Makes one request, and returns the number that it leaves behind.
fn request(interface: &str, command: u32, data: u32) -> io::Result<u32> {
    // SAFETY: takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    if interface.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut value = EthtoolValue { command, data };
    // SAFETY: all of its fields may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request is what SIOCETHTOOL takes; both values live through the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) } {
        0 => Ok(value.data),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::LabError;
    use crate::lab::netns::Netns;
    use crate::lab::tools::ip;

    #[test]
    fn a_cable_that_took_packets_apart_does_so_no_more() {
        const ETHTOOL_GTSO: u32 = 0x1e;
        let netns = match Netns::new().map_err(LabError::namespace) {
            Ok(netns) => netns,
            Err(error) => return println!("SKIPPED: {error}"),
        };
        ip(&netns, "link add near type veth peer name far\n".to_owned()).expect("a cable");
        let segments = || {
            let number = netns.run(|| request("near", ETHTOOL_GTSO, 0));
            number.expect("a veth can tell")
        };
        assert_eq!(segments(), 1);
        netns.run(|| switch_off("near")).expect("a veth can");
        assert_eq!(segments(), 0);
        assert!(netns.run(|| switch_off("no-such-thing")).is_err());
    }
}
