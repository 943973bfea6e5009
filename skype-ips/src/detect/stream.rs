//! The head of one direction of a TCP connection.

use std::ops::Range;

use super::tls_records;

/// Stream bytes that are kept per direction: the longest test needs 79, some after another record.
pub const KEPT: usize = 256;
/// The same of what can be a TLS handshake: the client's name may stand behind post-quantum key
/// shares, the server's in its certificate; and of an HTTP request.
pub const KEPT_HELLO: usize = 4096;
/// A sequence number farther than this from the first one belongs to another connection: only the
/// first few segments of one are looked at, and RFC 6528 moves the start of the next connection
/// between the same ports on by 250,000 a second.
const WINDOW: u32 = 1 << 19;

/// Where a segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It brought new bytes of the head.
    New,
    /// Seen before, beyond what is kept, or after a gap.
    Nothing,
    /// Of another connection between the same ports.
    Foreign,
}

/// The first bytes that were seen in one direction, without gaps.
#[derive(Clone, Debug, Default)]
pub struct Head {
    base: Option<u32>,
    first_len: u32,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// Stream bytes that one packet brought.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where they begin in the stream.
    start: u32,
    /// Where they begin in the packet's payload.
    offset: u32,
    /// The packet's number.
    packet: u64,
}

impl Head {
    /// Takes in a segment: `payload` may be cut off, `len` is its length on the wire, `packet` its
    /// number. The first
    /// one ever is taken for the start of the stream. Of a TLS handshake or an HTTP request more is kept
    /// if there is room.
    pub fn place(
        &mut self,
        seq: u32,
        payload: &[u8],
        len: u32,
        packet: u64,
        roomy: bool,
    ) -> Placed {
        let base = match self.base {
            Some(base) => base,
            None => {
                self.base = Some(seq);
                self.first_len = len;
                seq
            }
        };
        let offset = seq.wrapping_sub(base);
        if offset >= WINDOW {
            return Placed::Foreign;
        }
        let have = self.bytes.len();
        let offset = offset as usize;
        let start = if have == 0 { payload } else { &self.bytes };
        let kept = if roomy && (tls_records::may_be(start) || start.starts_with(b"GET ")) {
            KEPT_HELLO
        } else {
            KEPT
        };
        if have >= kept || offset > have {
            return Placed::Nothing;
        }
        let Some(fresh) = payload.get(have - offset..).filter(|new| !new.is_empty()) else {
            return Placed::Nothing;
        };
        self.pieces.push(Piece {
            start: have as u32,
            offset: (have - offset) as u32,
            packet,
        });
        self.bytes
            .extend_from_slice(&fresh[..fresh.len().min(kept - have)]);
        Placed::New
    }

    /// Length on the wire of the first segment; 0 before there is one.
    pub fn first_len(&self) -> u32 {
        self.first_len
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The part of the bytes that came with the first segment.
    pub fn first_segment(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(self.first_len as usize)]
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

    /// Lets go of the bytes; where the stream begins is kept.
    pub fn forget_bytes(&mut self) {
        self.bytes = Vec::new();
        self.pieces = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_repetitions_make_one_stream() {
        let mut head = Head::default();
        let base = u32::MAX - 1;
        assert_eq!(head.place(base, b"abcd", 4, 1, true), Placed::New);
        assert_eq!(head.place(base, b"abcd", 4, 2, true), Placed::Nothing);
        assert_eq!(
            head.place(base.wrapping_add(6), b"gap", 3, 3, true),
            Placed::Nothing
        );
        assert_eq!(
            head.place(base.wrapping_add(2), b"cdef", 4, 4, true),
            Placed::New
        );
        assert_eq!(head.bytes(), b"abcdef");
        assert_eq!(head.first_segment(), b"abcd");
        assert_eq!(head.brought(3..9), [(1, 3..4), (4, 2..4)]);
        assert_eq!(head.brought(4..5), [(4, 2..3)]);
    }

    #[test]
    fn keeps_no_more_than_it_needs() {
        let mut head = Head::default();
        head.place(0, &[7; 1000], 1000, 1, true);
        assert_eq!(head.bytes().len(), KEPT);
        assert_eq!(head.place(1000, b"x", 1, 5, true), Placed::Nothing);
        assert_eq!(head.first_len(), 1000);
    }

    #[test]
    fn another_connection_is_told_by_its_numbers() {
        let mut head = Head::default();
        head.place(5000, b"abc", 3, 6, true);
        assert_eq!(head.place(4999, b"x", 1, 7, true), Placed::Foreign);
        assert_eq!(head.place(5000 + WINDOW, b"x", 1, 8, true), Placed::Foreign);
    }

    #[test]
    fn a_cut_off_segment_leaves_a_gap() {
        let mut head = Head::default();
        assert_eq!(head.place(0, b"ab", 10, 9, true), Placed::New);
        assert_eq!(head.place(10, b"next", 4, 10, true), Placed::Nothing);
        assert_eq!((head.bytes(), head.first_len()), (&b"ab"[..], 10));
    }
}
