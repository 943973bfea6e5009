//! Looking up names (RFC 1035): a resolver, and those who ask it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::UNKNOWN_NAME;
use super::pace::pause;
use super::sites::Sites;
use super::tally::Tally;
use crate::simulator::net::program::{Datagram, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};
use crate::simulator::speech::dns;

/// What these conversations are.
pub(super) const DNS: Ground = Ground::other("DNS");
/// How long a stub resolver waits before it asks again, and how often it asks (glibc's defaults
/// are 5 s and 2; one more, for links here lose packets on purpose).
const PATIENCE: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
/// Bytes of a message's head, and of what follows a question's name.
const HEAD: usize = 12;
const TAIL: usize = 4;

/// The name that a question asks for.
fn asked(query: &[u8]) -> Option<String> {
    let mut labels = Vec::new();
    let mut rest = query.get(HEAD..)?;
    loop {
        let (&len, behind) = rest.split_first()?;
        if len == 0 {
            return (behind.len() == TAIL).then(|| labels.join("."));
        }
        let label = behind.get(..usize::from(len))?;
        labels.push(String::from_utf8(label.to_vec()).ok()?);
        rest = &behind[usize::from(len)..];
    }
}

/// A resolver.
#[derive(Debug)]
pub(super) struct Resolver {
    names: Vec<(String, Ipv4Addr)>,
    tally: Tally,
}

impl Resolver {
    /// One that knows these names.
    pub(super) fn new(mut names: Vec<(String, Ipv4Addr)>) -> Self {
        names.sort();
        Self {
            names,
            tally: Tally::default(),
        }
    }
}

impl Program for Resolver {
    fn start(&mut self, host: &mut dyn Host) {
        host.bind(53, DNS);
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        let query = datagram.payload;
        let Some(name) = asked(query) else {
            return;
        };
        let id = u16::from_be_bytes([query[0], query[1]]);
        self.tally.arrived(DNS.what, query == dns::query(id, &name));
        let known = self.names.binary_search_by(|(known, _)| known.cmp(&name));
        let address = known.map_or(UNKNOWN_NAME, |place| self.names[place].1);
        let answer = dns::response(id, &name, address);
        host.send(datagram.port, datagram.from, &answer, None);
    }
}

impl Party for Resolver {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}

/// A question that waits for its answer.
#[derive(Clone, Debug)]
struct Question {
    number: u64,
    port: u16,
    id: u16,
    resolver: SocketAddrV4,
    name: String,
    /// What the answer must say; `None`: anything.
    expected: Option<Ipv4Addr>,
    left: u32,
}

/// What became of a question, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookUp {
    /// The answer is as expected.
    Done(u64),
    /// There was none, or a wrong one.
    Failed(u64),
}

/// The stub resolver of a program. The tokens of its timers are its questions' numbers.
#[derive(Debug, Default)]
pub(super) struct Stub {
    last: u64,
    waiting: Vec<Question>,
}

impl Stub {
    /// One whose questions have numbers above this.
    pub(super) fn numbered_from(last: u64) -> Self {
        Self {
            last,
            waiting: Vec::new(),
        }
    }

    /// Asks for a name, from a port of its own (RFC 5452), and returns the question's number.
    pub(super) fn ask(
        &mut self,
        host: &mut dyn Host,
        tally: &mut Tally,
        resolver: SocketAddrV4,
        name: &str,
        expected: Option<Ipv4Addr>,
    ) -> u64 {
        self.last += 1;
        tally.begun(DNS.what, 1);
        // Without a free port the question is lost, and its timer says so.
        let port = host.bind(0, DNS).unwrap_or(0);
        let question = Question {
            number: self.last,
            port,
            id: host.rng().u16(..),
            resolver,
            name: name.to_owned(),
            expected,
            left: TRIES,
        };
        self.waiting.push(question);
        self.timer(host, self.last);
        self.last
    }

    /// A timer has run out: asks again, or gives up.
    pub(super) fn timer(&mut self, host: &mut dyn Host, number: u64) -> Option<LookUp> {
        let place = self.waiting.iter().position(|one| one.number == number)?;
        let question = &mut self.waiting[place];
        if question.left == 0 {
            self.waiting.swap_remove(place);
            return Some(LookUp::Failed(number));
        }
        question.left -= 1;
        let query = dns::query(question.id, &question.name);
        host.send(question.port, question.resolver, &query, Some(DNS));
        host.timer(PATIENCE, number);
        None
    }

    /// A datagram has come, to a port that may be one of its own.
    pub(super) fn datagram(&mut self, tally: &mut Tally, datagram: Datagram<'_>) -> Option<LookUp> {
        let answer = datagram.payload;
        let place = self.waiting.iter().position(|one| {
            one.port == datagram.port
                && one.resolver == datagram.from
                && answer.starts_with(&one.id.to_be_bytes())
        })?;
        let question = self.waiting.swap_remove(place);
        let said = answer.last_chunk().map(|octets| Ipv4Addr::from(*octets))?;
        let whole = answer == dns::response(question.id, &question.name, said)
            && question.expected.is_none_or(|expected| expected == said);
        tally.done(DNS.what, u64::from(whole));
        Some(match whole {
            true => LookUp::Done(question.number),
            false => LookUp::Failed(question.number),
        })
    }
}

/// A program that looks up one name after the other.
#[derive(Debug)]
pub(super) struct Asker {
    resolvers: Sites,
    until: Instant,
    stub: Stub,
    tally: Tally,
}

/// The token of the next round; questions have numbers from 1.
const NEXT: u64 = 0;

impl Asker {
    /// One that asks these.
    pub(super) fn new(resolvers: Sites) -> Self {
        Self {
            resolvers,
            until: Duration::ZERO,
            stub: Stub::default(),
            tally: Tally::default(),
        }
    }
}

impl Program for Asker {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, _host: &mut dyn Host, datagram: Datagram<'_>) {
        self.stub.datagram(&mut self.tally, datagram);
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        if token != NEXT {
            self.stub.timer(host, token);
            return;
        }
        if host.now() >= self.until {
            return;
        }
        // A page needs names in bursts; 20 on the average page (HTTP Archive).
        for _ in 0..host.rng().u32(1..=8) {
            let first = ["www", "cdn", "api", "mail", "img", "static"];
            let last = ["example.com", "example.net", "example.org"];
            let (rng, resolvers) = (host.rng(), self.resolvers.all());
            let name = format!(
                "{}{}.{}",
                first[rng.usize(..first.len())],
                rng.u32(1..200),
                last[rng.usize(..last.len())]
            );
            let resolver = resolvers[rng.usize(..resolvers.len())].address;
            self.stub.ask(host, &mut self.tally, resolver, &name, None);
        }
        let after = pause(host.rng(), 4.0);
        host.timer(after, NEXT);
    }
}

impl Party for Asker {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        if let Order::Run { lasting } = *order {
            self.until = host.now() + lasting;
            self.timer(host, NEXT);
        }
    }

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}
