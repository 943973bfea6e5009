//! One program's datagrams: everything leaves from its one listening port and comes to it.

mod names;
mod parts;
mod said;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::super::Generation;
use super::cipher::{self, Envelope, checksum};
use super::message::Message;
use crate::simulator::net::program::{Datagram, Ground, Host};
use crate::simulator::speech::Process;
use crate::simulator::speech::udp::{self, FRAGMENT_HEAD, FRAGMENT_LEN, Noise, Parsed, Part};
use names::Names;
use parts::Parts;
use said::{Reply, Said};

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request(pub u64);

/// What has come, or has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message that is no answer to a request of ours, or comes after it was given up, or from
    /// elsewhere. Repetitions of it are not told: if it was answered or acknowledged, they get the
    /// same again.
    Message {
        /// Who sent it.
        from: SocketAddrV4,
        /// Its ID: [`Endpoint::answer`] and [`Endpoint::acknowledge`] want it back.
        id: u16,
        /// It.
        message: Message,
    },
    /// The answer to a request, in one datagram or in fragments.
    Answer {
        /// Which request.
        request: Request,
        /// Who answered.
        from: SocketAddrV4,
        /// The answer.
        message: Message,
    },
    /// A request has been acknowledged (type 5). No answer follows.
    Acknowledged {
        /// Which request.
        request: Request,
        /// Who acknowledged.
        from: SocketAddrV4,
    },
    /// A request was not answered in time, however often it was sent.
    GivenUp {
        /// Which request.
        request: Request,
        /// Whom it was sent to.
        to: SocketAddrV4,
    },
    /// Somebody has told this program's own public address, and it is new.
    Named {
        /// The address.
        address: Ipv4Addr,
        /// Who told it.
        by: SocketAddrV4,
    },
    /// Media (type d).
    Media {
        /// Who sent them.
        from: SocketAddrV4,
        /// Of which session.
        session: u32,
        /// They.
        body: Vec<u8>,
    },
    /// Three bytes that keep a path open.
    KeepAlive {
        /// Who sent them.
        from: SocketAddrV4,
    },
}

/// Timers of endpoints have this bit in their token; no other timer of a program may.
pub const TIMER: u64 = 1 << 63;
/// Those for the next fragment have this one too.
const FRAGMENT_TIMER: u64 = 1 << 62;
/// Payload bytes of a datagram with media beyond the media themselves: ID and type, session, and
/// what stands in for an IV.
pub const MEDIA_HEAD: usize = 3 + 4 + cipher::TAIL;
/// A request is sent again when it was not answered for so long, at +2.05 s and +6.06 s (measured);
/// ten seconds after the first time nobody waits any more (Adami).
const WAITS: [Duration; 3] = [
    Duration::from_millis(2050),
    Duration::from_millis(4010),
    Duration::from_millis(3940),
];
/// Milliseconds between two fragments (measured).
const FRAGMENT_GAP: std::ops::RangeInclusive<u64> = 11..=20;
/// Full parts of a big answer in front of its shorter last one (measured).
const FULL_PARTS: usize = 8;

#[derive(Clone, Debug)]
struct Pending {
    to: SocketAddrV4,
    id: u16,
    clear: Vec<u8>,
    /// For how long it is waited before each repetition, and after the last.
    waits: VecDeque<Duration>,
    parts: Parts,
}

/// One program's UDP side.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The program's generator and message IDs. TCP sessions draw from it too.
    pub process: Process,
    generation: Generation,
    port: u16,
    names: Names,
    pending: BTreeMap<u64, Pending>,
    said: Said,
    /// Fragments on their way, by the number of their timer.
    leaving: BTreeMap<u64, (SocketAddrV4, VecDeque<Vec<u8>>)>,
    /// Requests and sets of fragments so far.
    count: u64,
}

