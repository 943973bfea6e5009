//! TURN (RFC 8656): a server that carries datagrams between its clients and their peers, and a
//! caller who goes through it. A true relay, and none of Skype's.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::seal::number_of;
use super::stun::{self, ERROR, Message, SUCCESS, attribute, hidden, method, unhidden};
use super::talks::{Around, Open, Talk};
use super::tally::Tally;
use super::webrtc::Call;
use crate::simulator::net::program::{Datagram, Ground, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};

/// What the conversations of clients with the server are.
const TURN: Ground = Ground::other("TURN");
const REALM: &[u8] = b"example.org";
const USER: &[u8] = b"caller";
/// What an allocation lasts, and when it is renewed: channels' permissions last 300 s.
const LIFETIME: u32 = 600;
const RENEWAL: Duration = Duration::from_secs(240);
/// A request that isn't answered goes again after this, so many times at most.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;
/// The first channel; 0x4000 to 0x4fff are allowed.
const CHANNEL: u16 = 0x4000;
/// UDP, as REQUESTED-TRANSPORT says it.
const UDP: [u8; 4] = [17, 0, 0, 0];

/// The key of long-term credentials, from what is in clear.
fn key(nonce: &[u8]) -> Vec<u8> {
    number_of(&[b"turn", USER, REALM, nonce])
        .to_be_bytes()
        .to_vec()
}

fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u16).to_be_bytes();
    [&channel.to_be_bytes()[..], &len, data].concat()
}

/// The channel and what came over it.
fn from_channel(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&[a, b, high, low], data) = bytes.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let channel = u16::from_be_bytes([a, b]);
    // UDP may pad it.
    let data = data.get(..len)?;
    (0x4000..0x5000)
        .contains(&channel)
        .then_some((channel, data))
}

/// A client's allocation.
#[derive(Debug)]
struct Allocation {
    /// The relayed address' port.
    port: u16,
    until: Instant,
    permitted: Vec<std::net::Ipv4Addr>,
    channels: BTreeMap<u16, SocketAddrV4>,
}

/// The server.
#[derive(Debug)]
pub(super) struct Server {
    port: u16,
    nonce: Vec<u8>,
    allocations: BTreeMap<SocketAddrV4, Allocation>,
    /// Whose each relayed port is.
    clients: BTreeMap<u16, SocketAddrV4>,
    tally: Tally,
}

impl Server {
    /// One on this port.
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            nonce: Vec::new(),
            allocations: BTreeMap::new(),
            clients: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// The answer to a client's request.
    fn answer(
        &mut self,
        host: &mut dyn Host,
        client: SocketAddrV4,
        request: &Message,
        bytes: &[u8],
    ) -> Vec<u8> {
        if request.get(attribute::NONCE) != Some(&self.nonce) {
            let error = [&[0, 0, 4, 1][..], b"Unauthorized"].concat();
            let attributes = vec![
                (attribute::ERROR_CODE, error),
                (attribute::REALM, REALM.to_vec()),
                (attribute::NONCE, self.nonce.clone()),
            ];
            return request.answer(ERROR, attributes).encode(None);
        }
        let key = key(&self.nonce);
        let authentic = request.authentic(bytes, &key);
        self.tally.arrived(TURN.what, authentic);
        let attributes = authentic
            .then(|| self.grant(host, client, request))
            .flatten();
        let answer = match attributes {
            Some(attributes) => request.answer(SUCCESS, attributes),
            None => {
                let error = [&[0, 0, 4, 0][..], b"Bad Request"].concat();
                request.answer(ERROR, vec![(attribute::ERROR_CODE, error)])
            }
        };
        answer.encode(Some(&key))
    }

