//! The decision on each packet: pass, send up, hand over to be rejected, or drop.
//!
//! ```text
//!            SYN, or UDP after a gap                 user space has said all it will,
//!   (new) ──────────────────────────▶ inspect ─────▶ or the candidates are used up ──▶ known
//!     └── TCP without its opening ──▶ watched
//! ```
//!
//! Generic over packet access and tables, so that the eBPF program and the replay driver run the
//! same code. It does no I/O and takes the time as an argument.

mod flow;
mod known;
mod throttle;

use crate::layout::{
    ANYWHERE, ActionEntry, Address, BucketKey, BudgetEntry, Counter, EXEMPT, EndpointKey, FlowKey,
    FlowState, FragmentKey, FragmentState, GateConfig, Met, PolicyEntry, Verdict, action, flag,
    kind, queue_of,
};
use crate::mark::Code;
use crate::parse::{Fragment, Headers, Link, Packet, Refusal, read_headers};

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

/// The tables, as the gate uses them. Policy, verdicts, endpoints, actions, budgets, ports, proxies and
/// local addresses are written by user space only; flows, fragments, buckets and counters by the gate
/// only.
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
    /// Whether a policy says that Skype listens on this TCP port.
    fn is_port(&mut self, policy: u16, port: u16) -> bool;
    /// Whether a policy names this proxy.
    fn is_proxy(&mut self, policy: u16, address: &Address, port: u16) -> bool;
    /// The budget at a place of the budget table.
    fn budget(&mut self, place: u16) -> Option<BudgetEntry>;
    /// Charges a bucket for `bytes` in so many segments if it has room for them
    /// ([`crate::share::admit`]), else counts them as refused. `part` is that of the host, if the bucket
    /// is one that hosts share.
    fn charge(
        &mut self,
        key: &BucketKey,
        part: Option<&BucketKey>,
        budget: &BudgetEntry,
        now: u64,
        bytes: u32,
        segments: u32,
    ) -> bool;
    /// Gives back what a bucket, and perhaps the host's part in it, was charged for `bytes`.
    fn refund(
        &mut self,
        key: &BucketKey,
        part: Option<&BucketKey>,
        budget: &BudgetEntry,
        bytes: u32,
    );
    /// The time of a charge, as exact as the clock gets; `now` is that of the packet.
    fn time_of_charge(&mut self, now: u64) -> u64;
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
    /// The same bits. The kernel's verifier then knows nothing of them any more: it follows each path on
    /// which it knows another thing apart, up to a limit.
    #[inline(always)]
    fn forget(&mut self, bits: u32) -> u32 {
        bits
    }
    /// The same memory. The compiler then takes what it needs from there, and not from where it had it
    /// before, where the verifier would know it: see [`Self::forget`].
    #[inline(always)]
    fn again<'a>(&mut self, work: &'a mut Work) -> &'a mut Work {
        work
    }
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
    /// What is done with the packet.
    entry: ActionEntry,
    /// As in [`Verdict`].
    session: u32,
    bucket: BucketKey,
    part: BucketKey,
    policy: PolicyEntry,
    /// The address under which the host has its buckets.
    host: Address,
    charge: throttle::Charge,
    /// 1 if whoever passes first has opened the flow.
    unopened: u8,
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

    /// What was done with the packet last judged, and why it passes or not: of what passes also the
    /// bits of the mark and the code point to write. All zeros where nothing is enforced.
    pub const fn entry(&self) -> &ActionEntry {
        &self.entry
    }
}

