//! The head of one direction of a TCP connection, put together as a receiver would.

use std::ops::Range;

use super::tls_records;

/// Stream bytes that are kept per direction: the longest test needs 79, some after another record.
pub const KEPT: usize = 256;
/// The same of what can be a TLS handshake: the client's name may stand behind post-quantum key
/// shares, the server's in its certificate; and of HTTP.
pub const KEPT_HELLO: usize = 4096;
/// A sequence number farther than this from the first one belongs to another connection: only the
/// first few segments of one are looked at, and RFC 6528 moves the start of the next connection
/// between the same ports on by 250,000 a second.
const WINDOW: u32 = 1 << 19;
/// What lies so little before the first segment seen is of the same connection.
const JUST_BEFORE: u32 = KEPT_HELLO as u32;
/// Stretches kept of what came before its turn.
const MOST_EARLY: usize = 4;
/// Packets that a head is put together from.
const MOST_PIECES: usize = 64;
/// How HTTP begins, of either end.
const HTTP: [&[u8]; 4] = [b"GET ", b"CONNECT ", b"POST ", b"HTTP/"];

/// Where a segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It brought new bytes of the head.
    New,
    /// It came before its turn.
    Early,
    /// Seen before, or beyond what is kept.
    Nothing,
    /// Of another connection between the same ports.
    Foreign,
}

/// A segment as it came.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sequence number of the payload's first byte.
    pub seq: u32,
    /// Sequence number of the stream's first byte, if its SYN was seen.
    pub base: Option<u32>,
    /// The payload, perhaps cut off.
    pub payload: &'a [u8],
    /// The payload's length on the wire.
    pub len: u32,
    /// The packet's number.
    pub packet: u64,
}

/// The first bytes of one direction. Of bytes that come twice the first copy counts, as with most
/// receivers; what comes before its turn waits.
#[derive(Clone, Debug, Default)]
pub struct Head {
    base: Option<u32>,
    /// Whether a SYN told the base; else the first segment seen is taken for the start.
    told: bool,
    /// Stream bytes in front of those kept.
    skipped: u32,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// By place; none overlaps another.
    early: Vec<Early>,
}

/// Stream bytes that one packet brought.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where they begin in the head.
    start: u32,
    /// Where they begin in the packet's payload.
    offset: u32,
    /// How many more the packet had from there on, on the wire.
    rest: u32,
    /// The packet's number.
    packet: u64,
}

/// Bytes that came before their turn.
#[derive(Clone, Debug)]
struct Early {
    piece: Piece,
    bytes: Box<[u8]>,
}

impl Early {
    fn start(&self) -> usize {
        self.piece.start as usize
    }

    fn end(&self) -> usize {
        self.start() + self.bytes.len()
    }
}

impl Piece {
    /// The same without its first bytes.
    fn without(self, bytes: usize) -> Self {
        let bytes = bytes as u32;
        Self {
            start: self.start + bytes,
            offset: self.offset + bytes,
            rest: self.rest.saturating_sub(bytes),
            ..self
        }
    }
}

impl Head {
    /// Takes in a segment. Of a TLS handshake or of HTTP more is kept if there is room.
    pub fn place(&mut self, segment: &Segment<'_>, roomy: bool) -> Placed {
        let base = match (self.base, segment.base) {
            (None, told) => told.unwrap_or(segment.seq),
            (Some(base), Some(told)) if base != told => {
                if self.told {
                    return Placed::Foreign;
                }
                // The SYN came late, and the guess was wrong.
                *self = Self::default();
                told
            }
            (Some(base), _) => base,
        };
        let earlier = base.wrapping_sub(segment.seq);
        let guessed = !self.told && segment.base.is_none();
        let base = match earlier {
            1..=JUST_BEFORE if guessed && self.skipped > 0 => return Placed::Nothing,
            1..=JUST_BEFORE if guessed => {
                self.make_room(earlier, roomy);
                segment.seq
            }
            _ => base,
        };
        self.base = Some(base);
        self.told |= segment.base.is_some();
        let offset = segment.seq.wrapping_sub(base);
        if offset >= WINDOW {
            return if segment.base.is_some() {
                Placed::Nothing
            } else {
                Placed::Foreign
            };
        }
        // What lies before the kept bytes was looked at.
        let behind = self.skipped.saturating_sub(offset) as usize;
        let Some(payload) = segment.payload.get(behind..) else {
            return Placed::Nothing;
        };
        let start = offset.saturating_sub(self.skipped);
        let kept = self.most_kept(start, payload, roomy);
        let piece = Piece {
            start,
            offset: behind as u32,
            rest: segment.len.saturating_sub(behind as u32),
            packet: segment.packet,
        };
        let fresh = self.keep(piece, payload, kept);
        let new = self.join();
        self.early.truncate(MOST_EARLY);
        self.early.shrink_to(MOST_EARLY);
        match (new, fresh) {
            (true, _) => Placed::New,
            (false, true) => Placed::Early,
            (false, false) => Placed::Nothing,
        }
    }

