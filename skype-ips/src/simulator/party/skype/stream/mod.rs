//! One TCP connection of Skype's, from either end: an opening, then messages and media under the
//! keystreams that follow from it.
//!
//! Behind the opening each message is one byte or two of length, then its contents, all encrypted:
//! the shortest is four bytes, as recorded (Adami).

mod opener;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::cipher::Keystream;
use super::message::{Message, NotAMessage};
use crate::simulator::net::program::{Connection, Host};
use crate::simulator::party::Opening;
use crate::simulator::speech::Process;
use opener::{Opened, Opener, Source, Step};

/// What has come over a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The opening is done: both ends may speak.
    Open,
    /// A message.
    Message {
        /// Its number; an answer has that of what it answers.
        number: u16,
        /// It.
        message: Message,
    },
    /// Media.
    Media {
        /// Of which session.
        session: u32,
        /// They.
        body: Vec<u8>,
    },
    /// The other end does not speak Skype (any more). It has been answered as a listener does;
    /// what is left is to close. Nothing follows.
    Foreign,
}

/// Bytes of a message with media beyond the media themselves: its length, their session.
pub const MEDIA_HEAD: usize = 2 + 4;
/// Most bytes of media in a message.
pub const MAX_MEDIA: usize = LONGEST - 4;

/// Longest contents of a message.
const LONGEST: usize = (1 << 14) - 1;
/// In the first byte: media; two bytes of length.
const MEDIA: u8 = 0x80;
const LONG: u8 = 0x40;

#[derive(Debug)]
enum State {
    Opening(Opener),
    Open(Streams),
    Foreign,
}

/// Both directions of an open session.
#[derive(Debug)]
struct Streams {
    seed: u32,
    connecting: bool,
    outgoing: Keystream,
    /// The IV in front of the first message, until that is sent.
    iv: Option<u32>,
    /// `None`: the other's IV comes first.
    incoming: Option<Keystream>,
    /// What has come and is not a whole message yet: decrypted, but for the IV.
    inbox: Vec<u8>,
}

impl Streams {
    fn new(host: &mut dyn Host, process: &mut Process, connecting: bool, opened: &Opened) -> Self {
        let Opened { seed, with_iv, .. } = *opened;
        let iv = with_iv.then(|| process.iv(host.rng()));
        Self {
            seed,
            connecting,
            outgoing: Keystream::directed(seed ^ iv.unwrap_or(0), connecting),
            iv,
            incoming: (!with_iv).then(|| Keystream::directed(seed, !connecting)),
            inbox: Vec::new(),
        }
    }

    /// A message as it goes out.
    fn seal(&mut self, mut clear: Vec<u8>) -> Vec<u8> {
        self.outgoing.apply(&mut clear);
        let iv = self.iv.take().map(u32::to_be_bytes);
        [iv.as_ref().map_or(&[][..], |iv| iv), &clear].concat()
    }

    /// Bytes have come: the messages that are whole.
    fn receive(&mut self, mut bytes: Vec<u8>, heard: &mut Vec<Heard>) -> Result<(), NotAMessage> {
        if self.incoming.is_none() {
            self.inbox.append(&mut bytes);
            let Some((iv, rest)) = self.inbox.split_first_chunk() else {
                return Ok(());
            };
            let seed = self.seed ^ u32::from_be_bytes(*iv);
            self.incoming = Some(Keystream::directed(seed, !self.connecting));
            bytes = rest.to_vec();
            self.inbox.clear();
        }
        if let Some(incoming) = &mut self.incoming {
            incoming.apply(&mut bytes);
        }
        self.inbox.append(&mut bytes);
        while let Some((media, range)) = frame(&self.inbox)
            && let Some(contents) = self.inbox.get(range.clone())
        {
            heard.push(if media {
                let (session, body) = contents.split_first_chunk().ok_or(NotAMessage)?;
                Heard::Media {
                    session: u32::from_be_bytes(*session),
                    body: body.to_vec(),
                }
            } else {
                let (number, message) = Message::decode(contents)?;
                Heard::Message { number, message }
            });
            self.inbox.drain(..range.end);
        }
        Ok(())
    }
}

/// Where the contents of the first message are, and whether they are media.
fn frame(bytes: &[u8]) -> Option<(bool, Range<usize>)> {
    let &[first, ref rest @ ..] = bytes else {
        return None;
    };
    let high = usize::from(first & !(MEDIA | LONG));
    let (start, len) = match first & LONG {
        0 => (1, high),
        _ => (2, high << 8 | usize::from(*rest.first()?)),
    };
    Some((first & MEDIA != 0, start..start + len))
}

