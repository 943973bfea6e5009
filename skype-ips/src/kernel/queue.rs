//! NFQUEUE, behind a small trait.
//!
//! `nfq` 0.2.5 has two traps. Its setters, once a queue is bound, wait for their answer and throw
//! away packets that come meanwhile: so a queue is configured whole before any firewall rule feeds
//! it. And it hands out no descriptor: so ours is found among the process's own (a netlink socket
//! of the netfilter family that was not there before), which gives it a receive time-out and a
//! larger buffer.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use skype_ips_common::parse::HEAD_LEN;

use super::reset::RawSender;

/// Bytes of a packet copied to user space: the headers and the 256 stream bytes that the longest
/// test reads. At GSO sizes a short copy is half the work.
const COPY_RANGE: u16 = (HEAD_LEN + 512) as u16;
/// Receive buffer of a queue's socket, bytes: a burst of a full queue fits.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;

/// A packet waiting for its verdict.
pub trait QueuedPacket {
    /// The packet from its IP header on, perhaps cut off.
    fn payload(&self) -> &[u8];
    /// Its mark.
    fn mark(&self) -> u32;
    /// Number of the interface on which it came; 0 if none.
    fn arrived_on(&self) -> u32;
    /// Number of the interface through which it leaves; 0 if none.
    fn leaves_through(&self) -> u32;
    /// Whether offload has put several packets of one size together in it.
    fn is_super_packet(&self) -> bool;
}

/// What becomes of a queued packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueVerdict {
    /// It goes on behind the queue rule, with this mark.
    Accept(u32),
    /// It meets the firewall chain again with this mark, which records the code and acts on it.
    Repeat(u32),
    /// It ends here.
    Drop,
}

/// A source of packets that want verdicts.
pub trait Queue {
    /// Its packets.
    type Packet: QueuedPacket;

    /// The next packet; `None` if none came within the queue's waiting time.
    ///
    /// # Errors
    /// `ENOBUFS` where packets were lost on the way; others are final.
    fn receive(&mut self) -> io::Result<Option<Self::Packet>>;

    /// Says what becomes of a packet.
    ///
    /// # Errors
    /// The kernel didn't take it.
    fn answer(&mut self, packet: Self::Packet, verdict: QueueVerdict) -> io::Result<()>;

    /// Sends a packet of our own making, from its IP header on, with this mark.
    ///
    /// # Errors
    /// No right, or no route.
    fn send(&mut self, packet: &[u8], mark: u32) -> io::Result<()>;
}

/// Why a queue can't be had.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The number is taken.
    #[error(
        "queue {number} is taken by another program (netlink port {owner}); choose others with `[queues] first`"
    )]
    Occupied {
        /// Its number.
        number: u16,
        /// The owner's netlink port, most often its process id.
        owner: u32,
    },
    /// No right.
    #[error("no right to use NFQUEUE: run as root, or with CAP_NET_ADMIN")]
    Permission,
    /// No kernel support.
    #[error("this kernel has no NFQUEUE (CONFIG_NETFILTER_NETLINK_QUEUE): {0}")]
    Unsupported(io::Error),
    /// Anything else.
    #[error("cannot set up queue {number} ({step}): {source}")]
    Setup {
        /// Its number.
        number: u16,
        /// The step that failed.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A queue of the kernel.
pub struct KernelQueue {
    queue: nfq::Queue,
    sender: RawSender,
}

impl std::fmt::Debug for KernelQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelQueue").finish_non_exhaustive()
    }
}

impl KernelQueue {
    /// Binds queue `number` and configures it: at most `length` packets wait, and with `fail_open`
    /// the kernel accepts what finds no room. To be called before any rule feeds the queue, and
    /// from one thread at a time.
    ///
    /// # Errors
    /// The number is taken, a right is missing, or the kernel has no NFQUEUE.
    pub fn open(
        number: u16,
        length: u32,
        fail_open: bool,
        wait: Duration,
    ) -> Result<Self, QueueError> {
        if let Some(owner) = statistics()
            .into_iter()
            .find(|queue| queue.number == number)
        {
            return Err(QueueError::Occupied {
                number,
                owner: owner.owner,
            });
        }
        let step = |step: &'static str| {
            move |source: io::Error| match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => QueueError::Permission,
                Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EINVAL)
                    if step == "bind" || step == "open" =>
                {
                    QueueError::Unsupported(source)
                }
                _ => QueueError::Setup {
                    number,
                    step,
                    source,
                },
            }
        };
        let before = netfilter_sockets();
        let mut queue = nfq::Queue::open().map_err(step("open"))?;
        let descriptor = netfilter_sockets()
            .into_iter()
            .find(|fd| !before.contains(fd))
            .ok_or_else(|| {
                step("find the socket")(io::Error::new(
                    io::ErrorKind::NotFound,
                    "no new netfilter socket in /proc/self/fd",
                ))
            })?;
        // A child that inherited the socket would keep the queue alive after our death.
        // SAFETY: plain numbers; the descriptor is open.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
            return Err(step("close on exec")(io::Error::last_os_error()));
        }
        // Over the system's limit only with a right that a user namespace's root has not.
        set_option(descriptor, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)
            .or_else(|_| set_option(descriptor, libc::SO_RCVBUF, &RECEIVE_BUFFER))
            .map_err(step("receive buffer"))?;
        queue.bind(number).map_err(step("bind"))?;
        queue
            .set_copy_range(number, COPY_RANGE)
            .map_err(step("copy range"))?;
        queue
            .set_queue_max_len(number, length)
            .map_err(step("length"))?;
        queue
            .set_fail_open(number, fail_open)
            .map_err(step("fail open"))?;
        queue
            .set_recv_gso(number, true)
            .map_err(step("segmentation offload"))?;
        // Last, because the setters wait for their answers without a limit.
        let wait = libc::timeval {
            tv_sec: wait.as_secs() as libc::time_t,
            tv_usec: libc::suseconds_t::from(wait.subsec_micros()),
        };
        set_option(descriptor, libc::SO_RCVTIMEO, &wait).map_err(step("receive time-out"))?;
        Ok(Self {
            queue,
            sender: RawSender::default(),
        })
    }
}

