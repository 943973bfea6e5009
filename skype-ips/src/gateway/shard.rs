//! One queue, one thread, one engine: judges the packets of its own inside hosts.

mod answers;
mod apply;
mod judge;
mod known;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use skype_ips_common::mark::Code;

use super::clock;
use super::counters::{ShardCounters, add};
use super::events::Events;
use super::gate::Gate;
use super::requests::Queries;
use super::shared::Shared;
use crate::engine::{Engine, Event, Settings, next_tick};
use crate::kernel::{Queue, QueueVerdict, QueuedPacket};
use crate::policy::OnFailure;
use known::Known;

/// Signs of life are this far apart, nanoseconds.
const BEAT: u64 = 100_000_000;
/// Upkeep is this far apart, nanoseconds.
const UPKEEP: u64 = 30 * 1_000_000_000;

/// A queue's thread.
pub(super) struct Shard<Q> {
    pub(super) number: u8,
    pub(super) queue: Q,
    pub(super) gate: Gate,
    pub(super) shared: Arc<Shared>,
    pub(super) events: Events,
    engine: Engine,
    known: Known,
    more_request: u8,
    /// Packets that the engine was shown.
    packets: u64,
    found: Vec<Event>,
    /// Version of the gateway's outside addresses that the engine was told.
    addresses: u64,
    /// What the control side asks.
    queries: Queries,
    /// When a refused write was last complained about.
    complained: Option<u64>,
    /// Whether it was said that no reset could be sent.
    told_of_resets: bool,
}

impl<Q: Queue> Shard<Q> {
    pub(super) fn new(
        number: u8,
        queue: Q,
        gate: Gate,
        shared: Arc<Shared>,
        events: Events,
    ) -> Self {
        let engine = Engine::new(shared.engine_settings());
        let known = Known::of_one_in(shared.counters.len());
        Self {
            number,
            queue,
            gate,
            shared,
            events,
            engine,
            known,
            more_request: 0,
            packets: 0,
            found: Vec::new(),
            addresses: 0,
            queries: Queries::none(),
            complained: None,
            told_of_resets: false,
        }
    }

    /// Lets it answer the control side.
    pub(super) fn answering(mut self, queries: Queries) -> Self {
        self.queries = queries;
        self
    }

    /// Judges packets until told to stop; returns on an error of the queue that is final.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let (mut beaten, mut tick, mut upkept) = (0, 0, clock::monotonic());
        loop {
            let now = clock::monotonic();
            if now - beaten >= BEAT {
                self.beat(now);
                beaten = now;
            }
            if now >= tick {
                self.tick(now);
                tick = next_tick(tick, now);
            }
            if now - upkept >= UPKEEP {
                self.upkeep(now);
                upkept = now;
            }
            self.answer_queries();
            match self.queue.receive() {
                Ok(Some(packet)) => self.handle(packet)?,
                Ok(None) if self.shared.stopping.load(Relaxed) => return Ok(()),
                Ok(None) => {}
                // The kernel has done with them as `message-lost` says; we only count.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    add(&self.counters().message_lost);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn counters(&self) -> &ShardCounters {
        &self.shared.counters[usize::from(self.number)]
    }

    fn beat(&mut self, now: u64) {
        self.shared.beat(self.number, now);
        if let Gate::Kernel(tables) = &mut self.gate
            && let Err(error) = tables.beat(self.number, now)
        {
            tracing::error!("{error}");
        }
    }

    fn handle(&mut self, packet: Q::Packet) -> std::io::Result<()> {
        add(&self.counters().received);
        let version = self.shared.outside_addresses.version();
        if version != self.addresses {
            let addresses = self.shared.outside_addresses.get();
            self.engine.set_own_addresses(addresses);
            self.addresses = version;
        }
        let judged = catch_unwind(AssertUnwindSafe(|| self.judge(&packet)));
        let verdict = judged.unwrap_or_else(|_| {
            add(&self.counters().internal_error);
            // Its memory may be half-changed; what the kernel's tables know stays.
            self.engine = Engine::new(self.shared.engine_settings());
            self.addresses = 0;
            match self.shared.failure.internal_error {
                OnFailure::Open => {
                    QueueVerdict::Accept(self.shared.field.write(packet.mark(), Code::Pass))
                }
                OnFailure::Closed => QueueVerdict::Drop,
            }
        });
        let counters = self.counters();
        match verdict {
            QueueVerdict::Accept(_) => add(&counters.accepted),
            QueueVerdict::Repeat(_) | QueueVerdict::Drop => add(&counters.dropped),
        }
        match self.queue.answer(packet, verdict) {
            // The device went away, and the kernel dropped its packets itself.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }
}

/// What an engine of a gateway with `queues` shards is told: together they fit the kernel's tables,
/// which hold two entries for an endpoint, for UDP and where it listens on TCP.
pub(super) fn engine_settings(queues: u8) -> Settings {
    let queues = usize::from(queues.max(1));
    Settings {
        max_flows: 100_000 / queues,
        max_endpoints: 60_000 / queues,
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests;
