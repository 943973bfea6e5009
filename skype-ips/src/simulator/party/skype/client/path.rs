//! How two clients come to reach each other: holes punched by datagrams from both ends, else TCP
//! to a listening port, else a third party that carries.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::ladder::Way;
use crate::simulator::net::program::{Connection, Instant};

/// A way for media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Datagrams to the other end.
    Udp(SocketAddrV4),
    /// A connection with the other end.
    Tcp(Connection),
    /// Datagrams to a relay.
    RelayUdp(SocketAddrV4),
    /// A connection with the relay that listens there.
    RelayTcp(SocketAddrV4, Connection),
}

impl Path {
    /// What the figures call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Udp(_) => "udp",
            Self::Tcp(_) => "tcp",
            Self::RelayUdp(_) => "relay-udp",
            Self::RelayTcp(..) => "relay-tcp",
        }
    }

    /// The relay, if one carries.
    pub(super) const fn relay(self) -> Option<SocketAddrV4> {
        match self {
            Self::RelayUdp(relay) | Self::RelayTcp(relay, _) => Some(relay),
            Self::Udp(_) | Self::Tcp(_) => None,
        }
    }

    /// The connection, if it is one.
    pub(super) const fn connection(self) -> Option<Connection> {
        match self {
            Self::Tcp(connection) | Self::RelayTcp(_, connection) => Some(connection),
            Self::Udp(_) | Self::RelayUdp(_) => None,
        }
    }
}

/// What is to be done to find a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send a datagram there that opens the way.
    Punch(SocketAddrV4),
    /// Connect to the other end's listening port.
    Connect(SocketAddrV4),
    /// Ask the super node for relays.
    AskForRelays,
    /// Join at a relay by datagram.
    Join(SocketAddrV4),
    /// Connect to a relay, and join there.
    JoinOver(SocketAddrV4, Way),
    /// Ask at a relay where this end waits whether the other has come.
    JoinAgain(Path),
}

/// When holes are punched. The first may get lost at the other end's translator, which knows
/// nobody yet; both ends are told within about a second.
const PUNCHES: [u64; 6] = [0, 500, 1000, 2000, 3000, 5000];
/// When the other end's listening port is tried, if datagrams work and if they don't.
const CONNECT_AFTER: [Duration; 2] = [Duration::from_millis(4000), Duration::from_millis(500)];
/// When a relay is asked for. The end that was invited waits for the other to do it.
const RELAY_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(12)];
/// Between two questions for relays.
const ASK_PAUSE: Duration = Duration::from_secs(4);
/// How long one way of joining a relay is tried.
const JOIN_PATIENCE: Duration = Duration::from_secs(4);
/// How long the other end is waited for at a relay before the next one is joined too.
const MEETING_PATIENCE: Duration = Duration::from_secs(8);
/// Between two looks whether it has come.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long it is all worth the trouble.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

const RELAY_WAYS: [Way; 4] = [Way::Udp, Way::Tcp, Way::Tcp443, Way::Tcp80];

/// A relay of which this end waits for the other.
#[derive(Clone, Copy, Debug)]
struct Meeting {
    path: Path,
    look: Instant,
}

/// The search for a path.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    since: Instant,
    /// Whether this end may use datagrams, and whether any came lately.
    udp: bool,
    udp_works: bool,
    candidates: Vec<SocketAddrV4>,
    punches: usize,
    connect_at: Option<Instant>,
    ask_at: Instant,
    relays: Vec<SocketAddrV4>,
    /// Which relay is tried in which way next, and when.
    next_relay: usize,
    next_way: usize,
    join_at: Option<Instant>,
    meetings: Vec<Meeting>,
}

impl Finder {
    /// Begins. `leads`: whether this end has invited; `udp`: whether it may use datagrams, and
    /// whether any came lately.
    pub(super) fn new(
        now: Instant,
        leads: bool,
        udp: (bool, bool),
        candidates: Vec<SocketAddrV4>,
    ) -> Self {
        let udp_works = udp.0 && udp.1;
        Self {
            since: now,
            udp: udp.0,
            udp_works,
            candidates,
            punches: if udp.0 { 0 } else { PUNCHES.len() },
            connect_at: Some(now + CONNECT_AFTER[usize::from(!udp_works)]),
            ask_at: now + RELAY_AFTER[usize::from(!leads)],
            relays: Vec::new(),
            next_relay: 0,
            next_way: 0,
            join_at: None,
            meetings: Vec::new(),
        }
    }

