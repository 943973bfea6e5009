//! The decision on each packet: pass, send up, or drop.
//!
//! ```text
//!            SYN, or UDP after a gap                 user space has said all it will,
//!   (new) ──────────────────────────▶ inspect ─────▶ or the candidates are used up ──▶ known
//!     └── TCP without its opening ──▶ watched
//! ```
//!
//! Generic over packet access and tables, so that the eBPF program and the replay driver run the
//! same code. It does no I/O and takes the time as an argument.

use crate::layout::{
    ANYWHERE, ActionEntry, Address, Counter, EndpointKey, FlowKey, FlowState, FragmentKey,
    FragmentState, GateConfig, INBOUND, LARGE, OUTBOUND, PolicyEntry, TCP, UDP, Verdict, action,
    flag, kind, opening, queue_of, stage,
};
use crate::mark::Code;
use crate::parse::{ACK, Fragment, Headers, Link, Packet, Refusal, SYN, read_headers};
use crate::prefilter;

/// Candidate payloads sent up per direction of a TCP flow that begin with the stream's first byte:
/// an opening and its retransmissions.
pub const TCP_CANDIDATES: u8 = 3;
/// Payloads sent up per direction of a TCP flow that lie behind its first byte.
pub const TCP_EARLY: u8 = 6;
/// Bytes of a stream in which the longest test between peers ends: they are sent up as long as
/// what the stream begins with is no reason not to. User space need not ask, which would be too
/// late where segments follow each other at once.
pub const TCP_OPENING: u32 = 128;
/// Bytes of a stream that are sent up before its first byte was seen: room for a hello.
pub const TCP_OVERTAKEN: u32 = 4096;
/// Candidate payloads sent up per direction of a UDP flow: probe, resend, retransmissions and
/// answers fit.
pub const UDP_CANDIDATES: u8 = 8;
/// Most packets that user space may ask for unfiltered.
pub const MAX_MORE: u8 = 16;
/// Packets of one handshake come within this, nanoseconds: clients try for longer, but each try
/// that is answered is answered sooner.
const HANDSHAKE: u64 = 10 * 1_000_000_000;
/// Of a flow that is known to be Skype and passes, the packets that an inside host sent come up
/// when their count is a power of two from this one on, and then each [`WATCHED_EVERY`]th: user
/// space reads the flow's counters then, which say what kind of traffic it is.
pub const WATCHED_FROM: u64 = 32;
/// See [`WATCHED_FROM`]; a power of two.
pub const WATCHED_EVERY: u64 = 1024;
/// A UDP flow silent for longer than this is a new one, nanoseconds.
pub const UDP_GAP: u64 = 120 * 1_000_000_000;

/// Where a packet is met, which says which end is inside and what is done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Arriving on an inside interface: the sender is inside. Counts and sends up.
    InsideIngress,
    /// Leaving through an inside interface: the receiver is inside. Counts.
    InsideEgress,
    /// Arriving on an outside interface: the receiver is inside (unless behind NAT). Sends up.
    OutsideIngress,
    /// Towards the inside, seen once only (replay, or the queue alone). Counts and sends up.
    Inbound,
}

impl Side {
    const fn outbound(self) -> bool {
        matches!(self, Self::InsideIngress)
    }

    const fn counts(self) -> bool {
        !matches!(self, Self::OutsideIngress)
    }

    const fn sends_up(self) -> bool {
        !matches!(self, Self::InsideEgress)
    }
}

/// The tables, as the gate uses them. Policy, verdicts, endpoints, actions and local addresses are
/// written by user space only; flows, fragments and counters by the gate only.
pub trait Tables {
    /// The policy of the longest prefix at a place ([`crate::layout::PolicyKey`]).
    fn policy(&mut self, place: u32, inside: &Address) -> Option<PolicyEntry>;
    /// Whether the gateway itself has this address.
    fn is_local(&mut self, address: &Address) -> bool;
    /// What is known of a flow.
    fn verdict(&mut self, key: &FlowKey) -> Option<Verdict>;
    /// What is known of an inside endpoint.
    fn endpoint(&mut self, key: &EndpointKey) -> Option<Verdict>;
    /// What to do with what `verdict` says on a [`crate::layout::path`] under a policy, held to what
    /// the confidence suffices for.
    fn action(&mut self, policy: PolicyEntry, verdict: &Verdict, path: u8) -> ActionEntry;
    /// The flow's state.
    fn flow(&mut self, key: &FlowKey) -> Option<&mut FlowState>;
    /// Remembers a new flow; a table that takes no more forgets it at once.
    fn insert_flow(&mut self, key: &FlowKey, state: &FlowState);
    /// The first fragment's ports and code.
    fn fragment(&mut self, key: &FragmentKey) -> Option<FragmentState>;
    /// Remembers a first fragment.
    fn insert_fragment(&mut self, key: &FragmentKey, state: &FragmentState);
    /// Adds one to a counter of the hook that this runs in.
    fn count(&mut self, counter: Counter);
    /// Whether the queue's thread has given a sign of life within `limit` nanoseconds.
    fn is_alive(&mut self, queue: u8, now: u64, limit: u64) -> bool;
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on with this code in its mark.
    Pass(Code),
    /// It ends here.
    Drop,
}