    /// The stream was guessed to begin so many bytes too late: all of it came before its turn.
    fn make_room(&mut self, bytes: u32, roomy: bool) {
        let have = self.bytes.len();
        let ends = self.pieces.iter().skip(1).map(|next| next.start as usize);
        let pieces = self.pieces.iter().zip(ends.chain([have]));
        let joined = pieces.map(|(piece, end)| Early {
            piece: *piece,
            bytes: self.bytes[piece.start as usize..end].into(),
        });
        let early: Vec<_> = joined.chain(self.early.iter().cloned()).collect();
        self.forget_bytes();
        self.early = early;
        for early in &mut self.early {
            early.piece.start += bytes;
        }
        let most = if roomy { KEPT_HELLO } else { KEPT };
        self.early.retain(|early| early.end() <= most);
        self.early.truncate(MOST_PIECES);
    }

    /// Bytes worth keeping; before the first one it can be anything.
    fn most_kept(&self, start: u32, payload: &[u8], roomy: bool) -> usize {
        let begin = match (&self.bytes[..], start) {
            ([], 0) => payload,
            (bytes, _) => bytes,
        };
        let http = |word: &&[u8]| {
            let at_hand = begin.len().min(word.len());
            begin[..at_hand] == word[..at_hand]
        };
        if roomy && (tls_records::may_be(begin) || HTTP.iter().any(http)) {
            KEPT_HELLO
        } else {
            KEPT
        }
    }

    /// Keeps those bytes of a payload that no earlier packet brought; false if there are none.
    fn keep(&mut self, piece: Piece, payload: &[u8], kept: usize) -> bool {
        let start = piece.start as usize;
        let end = (start + payload.len()).min(kept);
        let mut from = start.max(self.bytes.len());
        let mut fresh = Vec::new();
        let gaps = self.early.iter().map(|early| (early.start(), early.end()));
        for (next, after) in gaps.chain([(usize::MAX, usize::MAX)]) {
            let to = end.min(next);
            if from < to && self.pieces.len() < MOST_PIECES {
                fresh.push(Early {
                    piece: piece.without(from - start),
                    bytes: payload[from - start..to - start].into(),
                });
            }
            from = from.max(after);
        }
        let any = !fresh.is_empty();
        if any {
            self.early.append(&mut fresh);
            self.early.sort_by_key(Early::start);
        }
        any
    }

    /// Takes over what has its turn by now; true if there was something.
    fn join(&mut self) -> bool {
        let mut bytes = self.bytes.len();
        let turn = self.early.iter().take_while(|early| {
            let fits = early.start() == bytes;
            bytes = early.end();
            fits
        });
        let turn = turn.count();
        for early in self.early.drain(..turn) {
            self.pieces.push(early.piece);
            self.bytes.extend_from_slice(&early.bytes);
        }
        turn > 0
    }

    /// Whether a SYN told where the stream begins; else it is a guess.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// Length on the wire of the first segment, from the first byte kept; 0 before there is one.
    pub fn first_len(&self) -> u32 {
        self.pieces.first().map_or(0, |piece| piece.rest)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of the bytes that came with the first segment.
    pub fn first_segment(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(self.first_len() as usize)]
    }

    /// The packets that brought `range` of the bytes, and where in their payloads it stands.
    pub fn brought(&self, range: Range<usize>) -> Vec<(u64, Range<u32>)> {
        let have = self.bytes.len() as u32;
        let (from, to) = (range.start as u32, (range.end as u32).min(have));
        let ends = self.pieces.iter().skip(1).map(|next| next.start);
        let pieces = self.pieces.iter().zip(ends.chain([have]));
        pieces
            .filter_map(|(piece, end)| {
                let (from, to) = (from.max(piece.start), to.min(end));
                let offset = piece.offset + from.checked_sub(piece.start)?;
                (from < to).then(|| (piece.packet, offset..offset + (to - from)))
            })
            .collect()
    }

    /// Begins anew behind the first `len` bytes, which were somebody else's.
    pub fn skip(&mut self, len: usize) {
        self.skipped += len as u32;
        let have = self.bytes.len();
        let ends = self.pieces.iter().skip(1).map(|next| next.start as usize);
        let ends: Vec<_> = ends.chain([have]).collect();
        let skipped = |piece: &Piece| len.saturating_sub(piece.start as usize);
        let moved = |piece: Piece| {
            let piece = piece.without(skipped(&piece));
            Piece {
                start: piece.start - len as u32,
                ..piece
            }
        };
        self.pieces = self
            .pieces
            .iter()
            .zip(ends)
            .filter(|(_, end)| *end > len)
            .map(|(piece, _)| moved(*piece))
            .collect();
        self.bytes.drain(..len.min(have));
        self.early.retain(|early| early.end() > len);
        for early in &mut self.early {
            early.bytes = early.bytes[skipped(&early.piece)..].into();
            early.piece = moved(early.piece);
        }
        self.join();
    }

    /// Begins anew with what came before its turn, if that is all there is.
    pub fn skip_gap(&mut self) {
        if self.bytes.is_empty()
            && let Some(first) = self.early.first()
        {
            self.skip(first.start());
        }
    }

    /// Lets go of the bytes; where the stream begins is kept.
    pub fn forget_bytes(&mut self) {
        self.bytes = Vec::new();
        self.pieces = Vec::new();
        self.early = Vec::new();
    }
}

#[cfg(test)]
mod tests;