    /// The other end has named more addresses: they are tried from now on.
    pub(super) fn add_candidates(&mut self, now: Instant, candidates: &[SocketAddrV4]) {
        let mut news = false;
        for candidate in candidates {
            if !self.candidates.contains(candidate) {
                self.candidates.push(*candidate);
                news = true;
            }
        }
        if news && self.udp {
            self.since = now;
            self.punches = 0;
        }
    }

    /// These relays are to be tried, in this order.
    pub(super) fn meet_at(&mut self, now: Instant, relays: &[SocketAddrV4]) {
        for relay in relays {
            if !self.relays.contains(relay) {
                self.relays.push(*relay);
            }
        }
        if self.join_at.is_none() && self.next_relay < self.relays.len() {
            self.join_at = Some(now);
        }
    }

    /// A relay has let this end join, and the other end has not.
    pub(super) fn waits_at(&mut self, now: Instant, path: Path) {
        let look = now + LOOK_PAUSE;
        match self
            .meetings
            .iter_mut()
            .find(|meeting| meeting.path == path)
        {
            Some(meeting) => meeting.look = look,
            None => {
                self.meetings.push(Meeting { path, look });
                self.next_relay = match path.relay() {
                    Some(relay) => {
                        let place = self.relays.iter().position(|known| *known == relay);
                        self.next_relay.max(place.map_or(0, |place| place + 1))
                    }
                    None => self.next_relay,
                };
                self.next_way = 0;
                self.join_at = Some(now + MEETING_PATIENCE);
            }
        }
    }

    /// A relay does not carry, or its connection is gone.
    pub(super) fn leave(&mut self, path: Path) {
        self.meetings.retain(|meeting| meeting.path != path);
    }

    /// Whether that is one of the relays that were named.
    pub(super) fn is_relay(&self, address: SocketAddrV4) -> bool {
        self.relays.contains(&address)
    }

    /// Where this end waits.
    pub(super) fn meetings(&self) -> impl Iterator<Item = Path> {
        self.meetings.iter().map(|meeting| meeting.path)
    }

    /// Whether the search has taken too long.
    pub(super) fn given_up(&self, now: Instant) -> bool {
        now >= self.since + PATIENCE
    }

    /// What is due.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.next_punch().is_some_and(|at| at <= now) {
            self.punches += 1;
            actions.extend(self.candidates.iter().copied().map(Action::Punch));
        }
        if self.connect_at.is_some_and(|at| at <= now) {
            self.connect_at = None;
            actions.extend(self.candidates.iter().copied().map(Action::Connect));
        }
        if self.ask_at <= now && self.next_relay >= self.relays.len() {
            self.ask_at = now + ASK_PAUSE;
            actions.push(Action::AskForRelays);
        }
        if self.join_at.is_some_and(|at| at <= now) {
            self.join_at = self.join(now, &mut actions);
        }
        for meeting in &mut self.meetings {
            if meeting.look <= now {
                meeting.look = now + LOOK_PAUSE;
                actions.push(Action::JoinAgain(meeting.path));
            }
        }
        actions
    }

    /// Tries the next way to the next relay.
    fn join(&mut self, now: Instant, actions: &mut Vec<Action>) -> Option<Instant> {
        let relay = *self.relays.get(self.next_relay)?;
        if self.next_way == 0 && !self.udp_works {
            self.next_way = 1;
        }
        let way = RELAY_WAYS[self.next_way];
        actions.push(match way {
            Way::Udp => Action::Join(relay),
            way => Action::JoinOver(relay, way),
        });
        self.next_way += 1;
        if self.next_way == RELAY_WAYS.len() {
            self.next_way = 0;
            self.next_relay += 1;
        }
        Some(now + JOIN_PATIENCE)
    }

    fn next_punch(&self) -> Option<Instant> {
        let after = *PUNCHES.get(self.punches)?;
        Some(self.since + Duration::from_millis(after))
    }

    /// When [`Finder::poll`] is to be called next.
    pub(super) fn wake(&self) -> Instant {
        let ask = (self.next_relay >= self.relays.len()).then_some(self.ask_at);
        let looks = self.meetings.iter().map(|meeting| meeting.look);
        [self.next_punch(), self.connect_at, ask, self.join_at]
            .into_iter()
            .flatten()
            .chain(looks)
            .fold(self.since + PATIENCE, Instant::min)
    }
}