/// Working memory of one judgement. It is the caller's because the kernel's stack is small, and
/// means nothing between calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    headers: Headers,
    key: FlowKey,
    endpoint: EndpointKey,
    fragment: FragmentKey,
    fresh: FlowState,
}

impl Work {
    /// The flow of the packet last judged, if it got that far; a key of zeros otherwise.
    pub const fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The headers of the packet last judged, if it was decodable.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }
}

/// Judges one packet at time `now`, nanoseconds of a clock that doesn't go backwards.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined into each kernel program; a struct would spill to its stack"
)]
pub fn judge<P: Packet, T: Tables>(
    packet: &P,
    link: Link,
    side: Side,
    zone: u16,
    now: u64,
    config: &GateConfig,
    tables: &mut T,
    work: &mut Work,
) -> Outcome {
    tables.count(Counter::Packets);
    work.key.protocol = 0;
    if let Err(refusal) = read_headers(packet, link, &mut work.headers) {
        tables.count(match refusal {
            Refusal::Foreign => Counter::Uncovered,
            Refusal::Undecodable => Counter::Undecodable,
        });
        return Outcome::Pass(Code::Pass);
    }
    let headers = &work.headers;
    let inside = if side.outbound() {
        &headers.source
    } else {
        &headers.destination
    };
    let covered = if is_one_host(&headers.destination) && !tables.is_local(&headers.destination) {
        tables.policy(ANYWHERE, inside)
    } else {
        None
    };
    let Some(policy) = covered else {
        tables.count(Counter::Uncovered);
        return Outcome::Pass(Code::Pass);
    };
    work.fragment.source = headers.source;
    work.fragment.destination = headers.destination;
    work.fragment.protocol = u32::from(headers.protocol);
    // Ports and code of a later fragment are those of the first.
    let (source_port, destination_port, first) = match headers.fragment {
        Fragment::Whole => (headers.source_port, headers.destination_port, None),
        Fragment::First(id) => {
            work.fragment.id = id;
            (headers.source_port, headers.destination_port, None)
        }
        Fragment::Later(id) => {
            work.fragment.id = id;
            match tables.fragment(&work.fragment) {
                Some(first) => (first.source_port, first.destination_port, Some(first.code)),
                None => return Outcome::Pass(Code::Pass),
            }
        }
    };
    let key = &mut work.key;
    key.zone = zone;
    key.protocol = headers.protocol;
    if side.outbound() {
        (key.inside, key.outside) = (headers.source, headers.destination);
        (key.inside_port, key.outside_port) = (source_port, destination_port);
    } else {
        (key.inside, key.outside) = (headers.destination, headers.source);
        (key.inside_port, key.outside_port) = (destination_port, source_port);
    }
    work.endpoint.zone = zone;
    work.endpoint.protocol = key.protocol;
    work.endpoint.port = key.inside_port;
    work.endpoint.inside = key.inside;
    let queue = queue_of(&key.inside, config.queues);
    let bypass = config.flags & flag::BYPASS != 0;
    let alive = tables.is_alive(queue, now, config.heartbeat_limit);

    let verdict = tables.verdict(&work.key);
    // Connections that an inside host opens leave from any port; only those to it say whose it is.
    let opens = work.headers.tcp_flags & (SYN | ACK) == SYN;
    let of_endpoint = work.key.protocol == UDP || (opens && !side.outbound());
    let said = known_action(tables, policy, work, of_endpoint, verdict);
    let drop = !bypass && alive && said & DROPS != 0;
    let watched = said & IS_SKYPE != 0 && !drop;
    let later = first.is_some();
    let candidate = update(
        packet, side, now, config, later, verdict, watched, tables, work,
    );
    let wanted = candidate || first == Some(Code::Inspect(queue).number());

    // Of what is ambiguous, candidates go up although they end there: a name may have told by now.
    let outcome = if drop && !(wanted && is_ambiguous(verdict)) {
        tables.count(Counter::Dropped);
        Outcome::Drop
    } else if !wanted {
        Outcome::Pass(Code::Pass)
    } else if alive {
        tables.count(Counter::Tagged);
        Outcome::Pass(Code::Inspect(queue))
    } else if bypass || config.flags & flag::CLOSED == 0 {
        tables.count(Counter::Unjudged);
        Outcome::Pass(Code::Pass)
    } else {
        tables.count(Counter::Refused);
        Outcome::Drop
    };
    if let (Fragment::First(_), Outcome::Pass(code)) = (work.headers.fragment, outcome) {
        let state = FragmentState {
            source_port,
            destination_port,
            code: code.number(),
        };
        tables.insert_fragment(&work.fragment, &state);
    }
    outcome
}

