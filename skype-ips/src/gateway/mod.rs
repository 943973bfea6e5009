//! The live gateway: kernel program, queues and firewall rules around the engine.
//!
//! Order matters. Start: queues configured, then rules that feed them, then the classifier that
//! tags. Stop: the classifier goes, the queues run dry, the rules go, the queues close. Whatever
//! fails half-way takes down what was already up.

mod clock;
mod counters;
mod error;
mod events;
mod exemptions;
mod gate;
mod in_force;
mod proxies;
mod reload;
mod rundir;
mod shard;
mod shared;
mod start;
mod status;
mod watchdog;

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skype_ips_common::layout::{Address, GateConfig, flag};

pub use error::GatewayError;
pub use in_force::InForce;
pub use rundir::{DEFAULT as DEFAULT_RUN_DIR, MAX_INSTANCE, RunDir, RunDirError, socket};
pub use shared::Shared;
pub use watchdog::watch;

use error::io;

use crate::kernel::{
    Attachment, BpfError, Firewall, Link, Programs, addresses, holds_connections, queue_statistics,
};
use crate::policy::{Config, InterfaceSide, Mode, to_mapped};

/// A heartbeat older than this many nanoseconds counts as no daemon: under the second that is
/// promised, over the longest pause of a busy machine.
const HEARTBEAT_LIMIT: u64 = 800_000_000;
/// Longest wait for queues to run dry at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// Name of this daemon among others on the machine.
    pub instance: String,
    /// Folder under which it has its own.
    pub run_dir: PathBuf,
    /// Where event lines go: `None` discards, `-` is standard output, else a file.
    pub events: Option<PathBuf>,
}

/// A hook as it was asked for and got.
#[derive(Clone, Debug)]
struct Hooked {
    link: Link,
    side: InterfaceSide,
    zone: u16,
    attachment: Option<Attachment>,
}

impl Hooked {
    fn is_inside(&self) -> bool {
        self.side == InterfaceSide::Inside
    }
}

fn inside(hooks: &[Hooked]) -> impl Iterator<Item = &Hooked> {
    hooks.iter().filter(|hook| hook.is_inside())
}

/// The gateway at work. Dropping it takes everything down.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    programs: Mutex<Option<Programs>>,
    gate_config: Mutex<GateConfig>,
    administration: Mutex<reload::Administration>,
    hooked: Vec<Hooked>,
    firewall: Mutex<Firewall>,
    shards: Mutex<Vec<JoinHandle<std::io::Result<()>>>>,
    bypass_until: Mutex<Option<u64>>,
    watchdog: Mutex<Option<watchdog::Watchdog>>,
    events: events::Events,
}

impl Gateway {
    /// What the shards and the control side share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What is in force, read back from the kernel.
    pub fn status(&self) -> serde_json::Value {
        status::status(self)
    }

    /// Lets everything pass, or stops doing so; watching goes on either way. `until` (nanoseconds
    /// since the Unix epoch) is for the status only: the caller ends it.
    ///
    /// # Errors
    /// The kernel's table was not written.
    pub fn set_bypass(&self, on: bool, until: Option<u64>) -> Result<(), BpfError> {
        self.shared.bypass.store(on, Relaxed);
        let mut config = lock(&self.gate_config);
        config.flags = if on {
            config.flags | flag::BYPASS
        } else {
            config.flags & !flag::BYPASS
        };
        if let Some(programs) = lock(&self.programs).as_mut() {
            programs.set_config(*config)?;
        }
        *lock(&self.bypass_until) = until.filter(|_| on);
        tracing::warn!(
            "bypass {}",
            if on { "on: everything passes" } else { "off" }
        );
        Ok(())
    }

    /// Keeps the table of own addresses current, and says which queue has died, if any.
    ///
    /// # Errors
    /// A queue's thread has ended.
    pub fn tick(&self) -> Result<(), GatewayError> {
        let own = addresses::read();
        if let Some(programs) = lock(&self.programs).as_mut() {
            programs.flush_log();
            if let Err(error) = programs.set_local(&local(&own)) {
                tracing::error!("{error}");
            }
        }
        set_outside_addresses(&self.shared, &self.hooked, &own);
        if let Err(error) = self.follow_clock() {
            tracing::error!("windows are not followed: {error}");
        }
        let mut shards = lock(&self.shards);
        let Some(dead) = shards.iter().position(JoinHandle::is_finished) else {
            return Ok(());
        };
        let reason = match shards.remove(dead).join() {
            Ok(Ok(())) => "its thread ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "its thread panicked".to_owned(),
        };
        Err(GatewayError::QueueDied {
            number: self.shared.first_queue + dead as u16,
            reason,
        })
    }

