//! QUIC (RFC 9000): packets of all kinds, as both ends write and read them. Their protection is
//! real; the secrets behind the handshake come from the connection IDs.

use fastrand::Rng;

use super::reliable::{Receiver, Sender};
use super::seal::secret;
use crate::simulator::net::program::Instant;
use crate::simulator::speech::Speaker;
use crate::simulator::speech::quic::{DATAGRAM, Keys, Version};

/// Bytes of a server's connection ID, and of a client's as [`quic`] makes it.
///
/// [`quic`]: crate::simulator::speech::quic
pub(super) const SERVER_ID: usize = 8;
const CLIENT_ID: usize = 5;
/// Bytes of a packet's number, of its length in a long header, and of its tag.
const NUMBER: usize = 4;
const LENGTH: usize = 2;
const TAG: usize = 16;
/// First bytes before they are protected.
const INITIAL: u8 = 0xc3;
const HANDSHAKE: u8 = 0xe3;
const SHORT: u8 = 0x43;
/// Packets that a client's first flight has at most, however often it goes.
const FIRST_FLIGHT: u32 = 64;
/// Most bytes of a chunk of a stream, so that its packet has 1250 (a usual choice of browsers').
pub(super) const CHUNK: usize = 1200;
/// A packet is acknowledged after this at the latest, or with the next one (RFC 9000).
const ACK_DELAY: Instant = Instant::from_millis(25);

/// Frames.
pub(super) mod frame {
    pub(in super::super) const PADDING: u8 = 0x00;
    pub(in super::super) const PING: u8 = 0x01;
    pub(in super::super) const ACK: u8 = 0x02;
    pub(in super::super) const CRYPTO: u8 = 0x06;
    pub(super) const STREAM: u8 = 0x08;
    pub(super) const CLOSE: u8 = 0x1c;
}

/// Kinds of packets, each with numbers and keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial = 0,
    Handshake = 1,
    Short = 2,
}

/// A number in QUIC's way, and what is behind it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let len = 1 << (bytes.first()? >> 6);
    let (number, rest) = bytes.split_at_checked(len)?;
    let number = number
        .iter()
        .fold(0, |all, byte| all << 8 | u64::from(*byte));
    Some((number & (u64::MAX >> (66 - 8 * len)), rest))
}

/// A packet's header, up to its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The receiver's and the sender's connection ID.
    pub(super) to: Vec<u8>,
    pub(super) from: Vec<u8>,
    /// Where the number stands.
    pub(super) place: usize,
    /// Where the packet ends.
    pub(super) end: usize,
}

impl Header {
    /// The header of the packet at the beginning, whose receiver's ID has `own` bytes.
    pub(super) fn read(bytes: &[u8], own: usize) -> Option<Self> {
        let first = *bytes.first()?;
        if first & 0x80 == 0 {
            let to = bytes.get(1..1 + own)?.to_vec();
            return Some(Self {
                kind: Kind::Short,
                to,
                from: Vec::new(),
                place: 1 + own,
                end: bytes.len(),
            });
        }
        if bytes.get(1..5)? != Version::One.number().to_be_bytes() {
            return None;
        }
        let kind = match first >> 4 & 3 {
            0 => Kind::Initial,
            2 => Kind::Handshake,
            _ => return None,
        };
        let (len, rest) = bytes[5..].split_first()?;
        let (to, rest) = rest.split_at_checked(usize::from(*len))?;
        let (len, rest) = rest.split_first()?;
        let (from, mut rest) = rest.split_at_checked(usize::from(*len))?;
        if kind == Kind::Initial {
            let (token, behind) = varint(rest)?;
            rest = behind.get(token as usize..)?;
        }
        let (len, rest) = varint(rest)?;
        let place = bytes.len() - rest.len();
        let end = place + len as usize;
        (end <= bytes.len()).then(|| Self {
            kind,
            to: to.to_vec(),
            from: from.to_vec(),
            place,
            end,
        })
    }
}

/// What both ends need of a connection.
#[derive(Debug)]
pub(super) struct Link {
    speaker: Speaker,
    /// The IDs of this end and the other.
    pub(super) own: Vec<u8>,
    pub(super) other: Vec<u8>,
    /// This end's keys and the other's, by kind of packet; those behind the handshake are there
    /// when both IDs are known.
    keys: [Option<[Keys; 2]>; 3],
    numbers: [u32; 3],
    pub(super) sender: Sender,
    receiver: Receiver,
    /// Chunks that have come and aren't acknowledged, and when they must be.
    unacknowledged: u32,
    ack_due: Option<Instant>,
}

