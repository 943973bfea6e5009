//! What the gate remembers of a flow.

use super::{
    HANDSHAKE, MAX_MORE, Side, TCP_CANDIDATES, TCP_EARLY, TCP_OPENING, TCP_OVERTAKEN, Tables,
    UDP_CANDIDATES, UDP_GAP, WATCHED_EVERY, WATCHED_FROM, Work, fact,
};
use crate::layout::{
    FlowState, GateConfig, INBOUND, LARGE, Met, OUTBOUND, TCP, UDP, Verdict, kind, opening, stage,
};
use crate::parse::{ACK, HEAD_LEN, Packet, SYN};
use crate::prefilter;

/// Whether the outside end opened the flow, as far as this packet's arrival tells: with its SYN, or with
/// the first UDP packet that passed.
#[inline(always)]
pub(super) fn is_called<T: Tables>(tables: &mut T, work: &Work, side: Side, now: u64) -> bool {
    let inbound = !side.outbound();
    let headers = &work.headers;
    if headers.tcp_flags & SYN != 0 {
        // The answer to a SYN goes the other way.
        return inbound == (headers.tcp_flags & ACK == 0);
    }
    match tables.flow(&work.key) {
        Some(flow) if headers.protocol == TCP => flow.called != 0,
        Some(flow) if flow.opened != 0 && now.saturating_sub(flow.last_seen) <= UDP_GAP => {
            flow.called != 0
        }
        _ => headers.protocol == UDP && inbound,
    }
}

/// What user space has said of the flow, as far as it changes what goes up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    kind: u8,
    more: u8,
    number: u8,
}

impl Request {
    #[inline(always)]
    pub(super) fn of<T: Tables>(tables: &mut T, own: Verdict) -> Self {
        let more = if own.more > MAX_MORE {
            MAX_MORE
        } else {
            own.more
        };
        let (kind, more, number) = (
            u32::from(own.kind),
            u32::from(more),
            u32::from(own.more_request),
        );
        let bits = tables.forget(kind | more << 8 | number << 16);
        Self {
            kind: bits as u8,
            more: (bits >> 8) as u8,
            number: (bits >> 16) as u8,
        }
    }
}