/// Those of the other end's addresses that are worth trying: private ones only if nothing lies
/// between the two but routers, or both are behind the same translator.
pub(super) fn worth_trying(candidates: &[SocketAddrV4], own: &[SocketAddrV4]) -> Vec<SocketAddrV4> {
    let public = |candidate: &SocketAddrV4| !candidate.ip().is_private();
    let same_translator = candidates
        .iter()
        .filter(|candidate| public(candidate))
        .any(|candidate| own.iter().any(|own| own.ip() == candidate.ip()));
    let all = same_translator || !candidates.iter().any(public);
    let worth = candidates.iter().filter(|candidate| {
        (all || public(candidate)) && !own.contains(candidate) && candidate.port() != 0
    });
    let mut worth: Vec<_> = worth.copied().collect();
    worth.dedup();
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> SocketAddrV4 {
        text.parse().expect("an address and port")
    }

    /// What a search does that nobody answers, with the second in which it does it.
    fn alone(finder: &mut Finder, until: u64) -> Vec<(u64, Action)> {
        let mut done = Vec::new();
        while finder.wake() < Duration::from_secs(until) {
            let now = finder.wake();
            if finder.given_up(now) {
                break;
            }
            done.extend(finder.poll(now).into_iter().map(|act| (now.as_secs(), act)));
        }
        done
    }

    #[test]
    fn holes_first_then_tcp_then_relays() {
        let peer = end("192.0.2.7:4000");
        let mut finder = Finder::new(Duration::ZERO, true, (true, true), vec![peer]);
        let done = alone(&mut finder, 6);
        let mut expected: Vec<_> = [0, 0, 1, 2, 3].map(|at| (at, Action::Punch(peer))).into();
        expected.push((4, Action::Connect(peer)));
        expected.extend([(5, Action::Punch(peer)), (5, Action::AskForRelays)]);
        assert_eq!(done, expected);
    }

    #[test]
    fn without_datagrams_tcp_comes_at_once_and_relays_are_joined_over_tcp() {
        let (peer, relay) = (end("192.0.2.7:4000"), end("192.0.2.9:5000"));
        let mut finder = Finder::new(Duration::ZERO, false, (false, false), vec![peer]);
        assert_eq!(alone(&mut finder, 2), [(0, Action::Connect(peer))]);
        finder.meet_at(Duration::from_secs(2), &[relay]);
        let ways = [Way::Tcp, Way::Tcp443, Way::Tcp80];
        let joins = (0..).zip(ways).map(|(index, way)| {
            let action = Action::JoinOver(relay, way);
            (2 + 4 * index, action)
        });
        assert_eq!(alone(&mut finder, 12), joins.collect::<Vec<_>>());
    }

    #[test]
    fn where_it_has_joined_it_waits_and_later_joins_the_next_too() {
        let relays = [end("192.0.2.9:5000"), end("192.0.2.10:5000")];
        let second = Duration::from_secs(1);
        let mut finder = Finder::new(Duration::ZERO, true, (true, true), Vec::new());
        finder.meet_at(second, &relays);
        finder.poll(second);
        let path = Path::RelayUdp(relays[0]);
        finder.waits_at(second, path);
        let done = alone(&mut finder, 10);
        let again = done.iter().filter(|act| act.1 == Action::JoinAgain(path));
        assert_eq!(again.count(), 8);
        assert!(done.contains(&(9, Action::Join(relays[1]))));
        assert!(!done.contains(&(9, Action::JoinOver(relays[0], Way::Tcp))));
    }

    #[test]
    fn it_gives_up() {
        let mut finder = Finder::new(Duration::ZERO, true, (true, true), Vec::new());
        let asked = alone(&mut finder, 1000).len();
        assert_eq!(asked, 10);
        assert!(finder.given_up(PATIENCE));
    }

    #[test]
    fn private_addresses_are_tried_behind_the_same_translator_only() {
        let (public, private) = (end("192.0.2.7:4000"), end("10.1.0.2:4000"));
        let stranger = [end("10.2.0.2:1"), end("198.51.100.1:1")];
        assert_eq!(worth_trying(&[private, public], &stranger), [public]);
        let neighbour = [end("10.2.0.2:1"), end("192.0.2.7:1")];
        assert_eq!(
            worth_trying(&[private, public], &neighbour),
            [private, public]
        );
        assert_eq!(worth_trying(&[private], &stranger), [private]);
    }
}
