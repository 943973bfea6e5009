//! The kernel programs and their tables.

use std::os::fd::AsFd as _;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, Pod, VerifierLogLevel};
use aya_log::EbpfLogger;
use skype_ips_common::layout::{
    Address, BucketKey, BucketState, Counter, EndpointKey, FlowKey, FlowState, FragmentKey,
    FragmentState, GateConfig, Hook, Interface, MAX_BUCKETS, Verdict, flag,
};

use super::halves::Halves;
use super::tables::VerdictTables;
use crate::policy::Compiled;

/// The kept object, built from `skype-ips-ebpf` by `cargo xtask ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../skype-ips-ebpf/prebuilt/skype-ips.bpf.o"
));

/// Environment variable that names another object to load, for testing a fresh build.
pub const OBJECT_VARIABLE: &str = "SKYPE_IPS_EBPF_OBJECT";

/// What went wrong with the kernel programs or their tables.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// The object was not loaded.
    #[error("the kernel did not take the BPF tables: {0}")]
    Load(#[from] EbpfError),
    /// A program was refused.
    #[error("the kernel refused the BPF program {program}: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The object lacks what this version needs.
    #[error("the BPF object has no {0}; rebuild it with `cargo xtask ebpf`")]
    Missing(&'static str),
    /// A table was not read or written.
    #[error("BPF table {table}: {source}")]
    Table {
        /// Its name.
        table: &'static str,
        /// Why.
        source: MapError,
    },
    /// The file that the environment names was not read.
    #[error("cannot read the BPF object {path} that {OBJECT_VARIABLE} names: {source}")]
    Object {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A descriptor was not duplicated.
    #[error("cannot duplicate the descriptor of BPF table {table}: {source}")]
    Descriptor {
        /// Its name.
        table: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl BpfError {
    /// Whether the cause is a missing right. The verifier's own refusal of a program (EACCES) is
    /// not: the kernel says EPERM for rights.
    pub fn is_permission(&self) -> bool {
        let mut source: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                return io.raw_os_error() == Some(libc::EPERM);
            }
            source = error.source();
        }
        false
    }
}

pub(super) fn table(table: &'static str) -> impl Fn(MapError) -> BpfError {
    move |source| BpfError::Table { table, source }
}

/// The loaded programs and the tables that only the start-up and the control side touch.
pub struct Programs {
    ebpf: Ebpf,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    config: Array<MapData, GateConfig>,
    /// What the gate was told last, but for what `halves` says.
    told: GateConfig,
    /// Whether a policy in force asks for places.
    places: bool,
    halves: Halves,
    buckets: HashMap<MapData, BucketKey, BucketState>,
    counters: PerCpuArray<MapData, u64>,
    local: HashMap<MapData, Address, u8>,
}

impl std::fmt::Debug for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Programs").finish_non_exhaustive()
    }
}

impl Programs {
    /// Loads the object and has the kernel verify its TC programs; nothing is attached yet. The XDP
    /// program waits until [`Programs::xdp`] asks for it: where TC is enough, a start takes a fifth
    /// less.
    ///
    /// # Errors
    /// The kernel refuses it (no right, too old), or the object isn't whole.
    pub fn load() -> Result<Self, BpfError> {
        let mut loader = EbpfLoader::new();
        // A full verifier log costs seconds and helps nobody but the programs' own developers.
        loader.verifier_log_level(if std::env::var_os(OBJECT_VARIABLE).is_some() {
            VerifierLogLevel::STATS
        } else {
            VerifierLogLevel::DISABLE
        });
        let mut ebpf = match std::env::var(OBJECT_VARIABLE) {
            Ok(path) => {
                let bytes =
                    std::fs::read(&path).map_err(|source| BpfError::Object { path, source })?;
                loader.load(&bytes)?
            }
            Err(_) => loader.load(OBJECT)?,
        };
        for program in [INGRESS, EGRESS] {
            classifier(&mut ebpf, program)?
                .load()
                .map_err(|source| BpfError::Program { program, source })?;
        }
        // The kept object has no log lines; one built with the feature `log` has.
        let logger = EbpfLogger::init(&mut ebpf).ok();
        Ok(Self {
            logger,
            config: Array::try_from(duplicate(&ebpf, "CONFIG")?).map_err(table("CONFIG"))?,
            counters: PerCpuArray::try_from(duplicate(&ebpf, "COUNTERS")?)
                .map_err(table("COUNTERS"))?,
            local: HashMap::try_from(duplicate(&ebpf, "LOCAL")?).map_err(table("LOCAL"))?,
            told: GateConfig::default(),
            places: false,
            halves: Halves::new(&ebpf)?,
            buckets: HashMap::try_from(duplicate(&ebpf, "BUCKETS")?).map_err(table("BUCKETS"))?,
            ebpf,
        })
    }

