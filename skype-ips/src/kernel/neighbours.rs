//! Which MAC address an inside address has: the kernel's neighbour table, and what becomes of it.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use skype_ips_common::layout::Address;
use tokio::io::unix::AsyncFd;

use crate::policy::to_mapped;
use crate::recent::Recent;

/// The group of changes of neighbours (`RTNLGRP_NEIGH` of linux/rtnetlink.h, as a bit).
const NEIGHBOURS: u32 = 1 << 2;
/// Most addresses whose MAC is remembered: those of which nothing was heard longest make room.
const MOST: usize = 65_536;
/// Netlink messages begin at multiples of so many bytes (`NLMSG_ALIGNTO`).
const ALIGN: usize = 4;

/// A MAC address.
pub type Mac = [u8; 6];

/// An address that another machine has than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Number of the interface.
    pub interface: u32,
    /// The address.
    pub address: Address,
    /// The MAC that it had.
    pub before: Mac,
    /// The MAC that it has.
    pub after: Mac,
}

/// The neighbours on some interfaces, as the kernel tells of them. Addresses behind another router are
/// none.
#[derive(Debug)]
pub struct Neighbours {
    socket: AsyncFd<Socket>,
    known: Known,
}

impl Neighbours {
    /// Listens for those on these interfaces. To be called within a runtime.
    ///
    /// # Errors
    /// The kernel gives no socket, or doesn't take the question.
    pub fn open(interfaces: impl IntoIterator<Item = u32>) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, NEIGHBOURS))?;
        socket.set_non_blocking(true)?;
        ask(&socket)?;
        Ok(Self {
            // SAFETY: the socket owns its descriptor, and nobody closes or replaces it before both go.
            socket: unsafe { AsyncFd::register(socket)? },
            known: Known::of(interfaces),
        })
    }

    /// Waits for addresses that another machine has than before.
    ///
    /// # Errors
    /// The socket's, which are final.
    pub async fn moved(&mut self) -> io::Result<Vec<Moved>> {
        loop {
            let mut ready = self.socket.readable().await?;
            let received = ready.try_io(|socket| socket.get_ref().recv_from_full());
            let Ok(received) = received else {
                continue; // woken for nothing
            };
            let bytes = match received {
                // What any other process sends is no news of the kernel's.
                Ok((_, from)) if from.port_number() != 0 => continue,
                Ok((bytes, _)) => bytes,
                // Some were lost: the table tells what they said.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    ask(self.socket.get_ref())?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let moved = self.known.take(&bytes);
            if !moved.is_empty() {
                return Ok(moved);
            }
        }
    }
}

/// Asks for the whole table.
fn ask(socket: &Socket) -> io::Result<()> {
    let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let mut message = NetlinkMessage::from(question);
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    Ok(())
}

/// The MAC that each address had last, however long ago that was.
#[derive(Debug)]
struct Known {
    interfaces: Vec<u32>,
    macs: Recent<(u32, Address), Mac>,
}

impl Known {
    fn of(interfaces: impl IntoIterator<Item = u32>) -> Self {
        Self {
            interfaces: interfaces.into_iter().collect(),
            macs: Recent::default(),
        }
    }

    /// Takes in messages of the kernel's; what isn't understood is left out.
    fn take(&mut self, mut bytes: &[u8]) -> Vec<Moved> {
        let mut moved = Vec::new();
        while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
            let len = (message.header.length as usize).next_multiple_of(ALIGN);
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(neighbour)) =
                message.payload
            {
                moved.extend(self.hear(&neighbour));
            }
            match bytes.get(len..) {
                Some(rest) if len > 0 => bytes = rest,
                _ => break,
            }
        }
        moved
    }

    /// The kernel tells of one, as it does whenever its state changes.
    fn hear(&mut self, neighbour: &NeighbourMessage) -> Option<Moved> {
        let interface = neighbour.header.ifindex;
        if !self.interfaces.contains(&interface) {
            return None;
        }
        let attributes = neighbour.attributes.iter();
        let address = attributes.clone().find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                Some(to_mapped((*address).into()))
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                Some(to_mapped((*address).into()))
            }
            _ => None,
        })?;
        // One that is asked for and hasn't answered has none.
        let after = attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(mac) => Mac::try_from(&mac[..]).ok(),
                _ => None,
            })?;
        let key = (interface, address);
        let known = self.macs.entry_or(&key, 0, MOST, || after);
        let before = std::mem::replace(known, after);
        (before != after).then_some(Moved {
            interface,
            address,
            before,
            after,
        })
    }
}