    /// Does what is asked, and says what its answer holds.
    fn grant(
        &mut self,
        host: &mut dyn Host,
        client: SocketAddrV4,
        request: &Message,
    ) -> Option<Vec<(u16, Vec<u8>)>> {
        let lifetime = |seconds: u32| (attribute::LIFETIME, seconds.to_be_bytes().to_vec());
        if request.kind == method::ALLOCATE {
            if !self.allocations.contains_key(&client) {
                let port = host.bind(0, Call::GROUND)?;
                self.clients.insert(port, client);
                let allocation = Allocation {
                    port,
                    until: Duration::ZERO,
                    permitted: Vec::new(),
                    channels: BTreeMap::new(),
                };
                self.allocations.insert(client, allocation);
            }
            let allocation = self.allocations.get_mut(&client)?;
            allocation.until = host.now() + Duration::from_secs(u64::from(LIFETIME));
            let relayed = SocketAddrV4::new(host.address(), allocation.port);
            return Some(vec![
                (attribute::XOR_RELAYED_ADDRESS, hidden(relayed)),
                lifetime(LIFETIME),
                (attribute::XOR_MAPPED_ADDRESS, hidden(client)),
            ]);
        }
        let allocation = self.allocations.get_mut(&client)?;
        let peer = request.get(attribute::XOR_PEER_ADDRESS).and_then(unhidden);
        match request.kind {
            method::REFRESH => {
                let asked = request.get(attribute::LIFETIME)?.first_chunk()?;
                let seconds = u32::from_be_bytes(*asked).min(LIFETIME);
                allocation.until = host.now() + Duration::from_secs(u64::from(seconds));
                Some(vec![lifetime(seconds)])
            }
            method::CREATE_PERMISSION => {
                allocation.permitted.push(*peer?.ip());
                Some(Vec::new())
            }
            method::CHANNEL_BIND => {
                let number = request.get(attribute::CHANNEL_NUMBER)?.first_chunk()?;
                let peer = peer?;
                allocation.permitted.push(*peer.ip());
                allocation
                    .channels
                    .insert(u16::from_be_bytes(*number), peer);
                Some(Vec::new())
            }
            _ => None,
        }
    }
}

impl Program for Server {
    fn start(&mut self, host: &mut dyn Host) {
        self.nonce = (0..16).map(|_| host.rng().alphanumeric() as u8).collect();
        host.bind(self.port, TURN);
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        let now = host.now();
        if datagram.port != self.port {
            // From a peer.
            let client = self.clients.get(&datagram.port).copied();
            let allocation = client.and_then(|client| self.allocations.get(&client));
            let (Some(client), Some(allocation)) = (client, allocation) else {
                return;
            };
            let mut channels = allocation.channels.iter();
            let channel = channels.find(|(_, peer)| **peer == datagram.from);
            if let Some((channel, _)) = channel.filter(|_| allocation.until > now) {
                let data = channel_data(*channel, datagram.payload);
                host.send(self.port, client, &data, None);
            }
            return;
        }
        if let Some((channel, data)) = from_channel(datagram.payload) {
            let allocation = self.allocations.get(&datagram.from);
            let allocation = allocation.filter(|allocation| allocation.until > now);
            if let Some(allocation) = allocation
                && let Some(peer) = allocation.channels.get(&channel)
                && allocation.permitted.contains(peer.ip())
            {
                host.send(allocation.port, *peer, data, Some(Call::GROUND));
            }
            return;
        }
        if stun::is(datagram.payload)
            && let Some(request) = Message::decode(datagram.payload)
        {
            let answer = self.answer(host, datagram.from, &request, datagram.payload);
            host.send(datagram.port, datagram.from, &answer, None);
        }
    }
}

impl Party for Server {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}

/// What a caller asks of the server next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Allocate,
    Permit,
    Bind,
    /// The call goes on; the channel is renewed.
    Carry,
    /// The call is over, the allocation given back.
    Release,
    Over,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Request {
    message: Message,
    again: Instant,
    tries: u32,
}

/// A call through the server.
#[derive(Clone, Debug)]
pub(super) struct Turned {
    peer: SocketAddrV4,
    call: Call,
    step: Step,
    request: Option<Request>,
    /// The server's, once it has asked for credentials.
    nonce: Option<Vec<u8>>,
    renewal: Instant,
}

impl Turned {
    fn ask(&mut self, around: &mut Around<'_>) {
        let peer = (attribute::XOR_PEER_ADDRESS, hidden(self.peer));
        let (kind, mut attributes) = match self.step {
            Step::Allocate => {
                let transport = (attribute::REQUESTED_TRANSPORT, UDP.to_vec());
                (method::ALLOCATE, vec![transport])
            }
            Step::Permit => (method::CREATE_PERMISSION, vec![peer]),
            Step::Bind | Step::Carry => {
                let channel = [&CHANNEL.to_be_bytes()[..], &[0, 0]].concat();
                let channel = (attribute::CHANNEL_NUMBER, channel);
                (method::CHANNEL_BIND, vec![channel, peer])
            }
            Step::Release => (method::REFRESH, vec![(attribute::LIFETIME, vec![0; 4])]),
            Step::Over => return,
        };
        if let Some(nonce) = &self.nonce {
            attributes.push((attribute::USERNAME, USER.to_vec()));
            attributes.push((attribute::REALM, REALM.to_vec()));
            attributes.push((attribute::NONCE, nonce.clone()));
        }
        around.tally.begun(TURN.what, 1);
        let message = Message::request(around.rng, kind, attributes);
        self.request = Some(Request {
            message,
            again: around.now,
            tries: 0,
        });
        self.send(around);
    }

