//! Conversations over datagrams: each is a small machine that hears, acts when it is time, and
//! leaves what it sends in a basket.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::pace::pause;
use super::sites::{Found, LOOK_UPS, Sites};
use super::tally::Tally;
use crate::simulator::net::program::{Datagram, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};

/// What a conversation needs while it hears or acts.
pub(super) struct Around<'a> {
    /// Now.
    pub(super) now: Instant,
    /// Who is at the other end, as seen here.
    pub(super) peer: SocketAddrV4,
    /// Random numbers.
    pub(super) rng: &'a mut Rng,
    /// The account.
    pub(super) tally: &'a mut Tally,
    /// What goes to the other end, in order.
    pub(super) out: Vec<Vec<u8>>,
}

/// One end of a conversation.
pub(super) trait Talk: Sized {
    /// What the conversation is.
    const GROUND: Ground;

    /// Hears a datagram.
    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]);

    /// It is [`Talk::due`], or this end has just opened the conversation.
    fn act(&mut self, around: &mut Around<'_>);

    /// When it wants to act next, whatever it hears; `None`: the conversation is over.
    fn due(&self) -> Option<Instant>;
}

/// A conversation that this end opens.
pub(super) trait Open: Talk {
    /// What it has to know beside the site.
    type Known: std::fmt::Debug;

    /// One with that site, which is to end about `until`.
    fn open(known: &Self::Known, now: Instant, until: Instant, rng: &mut Rng, site: &Site) -> Self;

    /// Mean seconds from the end of one to the beginning of the next.
    const PAUSE: f64;
}

/// A conversation that the other end opens.
pub(super) trait Accept: Talk {
    /// One that begins with this datagram, which is heard after that; `None`: it begins none.
    fn accept(now: Instant, rng: &mut Rng, bytes: &[u8]) -> Option<Self>;
}

/// A conversation and where it takes place.
#[derive(Debug)]
struct Place<T> {
    port: u16,
    peer: SocketAddrV4,
    talk: T,
    /// When its next timer runs out. Those before it that were overtaken are ignored.
    armed: Option<Instant>,
}

/// The conversations of a program, by number. A number is the token of their timers.
#[derive(Debug)]
pub(super) struct Talks<T> {
    last: u64,
    places: BTreeMap<u64, Place<T>>,
    numbers: BTreeMap<(u16, SocketAddrV4), u64>,
}

impl<T> Default for Talks<T> {
    fn default() -> Self {
        Self {
            last: 0,
            places: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }
}

impl<T: Talk> Talks<T> {
    /// Whether none goes on.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many go on.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether one goes on there.
    pub(super) fn has(&self, port: u16, peer: SocketAddrV4) -> bool {
        self.numbers.contains_key(&(port, peer))
    }

    /// Begins one from this port, and lets it act.
    pub(super) fn open(
        &mut self,
        host: &mut dyn Host,
        tally: &mut Tally,
        (port, peer): (u16, SocketAddrV4),
        talk: T,
    ) {
        let number = self.add(port, peer, talk);
        self.with(host, tally, number, Talk::act);
    }

    fn add(&mut self, port: u16, peer: SocketAddrV4, talk: T) -> u64 {
        self.last += 1;
        let armed = None;
        self.numbers.insert((port, peer), self.last);
        let place = Place {
            port,
            peer,
            talk,
            armed,
        };
        self.places.insert(self.last, place);
        self.last
    }