    /// The XDP program; the first time the kernel verifies it.
    ///
    /// # Errors
    /// The kernel refuses it, or the object has none.
    pub fn xdp(&mut self) -> Result<&mut Xdp, BpfError> {
        let program: &mut Xdp = self
            .ebpf
            .program_mut(XDP)
            .and_then(|program| program.try_into().ok())
            .ok_or(BpfError::Missing(XDP))?;
        if program.fd().is_err() {
            program.load().map_err(|source| BpfError::Program {
                program: XDP,
                source,
            })?;
        }
        Ok(program)
    }

    /// The TC program for arriving or for leaving packets.
    pub fn classifier(&mut self, hook: Hook) -> Result<&mut SchedClassifier, BpfError> {
        classifier(
            &mut self.ebpf,
            if hook == Hook::Egress {
                EGRESS
            } else {
                INGRESS
            },
        )
    }

    /// Tells the gate its settings; which half of the policies' tables is in force, and whether they
    /// ask for places, is not among them.
    pub fn set_config(&mut self, config: GateConfig) -> Result<(), BpfError> {
        self.told = config;
        self.tell()
    }

    fn tell(&mut self) -> Result<(), BpfError> {
        let mut config = self.told;
        config.half = self.halves.in_force();
        config.flags &= !flag::PLACES;
        if self.places {
            config.flags |= flag::PLACES;
        }
        self.config.set(0, config, 0).map_err(table("CONFIG"))
    }

    /// Puts other policies in force, all at once: each packet is judged by the old ones or by the new
    /// ones. What is known of flows and endpoints stays, and so do buckets. After an error the old
    /// ones are in force.
    ///
    /// # Errors
    /// A table doesn't take what they ask for.
    pub fn set_policy(&mut self, compiled: &Compiled) -> Result<(), BpfError> {
        self.halves.fill(compiled)?;
        // The flag is not in the word that changes halves: it is there for as long as either half
        // may need it.
        let asks = compiled.asks_for_places();
        self.places |= asks;
        self.tell()?;
        self.halves.flip();
        self.tell()?;
        self.places = asks;
        self.tell()
    }

    /// The buckets that there are.
    pub fn buckets(&self) -> impl Iterator<Item = (BucketKey, BucketState)> + '_ {
        // Those that come and go meanwhile may be missed, or met twice.
        let most = MAX_BUCKETS as usize;
        self.buckets.iter().filter_map(Result::ok).take(most)
    }

    /// How full the tables are that traffic fills.
    ///
    /// # Errors
    /// A table is not there.
    pub fn fill(&self) -> Result<Vec<Fill>, BpfError> {
        FILLED.iter().map(|name| self.fill_of(name)).collect()
    }

    fn fill_of(&self, name: &'static str) -> Result<Fill, BpfError> {
        let map = self.ebpf.map(name).ok_or(BpfError::Missing(name))?;
        let (Map::HashMap(data) | Map::LruHashMap(data)) = map else {
            return Err(BpfError::Missing(name));
        };
        let room = data.info().map_err(table(name))?.max_entries();
        let most = room as usize;
        let map = duplicate(&self.ebpf, name)?;
        let entries = match name {
            "VERDICTS" => count::<FlowKey, Verdict>(map, most),
            "ENDPOINTS" => count::<EndpointKey, Verdict>(map, most),
            "FLOWS" => count::<FlowKey, FlowState>(map, most),
            "FRAGMENTS" => count::<FragmentKey, FragmentState>(map, most),
            _ => count::<BucketKey, BucketState>(map, most),
        };
        Ok(Fill {
            table: name,
            entries: entries.map_err(table(name))?,
            room: most,
        })
    }

    /// Says what an interface is; to be called before anything is attached to it.
    pub fn set_interface(&mut self, ifindex: u32, interface: Interface) -> Result<(), BpfError> {
        let mut interfaces: HashMap<_, u32, Interface> =
            HashMap::try_from(duplicate(&self.ebpf, "INTERFACES")?).map_err(table("INTERFACES"))?;
        interfaces
            .insert(ifindex, interface, 0)
            .map_err(table("INTERFACES"))
    }

    /// Makes the table of the gateway's own addresses say `addresses`.
    pub fn set_local(&mut self, addresses: &[Address]) -> Result<(), BpfError> {
        let known: Vec<Address> = self.local.keys().filter_map(Result::ok).collect();
        for address in addresses.iter().filter(|address| !known.contains(address)) {
            self.local.insert(address, 1, 0).map_err(table("LOCAL"))?;
        }
        for address in known.iter().filter(|address| !addresses.contains(address)) {
            self.local.remove(address).map_err(table("LOCAL"))?;
        }
        Ok(())
    }

    /// Passes on what the programs have logged since the last time, if they were built to.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// The sum over all CPUs of a counter.
    pub fn counter(&self, hook: Hook, counter: Counter) -> Result<u64, BpfError> {
        let values = self
            .counters
            .get(&counter.index(hook), 0)
            .map_err(table("COUNTERS"))?;
        Ok(values.iter().sum())
    }

    /// A handle to the tables that a shard writes.
    pub fn shard_tables(&self) -> Result<ShardTables, BpfError> {
        Ok(ShardTables {
            verdicts: HashMap::try_from(duplicate(&self.ebpf, "VERDICTS")?)
                .map_err(table("VERDICTS"))?,
            endpoints: HashMap::try_from(duplicate(&self.ebpf, "ENDPOINTS")?)
                .map_err(table("ENDPOINTS"))?,
            heartbeats: Array::try_from(duplicate(&self.ebpf, "HEARTBEATS")?)
                .map_err(table("HEARTBEATS"))?,
            flows: HashMap::try_from(duplicate(&self.ebpf, "FLOWS")?).map_err(table("FLOWS"))?,
        })
    }
}

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its name.
    pub table: &'static str,
    /// Entries in it.
    pub entries: usize,
    /// Most entries that it takes.
    pub room: usize,
}

