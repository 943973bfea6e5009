//! The live gateway: kernel program, queues and firewall rules around the engine.
//!
//! Order matters. Start: queues configured, then rules that feed them, then the classifier that
//! tags. Stop: the classifier goes, the queues run dry, the rules go, the queues close. Whatever
//! fails half-way takes down what was already up.

mod clock;
mod counters;
mod events;
mod gate;
mod proxies;
mod rundir;
mod shard;
mod shared;
mod status;
mod watchdog;

use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use skype_ips_common::layout::{Address, GateConfig, Interface, flag};
use skype_ips_common::mark::Field;

pub use rundir::{DEFAULT as DEFAULT_RUN_DIR, MAX_INSTANCE, RunDir, RunDirError, socket};
pub use shared::Shared;
pub use watchdog::watch;

use crate::kernel::{
    AttachError, Attachment, BpfError, Firewall, FirewallError, KernelQueue, Link, LinkError,
    MemoryTables, Plan, Programs, QueueError, addresses, attach, conntrack_in_use,
    holds_connections, queue_statistics,
};
use crate::policy::{
    Config, ConntrackUse, HookChoice, InterfaceSide, Mode, OnFailure, Place, to_mapped,
};

/// A heartbeat older than this many nanoseconds counts as no daemon: under the second that is
/// promised, over the longest pause of a busy machine.
const HEARTBEAT_LIMIT: u64 = 800_000_000;
/// How long a queue thread waits for a packet before it looks around.
const QUEUE_WAIT: Duration = Duration::from_millis(50);
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

/// The gateway could not be set up, or stopped working.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration names an interface that isn't there.
    #[error("{place}: {source}")]
    Interface {
        /// Where it is named.
        place: Place,
        /// What is wrong with it.
        source: LinkError,
    },
    /// The folder of this instance.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The kernel programs.
    #[error("{0}")]
    Bpf(#[from] BpfError),
    /// The hooks.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The firewall rules.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// A thread, a file or a socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A queue's thread ended on its own.
    #[error(
        "queue {number} stopped working: {reason}; the gateway is shutting down, as `daemon-down` says"
    )]
    QueueDied {
        /// The queue.
        number: u16,
        /// Why.
        reason: String,
    },
}

impl GatewayError {
    /// Whether the machine can't do it, as opposed to a failure on the way.
    pub fn is_incapable(&self) -> bool {
        match self {
            Self::Queue(QueueError::Permission | QueueError::Unsupported(_))
            | Self::Firewall(FirewallError::NoBackend { .. })
            | Self::Attach(_)
            | Self::Bpf(BpfError::Load(_) | BpfError::Program { .. })
            | Self::Interface {
                source: LinkError::Tool(_),
                ..
            } => true,
            Self::Bpf(error) => error.is_permission(),
            _ => false,
        }
    }

    /// Whether the arguments or the configuration are wrong.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Interface {
                source: LinkError::Missing(_),
                ..
            } | Self::RunDir(RunDirError::Name(_))
        )
    }
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> GatewayError {
    let what = what.into();
    move |source| GatewayError::Io { what, source }
}

/// A hook as it was asked for and got.
#[derive(Clone, Debug)]
struct Hooked {
    link: Link,
    side: InterfaceSide,
    attachment: Option<Attachment>,
}

/// The gateway at work. Dropping it takes everything down.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    programs: Mutex<Option<Programs>>,
    gate_config: Mutex<GateConfig>,
    hooked: Vec<Hooked>,
    firewall: Mutex<Firewall>,
    shards: Mutex<Vec<JoinHandle<std::io::Result<()>>>>,
    bypass_until: Mutex<Option<u64>>,
    watchdog: Mutex<Option<watchdog::Watchdog>>,
    events: events::Events,
}

