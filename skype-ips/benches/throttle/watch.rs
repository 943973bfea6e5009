//! Counts what arrives, packet by packet, as bytes of IP packets on the wire.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::case::Case;
use crate::net::Net;

/// A packet that arrived. A super-packet is one, of as many segments as the sender's kernel means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When the kernel took it from the link.
    pub(crate) at: SystemTime,
    /// The case and the host that sent it.
    pub(crate) from: (u8, u8),
    /// Bytes of its IP packets on the wire, all segments together.
    pub(crate) bytes: u64,
}

/// A packet socket on the outside host's link.
pub(crate) struct Watch {
    fd: OwnedFd,
}

/// `struct virtio_net_hdr`, which the kernel puts in front.
const OFFLOAD: usize = 10;
/// Ethernet header.
const ETHERNET: usize = 14;
/// Room for packets that wait to be counted.
const BUFFER: libc::c_int = 32 << 20;

impl Watch {
    /// Listens from now on.
    pub(crate) fn start(net: &Net) -> io::Result<Self> {
        net.outside.run(|| {
            let protocol = (libc::ETH_P_IP as u16).to_be();
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            // SAFETY: takes no pointers.
            let fd = unsafe { libc::socket(libc::AF_PACKET, kind, protocol.into()) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new and nobody else's.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let wait = libc::timeval {
                tv_sec: 0,
                tv_usec: 100_000,
            };
            set(&fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait)?;
            set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &BUFFER)?;
            set(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1)?;
            set(&fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1)?;
            Ok(Self { fd })
        })
    }

    /// Counts until `end`.
    ///
    /// # Errors
    /// If packets were lost for want of room, or the socket fails.
    pub(crate) fn until(self, end: Instant) -> io::Result<Vec<Arrival>> {
        let mut arrivals = Vec::new();
        while Instant::now() < end {
            let mut head = [0; OFFLOAD + ETHERNET + 60];
            if let Some((len, at)) = self.receive(&mut head)? {
                let offload = head[..OFFLOAD].first_chunk().expect("it is that long");
                let packet = &head[..len].get(OFFLOAD + ETHERNET..).unwrap_or_default();
                if let Some((from, bytes)) = measured(offload, packet) {
                    arrivals.push(Arrival { at, from, bytes });
                }
            }
        }
        match self.lost()? {
            0 => Ok(arrivals),
            lost => Err(io::Error::other(format!("{lost} packets went uncounted"))),
        }
    }

    fn receive(&self, head: &mut [u8]) -> io::Result<Option<(usize, SystemTime)>> {
        let mut part = libc::iovec {
            iov_base: head.as_mut_ptr().cast(),
            iov_len: head.len(),
        };
        let mut control = [0_u64; 16];
        // SAFETY: all zeros is a valid `msghdr`; what it points to lives until the call is over.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: as above; the kernel writes no more than the lengths say.
        let len = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, 0) };
        if len < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error => Err(error),
            };
        }
        // SAFETY: the kernel filled the control buffer, which is aligned for `cmsghdr`.
        let time = unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const message);
            if first.is_null() || (*first).cmsg_type != libc::SCM_TIMESTAMPNS {
                return Err(io::Error::other("a packet without its time"));
            }
            libc::CMSG_DATA(first)
                .cast::<libc::timespec>()
                .read_unaligned()
        };
        let since = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
        Ok(Some((len as usize, UNIX_EPOCH + since)))
    }

    /// Packets that the socket had no room for.
    fn lost(&self) -> io::Result<u32> {
        let mut statistics = [0_u32; 2];
        let mut len = size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes of plain numbers.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                statistics.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        match result {
            0 => Ok(statistics[1]),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn set<T>(fd: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as the value has.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Who sent an IPv4 packet and how many bytes it is on the wire: a super-packet's length, and the
/// headers once more for each segment but one.
fn measured(offload: &[u8; OFFLOAD], packet: &[u8]) -> Option<((u8, u8), u64)> {
    let byte = |at: usize| packet.get(at).copied();
    let word = |at: usize| Some(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
    let source = [byte(12)?, byte(13)?, byte(14)?, byte(15)?];
    let from = Case::of(Ipv4Addr::from(source))?;
    let ip = usize::from(byte(0)? & 15) * 4;
    let transport = match byte(9)? {
        6 => usize::from(byte(ip + 12)? >> 4) * 4,
        17 => 8,
        _ => return None,
    };
    let (headers, len) = (ip + transport, usize::from(word(2)?));
    let segment = usize::from(u16::from_ne_bytes([offload[4], offload[5]]));
    let segments = match segment {
        0 => 1,
        segment => len.saturating_sub(headers).div_ceil(segment).max(1),
    };
    Some((from, (len + (segments - 1) * headers) as u64))
}