/// Tables that traffic fills.
const FILLED: [&str; 5] = ["FLOWS", "VERDICTS", "ENDPOINTS", "FRAGMENTS", "BUCKETS"];

/// Entries of a table; those that come and go meanwhile may be missed, or counted twice.
fn count<K: Pod, V: Pod>(map: Map, most: usize) -> Result<usize, MapError> {
    let map: HashMap<MapData, K, V> = HashMap::try_from(map)?;
    Ok(map.keys().filter_map(Result::ok).take(most).count())
}

const XDP: &str = "skype_ips_xdp";
const INGRESS: &str = "skype_ips_ingress";
const EGRESS: &str = "skype_ips_egress";

fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, BpfError> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(BpfError::Missing(name))
}

/// Another handle to a table: each owner has its own, so that shards share no lock.
pub(super) fn duplicate(ebpf: &Ebpf, name: &'static str) -> Result<Map, BpfError> {
    let map = ebpf.map(name).ok_or(BpfError::Missing(name))?;
    let copy = |data: &MapData| -> Result<MapData, BpfError> {
        let descriptor =
            data.fd()
                .as_fd()
                .try_clone_to_owned()
                .map_err(|source| BpfError::Descriptor {
                    table: name,
                    source,
                })?;
        MapData::from_fd(descriptor).map_err(table(name))
    };
    Ok(match map {
        Map::Array(data) => Map::Array(copy(data)?),
        Map::PerCpuArray(data) => Map::PerCpuArray(copy(data)?),
        Map::HashMap(data) => Map::HashMap(copy(data)?),
        Map::LruHashMap(data) => Map::LruHashMap(copy(data)?),
        Map::LpmTrie(data) => Map::LpmTrie(copy(data)?),
        _ => return Err(BpfError::Missing(name)),
    })
}

/// The tables that one shard writes (for its own inside hosts only), and the flows it reads.
pub struct ShardTables {
    verdicts: HashMap<MapData, FlowKey, Verdict>,
    endpoints: HashMap<MapData, EndpointKey, Verdict>,
    heartbeats: Array<MapData, u64>,
    flows: HashMap<MapData, FlowKey, FlowState>,
}

impl std::fmt::Debug for ShardTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardTables").finish_non_exhaustive()
    }
}

impl ShardTables {
    /// Gives a sign of life for a queue, at `now` nanoseconds of CLOCK_MONOTONIC.
    pub fn beat(&mut self, queue: u8, now: u64) -> Result<(), BpfError> {
        self.heartbeats
            .set(u32::from(queue), now, 0)
            .map_err(table("HEARTBEATS"))
    }

    /// What the gate remembers of a flow.
    pub fn flow(&self, key: &FlowKey) -> Option<FlowState> {
        self.flows.get(key, 0).ok()
    }

    /// What the gate is told of a flow.
    pub fn verdict(&self, key: &FlowKey) -> Option<Verdict> {
        self.verdicts.get(key, 0).ok()
    }

    /// What the gate is told of an inside endpoint.
    pub fn endpoint(&self, key: &EndpointKey) -> Option<Verdict> {
        self.endpoints.get(key, 0).ok()
    }
}

impl VerdictTables for ShardTables {
    type Error = BpfError;

    fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict) -> Result<(), BpfError> {
        self.verdicts
            .insert(key, verdict, 0)
            .map_err(table("VERDICTS"))
    }

    fn remove_verdict(&mut self, key: &FlowKey) -> Result<(), BpfError> {
        absent_is_fine(self.verdicts.remove(key)).map_err(table("VERDICTS"))
    }

    fn set_endpoint(&mut self, key: &EndpointKey, verdict: Verdict) -> Result<(), BpfError> {
        self.endpoints
            .insert(key, verdict, 0)
            .map_err(table("ENDPOINTS"))
    }

    fn remove_endpoint(&mut self, key: &EndpointKey) -> Result<(), BpfError> {
        absent_is_fine(self.endpoints.remove(key)).map_err(table("ENDPOINTS"))
    }
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        other => other,
    }
}
