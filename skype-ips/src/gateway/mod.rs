//! The live gateway: kernel program, queues and firewall rules around the engine.
//!
//! Order matters. Start: queues configured, then rules that feed them, then the classifier that
//! tags. Stop: the classifier goes, the queues run dry, the rules go, the queues close. Whatever
//! fails half-way takes down what was already up.

mod audit;
mod budgets;
mod bypass;
mod clock;
mod confirm;
mod counters;
mod error;
mod events;
mod exemptions;
mod gate;
mod in_force;
mod neighbours;
mod proxies;
mod reload;
mod requests;
mod restart;
mod rundir;
mod shard;
mod shared;
mod source;
mod start;
mod status;
mod views;
mod watchdog;

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skype_ips_common::layout::{Address, GateConfig};

pub use bypass::ExemptError;
pub use confirm::DEFAULT_STATE_DIR;
pub use error::GatewayError;
pub use in_force::InForce;
pub use reload::{Refusal, ReloadRequest, Reloaded};
pub use requests::{KnownFlow, Page, Part, Silent};
pub use rundir::{DEFAULT as DEFAULT_RUN_DIR, MAX_INSTANCE, RunDir, RunDirError, socket};
pub use shared::{Place, Shared};
pub use source::Source;
pub use views::FlowName;
pub use watchdog::watch;

use confirm::{Choice, Kept};
use error::io;

use crate::kernel::{
    Attachment, Firewall, Link, Programs, addresses, holds_connections, queue_statistics,
};
use crate::policy::{InterfaceSide, Mode, to_mapped};
use crate::telemetry::Who;

/// A heartbeat older than this many nanoseconds counts as no daemon: under the second that is
/// promised, over the longest pause of a busy machine.
const HEARTBEAT_LIMIT: u64 = 800_000_000;
/// Longest wait for queues to run dry at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the configuration comes from.
    pub source: Source,
    /// Name of this daemon among others on the machine.
    pub instance: String,
    /// Folder under which it has its own.
    pub run_dir: PathBuf,
    /// Folder under which it keeps what a reload that waits for its confirmation goes back to.
    pub state_dir: PathBuf,
    /// Where event lines go: `None` discards, `-` is standard output, else a file.
    pub events: Option<PathBuf>,
}

/// A hook as it was asked for and got.
#[derive(Clone, Debug)]
struct Hooked {
    link: Link,
    side: InterfaceSide,
    place: Place,
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
    /// Instead of `programs` where there are none.
    user_gate: Option<Arc<Mutex<gate::UserGate>>>,
    administration: Mutex<reload::Administration>,
    hooked: Vec<Hooked>,
    firewall: Mutex<Firewall>,
    shards: Mutex<Vec<JoinHandle<std::io::Result<()>>>>,
    watchdog: Mutex<Option<watchdog::Watchdog>>,
    events: events::Events,
    requests: requests::Requests,
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
        self.follow_clock();
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
    let mut kept = Kept::open(&options.state_dir, &options.instance);
    let choice = confirm::choose(&options.source, &mut kept, clock::wall())?;
    let result = runtime.block_on(serve(options, choice, kept, &run_dir, events));
    drop(runtime);
    // The last sender is gone with the gateway: the writer writes what is left and ends.
    let _ = writer.join();
    result
}

async fn serve(
    options: &Options,
    choice: Choice,
    kept: Kept,
    run_dir: &RunDir,
    events: events::Events,
) -> Result<(), GatewayError> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).map_err(io("handle SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("handle SIGINT"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io("handle SIGHUP"))?;
    if !choice.config.warnings.is_empty() {
        eprintln!("{}", choice.config.warnings);
    }
    let instead = choice.instead.clone();
    let gateway = Arc::new(Gateway::start(options, choice, kept, &events)?);
    gateway.say_what_was_chosen(instead);
    let server = crate::control::serve(&run_dir.socket(), gateway.clone())
        .map_err(io("open the control socket"))?;
    let neighbours = tokio::spawn(neighbours::follow(gateway.clone()));
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
            // Its outcome is in the log and among the events.
            _ = hangup.recv() => drop(gateway.reload(&ReloadRequest::default(), Who::Signal)),
            _ = tick.tick() => if let Err(error) = gateway.tick() { break Err(error) },
        }
    };
    neighbours.abort();
    server.abort();
    gateway.stop();
    gateway.announce("stopped");
    result
}
