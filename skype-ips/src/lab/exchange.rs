//! Sends one packet at a time and finds out what became of it.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::LabError;
use super::alert::Alert;
use super::daemon::Daemon;
use super::nat::Translations;
use super::packet::{Packet, Translated, Unroutable};
use super::signals::interrupted;
use super::topology::{Host, Topology};
use super::wire;
use crate::capture::Writer;

/// A packet not delivered for this long may have been dropped: the daemon is asked.
const PATIENCE: Duration = Duration::from_millis(2);
/// Between further questions.
const INTERVAL: Duration = Duration::from_millis(5);
/// A packet neither delivered nor reported dropped for this long is lost.
const LIMIT: Duration = Duration::from_secs(2);
/// How many packets that didn't arrive are remembered, in case they still do.
const REMEMBERED: usize = 64;

/// What became of a packet, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It arrived on the other side.
    Delivered,
    /// The gateway says that it dropped it.
    Dropped,
    /// Neither within two seconds.
    Lost,
}

/// Which side sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The inside host.
    Inside,
    /// The outside host.
    Outside,
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When, microseconds since the Unix epoch.
    pub(super) at: u64,
    /// What became of it.
    pub(super) fate: Fate,
}

/// Both hosts at work.
#[derive(Debug)]
pub(super) struct Exchange {
    topology: Topology,
    daemon: Option<Daemon>,
    translations: Option<Translations>,
    recorders: Option<[Writer; 2]>,
    drops: u64,
    missing: VecDeque<(u64, Vec<u8>)>,
    arrived_late: Vec<u64>,
}

