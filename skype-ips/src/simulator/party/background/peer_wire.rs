//! BitTorrent's peer protocol (BEP 3) over any stream: one end fetches blocks, the other has them
//! all.

use fastrand::Rng;

use super::seal::{made_from, number_of};
use super::streams::Answer;
use super::tally::Tally;
use crate::simulator::speech::noise;

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// Bytes of the handshake, and where the torrent's hash is in it.
const HANDSHAKE: usize = 68;
const HASH: std::ops::Range<usize> = 28..48;
/// Messages.
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;
/// Bytes of a block, as everybody asks for them, and blocks of a piece.
const BLOCK: u32 = 16_384;
const BLOCKS: u32 = 16;
/// Pieces of every torrent here.
const PIECES: u32 = 400;
/// Questions under way at once.
const PIPELINE: usize = 5;
/// Most blocks that one connection brings.
const MOST_BLOCKS: u32 = 48;
/// Longest message that is believed.
const LONGEST: usize = BLOCK as usize + 9;

/// What a block holds.
fn block(hash: &[u8], piece: u32, begin: u32, len: usize) -> Vec<u8> {
    let parts = [hash, &piece.to_be_bytes(), &begin.to_be_bytes()];
    made_from(number_of(&parts), len)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 1).to_be_bytes();
    [&len[..], &[kind], body].concat()
}

fn handshake(hash: &[u8], rng: &mut Rng) -> Vec<u8> {
    // Bits of the extension protocol (BEP 10) and the DHT (BEP 5).
    let reserved = [0, 0, 0, 0, 0, 0x10, 0, 0x01];
    let own = [&b"-TR4050-"[..], &noise(rng, 12)].concat();
    [&PROTOCOL[..], &reserved, hash, &own].concat()
}

/// What comes over the stream, piece by piece.
#[derive(Clone, Debug, Default)]
struct Messages {
    heard: Vec<u8>,
    /// The torrent, once the handshake has come.
    hash: Option<Vec<u8>>,
}

/// The next thing that has come.
enum Next {
    Handshake,
    Message(u8, Vec<u8>),
}

impl Messages {
    fn next(&mut self) -> Result<Option<Next>, ()> {
        if self.hash.is_none() {
            let start = self.heard.len().min(PROTOCOL.len());
            if self.heard[..start] != PROTOCOL[..start] {
                return Err(());
            }
            if self.heard.len() < HANDSHAKE {
                return Ok(None);
            }
            self.hash = Some(self.heard[HASH].to_vec());
            self.heard.drain(..HANDSHAKE);
            return Ok(Some(Next::Handshake));
        }
        loop {
            let Some(head) = self.heard.first_chunk() else {
                return Ok(None);
            };
            let len = u32::from_be_bytes(*head) as usize;
            if len > LONGEST {
                return Err(());
            }
            let Some(body) = self.heard.get(4..4 + len) else {
                return Ok(None);
            };
            let body = body.to_vec();
            self.heard.drain(..4 + len);
            // Without a body it is a keep-alive.
            if let Some((kind, body)) = body.split_first() {
                return Ok(Some(Next::Message(*kind, body.to_vec())));
            }
        }
    }
}

/// Three numbers of a message.
fn numbers(body: &[u8]) -> Option<([u32; 2], &[u8])> {
    let (piece, rest) = body.split_first_chunk()?;
    let (begin, rest) = rest.split_first_chunk()?;
    Some((
        [u32::from_be_bytes(*piece), u32::from_be_bytes(*begin)],
        rest,
    ))
}

/// The end that fetches.
#[derive(Clone, Debug)]
pub(super) struct Leech {
    what: &'static str,
    hash: Vec<u8>,
    messages: Messages,
    /// Blocks that are still to be asked for, the next last.
    wanted: Vec<[u32; 2]>,
    asked: Vec<[u32; 2]>,
}

impl Leech {
    /// One that wants some blocks of this torrent, over what `what` says.
    pub(super) fn new(rng: &mut Rng, hash: &[u8], what: &'static str) -> Self {
        let first = rng.u32(..PIECES - MOST_BLOCKS / BLOCKS) * BLOCKS;
        let count = rng.u32(4..=MOST_BLOCKS);
        let blocks = (first..first + count).rev();
        Self {
            what,
            hash: hash.to_vec(),
            messages: Messages::default(),
            wanted: blocks
                .map(|block| [block / BLOCKS, block % BLOCKS * BLOCK])
                .collect(),
            asked: Vec::new(),
        }
    }

    /// Blocks that it doesn't have yet.
    pub(super) fn left(&self) -> u64 {
        (self.wanted.len() + self.asked.len()) as u64
    }

    fn ask(&mut self) -> Vec<u8> {
        let mut questions = Vec::new();
        while self.asked.len() < PIPELINE
            && let Some([piece, begin]) = self.wanted.pop()
        {
            self.asked.push([piece, begin]);
            let body = [piece, begin, BLOCK].map(u32::to_be_bytes).concat();
            questions.extend(message(REQUEST, &body));
        }
        questions
    }
}

impl Answer for Leech {
    fn greeting(&mut self, rng: &mut Rng) -> Vec<u8> {
        handshake(&self.hash, rng)
    }

    fn hear(&mut self, _rng: &mut Rng, tally: &mut Tally, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.messages.heard.extend(bytes);
        let mut answers = Vec::new();
        while let Some(next) = self.messages.next().ok()? {
            let say = match next {
                Next::Message(BITFIELD, _) => message(INTERESTED, &[]),
                Next::Message(UNCHOKE, _) => self.ask(),
                Next::Message(PIECE, body) => {
                    let ([piece, begin], content) = numbers(&body)?;
                    let place = self.asked.iter().position(|one| *one == [piece, begin])?;
                    self.asked.swap_remove(place);
                    let unchanged = block(&self.hash, piece, begin, BLOCK as usize) == content;
                    tally.done(self.what, u64::from(unchanged));
                    self.ask()
                }
                _ => continue,
            };
            if !say.is_empty() {
                answers.push(say);
            }
        }
        Some(answers)
    }

    fn over(&self) -> bool {
        self.left() == 0
    }
}

/// The end that has everything, of every torrent.
#[derive(Clone, Debug, Default)]
pub(super) struct Seed {
    messages: Messages,
}

impl Answer for Seed {
    fn hear(&mut self, rng: &mut Rng, _tally: &mut Tally, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.messages.heard.extend(bytes);
        let mut answers = Vec::new();
        while let Some(next) = self.messages.next().ok()? {
            let hash = self.messages.hash.as_deref()?;
            match next {
                Next::Handshake => {
                    let pieces = [0xff; PIECES as usize / 8];
                    answers.push([handshake(hash, rng), message(BITFIELD, &pieces)].concat());
                }
                Next::Message(INTERESTED, _) => answers.push(message(UNCHOKE, &[])),
                Next::Message(REQUEST, body) => {
                    let ([piece, begin], _) = numbers(&body)?;
                    let content = block(hash, piece, begin, BLOCK as usize);
                    let head = [piece, begin].map(u32::to_be_bytes).concat();
                    answers.push(message(PIECE, &[head, content].concat()));
                }
                Next::Message(..) => {}
            }
        }
        Some(answers)
    }
}
