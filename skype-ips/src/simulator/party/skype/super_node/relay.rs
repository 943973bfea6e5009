//! What a relay carries: sessions of two legs each, datagrams or connections.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use super::super::endpoint::MEDIA_HEAD;
use super::super::message::What;
use crate::simulator::net::program::{Connection, Instant, Matter};

/// A session without media for so long is over.
const IDLE: Duration = Duration::from_secs(60);
/// Seconds of a session's rate that may be carried at a stretch.
const BURST: f64 = 2.0;
/// What counts beside the media: headers of IPv4, UDP and the datagram's own.
const HEADERS: usize = 28 + MEDIA_HEAD;

/// Bytes a second that a relay carries of a session, both ways and with all headers (Kho 2008; the
/// admin guides).
const fn cap(what: What) -> f64 {
    match what {
        What::Voice => 4_000.0,
        What::Video => 10_000.0,
        What::File | What::Chat => 3_000.0,
    }
}

/// The way to one end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// Datagrams.
    Udp(SocketAddrV4),
    /// A connection.
    Tcp(Connection),
}

#[derive(Clone, Debug)]
struct Carried {
    what: What,
    /// Users and the ways to them: two at most.
    legs: Vec<(u32, Leg)>,
    /// Bytes that may pass, at most [`BURST`] seconds' worth, as of `heard`.
    allowance: f64,
    heard: Instant,
    used: bool,
}

/// All sessions of a relay.
#[derive(Clone, Debug, Default)]
pub(super) struct Relay {
    sessions: BTreeMap<u32, Carried>,
    /// Sessions of which anything was carried.
    pub(super) carried: u64,
    /// Bytes that were carried, as packets have them.
    pub(super) bytes: u64,
}

impl Relay {
    /// A user comes to a session. `None`: two others have it; else whether both are there.
    pub(super) fn join(
        &mut self,
        now: Instant,
        session: u32,
        what: What,
        user: u32,
        leg: Leg,
    ) -> Option<bool> {
        let carried = self.sessions.entry(session).or_insert_with(|| Carried {
            what,
            legs: Vec::new(),
            allowance: BURST * cap(what),
            heard: now,
            used: false,
        });
        carried.refill(now);
        let legs = &mut carried.legs;
        match legs.iter().position(|(known, _)| *known == user) {
            Some(index) => legs[index].1 = leg,
            None if legs.len() == 2 => return None,
            None => legs.push((user, leg)),
        }
        Some(carried.legs.len() == 2)
    }

    /// Media have come over a leg: where they go on, if they may.
    pub(super) fn carry(
        &mut self,
        now: Instant,
        session: u32,
        from: Leg,
        len: usize,
    ) -> Option<Leg> {
        let carried = self.sessions.get_mut(&session)?;
        carried.refill(now);
        let [(_, one), (_, two)] = carried.legs[..] else {
            return None;
        };
        let to = match from {
            from if from == one => two,
            from if from == two => one,
            _ => return None,
        };
        let bytes = len + HEADERS;
        if carried.allowance < bytes as f64 {
            return None;
        }
        carried.allowance -= bytes as f64;
        self.bytes += bytes as u64;
        self.carried += u64::from(!carried.used);
        carried.used = true;
        Some(to)
    }

    /// What goes over a leg on which something was carried.
    pub(super) fn matter(&self, session: u32) -> Option<Matter> {
        let carried = self.sessions.get(&session).filter(|one| one.used)?;
        Some(carried.what.into())
    }

    /// The other leg of a session, if there is one.
    pub(super) fn other(&self, session: u32, leg: Leg) -> Option<Leg> {
        let carried = self.sessions.get(&session)?;
        let mut legs = carried.legs.iter().map(|(_, leg)| *leg);
        legs.find(|other| *other != leg)
    }