    fn with(
        &mut self,
        host: &mut dyn Host,
        tally: &mut Tally,
        number: u64,
        does: impl FnOnce(&mut T, &mut Around<'_>),
    ) {
        let Some(place) = self.places.get_mut(&number) else {
            return;
        };
        let mut around = Around {
            now: host.now(),
            peer: place.peer,
            rng: host.rng(),
            tally,
            out: Vec::new(),
        };
        does(&mut place.talk, &mut around);
        let Around { now, out, .. } = around;
        for bytes in out {
            host.send(place.port, place.peer, &bytes, Some(T::GROUND));
        }
        match place.talk.due() {
            Some(due) if place.armed.is_none_or(|armed| due < armed) => {
                place.armed = Some(due);
                host.timer(due.saturating_sub(now), number);
            }
            Some(_) => {}
            None => {
                self.numbers.remove(&(place.port, place.peer));
                self.places.remove(&number);
            }
        }
    }

    /// A datagram has come; `false`: no conversation goes on there.
    pub(super) fn datagram(
        &mut self,
        host: &mut dyn Host,
        tally: &mut Tally,
        datagram: Datagram<'_>,
    ) -> bool {
        let Some(&number) = self.numbers.get(&(datagram.port, datagram.from)) else {
            return false;
        };
        self.with(host, tally, number, |talk, around| {
            talk.hear(around, datagram.payload);
        });
        true
    }

    /// A timer has run out.
    pub(super) fn timer(&mut self, host: &mut dyn Host, tally: &mut Tally, number: u64) {
        let Some(place) = self.places.get_mut(&number) else {
            return;
        };
        if place.armed.is_some_and(|armed| armed > host.now()) {
            return;
        }
        place.armed = None;
        let due = place.talk.due();
        if due.is_some_and(|due| due > host.now()) {
            // It has put off what it wanted.
            self.with(host, tally, number, |_, _| {});
        } else {
            self.with(host, tally, number, Talk::act);
        }
    }
}

impl<T: Accept> Talks<T> {
    /// A datagram has come, which may begin a conversation.
    pub(super) fn accept(
        &mut self,
        host: &mut dyn Host,
        tally: &mut Tally,
        datagram: Datagram<'_>,
    ) {
        if !self.has(datagram.port, datagram.from) {
            let now = host.now();
            let Some(talk) = T::accept(now, host.rng(), datagram.payload) else {
                return;
            };
            self.add(datagram.port, datagram.from, talk);
        }
        self.datagram(host, tally, datagram);
    }
}

/// A server that does nothing but converse by datagrams.
#[derive(Debug)]
pub(super) struct DatagramServer<T> {
    port: u16,
    talks: Talks<T>,
    tally: Tally,
}

impl<T: Accept> DatagramServer<T> {
    /// One on this port.
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            talks: Talks::default(),
            tally: Tally::default(),
        }
    }
}

impl<T: Accept> Program for DatagramServer<T> {
    fn start(&mut self, host: &mut dyn Host) {
        host.bind(self.port, T::GROUND);
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        self.talks.accept(host, &mut self.tally, datagram);
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        self.talks.timer(host, &mut self.tally, token);
    }
}

impl<T: Accept> Party for DatagramServer<T> {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}

/// A client that has one conversation after the other, each from a port of its own.
#[derive(Debug)]
pub(super) struct DatagramClient<T: Open> {
    sites: Sites,
    known: T::Known,
    until: Instant,
    talks: Talks<T>,
    /// Whether the next one is waited for.
    paused: bool,
    tally: Tally,
}

/// The token of the next conversation; theirs are numbers from 1.
const NEXT: u64 = 0;

impl<T: Open> DatagramClient<T> {
    /// One of these sites.
    pub(super) fn new(sites: Sites, known: T::Known) -> Self {
        Self {
            sites,
            known,
            until: Duration::ZERO,
            talks: Talks::default(),
            paused: false,
            tally: Tally::default(),
        }
    }

    fn idle(&self) -> bool {
        self.talks.is_empty() && !self.sites.looking() && !self.paused
    }

    fn next(&mut self, host: &mut dyn Host) {
        if self.idle() && host.now() < self.until {
            let found = self.sites.look(host, &mut self.tally);
            self.found(host, found);
        }
    }

    fn found(&mut self, host: &mut dyn Host, found: Option<Found>) {
        if let Some(Found::Here(site)) = found
            && let Some(port) = host.bind(0, T::GROUND)
        {
            let site = self.sites.site(site);
            let talk = T::open(&self.known, host.now(), self.until, host.rng(), site);
            let way = (port, site.address);
            self.talks.open(host, &mut self.tally, way, talk);
        } else if found.is_some() {
            self.pause(host);
        }
    }

    /// Waits for the next conversation, if none goes on.
    fn pause(&mut self, host: &mut dyn Host) {
        if self.idle() {
            self.paused = true;
            let time = pause(host.rng(), T::PAUSE);
            host.timer(time, NEXT);
        }
    }
}

impl<T: Open> Program for DatagramClient<T> {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        if self.talks.datagram(host, &mut self.tally, datagram) {
            self.pause(host);
        } else {
            let found = self.sites.datagram(&mut self.tally, datagram);
            self.found(host, found);
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        if token == NEXT {
            self.paused = false;
            self.next(host);
        } else if token > LOOK_UPS {
            let found = self.sites.timer(host, token);
            self.found(host, found);
        } else {
            self.talks.timer(host, &mut self.tally, token);
            self.pause(host);
        }
    }
}

impl<T: Open> Party for DatagramClient<T> {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        if let Order::Run { lasting } = *order {
            self.until = host.now() + lasting;
            self.next(host);
        }
    }

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}