impl Endpoint {
    /// An endpoint that is not bound yet. `public` is the program's address as others see it, if
    /// it knows already; a client that starts does not.
    pub fn new(process: Process, generation: Generation, public: Option<Ipv4Addr>) -> Self {
        Self {
            process,
            generation,
            port: 0,
            names: Names::new(public),
            pending: BTreeMap::new(),
            said: Said::default(),
            leaving: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes its port, which is not 0; `false` if another program has it. Before, and without,
    /// nothing may be sent.
    pub fn bind(&mut self, host: &mut dyn Host, port: u16, ground: Ground) -> bool {
        self.port = port;
        host.bind(port, ground).is_some()
    }

    /// Its port; 0: it is not bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The program's address as others see it, as far as anybody has told.
    pub fn public(&self) -> Option<Ipv4Addr> {
        self.names.public()
    }

    /// Which generation it speaks.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Sends a message that must be answered or acknowledged, and again at +2.05 s and +6.06 s
    /// (measured) until it is. [`Received::Answer`], [`Received::Acknowledged`] or, after ten
    /// seconds, [`Received::GivenUp`] follows.
    pub fn request(&mut self, host: &mut dyn Host, to: SocketAddrV4, message: &Message) -> Request {
        self.ask(host, to, message, WAITS.into())
    }

    /// The same, sent only once, and given up after `patience`.
    pub fn ask_once(
        &mut self,
        host: &mut dyn Host,
        to: SocketAddrV4,
        message: &Message,
        patience: Duration,
    ) -> Request {
        self.ask(host, to, message, [patience].into())
    }

    fn ask(
        &mut self,
        host: &mut dyn Host,
        to: SocketAddrV4,
        message: &Message,
        mut waits: VecDeque<Duration>,
    ) -> Request {
        let id = self.process.id(host.rng());
        let len = message.datagram_len(self.generation, host.rng());
        // The number inside is one less than the ID (Biondi; measured).
        let clear = message.encode(id.wrapping_sub(1), len - udp::MESSAGE_HEAD);
        self.send(host, to, id, &clear);
        self.count += 1;
        if let Some(wait) = waits.pop_front() {
            host.timer(wait, TIMER | self.count);
        }
        let pending = Pending {
            to,
            id,
            clear,
            waits,
            parts: Parts::default(),
        };
        self.pending.insert(self.count, pending);
        Request(self.count)
    }

    /// Forgets a request: whatever follows is nobody's business, and it is not sent again.
    pub fn forget(&mut self, request: Request) {
        self.pending.remove(&request.0);
    }

    /// Sends contents as type 2, under the next IV.
    fn send(&mut self, host: &mut dyn Host, to: SocketAddrV4, id: u16, clear: &[u8]) {
        self.wait(host);
        let iv = self.process.iv(host.rng());
        let cipher = self.envelope(to, id, iv).seal(clear);
        let datagram = udp::message(id, iv, checksum(clear), &cipher);
        host.send(self.port, to, &datagram, None);
    }

    fn envelope(&self, to: SocketAddrV4, id: u16, iv: u32) -> Envelope {
        Envelope {
            source: self.names.seen_by(*to.ip()),
            destination: *to.ip(),
            id,
            iv,
        }
    }

    /// What the program draws for its own business up to now.
    fn wait(&mut self, host: &mut dyn Host) {
        self.process.wait_until(host.now().as_nanos() as u64);
    }

    /// Answers a message by another in one datagram, which nobody acknowledges.
    pub fn answer(&mut self, host: &mut dyn Host, to: SocketAddrV4, id: u16, message: &Message) {
        let own = self.process.id(host.rng());
        let len = message.datagram_len(self.generation, host.rng());
        let clear = message.encode(id.wrapping_sub(1), len - udp::MESSAGE_HEAD);
        self.send(host, to, own, &clear);
        self.said.reply(to, id, Reply::Contents(own, clear));
    }

    /// Answers a message in two sets of nine fragments, as searches are answered (measured). They
    /// leave one after the other.
    pub fn answer_in_fragments(
        &mut self,
        host: &mut dyn Host,
        to: SocketAddrV4,
        id: u16,
        message: &Message,
    ) {
        self.wait(host);
        let full = FULL_PARTS * (FRAGMENT_LEN - FRAGMENT_HEAD);
        let lens = [(); 2].map(|()| full + host.rng().usize(600..1340));
        let clear = message.encode(id.wrapping_sub(1), lens[0].max(lens[1]));
        let envelope = self.envelope(to, 0, 0);
        let seal = |_: &mut fastrand::Rng, part: Part, iv, range| {
            let clear = &clear[range];
            let id = part.id;
            (checksum(clear), Envelope { id, iv, ..envelope }.seal(clear))
        };
        let sets = self.process.fragment_sets(host.rng(), id, lens, seal);
        self.said.reply(to, id, Reply::Fragments(message.clone()));
        self.count += 1;
        self.leaving.insert(self.count, (to, sets.into()));
        self.next_fragment(host, self.count);
    }

    fn next_fragment(&mut self, host: &mut dyn Host, number: u64) {
        let Some((to, left)) = self.leaving.get_mut(&number) else {
            return;
        };
        if let Some(datagram) = left.pop_front() {
            host.send(self.port, *to, &datagram, None);
        }
        if left.is_empty() {
            self.leaving.remove(&number);
        } else {
            let gap = Duration::from_millis(host.rng().u64(FRAGMENT_GAP));
            host.timer(gap, TIMER | FRAGMENT_TIMER | number);
        }
    }

    /// Acknowledges a message (type 5).
    pub fn acknowledge(&mut self, host: &mut dyn Host, to: SocketAddrV4, id: u16) {
        let (noise, token) = (Noise::some(host.rng()), host.rng().u32(..));
        host.send(self.port, to, &udp::ack(id, noise, *to.ip(), token), None);
        self.said.reply(to, id, Reply::Acknowledged);
    }

    /// Sends media of a session (type d): a datagram with [`MEDIA_HEAD`] bytes more than `body`.
    pub fn media(&mut self, host: &mut dyn Host, to: SocketAddrV4, session: u32, body: &[u8]) {
        // All nibbles of an ID in media are random (Bonfiglio's test).
        let (id, noise) = (host.rng().u16(..), Noise::some(host.rng()));
        let clear = [&session.to_be_bytes()[..], body].concat();
        let cipher = cipher::seal_media(host.rng(), id, &clear);
        host.send(self.port, to, &udp::data(id, noise, &cipher), None);
    }

    /// Sends the three bytes that keep a path open.
    pub fn keep_alive(&mut self, host: &mut dyn Host, to: SocketAddrV4) {
        let (id, noise) = (host.rng().u16(..), Noise::some(host.rng()));
        host.send(self.port, to, &udp::keep_alive(id, noise), None);
    }

    /// A datagram has come to the port. What can't be read is refused (NACK) here, a NACK answered
    /// by sending again.
    pub fn receive(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) -> Vec<Received> {
        let from = datagram.from;
        let mut received = Vec::new();
        match udp::parse(datagram.payload) {
            Some(Parsed::Message {
                id,
                iv,
                check,
                cipher,
            }) => match self.read(host, from, (id, iv), check, cipher) {
                Some(clear) => self.take(host, from, (id, check), &clear, &mut received),
                None => {
                    let (noise, challenge) = (Noise::some(host.rng()), host.rng().u32(..));
                    let nack = udp::nack(id, noise, *from.ip(), challenge);
                    host.send(self.port, from, &nack, None);
                }
            },
            Some(Parsed::Resend {
                id,
                challenge,
                destination,
                check,
                cipher,
            }) => {
                let envelope = Envelope {
                    source: *from.ip(),
                    destination,
                    id,
                    iv: challenge,
                };
                if let Some(clear) = envelope.open(cipher, check) {
                    self.learn(from, destination, &mut received);
                    self.take(host, from, (id, check), &clear, &mut received);
                }
            }
            Some(Parsed::Nack {
                id,
                named,
                challenge,
            }) => self.again(host, from, id, named, challenge, &mut received),
            Some(Parsed::Ack { id, named }) => {
                if let Some(request) = self.pending_to(from, id) {
                    self.learn(from, named, &mut received);
                    self.forget(request);
                    received.push(Received::Acknowledged { request, from });
                }
            }
            Some(Parsed::Fragment {
                part,
                iv,
                check,
                data,
            }) => {
                if let Some(request) = self.pending_to(from, part.request)
                    && let Some(clear) = self.read(host, from, (part.id, iv), check, data)
                    && let Some(pending) = self.pending.get_mut(&request.0)
                    && let Some(whole) = pending.parts.add(part, clear)
                    && let Ok((_, message)) = Message::decode(&whole)
                {
                    self.forget(request);
                    received.push(Received::Answer {
                        request,
                        from,
                        message,
                    });
                }
            }
            Some(Parsed::Data { cipher: [], .. }) => received.push(Received::KeepAlive { from }),
            Some(Parsed::Data { id, cipher }) => {
                let clear = cipher::open_media(id, cipher);
                if let Some((session, body)) = clear.as_deref().and_then(<[u8]>::split_first_chunk)
                {
                    received.push(Received::Media {
                        from,
                        session: u32::from_be_bytes(*session),
                        body: body.to_vec(),
                    });
                }
            }
            None => {}
        }
        received
    }

    /// Decrypts what was sent to the address that the world sees, or to the host's own.
    fn read(
        &self,
        host: &dyn Host,
        from: SocketAddrV4,
        (id, iv): (u16, u32),
        check: u32,
        cipher: &[u8],
    ) -> Option<Vec<u8>> {
        let own = [self.names.public(), Some(host.address())];
        own.into_iter().flatten().find_map(|destination| {
            let envelope = Envelope {
                source: *from.ip(),
                destination,
                id,
                iv,
            };
            envelope.open(cipher, check)
        })
    }

    /// A message can be read: it is an answer, a repetition, or new.
    fn take(
        &mut self,
        host: &mut dyn Host,
        from: SocketAddrV4,
        (id, check): (u16, u32),
        clear: &[u8],
        received: &mut Vec<Received>,
    ) {
        let Ok((number, message)) = Message::decode(clear) else {
            return;
        };
        if message.is_answer()
            && let Some(request) = self.pending_to(from, number.wrapping_add(1))
        {
            self.forget(request);
            received.push(Received::Answer {
                request,
                from,
                message,
            });
            return;
        }
        match self.said.take(from, id, check) {
            None => received.push(Received::Message { from, id, message }),
            Some(None) => {}
            Some(Some(Reply::Acknowledged)) => self.acknowledge(host, from, id),
            Some(Some(Reply::Contents(own, clear))) => self.send(host, from, own, &clear),
            Some(Some(Reply::Fragments(message))) => {
                self.answer_in_fragments(host, from, id, &message);
            }
        }
    }

    fn pending_to(&self, peer: SocketAddrV4, id: u16) -> Option<Request> {
        let mut pending = self.pending.iter();
        let (number, _) = pending.find(|(_, one)| (one.to, one.id) == (peer, id))?;
        Some(Request(*number))
    }

    /// `from` can't read the message `id`, and says which address it sees: sends it once more.
    fn again(
        &mut self,
        host: &mut dyn Host,
        from: SocketAddrV4,
        id: u16,
        named: Ipv4Addr,
        challenge: u32,
        received: &mut Vec<Received>,
    ) {
        let request = self.pending_to(from, id);
        let asked = request.and_then(|request| self.pending.get(&request.0));
        let contents = match asked {
            Some(pending) => Some(pending.clear.as_slice()),
            None => self.said.contents(from, id),
        };
        let Some(clear) = contents.map(<[u8]>::to_vec) else {
            return;
        };
        self.learn(from, named, received);
        let cipher = self.envelope(from, id, challenge).seal(&clear);
        let (noise, check) = (Noise::some(host.rng()), checksum(&clear));
        let resend = udp::resend(id, noise, challenge, *from.ip(), check, &cipher);
        host.send(self.port, from, &resend, None);
    }

    fn learn(&mut self, by: SocketAddrV4, address: Ipv4Addr, received: &mut Vec<Received>) {
        if self.names.learn(*by.ip(), address) {
            received.push(Received::Named { address, by });
        }
    }

    /// A timer has run out: `None` if it is not an endpoint's.
    pub fn timer(&mut self, host: &mut dyn Host, token: u64) -> Option<Vec<Received>> {
        if token & TIMER == 0 {
            return None;
        }
        let number = token & !TIMER;
        if number & FRAGMENT_TIMER != 0 {
            self.next_fragment(host, number & !FRAGMENT_TIMER);
            return Some(Vec::new());
        }
        let Some(pending) = self.pending.get_mut(&number) else {
            return Some(Vec::new());
        };
        let (to, id) = (pending.to, pending.id);
        let Some(wait) = pending.waits.pop_front() else {
            let request = Request(number);
            self.forget(request);
            return Some(vec![Received::GivenUp { request, to }]);
        };
        let clear = pending.clear.clone();
        self.send(host, to, id, &clear);
        host.timer(wait, token);
        Some(Vec::new())
    }
}