/// What came over a connection.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Bytes of the stream, in order.
    pub(super) bytes: Vec<u8>,
    /// The other end has closed.
    pub(super) closed: bool,
}

impl Link {
    /// An end of the connection for which the client chose this ID.
    pub(super) fn new(speaker: Speaker, chosen: &[u8], own: Vec<u8>, other: Vec<u8>) -> Self {
        let ends = [speaker, speaker.other()];
        let initial = ends.map(|end| Keys::initial(Version::One, chosen, end));
        Self {
            speaker,
            own,
            other,
            keys: [Some(initial), None, None],
            // Below this are the numbers of the client's first flight.
            numbers: [FIRST_FLIGHT, 0, 0],
            sender: Sender::new(),
            receiver: Receiver::default(),
            unacknowledged: 0,
            ack_due: None,
        }
    }

    /// Both IDs are known: there are keys for all.
    pub(super) fn agree(&mut self) {
        let (client, server) = match self.speaker {
            Speaker::Client => (&self.own, &self.other),
            Speaker::Server => (&self.other, &self.own),
        };
        for (kind, label) in [(1, &b"handshake"[..]), (2, b"traffic")] {
            let keys = [self.speaker, self.speaker.other()].map(|end| {
                let secret = secret(&[label, &[end as u8], client, server]);
                Keys::of(Version::One, &secret)
            });
            self.keys[kind] = Some(keys);
        }
    }

    fn seal(&mut self, kind: Kind, mut header: Vec<u8>, frames: &[u8]) -> Vec<u8> {
        header.extend(self.numbers[kind as usize].to_be_bytes());
        self.numbers[kind as usize] += 1;
        let keys = self.keys[kind as usize].as_ref();
        let [own, _] = keys.expect("both ends have agreed");
        own.seal(&header, frames)
    }

    /// Bytes of a packet with a long header around its frames.
    pub(super) fn around(&self, kind: Kind) -> usize {
        let token = usize::from(kind == Kind::Initial);
        7 + self.own.len() + self.other.len() + token + LENGTH + NUMBER + TAG
    }

    /// A packet with a long header, padded to `least` bytes.
    pub(super) fn long(&mut self, kind: Kind, frames: &[u8], least: usize) -> Vec<u8> {
        let first = match kind {
            Kind::Initial => INITIAL,
            _ => HANDSHAKE,
        };
        let mut frames = frames.to_vec();
        let padded = least.saturating_sub(self.around(kind));
        // Protection needs a few bytes in any case.
        frames.resize(frames.len().max(padded).max(NUMBER), frame::PADDING);
        let mut header = vec![first];
        header.extend(Version::One.number().to_be_bytes());
        for id in [&self.other, &self.own] {
            header.push(id.len() as u8);
            header.extend(id);
        }
        if kind == Kind::Initial {
            // No token.
            header.push(0);
        }
        let len = (NUMBER + frames.len() + TAG) as u16;
        header.extend((len | 0x4000).to_be_bytes());
        self.seal(kind, header, &frames)
    }

    /// A packet with a short header.
    pub(super) fn short(&mut self, rng: &mut Rng, frames: &[u8]) -> Vec<u8> {
        let mut frames = frames.to_vec();
        frames.resize(frames.len().max(NUMBER), frame::PADDING);
        // The spin bit is anything where it isn't used.
        let spin = u8::from(rng.bool()) << 5;
        let header = [&[SHORT | spin][..], &self.other].concat();
        self.seal(Kind::Short, header, &frames)
    }

    /// The packets of a datagram that open: kind, number, frames, the sender's ID.
    pub(super) fn open(&mut self, bytes: &[u8]) -> Vec<(Header, u32, Vec<u8>)> {
        let len = match self.speaker {
            Speaker::Client => CLIENT_ID,
            Speaker::Server => SERVER_ID,
        };
        let (mut opened, mut rest) = (Vec::new(), bytes);
        while let Some(header) = Header::read(rest, len) {
            let (packet, behind) = rest.split_at(header.end);
            rest = behind;
            // The client learns the server's ID from its first packet.
            if self.speaker == Speaker::Client && self.keys[1].is_none() && !header.from.is_empty()
            {
                self.other.clone_from(&header.from);
                self.agree();
            }
            if let Some([_, other]) = &self.keys[header.kind as usize]
                && let Some((number, frames)) = other.open(packet, header.place)
            {
                opened.push((header, number, frames));
            }
        }
        opened
    }

