//! Questions of the control side to the shards, which answer between packets.

use std::sync::mpsc::{Receiver, Sender, channel};

/// What a shard is asked.
#[derive(Debug)]
pub(super) enum Request {}

/// A shard's end.
#[derive(Debug)]
pub(super) struct Queries {
    receiver: Option<Receiver<Request>>,
}

impl Queries {
    /// Of a shard that nobody asks.
    pub(super) const fn none() -> Self {
        Self { receiver: None }
    }

    /// The next question, if there is one.
    pub(super) fn next(&self) -> Option<Request> {
        self.receiver.as_ref()?.try_recv().ok()
    }
}

/// The control side's ends, one per shard.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    shards: Vec<Sender<Request>>,
}

/// Both ends for so many shards.
pub(super) fn channels(shards: usize) -> (Requests, Vec<Queries>) {
    let pair = |_| {
        let (sender, receiver) = channel();
        let receiver = Some(receiver);
        (sender, Queries { receiver })
    };
    let (shards, queries) = (0..shards).map(pair).unzip();
    (Requests { shards }, queries)
}