impl Gateway {
    /// Sets everything up, in the order of the module's first paragraph.
    ///
    /// # Errors
    /// Any step failed; the ones before it are undone.
    pub fn start(options: &Options, events: &events::Events) -> Result<Self, GatewayError> {
        let settings = &options.config.gateway;
        let field =
            Field::new(settings.mark_mask).expect("the reader accepts only four adjacent bits");
        let mut hooked = Vec::new();
        for interface in &settings.interfaces {
            let link = Link::read(&interface.name).map_err(|source| GatewayError::Interface {
                place: interface.place.clone(),
                source,
            })?;
            hooked.push((
                interface,
                Hooked {
                    link,
                    side: interface.side,
                    attachment: None,
                },
            ));
        }
        let enforcing = shard::enforces(settings.mode, &options.config.policies);
        let open = settings.failure.daemon_down == OnFailure::Open || !enforcing;
        let classified = settings.hook != HookChoice::Off;
        let inside = |hooked: &Hooked| hooked.side == InterfaceSide::Inside;

        let firewall = Firewall::probe(Plan {
            instance: options.instance.clone(),
            field,
            first_queue: settings.queues.first,
            queues: settings.queues.count,
            open,
            conntrack: settings.conntrack == ConntrackUse::Auto && conntrack_in_use(),
            classified,
            inside: hooked
                .iter()
                .map(|(_, hook)| hook)
                .filter(|hook| inside(hook))
                .map(|hook| hook.link.name.clone())
                .collect(),
            subnets: options
                .config
                .policies
                .policies()
                .iter()
                .flat_map(|policy| policy.subnets.clone())
                .collect(),
            enforcing,
        })?;
        tracing::info!(
            "firewall rules through {}, connection tracking {}",
            firewall.backend().word(),
            if firewall.uses_conntrack() {
                "in use: codes are recorded in it"
            } else {
                "not in use: left alone"
            }
        );

        let mut queues = Vec::new();
        let fail_open = settings.failure.queue_full == OnFailure::Open || !enforcing;
        for number in 0..settings.queues.count {
            let number = settings.queues.first + u16::from(number);
            queues.push(KernelQueue::open(
                number,
                settings.queues.length,
                fail_open,
                QUEUE_WAIT,
            )?);
        }

        let gate_config = GateConfig {
            heartbeat_limit: HEARTBEAT_LIMIT,
            mark_mask: settings.mark_mask,
            nonce: std::hash::RandomState::new().build_hasher().finish() as u32,
            queues: u32::from(settings.queues.count),
            flags: if open { 0 } else { flag::CLOSED },
            predicates: options.config.knowledge.predicates,
            dns_tails: options.config.knowledge.names.dns_tails(),
            reserved: 0,
        };
        let compiled = options.config.policies.compile(settings.mode, 1);
        let own = addresses::read();
        let mut programs = None;
        if classified {
            let mut loaded = Programs::load()?;
            loaded.set_policy(&compiled)?;
            loaded.set_local(&local(&own))?;
            for (interface, hook) in &hooked {
                let entry = Interface {
                    inside: u8::from(inside(hook)),
                    raw: u8::from(!hook.link.ethernet),
                    zone: interface.zone,
                };
                loaded.set_interface(hook.link.index, entry)?;
            }
            loaded.set_config(gate_config)?;
            programs = Some(loaded);
        }

        let shared = Arc::new(Shared {
            instance: options.instance.clone(),
            mode: settings.mode,
            policies: options.config.policies.clone(),
            policy_version: options.config.hash.clone(),
            field,
            failure: settings.failure,
            conntrack: firewall.uses_conntrack(),
            inside: hooked
                .iter()
                .filter(|(_, hook)| inside(hook))
                .map(|(_, hook)| hook.link.index)
                .collect(),
            zones: hooked
                .iter()
                .map(|(interface, hook)| (hook.link.index, interface.zone))
                .collect(),
            first_queue: settings.queues.first,
            counters: queues
                .iter()
                .map(|_| counters::ShardCounters::default())
                .collect(),
            public_addresses: settings.public_addresses.clone(),
            outside_addresses: shared::OutsideAddresses::default(),
            knowledge: options.config.knowledge.clone(),
            stopping: AtomicBool::new(false),
            bypass: AtomicBool::new(false),
            beats: Default::default(),
        });
        let inside_names: Vec<_> = hooked
            .iter()
            .filter(|(_, hook)| inside(hook))
            .map(|(_, hook)| hook.link.name.as_str())
            .collect();
        set_outside_addresses(&shared, &inside_names, &own);
        for (_, hook) in hooked.iter().filter(|(_, hook)| inside(hook)) {
            if !validates_sources(&hook.link.name) {
                tracing::warn!(
                    interface = hook.link.name,
                    "sources are not validated here: a host could put another's address into packets that condemn it; \
                     `sysctl net.ipv4.conf.{}.rp_filter=1` prevents that",
                    hook.link.name
                );
            }
        }
        for port in proxies::listening() {
            tracing::warn!(
                "something listens on TCP port {port} here, where proxies do: what hosts send through a proxy on the \
                 gateway is not forwarded, so Skype in it is neither seen nor stopped; let the proxy itself refuse \
                 CONNECT to ports and hosts that need none, or run it on a host behind the gateway"
            );
        }
        let mut gates = Vec::new();
        for _ in &queues {
            gates.push(match &programs {
                Some(programs) => gate::Gate::Kernel(Box::new(programs.shard_tables()?)),
                None => gate::Gate::User(Box::new(gate::UserGate {
                    tables: MemoryTables::new(&compiled),
                    config: gate_config,
                    work: skype_ips_common::gate::Work::default(),
                })),
            });
        }
        let mut gateway = Self {
            shared: shared.clone(),
            programs: Mutex::new(programs),
            gate_config: Mutex::new(gate_config),
            hooked: Vec::new(),
            firewall: Mutex::new(firewall),
            shards: Mutex::default(),
            bypass_until: Mutex::default(),
            watchdog: Mutex::default(),
            events: events.clone(),
        };
        for ((number, queue), gate) in (0u8..).zip(queues).zip(gates) {
            shared.beat(number, clock::monotonic());
            let shard = shard::Shard::new(number, queue, gate, shared.clone(), events.clone());
            let thread = std::thread::Builder::new()
                .name(format!(
                    "queue-{}",
                    settings.queues.first + u16::from(number)
                ))
                .spawn(move || shard.run())
                .map_err(io("start a queue's thread"))?;
            lock(&gateway.shards).push(thread);
        }
        lock(&gateway.firewall).install()?;
        for (_, mut hook) in hooked {
            if let Some(programs) = lock(&gateway.programs).as_mut() {
                let attachment = attach(programs, &hook.link, inside(&hook), settings.hook)?;
                tracing::info!(
                    interface = hook.link.name,
                    "classifying in {}",
                    attachment.word()
                );
                hook.attachment = Some(attachment);
            }
            gateway.hooked.push(hook);
        }
        if !classified && open {
            // No classifier could pass packets by a daemon that hangs, so a second process does.
            let watchdog = watchdog::Watchdog::start(shared).map_err(io("start the watchdog"))?;
            *lock(&gateway.watchdog) = Some(watchdog);
        }
        Ok(gateway)
    }

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
        let hooked = self.hooked.iter();
        let inside = hooked.filter(|hook| hook.side == InterfaceSide::Inside);
        let inside: Vec<_> = inside.map(|hook| hook.link.name.as_str()).collect();
        set_outside_addresses(&self.shared, &inside, &own);
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
fn set_outside_addresses(shared: &Shared, inside: &[&str], own: &[addresses::Own]) {
    if !shared.conntrack && !holds_connections() {
        return;
    }
    let outside = own
        .iter()
        .filter(|own| !own.loopback && !inside.contains(&own.interface.as_str()));
    let outside: Vec<_> = outside.map(|own| own.address).collect();
    if shared.outside_addresses.set(outside.clone()) {
        tracing::info!(?outside, "inside hosts may be seen under these addresses");
    }
}

/// The gateway's own addresses as the tables hold them.
fn local(own: &[addresses::Own]) -> Vec<Address> {
    own.iter().map(|own| to_mapped(own.address)).collect()
}

/// Whether the kernel checks that a packet's source is reached through the interface it came on.
fn validates_sources(interface: &str) -> bool {
    ["all", interface].into_iter().any(|name| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
    })
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
    tracing::info!(
        "ready: mode {}, policies {}",
        gateway.shared.mode,
        gateway
            .shared
            .policies
            .policies()
            .iter()
            .map(|policy| policy.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    if gateway.shared.mode == Mode::Monitor {
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
