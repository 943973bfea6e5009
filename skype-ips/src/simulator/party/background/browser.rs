//! Somebody who reads pages, in whatever language the pages are fetched.
//!
//! Sizes and times are Barford's and Crovella's (SIGMETRICS 1998): bodies are log-normal with a
//! Pareto tail, a page has Pareto many parts, and is read for a Pareto time.

use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::pace::{log_normal, pareto};
use super::sites::{Found, Sites};
use super::tally::Tally;
use crate::simulator::net::program::{Connection, Datagram, Event, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};

/// Bytes of the longest body: the tail has no end, a test must have one.
pub(super) const LONGEST: f64 = 2e6;
/// The longest time that somebody reads a page.
const LONGEST_READ: f64 = 30.0;
/// Most parts of a page.
const MOST_PARTS: f64 = 20.0;

/// Something to fetch. What it holds is made from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// What its content is made from.
    pub(super) seed: u64,
    /// Its length.
    pub(super) len: usize,
    /// A picture, or a page.
    pub(super) picture: bool,
}

impl Part {
    /// One of some size.
    pub(super) fn some(rng: &mut Rng, picture: bool) -> Self {
        let len = match rng.f64() < 0.93 {
            true => log_normal(rng, 9.357, 1.318),
            false => pareto(rng, 1.1, 133_000.0),
        };
        Self {
            seed: rng.u64(..),
            len: len.clamp(64.0, LONGEST) as usize,
            picture,
        }
    }
}

/// What a client makes of the bytes that it hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has to say this.
    Say(Vec<u8>),
    /// The connection is ready for questions.
    Ready,
    /// The part that was asked for last is here, and unchanged or not.
    Whole(bool),
}

/// The client's end of a connection over which parts are fetched.
pub(super) trait Fetch: Sized {
    /// What the connection is.
    const GROUND: Ground;

    /// A connection to the site of that name, and what the client says first; with nothing to
    /// say it may ask at once.
    fn open(rng: &mut Rng, site: &str) -> (Self, Vec<u8>);

    /// The question for a part.
    fn ask(&mut self, rng: &mut Rng, part: Part) -> Vec<u8>;

    /// Hears some bytes of the stream; `None`: that was not its language.
    fn hear(&mut self, rng: &mut Rng, bytes: &[u8]) -> Option<Vec<Heard>>;

    /// What the client says before it closes.
    fn farewell(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// The page that is being fetched.
#[derive(Debug)]
struct Fetching<F> {
    connection: Connection,
    fetch: F,
    /// What the client says first.
    first: Vec<u8>,
    /// What is still to be asked for, the next last.
    parts: Vec<Part>,
}

impl<F: Fetch> Fetching<F> {
    /// Asks for the next part; `false`: there is none.
    fn ask(&mut self, host: &mut dyn Host) -> bool {
        let Some(part) = self.parts.pop() else {
            return false;
        };
        let question = self.fetch.ask(host.rng(), part);
        host.write(self.connection, &question);
        true
    }

    /// Hears bytes; `false`: the connection is of no more use.
    fn hear(&mut self, host: &mut dyn Host, tally: &mut Tally, bytes: &[u8]) -> bool {
        let Some(heard) = self.fetch.hear(host.rng(), bytes) else {
            return false;
        };
        heard.into_iter().all(|heard| match heard {
            Heard::Say(bytes) => {
                host.write(self.connection, &bytes);
                true
            }
            Heard::Ready => self.ask(host),
            Heard::Whole(unchanged) => {
                tally.done(F::GROUND.what, u64::from(unchanged));
                self.ask(host)
            }
        })
    }
}

/// The reader.
#[derive(Debug)]
pub(super) struct Browser<F> {
    sites: Sites,
    until: Instant,
    page: Option<Fetching<F>>,
    tally: Tally,
}

/// The token of the next page.
const NEXT: u64 = 0;

impl<F: Fetch> Browser<F> {
    /// One who reads these sites.
    pub(super) fn new(sites: Sites) -> Self {
        Self {
            sites,
            until: Duration::ZERO,
            page: None,
            tally: Tally::default(),
        }
    }

    /// Begins a page, if it is time and none is there.
    fn next(&mut self, host: &mut dyn Host) {
        let busy = self.page.is_some() || self.sites.looking();
        if host.now() < self.until && !busy {
            let found = self.sites.look(host, &mut self.tally);
            self.found(host, found);
        }
    }

    fn found(&mut self, host: &mut dyn Host, found: Option<Found>) {
        match found {
            Some(Found::Here(site)) => self.open(host, site),
            Some(Found::Nowhere) => self.leave(host),
            None => {}
        }
    }

    fn open(&mut self, host: &mut dyn Host, site: usize) {
        let rng = host.rng();
        let pictures = pareto(rng, 2.43, 1.0).min(MOST_PARTS) as usize;
        let mut parts: Vec<Part> = (0..pictures).map(|_| Part::some(rng, true)).collect();
        parts.push(Part::some(rng, false));
        self.tally.begun(F::GROUND.what, parts.len() as u64);
        let Site { name, address } = self.sites.site(site);
        let (fetch, first) = F::open(rng, name);
        let connection = host.connect(*address, F::GROUND);
        self.page = Some(Fetching {
            connection,
            fetch,
            first,
            parts,
        });
    }

    /// The page is read, or failed; the next one follows.
    fn leave(&mut self, host: &mut dyn Host) {
        self.page = None;
        let reading = pareto(host.rng(), 1.5, 1.0).min(LONGEST_READ);
        host.timer(Duration::from_secs_f64(reading), NEXT);
    }
}

impl<F: Fetch> Program for Browser<F> {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        let found = self.sites.datagram(&mut self.tally, datagram);
        self.found(host, found);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        let Some(page) = &mut self.page else {
            return;
        };
        if page.connection != connection {
            return;
        }
        let goes_on = match event {
            Event::Connected => {
                let first = std::mem::take(&mut page.first);
                if first.is_empty() {
                    page.ask(host)
                } else {
                    host.write(connection, &first);
                    true
                }
            }
            Event::Received(bytes) => page.hear(host, &mut self.tally, &bytes),
            Event::Accepted { .. } => true,
            Event::Finished | Event::Failed(_) => false,
        };
        if !goes_on {
            let farewell = page.fetch.farewell();
            host.write(connection, &farewell);
            host.close(connection);
            self.leave(host);
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        if token == NEXT {
            self.next(host);
        } else {
            let found = self.sites.timer(host, token);
            self.found(host, found);
        }
    }
}

impl<F: Fetch> Party for Browser<F> {
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
