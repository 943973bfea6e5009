//! A host's end of a cable: sends and receives Ethernet frames.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Bytes that wait at most in the kernel to be read; bursts of a whole capture fit.
const RECEIVE_BUFFER: libc::c_int = 32 << 20;

/// Longest frame: what generic receive offload may put together, with headers.
const MAX_FRAME: usize = 66_000;

/// A packet socket on one interface. It sees what arrives, not what it sends.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Wire {
    /// Opens a socket on an interface of the calling thread's network namespace.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: the name ends in zero and lives through the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: takes no pointers. Protocol 0: nothing is received before `bind` says what.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // Beyond the system's limit where we may; in a user namespace up to it.
        let forced = set(
            &socket,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            RECEIVE_BUFFER,
        );
        if forced.is_err() {
            set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER)?;
        }
        set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        // SAFETY: all of its fields may be zero.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as i32;
        // SAFETY: the address is of the type and length that its family says.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            socket,
            buffer: vec![0; MAX_FRAME],
        })
    }

    /// Sends a frame.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and length are those of a slice.
        let sent = unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
            )
        };
        match usize::try_from(sent) {
            Ok(len) if len == frame.len() => Ok(()),
            Ok(len) => Err(io::Error::other(format!(
                "{len} of {} bytes sent",
                frame.len()
            ))),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// The next frame that has arrived, if any.
    pub(super) fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        let len = loop {
            // SAFETY: the pointer and length are those of the buffer, which nobody else uses.
            let len = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    0,
                )
            };
            if let Ok(len) = usize::try_from(len) {
                break len;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        };
        Ok(Some(&self.buffer[..len]))
    }
}

/// Waits until a frame has arrived on any of the wires, a signal came, or `limit` has passed.
pub(super) fn wait<'a>(
    wires: impl IntoIterator<Item = &'a Wire>,
    limit: Duration,
) -> io::Result<()> {
    let polled = wires.into_iter().map(|wire| libc::pollfd {
        fd: wire.socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let mut polled: Vec<libc::pollfd> = polled.collect();
    let limit = libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(limit.subsec_nanos()),
    };
    // SAFETY: pointers and length are those of the list and of the time above; no signal mask.
    let ready = unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            &raw const limit,
            std::ptr::null(),
        )
    };
    let error = io::Error::last_os_error();
    if ready < 0 && error.kind() != io::ErrorKind::Interrupted {
        return Err(error);
    }
    Ok(())
}

fn set(
    socket: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is of the length given and lives through the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