impl QueuedPacket for nfq::Message {
    fn payload(&self) -> &[u8] {
        self.get_payload()
    }

    fn mark(&self) -> u32 {
        self.get_nfmark()
    }

    fn arrived_on(&self) -> u32 {
        self.get_indev()
    }

    fn leaves_through(&self) -> u32 {
        self.get_outdev()
    }

    fn is_super_packet(&self) -> bool {
        self.is_seg_offloaded()
    }
}

impl Queue for KernelQueue {
    type Packet = nfq::Message;

    fn receive(&mut self) -> io::Result<Option<nfq::Message>> {
        match self.queue.recv() {
            Ok(message) => Ok(Some(message)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn answer(&mut self, mut packet: nfq::Message, verdict: QueueVerdict) -> io::Result<()> {
        match verdict {
            QueueVerdict::Accept(mark) => {
                packet.set_nfmark(mark);
                packet.set_verdict(nfq::Verdict::Accept);
            }
            QueueVerdict::Repeat(mark) => {
                packet.set_nfmark(mark);
                packet.set_verdict(nfq::Verdict::Repeat);
            }
            QueueVerdict::Drop => packet.set_verdict(nfq::Verdict::Drop),
        }
        self.queue.verdict(packet)
    }

    fn send(&mut self, packet: &[u8], mark: u32) -> io::Result<()> {
        self.sender.send(packet, mark)
    }
}

/// The process's netlink sockets of the netfilter family.
fn netfilter_sockets() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok())
        .filter(|fd| {
            option(*fd, libc::SO_DOMAIN) == Some(libc::AF_NETLINK)
                && option(*fd, libc::SO_PROTOCOL) == Some(libc::NETLINK_NETFILTER)
        })
        .collect()
}

fn option(fd: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: value and length are valid for writes of the sizes given; a descriptor that is not
    // a socket makes the call fail, nothing more.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(value)
}

fn set_option<T>(fd: RawFd, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: value is valid for reads of its own size.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What the kernel says of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Its number.
    pub number: u16,
    /// Netlink port of its owner.
    pub owner: u32,
    /// Packets waiting for a verdict.
    pub waiting: u64,
    /// Packets dropped because the queue was full.
    pub kernel_dropped: u64,
    /// Packets dropped because they could not be handed to user space.
    pub user_dropped: u64,
}

/// All queues of this network namespace, from `/proc/net/netfilter/nfnetlink_queue`.
pub fn statistics() -> Vec<QueueStatistics> {
    let text = std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue")
        .unwrap_or_default();
    text.lines().filter_map(parse_statistics).collect()
}

/// Columns: number, owner, waiting, copy mode, copy range, kernel-dropped, user-dropped, last id.
fn parse_statistics(line: &str) -> Option<QueueStatistics> {
    let mut columns: VecDeque<u64> = line
        .split_whitespace()
        .map(|column| column.parse().ok())
        .collect::<Option<_>>()?;
    Some(QueueStatistics {
        number: columns.pop_front()?.try_into().ok()?,
        owner: columns.pop_front()?.try_into().ok()?,
        waiting: columns.pop_front()?,
        kernel_dropped: *columns.get(2)?,
        user_dropped: *columns.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        assert_eq!(
            parse_statistics("  200  27164     3 2   768     5     6     4711  1"),
            Some(QueueStatistics {
                number: 200,
                owner: 27164,
                waiting: 3,
                kernel_dropped: 5,
                user_dropped: 6
            })
        );
        assert_eq!(parse_statistics("garbage"), None);
        assert_eq!(parse_statistics("1 2 3"), None);
    }
}
