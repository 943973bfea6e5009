//! A checked configuration.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skype_ips_common::layout::Met;

use super::explain::{Asked, Explanation};
use super::gateway::Gateway;
use super::model::PolicySet;
use super::places::Places;
use super::read::{self, Pack, Snapshot};
use super::standing::Standing;
use super::vocabulary::{InterfaceSide, Mode};
use crate::detect::knowledge::Knowledge;
use crate::toml_file::{Excerpt, printable};
use crate::toml_file::{Problem, Problems, counted};

/// Everything that the files of a configuration say.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway's settings, built in where no file has any.
    pub gateway: Gateway,
    /// The policies.
    pub policies: Arc<PolicySet>,
    /// What the detection packs say: the built-in ones, and those among the files.
    pub knowledge: Arc<Knowledge>,
    /// SHA-256 over the files' texts in the order in which they were read, in hexadecimal.
    pub hash: String,
    /// The files' texts.
    pub snapshot: Snapshot,
    /// What is allowed and probably not meant.
    pub warnings: Problems,
    /// What each file has, in the order in which they were read.
    pub files: Vec<FileSummary>,
    /// Where each part was said.
    pub places: Places,
}

/// What a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// The file as it was named.
    pub path: Arc<Path>,
    /// The detection pack that it is, if it is one.
    pub pack: Option<Pack>,
    /// Whether it has settings of the gateway.
    pub gateway: bool,
    /// How many groups it has.
    pub groups: usize,
    /// How many budgets it has.
    pub budgets: usize,
    /// How many policies it has.
    pub policies: usize,
    /// How many prefixes its policies have.
    pub prefixes: usize,
}

impl FileSummary {
    /// Of a file that has `[pack]` and nothing else.
    pub(super) fn of_pack(path: &Arc<Path>, pack: Option<Pack>) -> Self {
        Self {
            path: path.clone(),
            pack,
            gateway: false,
            groups: 0,
            budgets: 0,
            policies: 0,
            prefixes: 0,
        }
    }
}

impl Config {
    /// Reads a configuration; see [`load`](super::load).
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Problems> {
        read::load(paths)
    }

    /// What `replay` and `lab` use where no file is given: private hosts are under a policy
    /// `skype` that drops, and the gateway monitors.
    pub fn default_for_replay() -> Self {
        read::parse(Path::new("built-in"), include_str!("default.toml"))
            .expect("a test reads this very text")
    }

    /// What is in force at a time.
    pub fn standing(&self, mode: Mode, at: jiff::Timestamp) -> Standing {
        let set = self.policies.clone();
        let open = set.open(at);
        Standing::new(set, mode, open, Vec::new())
    }

    /// The gateway's settings, where they suffice to run one: interfaces on both sides.
    ///
    /// # Errors
    /// What is missing.
    pub fn require_gateway(&self) -> Result<&Gateway, Problems> {
        let mut problems = Problems::default();
        let file = self
            .files
            .iter()
            .find(|file| file.gateway)
            .or(self.files.first())
            .map_or(Path::new("configuration"), |file| &file.path);
        for (side, which) in [
            (
                InterfaceSide::Inside,
                "towards the hosts that policies are for",
            ),
            (InterfaceSide::Outside, "towards the rest of the world"),
        ] {
            if self.gateway.interfaces.iter().any(|i| i.side == side) {
                continue;
            }
            problems.push(Problem::error(
                Excerpt::whole(file),
                format!("no interface has side = \"{side}\" ({which}): there is no gateway to run"),
                format!("add [[interface]] with name = \"eth1\" and side = \"{side}\""),
            ));
        }
        if problems.is_empty() {
            Ok(&self.gateway)
        } else {
            Err(problems)
        }
    }

    /// What the configuration means for one host now, wherever it is met, and which line each part
    /// came from.
    pub fn explain(&self, host: IpAddr) -> Explanation {
        self.explain_at(Asked {
            host,
            met: Met::default(),
            at: jiff::Timestamp::now(),
        })
    }

    /// What the configuration means for a host that is met somewhere at a time.
    pub fn explain_at(&self, asked: Asked) -> Explanation {
        Explanation::of(self, asked)
    }

    /// Where the hours of the windows hold that matter for a host where it is met.
    pub fn zone_for(&self, host: IpAddr, met: Met) -> jiff::tz::TimeZone {
        let standing = self.standing(Mode::Monitor, jiff::Timestamp::UNIX_EPOCH);
        let entry = standing.of(met, &super::model::to_mapped(host));
        let policy = entry.map_or(usize::MAX, |(entry, _)| usize::from(entry.index));
        self.policies.zone_of(policy)
    }

    /// What a file is, in a line: "gateway.toml: gateway with 2 interfaces, 1 policy over 4
    /// prefixes".
    pub fn describe(&self, file: &FileSummary) -> String {
        let mut parts = Vec::new();
        if file.gateway {
            let interfaces = counted(self.gateway.interfaces.len(), "interface");
            parts.push(format!(
                "gateway in mode {} with {interfaces}",
                self.gateway.mode
            ));
        }
        if file.groups > 0 {
            parts.push(counted(file.groups, "group"));
        }
        if file.budgets > 0 {
            parts.push(counted(file.budgets, "budget"));
        }
        if file.policies > 0 {
            let prefixes = counted(file.prefixes, "prefix");
            parts.push(format!(
                "{} over {prefixes}",
                counted(file.policies, "policy")
            ));
        }
        if let Some(pack) = &file.pack {
            parts.push(pack.to_string());
        }
        if parts.is_empty() {
            parts.push("no settings".into());
        }
        format!("{}: {}", printable(&file.path), parts.join(", "))
    }
}
