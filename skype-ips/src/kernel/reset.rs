//! Resets in a sender's name: a TCP packet that doesn't arrive says which sequence number its receiver
//! expects next, so a reset in its place is taken (RFC 9293, section 3.10.7.4).

use std::io;
use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, LaxIpSlice, PacketBuilder, TcpSlice};
use socket2::{Domain, Protocol, Socket, Type};

/// Time to live of what we make, as hosts begin with.
const TIME_TO_LIVE: u8 = 64;
/// IPPROTO_RAW: the packet brings its own IP header, and the socket receives nothing.
const WITH_HEADER: i32 = libc::IPPROTO_RAW;

/// The reset that takes the place of a TCP packet (from its IP header on, perhaps cut off behind the
/// TCP header). `None` for anything else, and for a SYN: its receiver has no connection yet.
pub fn in_place_of(packet: &[u8]) -> Option<Vec<u8>> {
    let (ip, _) = LaxIpSlice::from_slice(packet).ok()?;
    let payload = ip.payload();
    if payload.ip_number != IpNumber::TCP || payload.fragmented {
        return None;
    }
    let tcp = TcpSlice::from_slice(payload.payload).ok()?;
    if tcp.syn() && !tcp.ack() {
        return None;
    }
    let reset = match (ip.source_addr(), ip.destination_addr()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            PacketBuilder::ipv4(from.octets(), to.octets(), TIME_TO_LIVE)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            PacketBuilder::ipv6(from.octets(), to.octets(), TIME_TO_LIVE)
        }
        _ => return None,
    };
    let (from, to) = (tcp.source_port(), tcp.destination_port());
    let mut reset = reset.tcp(from, to, tcp.sequence_number(), 0).rst();
    if tcp.ack() {
        reset = reset.ack(tcp.acknowledgment_number());
    }
    let mut bytes = Vec::with_capacity(reset.size(0));
    reset.write(&mut bytes, &[]).ok()?;
    Some(bytes)
}

/// Sockets that send whole packets, opened when they are first needed.
#[derive(Debug, Default)]
pub(super) struct RawSender {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl RawSender {
    /// Sends a packet from its IP header on, with a mark.
    ///
    /// # Errors
    /// No right (CAP_NET_RAW and CAP_NET_ADMIN), or no route.
    pub(super) fn send(&mut self, packet: &[u8], mark: u32) -> io::Result<()> {
        let (ip, _) = LaxIpSlice::from_slice(packet).map_err(io::Error::other)?;
        let to = ip.destination_addr();
        let (domain, socket) = match to {
            IpAddr::V4(_) => (Domain::IPV4, &mut self.v4),
            IpAddr::V6(_) => (Domain::IPV6, &mut self.v6),
        };
        let socket = match socket {
            Some(socket) => socket,
            None => socket.insert(Socket::new(
                domain,
                Type::RAW,
                Some(Protocol::from(WITH_HEADER)),
            )?),
        };
        socket.set_mark(mark)?;
        socket.send_to(packet, &SocketAddr::new(to, 0).into())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketHeaders, TransportHeader};

    use super::*;

    const FROM: [u8; 4] = [10, 0, 0, 1];
    const TO: [u8; 4] = [192, 0, 2, 1];

    fn whole(packet: etherparse::PacketBuilderStep<etherparse::TcpHeader>, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet
            .write(&mut bytes, &vec![7; len])
            .expect("room in memory");
        bytes
    }

    fn tcp(bytes: &[u8]) -> etherparse::TcpHeader {
        let headers = PacketHeaders::from_ip_slice(bytes).expect("a whole packet");
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else {
            panic!("no TCP: {headers:?}");
        };
        tcp
    }

    #[test]
    fn the_receiver_is_told_what_the_packet_would_have_told_it() {
        let v4 = PacketBuilder::ipv4(FROM, TO, 9).tcp(1000, 2000, 0xffff_fff0, 512);
        let v6 = PacketBuilder::ipv6([1; 16], [2; 16], 9).tcp(1000, 2000, 0xffff_fff0, 512);
        for packet in [v4, v6] {
            let packet = whole(packet.psh().ack(77), 100);
            let cut_off = &packet[..packet.len() - 60];
            let reset = in_place_of(cut_off).expect("a reset");
            let ends = |bytes: &[u8]| {
                let (ip, _) = LaxIpSlice::from_slice(bytes).expect("an IP header");
                (ip.source_addr(), ip.destination_addr())
            };
            assert_eq!(ends(&reset), ends(&packet));
            let tcp = tcp(&reset);
            assert_eq!((tcp.source_port, tcp.destination_port), (1000, 2000));
            assert_eq!(tcp.sequence_number, 0xffff_fff0);
            assert_eq!((tcp.ack, tcp.acknowledgment_number), (true, 77));
            assert_eq!(
                (tcp.rst, tcp.syn, tcp.psh, tcp.fin),
                (true, false, false, false)
            );
        }
    }

    #[test]
    fn only_who_has_a_connection_is_told() {
        let open = || {
            PacketBuilder::ipv4(FROM, TO, 9)
                .tcp(1000, 2000, 1, 512)
                .syn()
        };
        assert_eq!(in_place_of(&whole(open(), 0)), None);
        assert!(in_place_of(&whole(open().ack(5), 0)).is_some());
        let mut datagram = Vec::new();
        let udp = PacketBuilder::ipv4(FROM, TO, 9).udp(1000, 2000);
        udp.write(&mut datagram, &[7; 40]).expect("room in memory");
        assert_eq!(in_place_of(&datagram), None);
        assert_eq!(in_place_of(&[0x45; 9]), None);
    }
}
