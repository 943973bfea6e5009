//! Flows whose first packets are still looked at, and TCP flows that were found.

use skype_ips_common::layout::{Address, FlowKey};

use crate::detect::stream::{Head, Placed, Segment};
use crate::detect::udp::Exchanges;
use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// A flow silent for this long sends no more openings, nanoseconds.
pub const OPEN_LIFE: u64 = 120 * SECOND;
/// How long a finding about a TCP flow is remembered after its last packet that came up,
/// nanoseconds. What is done with the flow doesn't hang on it: the drivers' tables do that.
pub const FOUND_LIFE: u64 = 3600 * SECOND;
/// How long two hosts count as acquainted after a TCP flow between them was found, nanoseconds.
pub const ACQUAINTANCE_LIFE: u64 = 300 * SECOND;
/// Undecided TCP flows up to which a ClientHello is kept as a whole: with [`KEPT_HELLO`] bytes each
/// way that is 32 MiB. Most are decided at once, so this is only met by an attack.
///
/// [`KEPT_HELLO`]: crate::detect::stream::KEPT_HELLO
const LONG_HEADS: usize = 4096;
/// Requests for more packets per dialogue: with a proxy, and then through it.
const REQUESTS: u8 = 4;
/// Packets asked for at once: the rest of an opening, the answer, and a repetition or two.
const REQUESTED: u8 = 4;
/// Times that both ends may begin anew: when a proxy asks for a password or consents, and with the
/// next proxy of a chain.
pub const DIALOGUES: u8 = 3;

/// The openings of a TCP flow.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    heads: [Head; 2],
    closed: bool,
    /// Whether a test lacks bytes.
    waiting: bool,
    requests: u8,
    coming: u8,
    dialogues: u8,
    behind_proxy: bool,
}

impl Opening {
    /// Takes in a segment of direction 0 or 1; true if there is something new to judge. A
    /// segment of another connection between the same ports begins a new opening. `roomy` says
    /// whether there is memory for the whole of a ClientHello.
    pub fn place(&mut self, direction: usize, segment: &Segment<'_>, roomy: bool) -> bool {
        self.coming = self.coming.saturating_sub(1);
        let mut placed = self.heads[direction & 1].place(segment, roomy);
        if placed == Placed::Foreign {
            *self = Self::default();
            placed = self.heads[direction & 1].place(segment, roomy);
        }
        if self.closed {
            self.heads[direction & 1].forget_bytes();
        }
        matches!(placed, Placed::New | Placed::Early) && !self.closed
    }

    /// Both directions.
    pub fn heads(&self) -> &[Head; 2] {
        &self.heads
    }

    /// How many packets to ask for, now that a test lacks bytes (`waiting`) or none does: none
    /// while some are on their way, and none after a few requests.
    pub fn request(&mut self, waiting: bool) -> u8 {
        self.waiting = waiting;
        if !waiting || self.coming > 0 || self.requests >= REQUESTS {
            return 0;
        }
        self.requests += 1;
        self.coming = REQUESTED;
        REQUESTED
    }

    /// The same after a segment that brought nothing: what was asked for may be used up by it.
    pub fn request_still(&mut self) -> u8 {
        self.request(self.waiting && !self.closed)
    }

    /// Whether a dialogue with a proxy may be going on.
    pub fn may_be_proxied(&self) -> bool {
        self.dialogues < DIALOGUES
    }

    /// Whether a proxy has consented: both ends begin again.
    pub fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// Goes on behind a dialogue with a proxy: `lens` bytes of direction `client`, and of the
    /// other. `consent` says that the proxy has consented.
    pub fn begin_again(&mut self, client: usize, lens: [usize; 2], consent: bool) {
        self.heads[client & 1].skip(lens[0]);
        self.heads[client & 1 ^ 1].skip(lens[1]);
        self.dialogues += 1;
        self.behind_proxy |= consent;
        self.requests = 0;
    }