/// Judges one packet at time `now`, nanoseconds of a clock that doesn't go backwards. `met` is the
/// interface's: what the packet's own tag says goes before it.
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
    met: Met,
    now: u64,
    config: &GateConfig,
    tables: &mut T,
    work: &mut Work,
) -> Outcome {
    tables.count(Counter::Packets);
    work.key.protocol = 0;
    work.entry = ActionEntry::default();
    if let Err(refusal) = read_headers(packet, link, &mut work.headers) {
        tables.count(match refusal {
            Refusal::Foreign => Counter::Uncovered,
            Refusal::Undecodable => Counter::Undecodable,
        });
        return Outcome::Pass(Code::Pass);
    }
    let work = tables.again(work);
    let headers = &work.headers;
    work.fragment.source = headers.source;
    work.fragment.destination = headers.destination;
    work.fragment.protocol = u32::from(headers.protocol);
    // Ports and code of a later fragment are those of the first.
    let (mut source_port, mut destination_port) = (headers.source_port, headers.destination_port);
    let mut facts = 0;
    if let Fragment::First(id) | Fragment::Later(id) = headers.fragment {
        work.fragment.id = id;
    }
    if let Fragment::Later(_) = headers.fragment {
        let Some(first) = tables.fragment(&work.fragment) else {
            return Outcome::Pass(Code::Pass);
        };
        (source_port, destination_port) = (first.source_port, first.destination_port);
        facts |= fact::LATER;
        if let Code::Inspect(_) = Code::from_number(first.code) {
            facts |= fact::INSPECTED;
        }
        if first.code == Code::Drop.number() {
            facts |= fact::REFUSED;
        }
    }
    let mut facts = tables.forget(facts);
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

    let met = met_of(tables, side, met, work.headers.vlan);
    let destination = &work.headers.destination;
    let covered = if is_one_host(destination) && !tables.is_local(destination) {
        policy_of(tables, work, met, config.flags & flag::PLACES != 0)
    } else {
        None
    };
    let Some(policy) = covered else {
        work.key.protocol = 0;
        tables.count(Counter::Uncovered);
        return Outcome::Pass(Code::Pass);
    };
    let policy = PolicyEntry {
        index: tables.forget(u32::from(policy.index)) as u16,
        flags: tables.forget(u32::from(policy.flags)) as u16,
        ..policy
    };
    work.policy = policy;
    let queue = queue_of(&work.key.inside, config.queues);
    if tables.is_alive(queue, now, config.heartbeat_limit) {
        facts |= fact::ALIVE;
        // Where the inside host's policy may be another than the one that was found, its own
        // interface enforces it.
        let elsewhere = matches!(side, Side::OutsideIngress) && config.flags & flag::PLACES != 0;
        if config.flags & flag::BYPASS == 0 && !elsewhere {
            facts |= fact::ENFORCES;
        }
    }
    if flow::is_called(tables, work, side, now) {
        facts |= fact::CALLED;
    }
    let facts = tables.forget(facts);

    let own = tables.verdict(&work.key).unwrap_or_default();
    let known = known::known(tables, policy, work, own, facts & fact::CALLED != 0);
    let known = Verdict {
        kind: tables.forget(u32::from(known.kind)) as u8,
        role: tables.forget(u32::from(known.role)) as u8,
        ..known
    };
    work.session = known.session;
    let entry = known::action(tables, policy, work, &known, facts & fact::CALLED != 0);
    let mut more_facts = facts;
    if facts & fact::ENFORCES != 0 {
        work.entry = entry;
        if entry.action >= action::REJECT {
            more_facts |= fact::STOPS;
        }
        if entry.action == action::THROTTLE {
            more_facts |= fact::THROTTLES;
        }
    }
    if known.kind == kind::AMBIGUOUS {
        more_facts |= fact::AMBIGUOUS;
    } else if known.kind == kind::SKYPE {
        more_facts |= fact::SKYPE;
    }
    let facts = tables.forget(more_facts);
    let request = flow::Request::of(tables, own);
    let mut more_facts = facts;
    if flow::update(packet, side, met, now, config, facts, request, tables, work) {
        more_facts |= fact::WANTED;
    }
    let facts = tables.forget(more_facts);

    let outcome = outcome(packet, side, now, config, facts, queue, tables, work);
    if let Fragment::First(_) = work.headers.fragment {
        let state = FragmentState {
            source_port,
            destination_port,
            code: match outcome {
                Outcome::Pass(code) => code.number(),
                // Without it the rest is of no use, and must not pass by the budget.
                Outcome::Drop => Code::Drop.number(),
            },
        };
        tables.insert_fragment(&work.fragment, &state);
    }
    let passes = matches!(outcome, Outcome::Pass(code) if code.number() != Code::Reject.number());
    if work.unopened != 0
        && passes
        && side.counts()
        && let Some(flow) = tables.flow(&work.key)
    {
        flow.opened = 1;
    }
    outcome
}

