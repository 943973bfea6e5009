//! What two clients say to each other beside the directory's messages: the bodies of media.

use serde::{Deserialize, Serialize};

use super::file::Report;

/// The body of a packet of media. Behind it is padding of any length, which stands for what is
/// said, shown or sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Body {
    /// Voice or video.
    Packet {
        /// How many there were before in this direction.
        number: u32,
    },
    /// A piece of a file.
    Piece {
        /// Bytes of all pieces but the last.
        size: u32,
        /// Which one.
        index: u32,
    },
    /// Which pieces have come.
    Report(Report),
    /// Something in writing.
    Words {
        /// How many there were before in this direction.
        number: u32,
    },
    /// Those words have come.
    Read {
        /// Their number.
        number: u32,
    },
    /// This end is still there.
    Still,
    /// The session is over; answered by the same.
    End {
        /// Packets that this end has sent.
        sent: u32,
    },
}

impl Body {
    /// The bytes, with padding up to `len` if there are not so many.
    pub(super) fn encode(&self, len: usize) -> Vec<u8> {
        let mut bytes = postcard::to_stdvec(self).expect("memory takes everything");
        bytes.resize(bytes.len().max(len), 0);
        bytes
    }

    /// What was said; `None`: nothing that is known.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, _) = postcard::take_from_bytes(bytes).ok()?;
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_says_nothing() {
        let report = Report {
            upto: 70_000,
            latest: 70_001,
            before: u64::MAX,
        };
        for body in [
            Body::Packet { number: 9 },
            Body::Report(report),
            Body::Still,
            Body::End { sent: 0 },
        ] {
            for len in [0, 1400] {
                let bytes = body.encode(len);
                assert!(bytes.len() >= len && bytes.len() <= len.max(24));
                assert_eq!(Body::decode(&bytes), Some(body.clone()));
            }
        }
        assert_eq!(Body::decode(&[0x7f; 9]), None);
    }
}
