//! Setting the gateway up, step by step: queues, then rules that feed them, then the classifier
//! that tags.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skype_ips_common::gate::Work;
use skype_ips_common::layout::{GateConfig, Interface, Met, flag};
use skype_ips_common::mark::Field;

use super::confirm::{Choice, Kept};
use super::counters::ShardCounters;
use super::error::io;
use super::events::Events;
use super::exemptions::Exemptions;
use super::gate::{Gate, UserGate};
use super::in_force::{Current, InForce};
use super::reload::Administration;
use super::requests::{self, Queries};
use super::restart::{enforces, subnets};
use super::shard::Shard;
use super::shared::{OutsideAddresses, Place};
use super::watchdog::Watchdog;
use super::{
    Gateway, GatewayError, HEARTBEAT_LIMIT, Hooked, Options, Shared, clock, inside, local, lock,
    proxies, set_outside_addresses,
};
use crate::kernel::{
    BpfError, Firewall, KernelQueue, Link, MemoryTables, Plan, Programs, addresses, attach,
    conntrack_in_use,
};
use crate::policy::{self, Compiled, Config, ConntrackUse, HookChoice, OnFailure, Standing};

/// How long a queue thread waits for a packet before it looks around.
const QUEUE_WAIT: Duration = Duration::from_millis(50);

impl Gateway {
    /// Sets everything up, in the order of the module's first paragraph.
    ///
    /// # Errors
    /// Any step failed; the ones before it are undone.
    pub(super) fn start(
        options: &Options,
        choice: Choice,
        kept: Kept,
        events: &Events,
    ) -> Result<Self, GatewayError> {
        // What a step set up goes with its variable, the last first, or with the gateway.
        let setup = Setup::read(options, &choice.config)?;
        let firewall = setup.probe_firewall()?;
        let queues = setup.open_queues()?;
        let gate_config = setup.gate_config();
        let standing = setup.standing();
        let compiled = standing.compiled();
        let own = addresses::read();
        let programs = setup.load_programs(gate_config, compiled, &own)?;
        let shared = Arc::new(setup.share(&firewall, queues.len(), standing.clone()));
        set_outside_addresses(&shared, &setup.hooks, &own);
        setup.warn_of_what_cannot_be_done(&standing);
        let user_gate = programs.is_none().then(|| {
            Arc::new(Mutex::new(UserGate {
                tables: MemoryTables::with_room(compiled, USER_FLOWS),
                config: gate_config,
                work: Work::default(),
            }))
        });
        let gates = gates(queues.len(), programs.as_ref(), user_gate.as_ref())?;
        let (requests, queries) = requests::channels(queues.len());
        let (hook, watched) = (setup.settings.hook, !setup.classified && setup.open);
        let hooks = setup.hooks;
        let confirmed = kept.confirmed(&options.source);
        let mut gateway = Self {
            administration: Mutex::new(Administration {
                source: options.source.clone(),
                config: choice.config,
                confirmed,
                kept,
                lost_before: 0,
                exemptions: Exemptions::default(),
                bypass_until: None,
                last: None,
                instead: choice.instead,
            }),
            shared,
            programs: Mutex::new(programs),
            gate_config: Mutex::new(gate_config),
            user_gate,
            hooked: Vec::new(),
            firewall: Mutex::new(firewall),
            shards: Mutex::default(),
            requests,
            watchdog: Mutex::default(),
            events: events.clone(),
        };
        gateway.spawn_shards(queues, gates, queries)?;
        lock(&gateway.firewall).install()?;
        gateway.attach(hooks, hook)?;
        if watched {
            // No classifier could pass packets by a daemon that hangs, so a second process does.
            let watchdog =
                Watchdog::start(gateway.shared.clone()).map_err(io("start the watchdog"))?;
            *lock(&gateway.watchdog) = Some(watchdog);
        }
        Ok(gateway)
    }