    /// One end says that the session is over.
    pub(super) fn leave(&mut self, session: u32, leg: Leg) {
        let of = |carried: &Carried| carried.legs.iter().any(|(_, known)| *known == leg);
        if self.sessions.get(&session).is_some_and(of) {
            self.sessions.remove(&session);
        }
    }

    /// A connection is gone: its end may come another way.
    pub(super) fn gone(&mut self, connection: Connection) {
        for carried in self.sessions.values_mut() {
            let is = |leg: &(u32, Leg)| leg.1 == Leg::Tcp(connection);
            carried.legs.retain(|leg| !is(leg));
        }
        self.sessions.retain(|_, carried| !carried.legs.is_empty());
    }

    /// Forgets what is over without a word.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.sessions
            .retain(|_, carried| now < carried.heard + IDLE);
    }
}

impl Carried {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_sub(self.heard).as_secs_f64();
        let rate = cap(self.what);
        self.allowance = (self.allowance + passed * rate).min(BURST * rate);
        self.heard = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Leg = Leg::Tcp(Connection(1));
    const B: Leg = Leg::Udp(SocketAddrV4::new(
        std::net::Ipv4Addr::new(203, 0, 113, 1),
        4000,
    ));
    const START: Instant = Duration::ZERO;

    fn pair(what: What) -> Relay {
        let mut relay = Relay::default();
        assert_eq!(relay.join(START, 7, what, 1, A), Some(false));
        assert_eq!(relay.join(START, 7, what, 2, B), Some(true));
        relay
    }

    #[test]
    fn media_go_from_leg_to_leg_and_nowhere_else() {
        let mut relay = pair(What::Voice);
        assert_eq!(relay.carry(START, 7, A, 100), Some(B));
        assert_eq!(relay.carry(START, 7, B, 50), Some(A));
        assert_eq!(relay.carry(START, 8, A, 100), None, "no such session");
        let stranger = Leg::Tcp(Connection(9));
        assert_eq!(relay.carry(START, 7, stranger, 100), None);
        assert_eq!(relay.join(START, 7, What::Voice, 3, stranger), None);
        assert_eq!((relay.carried, relay.bytes), (1, 150 + 2 * HEADERS as u64));
    }

    #[test]
    fn an_end_that_comes_another_way_is_no_third() {
        let mut relay = pair(What::Voice);
        let other = Leg::Tcp(Connection(2));
        assert_eq!(relay.join(START, 7, What::Voice, 2, other), Some(true));
        assert_eq!(relay.carry(START, 7, A, 100), Some(other));
        assert_eq!(relay.other(7, A), Some(other));
    }

    #[test]
    fn no_more_is_carried_than_the_documented_caps() {
        for (what, cap) in [
            (What::Voice, 4_000),
            (What::Video, 10_000),
            (What::File, 3_000),
        ] {
            let mut relay = pair(what);
            let step = Duration::from_millis(5);
            let mut bytes = 0;
            // Far too much both ways for a minute.
            for count in 0..60 * 200 {
                for from in [A, B] {
                    let to = relay.carry(step * count, 7, from, 200);
                    bytes += to.map_or(0, |_| 200 + HEADERS as u64);
                }
            }
            let most = (60 + 2) * cap;
            assert!((59 * cap..=most).contains(&bytes), "{what:?}: {bytes}");
        }
    }

    #[test]
    fn a_session_ends_by_a_word_or_by_silence() {
        let mut relay = pair(What::File);
        relay.leave(7, Leg::Tcp(Connection(9)));
        assert_eq!(relay.carry(START, 7, A, 1), Some(B), "a stranger's word");
        relay.leave(7, A);
        assert_eq!(relay.carry(START, 7, B, 1), None);
        let mut relay = pair(What::File);
        relay.gone(Connection(1));
        assert_eq!(relay.carry(START, 7, B, 1), None);
        assert_eq!(relay.join(START, 7, What::File, 1, A), Some(true));
        relay.tidy(IDLE);
        assert_eq!(relay.join(IDLE, 7, What::File, 1, A), Some(false));
    }
}
