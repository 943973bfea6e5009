//! Plays a world in real time around a real gateway.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use super::super::LabError;
use super::super::daemon::Daemon;
use super::super::signals::interrupted;
use super::super::wire;
use super::cables::{Cables, packet};
use super::outcome::Played;
use super::record::Recorder;
use super::{Progress, Stop};
use crate::simulator::net::program::Ground;
use crate::simulator::net::{Crossing, Header, Protocol, Side};
use crate::simulator::scenario::{Achieved, Built};

/// Between two reports of progress, and two looks at the daemon.
const REPORT: Duration = Duration::from_millis(200);
/// How long packets that are inside the gateway at the end may take to come out.
const LATE: Duration = Duration::from_millis(100);

/// A run under way.
pub(super) struct Drive<'a> {
    pub(super) built: Built,
    pub(super) cables: Cables,
    pub(super) daemon: Option<Daemon>,
    pub(super) recorder: Option<Recorder>,
    pub(super) stop: &'a Stop,
    translator: Translator,
    behind: Duration,
    bytes: u64,
}

/// What the gateway's translator lets in, as seen from outside.
struct Translator {
    public: Ipv4Addr,
    /// Ports of the gateway's own from which something went out, and to whom.
    open: HashSet<(Protocol, u16, SocketAddrV4)>,
    unexpected: BTreeMap<Ground, u64>,
}

impl Translator {
    /// A packet has come out of the gateway on the outside.
    fn emerged(&mut self, header: &Header) {
        if *header.source.ip() == self.public {
            self.open
                .insert((header.protocol, header.source.port(), header.destination));
        }
    }

    /// A packet is handed to the gateway.
    fn handed(&mut self, side: Side, header: &Header, ground: Ground) {
        let (to, from) = (header.destination, header.source);
        // From inside nobody gets to another translated host: Linux' masquerading turns no
        // packets round.
        let is_expected =
            side == Side::Outside && self.open.contains(&(header.protocol, to.port(), from));
        if *to.ip() == self.public && !is_expected {
            *self.unexpected.entry(ground).or_default() += 1;
        }
    }
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        built: Built,
        cables: Cables,
        daemon: Option<Daemon>,
        recorder: Option<Recorder>,
        stop: &'a Stop,
    ) -> Self {
        Self {
            translator: Translator {
                public: built.world.gateway(),
                open: HashSet::new(),
                unexpected: BTreeMap::new(),
            },
            built,
            cables,
            daemon,
            recorder,
            stop,
            behind: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Plays it to its end.
    pub(super) fn play(mut self, progress: &mut dyn FnMut(Progress)) -> Result<Played, LabError> {
        let until = self.built.until;
        let start = Instant::now();
        let mut next_report = Duration::ZERO;
        loop {
            let now = start.elapsed().min(until);
            self.catch_up(now)?;
            self.receive()?;
            if now == until {
                break;
            }
            if now >= next_report {
                self.check()?;
                progress(self.progress(now, next_report));
                next_report = now + REPORT;
            }
            let world = &self.built.world;
            let events = [world.next_event(), self.built.schedule.next()];
            let next = events.into_iter().flatten().fold(until, Duration::min);
            let left = next.min(next_report).saturating_sub(start.elapsed());
            if !left.is_zero() {
                wire::wait(self.cables.wires(), left)
                    .map_err(|error| LabError::failed("waiting for packets", error))?;
            }
        }
        self.listen()?;
        progress(self.progress(until, next_report));
        self.finish()
    }

    /// Lets everything happen that is due by now.
    fn catch_up(&mut self, now: Duration) -> Result<(), LabError> {
        while let Some(at) = {
            let Built {
                world, schedule, ..
            } = &mut self.built;
            schedule.step(world, |at| at <= now)
        } {
            self.behind = self.behind.max(now.saturating_sub(at));
            self.send()?;
        }
        self.built.world.pass(now);
        Ok(())
    }

    fn send(&mut self) -> Result<(), LabError> {
        for Crossing {
            side,
            packet,
            ground,
        } in self.built.world.take_crossing()
        {
            if let Some(header) = Header::read(&packet) {
                self.translator.handed(side, &header, ground);
            }
            self.bytes += packet.len() as u64;
            let frame = self.cables.send(side, &packet)?;
            if let Some(recorder) = &mut self.recorder {
                recorder.handed(side, &frame, ground)?;
            }
        }
        Ok(())
    }

    /// Takes in what has come out of the gateway.
    fn receive(&mut self) -> Result<(), LabError> {
        let Self {
            built,
            cables,
            recorder,
            translator,
            ..
        } = self;
        cables.receive(|side, frame| {
            let packet = packet(frame);
            if let (Side::Outside, Some(header)) = (side, Header::read(packet)) {
                translator.emerged(&header);
            }
            let ground = built.world.arrived(side, packet.to_vec());
            match recorder {
                Some(recorder) => recorder.emerged(side, frame, ground),
                None => Ok(()),
            }
        })
    }

    /// Ends a run that can't go on.
    fn check(&mut self) -> Result<(), LabError> {
        if interrupted() || self.stop.is_asked() {
            return Err(LabError::Interrupted);
        }
        match &mut self.daemon {
            Some(daemon) => daemon.take_events(),
            None => Ok(()),
        }
    }

    /// Reads what still comes out of the gateway.
    fn listen(&mut self) -> Result<(), LabError> {
        let start = Instant::now();
        while let Some(left) = LATE
            .checked_sub(start.elapsed())
            .filter(|left| !left.is_zero())
        {
            wire::wait(self.cables.wires(), left)
                .map_err(|error| LabError::failed("waiting for packets", error))?;
            self.receive()?;
        }
        Ok(())
    }

    fn progress(&mut self, now: Duration, last: Duration) -> Progress {
        let mut signed_in = 0;
        let mut calls = 0;
        for Achieved { figures, .. } in self.built.achieved() {
            signed_in += usize::from(figures.signed_in.is_some());
            calls += figures
                .calls
                .iter()
                .filter(|call| call.set_up.is_some())
                .count();
        }
        let since = now.saturating_sub(last.saturating_sub(REPORT));
        let bytes = std::mem::take(&mut self.bytes);
        Progress {
            done: now,
            total: self.built.until,
            signed_in,
            // Each has two ends.
            calls: calls.div_ceil(2),
            rate: bytes as f64 / since.as_secs_f64().max(REPORT.as_secs_f64()),
        }
    }

    /// Ends the daemon and the recording. The gateway lives until the daemon has stopped, so that
    /// its last word is about interfaces that are there.
    fn finish(mut self) -> Result<Played, LabError> {
        let mut played = Played::of(&self.built.world, &self.built.hosts, &self.built.programs);
        played.unexpected = self.translator.unexpected;
        played.behind = self.behind;
        if let Some(mut daemon) = self.daemon.take() {
            played.gateway = daemon.status()?;
            daemon.stop()?;
        }
        if let Some(recorder) = self.recorder {
            recorder.finish()?;
        }
        Ok(played)
    }
}