    fn spawn_shards(
        &self,
        queues: Vec<KernelQueue>,
        gates: Vec<Gate>,
        queries: Vec<Queries>,
    ) -> Result<(), GatewayError> {
        let parts = (0u8..).zip(queues).zip(gates).zip(queries);
        for (((number, queue), gate), queries) in parts {
            self.shared.beat(number, clock::monotonic());
            let shard = Shard::new(
                number,
                queue,
                gate,
                self.shared.clone(),
                self.events.clone(),
            )
            .answering(queries);
            let thread = std::thread::Builder::new()
                .name(format!(
                    "queue-{}",
                    self.shared.first_queue + u16::from(number)
                ))
                .spawn(move || shard.run())
                .map_err(io("start a queue's thread"))?;
            lock(&self.shards).push(thread);
        }
        Ok(())
    }

    /// Lets the classifier loose on the interfaces, if there is one.
    fn attach(&mut self, hooks: Vec<Hooked>, choice: HookChoice) -> Result<(), GatewayError> {
        for mut hook in hooks {
            if let Some(programs) = lock(&self.programs).as_mut() {
                let attachment = attach(programs, &hook.link, hook.is_inside(), choice)?;
                tracing::info!(
                    interface = hook.link.name,
                    "classifying in {}",
                    attachment.word()
                );
                hook.attachment = Some(attachment);
            }
            self.hooked.push(hook);
        }
        Ok(())
    }
}

/// What is asked for, with the interfaces as the kernel has them.
struct Setup<'a> {
    options: &'a Options,
    config: &'a Config,
    settings: &'a policy::Gateway,
    field: Field,
    /// None of them attached yet.
    hooks: Vec<Hooked>,
    /// Whether anything may be dropped.
    enforcing: bool,
    /// Whether packets pass while no daemon judges them.
    open: bool,
    /// Whether the kernel chooses the packets.
    classified: bool,
}

impl<'a> Setup<'a> {
    fn read(options: &'a Options, config: &'a Config) -> Result<Self, GatewayError> {
        let settings = &config.gateway;
        let field =
            Field::new(settings.mark_mask).expect("the reader accepts only four adjacent bits");
        let mut hooks = Vec::new();
        for (number, interface) in (1..).zip(&settings.interfaces) {
            let link = Link::read(&interface.name).map_err(|source| GatewayError::Interface {
                place: interface.place.clone(),
                source,
            })?;
            let met = Met {
                interface: number,
                vlan: link.vlan,
            };
            let place = Place {
                zone: interface.zone,
                met,
                mtu: link.mtu,
            };
            hooks.push(Hooked {
                link,
                side: interface.side,
                place,
                attachment: None,
            });
        }
        let enforcing = enforces(settings.mode, &config.policies);
        Ok(Self {
            options,
            config,
            settings,
            field,
            hooks,
            enforcing,
            open: settings.failure.daemon_down == OnFailure::Open || !enforcing,
            classified: settings.hook != HookChoice::Off,
        })
    }

    fn standing(&self) -> Standing {
        self.config
            .standing(self.settings.mode, jiff::Timestamp::now())
    }