    /// Hears the frames of a packet with a short header.
    pub(super) fn hear(&mut self, now: Instant, frames: &[u8]) -> Came {
        let mut came = Came::default();
        let mut rest = frames;
        while let Some((kind, behind)) = rest.split_first() {
            match *kind {
                frame::ACK => {
                    let Some((head, behind)) = behind.split_first_chunk::<5>() else {
                        break;
                    };
                    let [all @ .., count] = *head;
                    let len = usize::from(count) * NUMBER;
                    let Some((beyond, behind)) = behind.split_at_checked(len) else {
                        break;
                    };
                    let beyond = beyond.chunks_exact(NUMBER).filter_map(<[u8]>::first_chunk);
                    let beyond: Vec<u32> = beyond.map(|one| u32::from_be_bytes(*one)).collect();
                    let all = u32::from_be_bytes(all);
                    self.sender.acknowledged(now, all, &beyond, None);
                    rest = behind;
                }
                frame::STREAM => {
                    let Some((number, bytes)) = behind.split_first_chunk() else {
                        break;
                    };
                    let number = u32::from_be_bytes(*number);
                    self.unacknowledged += 1;
                    if number != self.receiver.all() + 1 {
                        // A gap is told at once.
                        self.unacknowledged += 1;
                    }
                    self.ack_due.get_or_insert(now + ACK_DELAY);
                    let ready = self.receiver.hear(number, bytes.to_vec());
                    came.bytes.extend(ready.concat());
                    break;
                }
                frame::CLOSE => {
                    came.closed = true;
                    break;
                }
                _ => rest = behind,
            }
        }
        came
    }

    /// Sends what may go out.
    pub(super) fn flow(&mut self, rng: &mut Rng, now: Instant, out: &mut Vec<Vec<u8>>) {
        self.sender.expire(now);
        let ack_due = self.ack_due.is_some_and(|due| due <= now);
        let mut ack = Vec::new();
        if self.unacknowledged >= 2 || ack_due {
            let beyond: Vec<u32> = self.receiver.beyond().take(60).collect();
            ack = [&[frame::ACK][..], &self.receiver.all().to_be_bytes()].concat();
            ack.push(beyond.len() as u8);
            ack.extend(beyond.into_iter().flat_map(u32::to_be_bytes));
            (self.unacknowledged, self.ack_due) = (0, None);
        }
        while let Some((number, bytes)) = self.sender.take(now) {
            let chunk = [&[frame::STREAM][..], &number.to_be_bytes(), &bytes].concat();
            // With a full chunk there may be no room for an acknowledgement.
            if !ack.is_empty() && ack.len() + bytes.len() > CHUNK {
                out.push(self.short(rng, &ack));
                ack.clear();
            }
            out.push(self.short(rng, &[std::mem::take(&mut ack), chunk].concat()));
        }
        if !ack.is_empty() {
            out.push(self.short(rng, &ack));
        }
    }

    /// When there is something to send without hearing anything.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.sender.due(), self.ack_due]
            .into_iter()
            .flatten()
            .min()
    }

    /// The last packet.
    pub(super) fn close(&mut self, rng: &mut Rng) -> Vec<u8> {
        self.short(rng, &[frame::CLOSE, 0, 0, 0])
    }

    /// Packets of a flight that begins with Initials and goes on with Handshakes, in full
    /// datagrams.
    pub(super) fn flight(&mut self, initials: &[Vec<u8>], hidden: &[u8]) -> Vec<Vec<u8>> {
        let parts = hidden.len().div_ceil(PART) as u8;
        let mut hidden = (0..parts)
            .zip(hidden.chunks(PART))
            .map(|(part, bytes)| [&[frame::CRYPTO, part, parts][..], bytes].concat());
        let mut datagrams = Vec::new();
        for (index, frames) in initials.iter().enumerate() {
            let initial = self.around(Kind::Initial) + frames.len();
            let room = DATAGRAM - self.around(Kind::Handshake);
            let last = index + 1 == initials.len();
            let joined = (last && initial + PART + 3 <= room).then(|| hidden.next());
            datagrams.push(match joined.flatten() {
                Some(part) => {
                    let first = self.long(Kind::Initial, frames, 0);
                    let second = self.long(Kind::Handshake, &part, DATAGRAM - first.len());
                    [first, second].concat()
                }
                None => self.long(Kind::Initial, frames, DATAGRAM),
            });
        }
        datagrams.extend(hidden.map(|part| self.long(Kind::Handshake, &part, 0)));
        datagrams
    }
}

/// Bytes of a part of the hidden flight.
const PART: usize = 900;

/// Which part of how many a Handshake packet holds.
pub(super) fn part(frames: &[u8]) -> Option<(u8, u8)> {
    match frames {
        [frame::CRYPTO, part, parts, ..] => Some((*part, *parts)),
        _ => None,
    }
}