/// Contents with their length in front.
fn framed(media: bool, contents: &[u8]) -> Vec<u8> {
    assert!(contents.len() <= LONGEST, "{} bytes", contents.len());
    let kind = if media { MEDIA } else { 0 };
    let [high, low] = (contents.len() as u16).to_be_bytes();
    let head: &[u8] = match media || contents.len() >= usize::from(LONG) {
        true => &[kind | LONG | high, low],
        false => &[kind | low],
    };
    [head, contents].concat()
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    connecting: bool,
    state: State,
    /// Messages that wait for the opening, in clear.
    waiting: Vec<Vec<u8>>,
    next: u16,
}

impl Session {
    /// The end that has connected (through a proxy whose dialogue is over): writes the first bytes.
    /// `disguise`: as TLS.
    pub fn connect(
        host: &mut dyn Host,
        connection: Connection,
        process: &mut Process,
        opening: Opening,
        disguise: bool,
    ) -> Self {
        process.wait_until(host.now().as_nanos() as u64);
        let rng = host.rng();
        let next = rng.u16(..);
        let (opener, bytes) = Opener::connect(Source { process, rng }, opening, disguise);
        host.write(connection, &bytes);
        Self {
            connection,
            connecting: true,
            state: State::Opening(opener),
            waiting: Vec::new(),
            next,
        }
    }

    /// The end that listens, which answers any opening.
    pub fn accept(connection: Connection) -> Self {
        Self {
            connection,
            connecting: false,
            state: State::Opening(Opener::accept()),
            waiting: Vec::new(),
            next: 0,
        }
    }

    /// Its connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether the opening is done.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Bytes have come, in pieces of any size.
    pub fn receive(
        &mut self,
        host: &mut dyn Host,
        process: &mut Process,
        bytes: &[u8],
    ) -> Vec<Heard> {
        let mut heard = Vec::new();
        let rest = match &mut self.state {
            State::Opening(opener) => {
                process.wait_until(host.now().as_nanos() as u64);
                let mut out = Vec::new();
                let rng = host.rng();
                let step = opener.receive(Source { process, rng }, bytes, &mut out);
                for bytes in out {
                    host.write(self.connection, &bytes);
                }
                match step {
                    Step::Going => return heard,
                    Step::Foreign => {
                        self.state = State::Foreign;
                        return vec![Heard::Foreign];
                    }
                    Step::Open(opened) => {
                        heard.push(Heard::Open);
                        self.open(host, process, opened)
                    }
                }
            }
            State::Open(_) => bytes.to_vec(),
            State::Foreign => return heard,
        };
        if let State::Open(streams) = &mut self.state
            && streams.receive(rest, &mut heard).is_err()
        {
            self.state = State::Foreign;
            heard.push(Heard::Foreign);
        }
        heard
    }

    /// The opening is done: sends what has waited, and gives back what came behind.
    fn open(&mut self, host: &mut dyn Host, process: &mut Process, opened: Opened) -> Vec<u8> {
        let streams = Streams::new(host, process, self.connecting, &opened);
        self.state = State::Open(streams);
        for clear in std::mem::take(&mut self.waiting) {
            self.write(host, clear);
        }
        opened.rest
    }

    /// Sends a message at a stretch, once the opening is done.
    fn write(&mut self, host: &mut dyn Host, clear: Vec<u8>) {
        match &mut self.state {
            State::Opening(_) => self.waiting.push(clear),
            State::Open(streams) => host.write(self.connection, &streams.seal(clear)),
            State::Foreign => {}
        }
    }

    /// Says something, as soon as the session is open, and returns its number.
    pub fn tell(&mut self, host: &mut dyn Host, message: &Message) -> u16 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.answer(host, number, message);
        number
    }

    /// Answers the message of that number.
    pub fn answer(&mut self, host: &mut dyn Host, number: u16, message: &Message) {
        let contents = message.encode(number, 0);
        let padding = message.segment_padding(contents.len() + 1, host.rng());
        let contents = message.encode(number, contents.len() + padding);
        self.write(host, framed(false, &contents));
    }

    /// Sends media, once open: a segment with [`MEDIA_HEAD`] bytes more than `body`.
    ///
    /// # Panics
    /// If they are longer than [`MAX_MEDIA`].
    pub fn media(&mut self, host: &mut dyn Host, session: u32, body: &[u8]) {
        let contents = [&session.to_be_bytes()[..], body].concat();
        self.write(host, framed(true, &contents));
    }
}