    /// No test can be completed any more: keeps only where the streams begin.
    pub fn close(&mut self) {
        self.closed = true;
        self.waiting = false;
        self.heads.iter_mut().for_each(Head::forget_bytes);
    }
}

/// Flows in bounded memory: the longest silent goes first. `F` is what a flow was found to be.
#[derive(Debug)]
pub struct Flows<F> {
    udp: Recent<FlowKey, Exchanges>,
    tcp: Recent<FlowKey, Opening>,
    found: Recent<FlowKey, F>,
    acquainted: Recent<Pair, ()>,
    most: usize,
}

/// Zone, inside host and outside host.
type Pair = (u16, Address, Address);

fn pair(key: &FlowKey) -> Pair {
    (key.zone, key.inside, key.outside)
}

impl<F: Copy> Flows<F> {
    /// Room for `most` flows of each kind, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            udp: Recent::default(),
            tcp: Recent::default(),
            found: Recent::default(),
            acquainted: Recent::default(),
            most: most.max(1),
        }
    }

    /// The recent messages of a UDP flow, remembered from now on.
    pub fn exchanges(&mut self, key: &FlowKey, now: u64) -> &mut Exchanges {
        self.udp.entry_or(key, now, self.most, Exchanges::default)
    }

    /// The openings of a TCP flow, remembered from now on.
    pub fn opening(&mut self, key: &FlowKey, now: u64) -> &mut Opening {
        self.tcp.entry_or(key, now, self.most, Opening::default)
    }

    /// Whether there is memory for the whole of a ClientHello.
    pub fn has_room_for_hellos(&self) -> bool {
        self.tcp.len() < LONG_HEADS
    }

    /// What a TCP flow was found to be.
    pub fn finding(&self, key: &FlowKey) -> Option<F> {
        self.found.get(key).copied()
    }

    /// The same, and that it is still there.
    pub fn seen(&mut self, key: &FlowKey, now: u64) -> Option<F> {
        self.found.touch(key, now).copied()
    }

    /// Remembers what a TCP flow was found to be.
    pub fn found(&mut self, key: &FlowKey, finding: F, now: u64) {
        self.tcp.remove(key);
        *self.found.entry_or(key, now, self.most, || finding) = finding;
        self.acquainted.entry_or(&pair(key), now, self.most, || ());
    }

    /// TCP flows that were found.
    pub fn all_found(&self) -> impl Iterator<Item = (&FlowKey, F)> {
        self.found.iter().map(|(key, finding)| (key, *finding))
    }

    /// Forgets what a TCP flow was found to be, and that its hosts are acquainted.
    pub fn forget(&mut self, key: &FlowKey) {
        self.found.remove(key);
        self.acquainted.remove(&pair(key));
    }

    /// Forgets such flows, and who is acquainted by them; which of them were found.
    pub fn forget_where(&mut self, gone: impl Fn(&FlowKey) -> bool) -> Vec<FlowKey> {
        self.udp.remove_where(&gone);
        self.tcp.remove_where(&gone);
        let found = self.found.remove_where(&gone);
        let ends = |(zone, inside, outside): &Pair| FlowKey {
            zone: *zone,
            inside: *inside,
            outside: *outside,
            ..FlowKey::default()
        };
        self.acquainted.remove_where(|pair| gone(&ends(pair)));
        found
    }

    /// Whether another TCP flow between the two hosts was found lately.
    pub fn acquainted(&self, key: &FlowKey) -> bool {
        self.acquainted.get(&pair(key)).is_some()
    }

    /// Forgets what was silent for too long.
    pub fn expire(&mut self, now: u64) {
        let before = now.saturating_sub(OPEN_LIFE);
        while self.udp.pop_older_than(before).is_some() {}
        while self.tcp.pop_older_than(before).is_some() {}
        let before = now.saturating_sub(FOUND_LIFE);
        while self.found.pop_older_than(before).is_some() {}
        let before = now.saturating_sub(ACQUAINTANCE_LIFE);
        while self.acquainted.pop_older_than(before).is_some() {}
    }
}