/// Neither multicast nor broadcast: only such packets are forwarded between two hosts.
#[inline(always)]
fn is_one_host(address: &Address) -> bool {
    let head = u32::from_be_bytes([address[8], address[9], address[10], address[11]]);
    let mapped = address[0] == 0 && address[1] == 0 && head == 0xffff;
    if mapped {
        address[12] < 224
    } else {
        address[0] != 0xff
    }
}

/// It is known to be Skype; the policy drops it.
const IS_SKYPE: u8 = 1;
const DROPS: u8 = 2;

/// What is known of the flow, else of its endpoint (all UDP of a Skype client leaves from one port,
/// and it listens there on TCP), which tells more than that the flow is ambiguous: [`IS_SKYPE`],
/// [`DROPS`]. Bits, because of an option the compiler makes reads of what was never written.
#[inline(always)]
fn known_action<T: Tables>(
    tables: &mut T,
    policy: PolicyEntry,
    work: &Work,
    of_endpoint: bool,
    verdict: Option<Verdict>,
) -> u8 {
    let drops = |tables: &mut T, known: &Verdict| {
        if tables.action(policy, known, 0).action == action::DROP {
            DROPS
        } else {
            0
        }
    };
    if let Some(verdict) = verdict
        && verdict.kind == kind::SKYPE
    {
        return IS_SKYPE | drops(tables, &verdict);
    }
    if of_endpoint
        && let Some(endpoint) = tables.endpoint(&work.endpoint)
        && endpoint.kind == kind::SKYPE
    {
        return IS_SKYPE | drops(tables, &endpoint);
    }
    match verdict {
        Some(verdict) if verdict.kind == kind::AMBIGUOUS => drops(tables, &verdict),
        _ => 0,
    }
}

#[inline(always)]
fn is_ambiguous(verdict: Option<Verdict>) -> bool {
    matches!(verdict, Some(verdict) if verdict.kind == kind::AMBIGUOUS)
}

/// Brings the flow's state up to date and says whether the packet is a candidate for user space.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined, as the caller; a struct would spill to the kernel's stack"
)]
fn update<P: Packet, T: Tables>(
    packet: &P,
    side: Side,
    now: u64,
    config: &GateConfig,
    later: bool,
    verdict: Option<Verdict>,
    watched: bool,
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
    }
    flow.last_seen = now;
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
        *bytes = bytes.wrapping_add(u64::from(headers.ip_len));
        *large = large.wrapping_add(u32::from(headers.payload_len >= LARGE));
    }
    // Outbound packets are counted where they can be sent up, in every driver.
    let sent = *packets;
    let due = watched
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
    if let Some(verdict) = verdict {
        if verdict.kind == kind::OPEN {
            if verdict.more_request != flow.more_request {
                flow.more_request = verdict.more_request;
                flow.more = if verdict.more > MAX_MORE {
                    MAX_MORE
                } else {
                    verdict.more
                };
            }
        } else if verdict.kind != kind::AMBIGUOUS {
            flow.stage = stage::KNOWN;
        }
    }
    if due {
        return true;
    }
    if flow.stage != stage::INSPECT || later || headers.payload_len == 0 || !side.sends_up() {
        return false;
    }
    let mut wanted = flow.more > 0;
    if wanted {
        flow.more -= 1;
    }
    let (offset, len) = (headers.payload_offset, headers.payload_len);
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
        let endless = fits & prefilter::UDP_STUN != 0 && is_ambiguous(verdict);
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