    /// Takes everything down, losing no packet under `open`.
    pub fn stop(&self) {
        // It would take the end for a hang.
        drop(lock(&self.watchdog).take());
        // Dropping the programs detaches them: nothing is tagged any more.
        drop(lock(&self.programs).take());
        let numbers =
            self.shared.first_queue..self.shared.first_queue + self.shared.counters.len() as u16;
        let deadline = Instant::now() + DRAIN_LIMIT;
        let drain = || {
            while Instant::now() < deadline
                && queue_statistics()
                    .iter()
                    .any(|queue| numbers.contains(&queue.number) && queue.waiting > 0)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        if self.hooked.iter().any(|hook| hook.attachment.is_some()) {
            // What was tagged before is on its way to the queue rule.
            std::thread::sleep(Duration::from_millis(20));
            drain();
        }
        lock(&self.firewall).remove();
        drain();
        self.shared.stopping.store(true, Relaxed);
        for shard in lock(&self.shards).drain(..) {
            if let Ok(Err(error)) = shard.join() {
                tracing::error!("a queue's thread failed: {error}");
            }
        }
    }

    fn announce(&self, state: &str) {
        let record = serde_json::json!({
            "event_type": "engine",
            "timestamp": crate::telemetry::timestamp(clock::wall()),
            "engine": { "state": state, "instance": self.shared.instance },
        });
        self.events.send(&record);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A lock whose holder can't leave it half-changed: every critical section is a plain store.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where connections are tracked they may be translated: the shards are told under which
/// addresses inside hosts are seen then.
fn set_outside_addresses(shared: &Shared, hooks: &[Hooked], own: &[addresses::Own]) {
    if !shared.conntrack && !holds_connections() {
        return;
    }
    let is_inside =
        |own: &addresses::Own| inside(hooks).any(|hook| hook.link.name == own.interface);
    let outside = own.iter().filter(|own| !own.loopback && !is_inside(own));
    let outside: Vec<_> = outside.map(|own| own.address).collect();
    if shared.outside_addresses.set(outside.clone()) {
        tracing::info!(?outside, "inside hosts may be seen under these addresses");
    }
}

/// The gateway's own addresses as the tables hold them.
fn local(own: &[addresses::Own]) -> Vec<Address> {
    own.iter().map(|own| to_mapped(own.address)).collect()
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// It could not be set up, or a queue died.
pub fn run(options: &Options) -> Result<(), GatewayError> {
    let run_dir = RunDir::take(&options.run_dir, &options.instance)?;
    let (events, writer) =
        events::start(options.events.as_deref()).map_err(io("open the event file"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io("start the control side"))?;
    let result = runtime.block_on(serve(options, &run_dir, events));
    drop(runtime);
    // The last sender is gone with the gateway: the writer writes what is left and ends.
    let _ = writer.join();
    result
}

async fn serve(
    options: &Options,
    run_dir: &RunDir,
    events: events::Events,
) -> Result<(), GatewayError> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).map_err(io("handle SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("handle SIGINT"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io("handle SIGHUP"))?;
    let gateway = Arc::new(Gateway::start(options, &events)?);
    let server = crate::control::serve(&run_dir.socket(), gateway.clone())
        .map_err(io("open the control socket"))?;
    gateway.announce("ready");
    let in_force = gateway.shared.in_force();
    let mode = in_force.standing.mode();
    tracing::info!(
        "ready: mode {mode}, policies {}",
        in_force
            .standing
            .set()
            .policies()
            .iter()
            .map(|policy| policy.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    drop(in_force);
    if mode == Mode::Monitor {
        tracing::info!("monitoring only: nothing is dropped; `mode = \"enforce\"` changes that");
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let result = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = hangup.recv() => tracing::warn!("SIGHUP: the configuration is read at start only; restart to change it"),
            _ = tick.tick() => if let Err(error) = gateway.tick() { break Err(error) },
        }
    };
    server.abort();
    gateway.stop();
    gateway.announce("stopped");
    result
}