/// What is known of the packet at hand, as bits of one number.
mod fact {
    /// It is a later fragment.
    pub(super) const LATER: u32 = 1;
    /// Its first fragment went up.
    pub(super) const INSPECTED: u32 = 1 << 1;
    /// Its first fragment was dropped.
    pub(super) const REFUSED: u32 = 1 << 2;
    /// Someone judges.
    pub(super) const ALIVE: u32 = 1 << 3;
    /// What the policy says is done here.
    pub(super) const ENFORCES: u32 = 1 << 4;
    /// The outside end opened the flow.
    pub(super) const CALLED: u32 = 1 << 5;
    /// The policy stops it.
    pub(super) const STOPS: u32 = 1 << 6;
    /// Budgets are to be obeyed.
    pub(super) const THROTTLES: u32 = 1 << 7;
    /// Its flow is ambiguous.
    pub(super) const AMBIGUOUS: u32 = 1 << 8;
    /// Its flow is Skype's.
    pub(super) const SKYPE: u32 = 1 << 9;
    /// It is a candidate for user space.
    pub(super) const WANTED: u32 = 1 << 10;
}

/// What becomes of a packet of which these facts are known.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined, as the caller; a struct would spill to the kernel's stack"
)]
fn outcome<P: Packet, T: Tables>(
    packet: &P,
    side: Side,
    now: u64,
    config: &GateConfig,
    facts: u32,
    queue: u8,
    tables: &mut T,
    work: &mut Work,
) -> Outcome {
    let wanted = facts & (fact::WANTED | fact::INSPECTED) != 0;
    // Of what is ambiguous, candidates go up although they end there: a name may have told by now.
    if facts & fact::STOPS != 0 && !(wanted && facts & fact::AMBIGUOUS != 0) {
        // Behind the routing there is no firewall left that could answer.
        if work.entry.action == action::REJECT && !matches!(side, Side::InsideEgress) {
            tables.count(Counter::Rejected);
            return Outcome::Pass(Code::Reject);
        }
        tables.count(Counter::Dropped);
        return Outcome::Drop;
    }
    let refused = fact::REFUSED | fact::ENFORCES;
    if facts & refused == refused
        || (facts & fact::THROTTLES != 0
            && side.counts()
            && !has_room(packet, side, now, tables, work))
    {
        tables.count(Counter::Throttled);
        return Outcome::Drop;
    }
    if !wanted {
        Outcome::Pass(Code::Pass)
    } else if facts & fact::ALIVE != 0 {
        tables.count(Counter::Tagged);
        Outcome::Pass(Code::Inspect(queue))
    } else if config.flags & (flag::BYPASS | flag::CLOSED) != flag::CLOSED {
        tables.count(Counter::Unjudged);
        Outcome::Pass(Code::Pass)
    } else {
        tables.count(Counter::Refused);
        Outcome::Drop
    }
}

/// Whether the budgets have room for the packet, which they are charged then.
#[inline(always)]
fn has_room<P: Packet, T: Tables>(
    packet: &P,
    side: Side,
    now: u64,
    tables: &mut T,
    work: &mut Work,
) -> bool {
    let segments = packet.segments();
    work.charge = throttle::Charge {
        now: tables.time_of_charge(now),
        bytes: work.headers.wire_bytes(segments),
        segments,
    };
    throttle::charge(tables, work, side.outbound())
}

/// Where the inside host is met, as far as this side can tell.
#[inline(always)]
fn met_of<T: Tables>(tables: &mut T, side: Side, of_interface: Met, tag: u16) -> Met {
    if matches!(side, Side::OutsideIngress) {
        return Met::default();
    }
    let vlan = if tag != 0 { tag } else { of_interface.vlan };
    Met {
        interface: of_interface.interface,
        vlan: tables.forget(u32::from(vlan)) as u16,
    }
}

/// The policy of the inside host; `None` if it is under none. Where it is not known yet in which of
/// several places the host is, a packet to it is looked at all the same.
#[inline(always)]
fn policy_of<T: Tables>(
    tables: &mut T,
    work: &Work,
    met: Met,
    places: bool,
) -> Option<PolicyEntry> {
    let inside = &work.key.inside;
    let mut found = None;
    let mut unknown = false;
    if places {
        let met = if met.interface == 0 && met.vlan == 0 {
            match tables.flow(&work.key) {
                Some(flow) => flow.met,
                None => {
                    unknown = true;
                    met
                }
            }
        } else {
            met
        };
        if let Some(place) = met.by_vlan() {
            found = tables.policy(place, inside);
        }
        if found.is_none()
            && let Some(place) = met.by_interface()
        {
            found = tables.policy(place, inside);
        }
    }
    if found.is_none() {
        found = tables.policy(ANYWHERE, inside);
    }
    match found {
        Some(policy) if policy.index == EXEMPT => None,
        None if unknown => Some(PolicyEntry {
            index: EXEMPT,
            ..PolicyEntry::default()
        }),
        found => found,
    }
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