impl Exchange {
    pub(super) fn new(
        topology: Topology,
        daemon: Option<Daemon>,
        nat: bool,
        capture: Option<&Path>,
    ) -> Result<Self, LabError> {
        let recorders = match capture {
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .map_err(|error| LabError::failed("making the folder of --capture", error))?;
                let create = |name| Writer::create(&folder.join(name));
                Some([create("inside.pcap")?, create("outside.pcap")?])
            }
            None => None,
        };
        let mut exchange = Self {
            topology,
            daemon,
            translations: nat.then(Translations::default),
            recorders,
            drops: 0,
            missing: VecDeque::new(),
            arrived_late: Vec::new(),
        };
        if let Some(daemon) = &mut exchange.daemon {
            exchange.drops = daemon.drops()?;
        }
        Ok(exchange)
    }

    /// Sends the segments of one captured packet, `number` for [`Exchange::arrived_late`]; each
    /// waits for the one before it.
    ///
    /// # Errors
    /// The inner one: a NAT has no place for it, and nothing was sent.
    pub(super) fn send(
        &mut self,
        side: Side,
        number: u64,
        segments: &[Packet],
    ) -> Result<Result<Sent, Unroutable>, LabError> {
        let mut whole = Sent {
            at: microseconds(),
            fate: Fate::Delivered,
        };
        for segment in segments {
            let sent = match (&self.translations, side) {
                (Some(translations), Side::Outside) => {
                    match translations.towards_gateway(segment) {
                        Ok(sent) => sent,
                        Err(reason) => return Ok(Err(reason)),
                    }
                }
                _ => segment.clone(),
            };
            let frame = {
                let near = self.host(side);
                let frame = sent.frame(near.own, near.gateway);
                near.wire
                    .send(&frame)
                    .map_err(|error| LabError::failed("sending a packet", error))?;
                frame
            };
            self.write(side, &frame)?;
            let fate = self.follow(side, segment)?;
            whole.fate = whole.fate.max(fate);
            if fate == Fate::Delivered {
                if let (Some(translations), Side::Outside) = (&mut self.translations, side) {
                    translations.answered(segment);
                }
            } else {
                if self.missing.len() == REMEMBERED {
                    self.missing.pop_front();
                }
                let translated = self.translated(side);
                self.missing
                    .push_back((number, segment.unchanged_part(translated)));
            }
        }
        Ok(Ok(whole))
    }

    fn host(&mut self, side: Side) -> &mut Host {
        match side {
            Side::Inside => &mut self.topology.inside,
            Side::Outside => &mut self.topology.outside,
        }
    }

    fn translated(&self, sender: Side) -> Translated {
        match (&self.translations, sender) {
            (None, _) => Translated::No,
            (Some(_), Side::Inside) => Translated::Source,
            (Some(_), Side::Outside) => Translated::Back,
        }
    }

    /// Waits until a packet that was just sent is delivered, dropped or lost.
    fn follow(&mut self, sender: Side, packet: &Packet) -> Result<Fate, LabError> {
        let expected = packet.unchanged_part(self.translated(sender));
        let start = Instant::now();
        let mut next_question = PATIENCE;
        loop {
            if self.arrives(sender, packet, &expected)? {
                return Ok(Fate::Delivered);
            }
            let waited = start.elapsed();
            if waited >= LIMIT {
                return Ok(Fate::Lost);
            }
            if waited >= next_question {
                if interrupted() {
                    return Err(LabError::Interrupted);
                }
                if let Some(daemon) = &mut self.daemon {
                    let drops = daemon.drops()?;
                    if drops > self.drops {
                        self.drops = drops;
                        return Ok(match self.arrives(sender, packet, &expected)? {
                            true => Fate::Delivered,
                            false => Fate::Dropped,
                        });
                    }
                }
                next_question = start.elapsed() + INTERVAL;
            }
            let wires = [&self.topology.inside.wire, &self.topology.outside.wire];
            wire::wait(wires, next_question.saturating_sub(start.elapsed()))
                .map_err(|error| LabError::failed("waiting for a packet", error))?;
        }
    }

    /// Reads all that has arrived at both hosts; says whether the packet is among it.
    fn arrives(
        &mut self,
        sender: Side,
        packet: &Packet,
        expected: &[u8],
    ) -> Result<bool, LabError> {
        let mut found = false;
        for side in [Side::Inside, Side::Outside] {
            while let Some(frame) = self.receive(side)? {
                self.write(side, &frame)?;
                let Some(arrived) = Packet::from_frame(&frame).filter(|_| side != sender) else {
                    continue;
                };
                if !found && arrived.unchanged_part(self.translated(sender)) == expected {
                    found = true;
                    if let (Some(translations), Side::Outside) = (&mut self.translations, side) {
                        translations.learn(packet, &arrived);
                    }
                } else {
                    self.note_late(side, &arrived);
                }
            }
        }
        Ok(found)
    }

    fn receive(&mut self, side: Side) -> Result<Option<Vec<u8>>, LabError> {
        match self.host(side).wire.receive() {
            Ok(frame) => Ok(frame.map(<[u8]>::to_vec)),
            Err(error) => Err(LabError::failed("receiving a packet", error)),
        }
    }

    fn note_late(&mut self, receiver: Side, arrived: &Packet) {
        let sender = match receiver {
            Side::Inside => Side::Outside,
            Side::Outside => Side::Inside,
        };
        let arrived = arrived.unchanged_part(self.translated(sender));
        if let Some(at) = self
            .missing
            .iter()
            .position(|(_, missing)| *missing == arrived)
        {
            self.arrived_late
                .extend(self.missing.remove(at).map(|(number, _)| number));
        }
    }

    fn write(&mut self, side: Side, frame: &[u8]) -> Result<(), LabError> {
        if let Some([inside, outside]) = &mut self.recorders {
            let writer = match side {
                Side::Inside => inside,
                Side::Outside => outside,
            };
            writer.write(microseconds() * 1000, frame)?;
        }
        Ok(())
    }

    /// Reads what still arrives for a while.
    pub(super) fn listen(&mut self, time: Duration) -> Result<(), LabError> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()) {
            let wires = [&self.topology.inside.wire, &self.topology.outside.wire];
            wire::wait(wires, left)
                .map_err(|error| LabError::failed("waiting for packets", error))?;
            for side in [Side::Inside, Side::Outside] {
                while let Some(frame) = self.receive(side)? {
                    self.write(side, &frame)?;
                    if let Some(arrived) = Packet::from_frame(&frame) {
                        self.note_late(side, &arrived);
                    }
                }
            }
        }
        Ok(())
    }

    /// The numbers of packets that arrived after they had been given up, so far.
    pub(super) fn arrived_late(&self) -> &[u64] {
        &self.arrived_late
    }

    /// Ends the run and the recordings: the daemon's last status and its alerts. The topology lives
    /// until the daemon has stopped, so that its last word is about interfaces that are there.
    pub(super) fn finish(mut self) -> Result<(Value, Vec<Alert>), LabError> {
        let last = match self.daemon.take() {
            Some(mut daemon) => (daemon.status()?, daemon.stop()?),
            None => (Value::Null, Vec::new()),
        };
        for recorder in self.recorders.into_iter().flatten() {
            recorder.finish()?;
        }
        Ok(last)
    }
}

fn microseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_micros() as u64
}