    fn probe_firewall(&self) -> Result<Firewall, GatewayError> {
        let firewall = Firewall::probe(Plan {
            instance: self.options.instance.clone(),
            field: self.field,
            first_queue: self.settings.queues.first,
            queues: self.settings.queues.count,
            open: self.open,
            conntrack: self.settings.conntrack == ConntrackUse::Auto && conntrack_in_use(),
            classified: self.classified,
            inside: inside(&self.hooks)
                .map(|hook| hook.link.name.clone())
                .collect(),
            subnets: subnets(&self.config.policies).collect(),
            enforcing: self.enforcing,
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
        Ok(firewall)
    }

    fn open_queues(&self) -> Result<Vec<KernelQueue>, GatewayError> {
        let settings = self.settings.queues;
        let fail_open = self.settings.failure.queue_full == OnFailure::Open || !self.enforcing;
        let mut queues = Vec::new();
        for number in 0..settings.count {
            let number = settings.first + u16::from(number);
            queues.push(KernelQueue::open(
                number,
                settings.length,
                fail_open,
                QUEUE_WAIT,
            )?);
        }
        Ok(queues)
    }

    fn gate_config(&self) -> GateConfig {
        let knowledge = &self.config.knowledge;
        GateConfig {
            heartbeat_limit: HEARTBEAT_LIMIT,
            mark_mask: self.settings.mark_mask,
            nonce: std::hash::RandomState::new().build_hasher().finish() as u32,
            queues: u32::from(self.settings.queues.count),
            flags: if self.open { 0 } else { flag::CLOSED },
            predicates: knowledge.predicates,
            dns_tails: knowledge.names.dns_tails(),
            half: 0,
        }
    }

    /// The classifier with its tables filled, attached to nothing; `None` without one.
    fn load_programs(
        &self,
        config: GateConfig,
        compiled: &Compiled,
        own: &[addresses::Own],
    ) -> Result<Option<Programs>, GatewayError> {
        if !self.classified {
            return Ok(None);
        }
        let mut loaded = Programs::load()?;
        loaded.set_policy(compiled)?;
        loaded.set_local(&local(own))?;
        for hook in &self.hooks {
            let entry = Interface {
                inside: u8::from(hook.is_inside()),
                raw: u8::from(!hook.link.ethernet),
                zone: hook.place.zone,
                met: hook.place.met,
            };
            loaded.set_interface(hook.link.index, entry)?;
        }
        loaded.set_config(config)?;
        Ok(Some(loaded))
    }

    /// What the shards and the control side are told.
    fn share(&self, firewall: &Firewall, queues: usize, standing: Standing) -> Shared {
        Shared {
            instance: self.options.instance.clone(),
            current: Current::new(InForce {
                standing,
                version: self.config.hash.clone(),
            }),
            field: self.field,
            failure: self.settings.failure,
            conntrack: firewall.uses_conntrack(),
            inside: inside(&self.hooks).map(|hook| hook.link.index).collect(),
            places: self
                .hooks
                .iter()
                .map(|hook| (hook.link.index, hook.place))
                .collect(),
            first_queue: self.settings.queues.first,
            counters: (0..queues).map(|_| ShardCounters::default()).collect(),
            public_addresses: self.settings.public_addresses.clone(),
            outside_addresses: OutsideAddresses::default(),
            knowledge: self.config.knowledge.clone(),
            stopping: AtomicBool::new(false),
            bypass: AtomicBool::new(false),
            beats: Default::default(),
        }
    }

    fn warn_of_what_cannot_be_done(&self, standing: &Standing) {
        for hook in inside(&self.hooks) {
            if !validates_sources(&hook.link.name) {
                tracing::warn!(
                    interface = hook.link.name,
                    "sources are not validated here: a host could put another's address into packets that condemn it; \
                     `sysctl net.ipv4.conf.{}.rp_filter=1` prevents that",
                    hook.link.name
                );
            }
        }
        let entries = standing.compiled().action_entries();
        if !self.classified && entries.iter().any(|entry| entry.dscp != 0) {
            tracing::warn!(
                "policies ask for `dscp`, which only a classifier can write: with `hook = \"off\"` packets keep theirs"
            );
        }
        for port in proxies::listening() {
            tracing::warn!(
                "something listens on TCP port {port} here, where proxies do: what hosts send through a proxy on the \
                 gateway is not forwarded, so Skype in it is neither seen nor stopped; let the proxy itself refuse \
                 CONNECT to ports and hosts that need none, or run it on a host behind the gateway"
            );
        }
    }
}

/// Flows that the gate in user space remembers, as many as the kernel's table.
const USER_FLOWS: usize = 262_144;

/// One per queue: the kernel's, or without a classifier the one in user space.
fn gates(
    queues: usize,
    programs: Option<&Programs>,
    user: Option<&Arc<Mutex<UserGate>>>,
) -> Result<Vec<Gate>, BpfError> {
    let gate = |_| match (programs, user) {
        (Some(programs), _) => Some(
            programs
                .shard_tables()
                .map(|tables| Gate::Kernel(Box::new(tables))),
        ),
        (None, user) => Some(Ok(Gate::User(user?.clone()))),
    };
    (0..queues).filter_map(gate).collect()
}

/// Whether the kernel checks that a packet's source is reached through the interface it came on.
fn validates_sources(interface: &str) -> bool {
    ["all", interface].into_iter().any(|name| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
    })
}