    /// Sends the request that waits, if it is time.
    fn send(&mut self, around: &mut Around<'_>) {
        let Some(request) = &mut self.request else {
            return;
        };
        if request.again > around.now {
            return;
        }
        if request.tries == TRIES {
            self.step = Step::Over;
            return;
        }
        request.tries += 1;
        request.again = around.now + AGAIN;
        let key = self.nonce.as_deref().map(key);
        around.out.push(request.message.encode(key.as_deref()));
    }

    fn answered(&mut self, around: &mut Around<'_>, answer: &Message, bytes: &[u8]) {
        let waiting = self.request.as_ref().map(|request| &request.message);
        let Some(asked) = waiting.filter(|asked| asked.transaction == answer.transaction) else {
            return;
        };
        let succeeded = answer.kind == asked.kind | SUCCESS;
        let refused = answer.kind == asked.kind | ERROR;
        let nonce = answer.get(attribute::NONCE).map(<[u8]>::to_vec);
        if refused && self.nonce.is_none() && nonce.is_some() {
            // As expected of a first request.
            self.nonce = nonce;
            around.tally.done(TURN.what, 1);
            self.ask(around);
            return;
        }
        let key = self.nonce.as_deref().map(key).unwrap_or_default();
        let unchanged = succeeded && answer.authentic(bytes, &key);
        around.tally.done(TURN.what, u64::from(unchanged));
        self.request = None;
        self.step = match self.step {
            _ if !unchanged => Step::Over,
            Step::Allocate => Step::Permit,
            Step::Permit => Step::Bind,
            Step::Bind | Step::Carry => {
                self.renewal = around.now + RENEWAL;
                Step::Carry
            }
            Step::Release | Step::Over => Step::Over,
        };
        if self.step != Step::Carry {
            self.ask(around);
        }
    }

    /// Lets the call work, and wraps what it sends.
    fn carry(&mut self, around: &mut Around<'_>, work: impl FnOnce(&mut Call, &mut Around<'_>)) {
        let mut within = Around {
            now: around.now,
            peer: self.peer,
            rng: around.rng,
            tally: around.tally,
            out: Vec::new(),
        };
        work(&mut self.call, &mut within);
        let out = within.out;
        let wrapped = out.iter().map(|bytes| channel_data(CHANNEL, bytes));
        around.out.extend(wrapped);
        if self.call.due().is_none() {
            self.step = Step::Release;
            self.ask(around);
        }
    }
}

impl Talk for Turned {
    const GROUND: Ground = TURN;

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        if let Some((channel, data)) = from_channel(bytes) {
            if channel == CHANNEL && self.step == Step::Carry {
                self.carry(around, |call, within| call.hear(within, data));
            }
        } else if let Some(answer) = Message::decode(bytes) {
            let carried = self.step == Step::Carry;
            self.answered(around, &answer, bytes);
            if !carried && self.step == Step::Carry {
                self.carry(around, Talk::act);
            }
        }
    }

    fn act(&mut self, around: &mut Around<'_>) {
        match self.step {
            Step::Allocate if self.request.is_none() => self.ask(around),
            Step::Carry if self.request.is_none() && self.renewal <= around.now => {
                self.ask(around);
            }
            _ => self.send(around),
        }
        if self.step == Step::Carry && self.call.due().is_some_and(|due| due <= around.now) {
            self.carry(around, Talk::act);
        }
    }

    fn due(&self) -> Option<Instant> {
        let request = self.request.as_ref().map(|request| request.again);
        match self.step {
            Step::Over => None,
            Step::Carry => {
                let renewal = request.unwrap_or(self.renewal);
                self.call.due().map(|due| due.min(renewal))
            }
            _ => request.or(Some(Duration::ZERO)),
        }
    }
}

impl Open for Turned {
    /// Whom to call.
    type Known = Vec<SocketAddrV4>;
    const PAUSE: f64 = Call::PAUSE;

    fn open(known: &Self::Known, now: Instant, until: Instant, rng: &mut Rng, site: &Site) -> Self {
        let peer = known[rng.usize(..known.len())];
        Self {
            peer,
            call: Call::open(&(), now, until, rng, site),
            step: Step::Allocate,
            request: None,
            nonce: None,
            renewal: now,
        }
    }
}
