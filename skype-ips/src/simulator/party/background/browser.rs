//! Somebody who reads pages, in whatever language the pages are fetched.
//!
//! Sizes and times are Barford's and Crovella's (SIGMETRICS 1998): bodies are log-normal with a
//! Pareto tail, a page has Pareto many parts, and is read for a Pareto time.

use std::net::SocketAddrV4;
use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::dns::{LookUp, Stub};
use super::pace::{log_normal, pareto};
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
enum Page<F> {
    /// Its site is looked up.
    LookUp { number: u64, site: usize },
    /// Its parts come over a connection.
    Open(Fetching<F>),
}

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
    sites: Vec<Site>,
    resolver: Option<SocketAddrV4>,
    until: Instant,
    stub: Stub,
    page: Option<Page<F>>,
    tally: Tally,
}

/// The token of the next page; questions for names have numbers from 1.
const NEXT: u64 = 0;

impl<F: Fetch> Browser<F> {
    /// One who reads these sites.
    pub(super) fn new(sites: Vec<Site>, resolver: Option<SocketAddrV4>) -> Self {
        Self {
            sites,
            resolver,
            until: Duration::ZERO,
            stub: Stub::default(),
            page: None,
            tally: Tally::default(),
        }
    }

    /// Begins a page, if it is time and none is there.
    fn next(&mut self, host: &mut dyn Host) {
        if host.now() >= self.until || self.page.is_some() {
            return;
        }
        let site = host.rng().usize(..self.sites.len());
        let Some(resolver) = self.resolver else {
            self.open(host, site);
            return;
        };
        let Site { name, address } = &self.sites[site];
        let expected = Some(*address.ip());
        let number = self
            .stub
            .ask(host, &mut self.tally, resolver, name, expected);
        self.page = Some(Page::LookUp { number, site });
    }

    fn open(&mut self, host: &mut dyn Host, site: usize) {
        let rng = host.rng();
        let pictures = pareto(rng, 2.43, 1.0).min(MOST_PARTS) as usize;
        let mut parts: Vec<Part> = (0..pictures).map(|_| Part::some(rng, true)).collect();
        parts.push(Part::some(rng, false));
        self.tally.begun(F::GROUND.what, parts.len() as u64);
        let (fetch, first) = F::open(rng, &self.sites[site].name);
        let connection = host.connect(self.sites[site].address, F::GROUND);
        self.page = Some(Page::Open(Fetching {
            connection,
            fetch,
            first,
            parts,
        }));
    }

    /// The page is read, or failed; the next one follows.
    fn leave(&mut self, host: &mut dyn Host) {
        self.page = None;
        let reading = pareto(host.rng(), 1.5, 1.0).min(LONGEST_READ);
        host.timer(Duration::from_secs_f64(reading), NEXT);
    }

    fn looked_up(&mut self, host: &mut dyn Host, result: Option<LookUp>) {
        let Some(Page::LookUp { number, site }) = self.page else {
            return;
        };
        match result {
            Some(LookUp::Done(done)) if done == number => self.open(host, site),
            Some(LookUp::Failed(failed)) if failed == number => self.leave(host),
            _ => {}
        }
    }
}

impl<F: Fetch> Program for Browser<F> {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        let result = self.stub.datagram(&mut self.tally, datagram);
        self.looked_up(host, result);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        let Some(Page::Open(page)) = &mut self.page else {
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
            let result = self.stub.timer(host, token);
            self.looked_up(host, result);
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
