//! A scenario in real time: the simulated parties around a real gateway of the kernel's, with the
//! real daemon on it.
//!
//! Every packet that crosses the gateway goes as a frame into its namespace, and comes back to the
//! world where it comes out. With a daemon the same scenario runs beside it, in namespaces of its
//! own, through a gateway without one.

mod cables;
mod curves;
mod drive;
mod goals;
mod offload;
mod outcome;
mod promise;
mod record;
mod report;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::daemon::{self, Daemon};
use super::scratch::Scratch;
use super::{LabError, built_in};
use crate::policy::{Config, HookChoice, Mode};
use crate::simulator::net::Side;
use crate::simulator::scenario::Built;
use cables::{Cables, Network};
use drive::Drive;
use record::Recorder;

pub use outcome::Played;
pub use promise::{ALLOWED, GRACE, InForce, Promise, promises, untouched};
pub use report::{Report, Run};
pub use table::Look;
pub use verdict::{Judged, Treatment};
pub use words::bit_rate;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The daemon in the middle; `None`: plain forwarding.
    pub daemon: Option<DaemonOptions>,
    /// Folder for what crossed the gateway, as captures.
    pub capture_dir: Option<PathBuf>,
}

/// Which daemon.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// The `skype-ips` program whose `run` is the daemon.
    pub program: PathBuf,
    /// Its configuration; without one, Skype of the inside networks is under `drop`.
    pub config: Option<PathBuf>,
    /// Instead of the configuration's mode.
    pub mode: Option<Mode>,
    /// Instead of the configuration's hook.
    pub hook: Option<HookChoice>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Seconds of the scenario that are over.
    pub done: Duration,
    /// All of them.
    pub total: Duration,
    /// Parties that are signed in, or were.
    pub signed_in: usize,
    /// Calls that came about.
    pub calls: usize,
    /// What the gateway is handed, bytes a second.
    pub rate: f64,
}

/// What was found out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Without a daemon.
    pub plain: Played,
    /// With it.
    pub daemon: Option<Played>,
    /// What it was to do.
    pub in_force: Option<InForce>,
}

/// One of two runs asks the other to stop.
#[derive(Debug, Default)]
struct Stop(AtomicBool);

impl Stop {
    fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Plays a scenario's world, which `build` builds on the threads that play it, once or twice.
///
/// # Errors
/// See [`LabError`]; whatever was set up is gone by then.
pub fn run(
    options: &Options,
    build: &(dyn Fn() -> Built + Sync),
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, LabError> {
    let stop = Stop::default();
    let capture = options.capture_dir.as_deref();
    let Some(daemon) = &options.daemon else {
        let plain = plain(build, capture, &stop, None, progress)?;
        return Ok(Outcome {
            plain,
            daemon: None,
            in_force: None,
        });
    };
    std::thread::scope(|scope| {
        let (go, wait) = sync_channel(0);
        let beside = scope.spawn(|| {
            let outcome = plain(build, None, &stop, Some(wait), &mut |_| ());
            if outcome.is_err() {
                stop.ask();
            }
            outcome
        });
        let under = under_policy(daemon, build, capture, &stop, Some(&go), progress);
        // Without a word by now there is none.
        drop(go);
        if under.is_err() {
            stop.ask();
        }
        let plain = match beside.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (plain, under) {
            // Whichever went wrong first stopped the other.
            (Err(error), Err(LabError::Interrupted)) => Err(error),
            (_, Err(error)) | (Err(error), _) => Err(error),
            (Ok(plain), Ok((under, in_force))) => Ok(Outcome {
                plain,
                daemon: Some(under),
                in_force: Some(in_force),
            }),
        }
    })
}

/// Plays a scenario's world once, under a policy: what else is needed is known from an earlier run
/// without a daemon.
///
/// # Errors
/// As [`run`].
pub fn run_under(
    daemon: &DaemonOptions,
    build: &(dyn Fn() -> Built + Sync),
    progress: &mut dyn FnMut(Progress),
) -> Result<(Played, InForce), LabError> {
    under_policy(daemon, build, None, &Stop::default(), None, progress)
}

/// Without a daemon. `wait` says when the run may begin.
fn plain(
    build: &(dyn Fn() -> Built + Sync),
    capture: Option<&Path>,
    stop: &Stop,
    wait: Option<Receiver<()>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Played, LabError> {
    let mut built = build();
    built.world.keep_ledger();
    let cables = Cables::lay(&networks(&built), built.world.gateway())?;
    cables.keep_packets_whole()?;
    let recorder = capture.map(Recorder::create).transpose()?;
    if let Some(wait) = wait
        && wait.recv().is_err()
    {
        return Err(LabError::Interrupted);
    }
    Drive::new(built, cables, None, recorder, stop).play(progress)
}

/// With a daemon. `go`, if anybody waits, is told when it is ready.
fn under_policy(
    options: &DaemonOptions,
    build: &(dyn Fn() -> Built + Sync),
    capture: Option<&Path>,
    stop: &Stop,
    go: Option<&SyncSender<()>>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Played, InForce), LabError> {
    let mut built = build();
    built.world.keep_ledger();
    let networks = networks(&built);
    let scratch = Scratch::new().map_err(|error| LabError::failed("making a folder", error))?;
    let config = match &options.config {
        Some(path) => path.clone(),
        None => {
            let path = scratch.path().join("gateway.toml");
            let inside: Vec<IpNet> = networks
                .iter()
                .map(|network| network.subnet.into())
                .collect();
            std::fs::write(&path, built_in(&inside))
                .map_err(|error| LabError::failed("writing the configuration", error))?;
            path
        }
    };
    let read = Config::load(std::slice::from_ref(&config)).map_err(LabError::Configuration)?;
    // Files of policies alone say nothing of a gateway that would hold them back.
    let policies_alone = options.config.is_some() && !read.files.iter().any(|file| file.gateway);
    let mode = options.mode.or(policies_alone.then_some(Mode::Enforce));
    let in_force = || read.standing(mode.unwrap_or(read.gateway.mode), Timestamp::now());
    let cables = Cables::lay(&networks, built.world.gateway())?;
    let interfaces = cables.interfaces();
    let start = daemon::Start {
        program: &options.program,
        config: &config,
        mode,
        hook: options.hook,
        interfaces: &interfaces,
        run_dir: scratch.path(),
    };
    let daemon = Daemon::start(&start, &cables.gateway)?;
    // Now, as XDP programs that have just been attached switch some on.
    cables.keep_packets_whole()?;
    let recorder = capture.map(Recorder::create).transpose()?;
    // If the other run has failed it says so itself.
    if go.is_some_and(|go| go.send(()).is_err()) {
        return Err(LabError::Interrupted);
    }
    let begin = in_force();
    let played = Drive::new(built, cables, Some(daemon), recorder, stop).play(progress)?;
    Ok((played, InForce::new(begin, in_force())))
}

/// The inside networks of a world.
fn networks(built: &Built) -> Vec<Network> {
    let inside = built.world.networks();
    inside
        .filter(|spec| spec.side == Side::Inside)
        .map(|spec| Network {
            subnet: spec.subnet,
            translated: spec.translated,
            hosts: built
                .hosts
                .iter()
                .map(|host| built.world.address(*host))
                .filter(|address| spec.subnet.contains(address))
                .collect(),
        })
        .collect()
}
