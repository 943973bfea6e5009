//! A file on its way: pieces near the path's MTU one way, small reports the other (Adami 2009).
//!
//! The record says nothing of Skype's own retransmission and rate control. These are the field's:
//! selective reports, loss told by time (RFC 8985), additive increase and multiplicative decrease
//! (RFC 5681, with the factor of RFC 9438), pacing.

mod receiver;
mod sender;

use serde::{Deserialize, Serialize};

pub(crate) use receiver::Receiver;
pub(crate) use sender::{Pace, Sender};

/// What the receiver tells the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// All pieces below this have arrived.
    pub(crate) upto: u32,
    /// The piece that came last.
    pub(crate) latest: u32,
    /// Which of the 64 pieces before that have arrived: bit 0 is the one just before.
    pub(crate) before: u64,
}

/// In how many pieces of `piece` bytes a file of `bytes` goes.
fn pieces(bytes: u64, piece: u32) -> u32 {
    u32::try_from(bytes.div_ceil(u64::from(piece))).unwrap_or(u32::MAX)
}

/// How long piece `index` is.
fn length(bytes: u64, piece: u32, index: u32) -> u64 {
    let from = u64::from(index) * u64::from(piece);
    bytes.saturating_sub(from).min(piece.into())
}
