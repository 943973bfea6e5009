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
    for command in FEATURES {
        let mut value = EthtoolValue { command, data: 0 };
        // SAFETY: all of its fields may be zero.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request is what SIOCETHTOOL takes; both values live through the call.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
        if done != 0 {
            let error = io::Error::last_os_error();
            // A device that can't do it doesn't do it.
            if error.raw_os_error() != Some(libc::EOPNOTSUPP) {
                return Err(error);
            }
        }
    }
    Ok(())
}