/// Brings the flow's state up to date and says whether the packet is a candidate for user space;
/// `work.unopened` says whether whoever passes first has opened it.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined, as the caller; a struct would spill to the kernel's stack"
)]
pub(super) fn update<P: Packet, T: Tables>(
    packet: &P,
    side: Side,
    met: Met,
    now: u64,
    config: &GateConfig,
    facts: u32,
    request: Request,
    tables: &mut T,
    work: &mut Work,
) -> bool {
    let direction = if side.outbound() { OUTBOUND } else { INBOUND };
    let headers = &work.headers;
    let opens = headers.tcp_flags & (SYN | ACK) == SYN;
    if tables.flow(&work.key).is_none() {
        work.fresh = FlowState::default();
        work.fresh.last_seen = now;
        // A SYN of either direction is an opening: routes can be asymmetric.
        if headers.protocol == TCP && headers.tcp_flags & SYN == 0 {
            work.fresh.stage = stage::WATCHED;
        }
        tables.insert_flow(&work.key, &work.fresh);
    }
    work.unopened = 0;
    // All headers that are read end before twice the head: said once more, for the verifier has not
    // kept it.
    let offset = tables.forget(headers.payload_offset) & (2 * HEAD_LEN - 1);
    let Some(flow) = tables.flow(&work.key) else {
        return false;
    };
    let silent = now.saturating_sub(flow.last_seen);
    // A SYN that is sent again, or comes after the answer to it, begins nothing new.
    let bit = 1u8 << direction;
    let head = if direction == OUTBOUND {
        flow.head[0]
    } else {
        flow.head[1]
    };
    let of_this = if flow.heads & bit != 0 {
        head == headers.tcp_seq.wrapping_add(1)
    } else {
        flow.heads != 0 && silent < HANDSHAKE
    };
    if (opens && !of_this) || (headers.protocol == UDP && silent > UDP_GAP) {
        flow.packets = [0; 2];
        flow.bytes = [0; 2];
        flow.large = [0; 2];
        flow.heads = 0;
        flow.stage = stage::INSPECT;
        flow.tagged = [0; 2];
        flow.opening = [0; 2];
        flow.more = 0;
        flow.opened = 0;
    }
    flow.last_seen = now;
    if flow.opened == 0 && (headers.protocol == UDP || headers.tcp_flags & SYN != 0) {
        flow.called = u8::from(facts & fact::CALLED != 0);
        // A UDP packet that ends here opens nothing: the caller has the last word.
        flow.opened = u8::from(headers.protocol == TCP);
        work.unopened = u8::from(headers.protocol == UDP);
    }
    if met.interface != 0 || met.vlan != 0 {
        flow.met = met;
    }
    // One arm per direction: the verifier follows constant indexes best.
    let (packets, bytes, large, head, tagged, opening) = if direction == OUTBOUND {
        (
            &mut flow.packets[0],
            &mut flow.bytes[0],
            &mut flow.large[0],
            &mut flow.head[0],
            &mut flow.tagged[0],
            &mut flow.opening[0],
        )
    } else {
        (
            &mut flow.packets[1],
            &mut flow.bytes[1],
            &mut flow.large[1],
            &mut flow.head[1],
            &mut flow.tagged[1],
            &mut flow.opening[1],
        )
    };
    if side.counts() {
        *packets = packets.wrapping_add(1);
        *bytes = bytes.wrapping_add(u64::from(headers.wire_bytes(packet.segments())));
        *large = large.wrapping_add(u32::from(headers.payload_len >= LARGE));
    }
    // Outbound packets are counted where they can be sent up, in every driver.
    let sent = *packets;
    let due = facts & (fact::SKYPE | fact::STOPS) == fact::SKYPE
        && direction == OUTBOUND
        && sent >= WATCHED_FROM
        && (sent & (sent - 1) == 0 || sent & (WATCHED_EVERY - 1) == 0);
    if headers.tcp_flags & SYN != 0 {
        *head = headers.tcp_seq.wrapping_add(1);
        flow.heads |= bit;
        // Its opening comes after all, behind a packet that overtook it.
        if flow.stage == stage::WATCHED {
            flow.stage = stage::INSPECT;
        }
        return false;
    }
    if request.kind == kind::OPEN {
        if request.number != 0 && request.number != flow.more_request {
            flow.more_request = request.number;
            flow.more = request.more;
        }
    } else if request.kind != kind::AMBIGUOUS {
        flow.stage = stage::KNOWN;
    }
    if due {
        return true;
    }
    if flow.stage != stage::INSPECT
        || facts & fact::LATER != 0
        || headers.payload_len == 0
        || !side.sends_up()
    {
        return false;
    }
    let mut wanted = flow.more > 0;
    if wanted {
        flow.more -= 1;
    }
    let len = headers.payload_len;
    // Of what comes in, nobody asks where to.
    let to = if direction == OUTBOUND {
        work.key.outside_port
    } else {
        0
    };
    if headers.protocol == UDP {
        if wanted {
            return true;
        }
        let (source, destination) = (headers.source_port, headers.destination_port);
        let found = prefilter::udp(packet, offset, len, to, &config.dns_tails)
            | prefilter::udp_of_port(packet, source, destination, offset, len);
        let fits = found & config.predicates;
        // Checks of an ambiguous flow go up for as long as it lasts.
        let endless = fits & prefilter::UDP_STUN != 0 && request.kind == kind::AMBIGUOUS;
        if fits == 0 || (*tagged >= UDP_CANDIDATES && !endless) {
            return false;
        }
        *tagged = tagged.saturating_add(1);
        return true;
    }
    let place = headers.tcp_seq.wrapping_sub(*head);
    // Without a SYN nobody knows where the stream begins.
    if flow.heads & bit == 0 || place >= TCP_OVERTAKEN {
        return wanted;
    }
    if place == 0 {
        let fits = prefilter::tcp_opening(packet, offset, len, to) & config.predicates != 0;
        *opening |= if fits {
            opening::BEGUN
        } else {
            opening::BEGUN | opening::REFUSED
        };
        if !wanted && *opening & opening::REFUSED == 0 && *tagged < TCP_CANDIDATES {
            *tagged += 1;
            wanted = true;
        }
    } else if !wanted {
        let possible = if place < TCP_OPENING {
            *opening & opening::REFUSED == 0
        } else {
            *opening & opening::BEGUN == 0
        };
        if possible && *opening & opening::EARLY < TCP_EARLY {
            *opening += 1;
            wanted = true;
        }
    }
    wanted
}
