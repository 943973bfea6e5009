//! From TOML to a [`Config`]: every problem of every file in one pass.

mod budgets;
mod checks;
mod files;
mod gateway;
mod groups;
mod hosts;
mod language;
mod packs;
mod policies;
mod policy_tables;
mod prefixes;
mod reference;
mod rules;
mod snapshot;
mod subnet;
mod windows;

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::config::{Config, FileSummary};
use super::gateway::Gateway;
use super::model::{MAX_PREFIXES, Policy, PolicySet, mapped_prefixes};
use super::places::{Places, PolicyPlaces, SubnetPlace};
use crate::toml_file::{Document, Excerpt, Problem, Problems, Reader, Severity, Source};
use budgets::Budgets;
use files::Files;
use gateway::Settings;
use groups::Groups;
use hosts::Hosts;
use language::{EXEMPT, FILE, GATEWAY_KEYS, LANGUAGE, PACK, POLICY, TIMEZONE, WINDOW};
pub use packs::Pack;
use policies::{Known, Policies};
pub use reference::reference;
pub use snapshot::Snapshot;

/// Reads a configuration from files and those that they include.
///
/// # Errors
/// Everything that is wrong, if anything is; what is merely odd is in [`Config::warnings`].
pub fn load(paths: &[PathBuf]) -> Result<Config, Problems> {
    let mut files = Files::default();
    for path in paths {
        files.read(path);
    }
    assemble(files)
}

/// Reads a configuration as it once was.
///
/// # Errors
/// As [`load`].
pub fn restore(snapshot: &Snapshot) -> Result<Config, Problems> {
    assemble(Files::given(snapshot.sources()))
}

/// Reads a configuration from `text` as the content of `path`, and from the files it includes.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, text: &str) -> Result<Config, Problems> {
    let mut files = Files::default();
    files.take(path, text, false);
    assemble(files)
}

/// Reads all files' groups and budgets, then the gateway's settings, then all files' policies, which
/// may name any of these.
fn assemble(files: Files) -> Result<Config, Problems> {
    let Files {
        sources,
        problems: first,
        ..
    } = files;
    let mut problems = Problems::default();
    problems.extend(first);
    let mut documents = Vec::new();
    let mut groups = Groups::new();
    let mut budgets = Budgets::default();
    for source in &sources {
        let document = Document::parse(source, &LANGUAGE);
        problems.extend(document.syntax.iter().cloned());
        let mut reader = Reader::new(&document);
        if reader.version(&document) {
            let before = (groups.len(), budgets.list.len());
            if !document.root.contains_key(PACK.name) {
                groups::read(&mut reader, &document.root, &mut groups);
                budgets.read(&mut reader, &document.root);
            }
            let added = (groups.len() - before.0, budgets.list.len() - before.1);
            documents.push((document, added));
        }
        problems.extend(reader.finish());
    }
    let settings = settings(&documents, &mut problems);
    let mut loaded = packs::Loaded::default();
    let mut policies = Policies::new(Known {
        groups: &groups,
        budgets: &budgets,
        mark_mask: settings.as_ref().map_or_else(
            || Gateway::default().mark_mask,
            |(_, settings)| settings.gateway.mark_mask,
        ),
        interfaces: settings
            .as_ref()
            .map(|(_, settings)| settings.interfaces.clone()),
    });
    let mut whole = Whole::default();
    let mut summaries = Vec::new();
    for (document, (groups, budgets)) in &documents {
        let mut reader = Reader::new(document);
        let path = &document.source.path;
        if let Some((key, _)) = document.root.get_key_value(PACK.name) {
            let pack = loaded.read(document, &mut reader, key.span());
            problems.extend(reader.finish());
            summaries.push(FileSummary::of_pack(path, pack));
            continue;
        }
        reader.keys(&document.root, &FILE);
        let before = policies.list.len();
        policies.read(&mut reader, &document.root);
        whole.read(&mut reader, &document.root, policies.known.groups);
        whole.zones(&mut reader, &document.root, &policies.list[before..]);
        let added = &policies.list[before..];
        summaries.push(FileSummary {
            path: path.clone(),
            pack: None,
            gateway: gateway_key(&reader, document).is_some(),
            groups: *groups,
            budgets: *budgets,
            policies: added.len(),
            prefixes: added.iter().map(|(policy, _)| policy.subnets.len()).sum(),
        });
        problems.extend(reader.finish());
    }
    let Policies {
        list,
        headers,
        used,
        size,
        ..
    } = policies;
    let size = size + whole.size(&list);
    let (policies, places): (Vec<_>, Vec<_>) = list.into_iter().unzip();
    let (gateway, mode_at, management) = match settings {
        Some((_, settings)) => (settings.gateway, settings.mode_at, settings.management),
        None => (Gateway::default(), None, Vec::new()),
    };
    let set = PolicySet {
        policies,
        budgets: budgets.list.clone(),
        exempt: whole.exempt.iter().map(|(one, _)| one.net).collect(),
        interfaces: gateway
            .interfaces
            .iter()
            .map(|one| one.name.clone())
            .collect(),
        zone: whole.zone,
        zones: whole.zones,
        hosts: whole.hosts.rule(),
    };
    problems.extend(checks::unused(&budgets, |place| used.contains(&place)));
    let exempt = whole.exempt.iter().map(|(one, at)| (one.net, at.clone()));
    let exempt: Vec<_> = exempt.collect();
    problems.extend(checks::exempt_policies(&set, &headers, &exempt));
    let paths: Vec<_> = sources.iter().map(|source| &*source.path).collect();
    let only_packs = summaries.iter().all(|file| file.pack.is_some());
    let first = paths.first().filter(|_| !only_packs);
    let amount = first.and_then(|first| wrong_amount(&set, size, first, problems.has_errors()));
    if size <= MAX_PREFIXES {
        problems.extend(checks::management(&set, &headers, &management));
    }
    problems.extend(amount);
    problems.sort(&paths);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Config {
        gateway,
        policies: Arc::new(set),
        knowledge: Arc::new(packs::together(loaded.list)),
        hash: hash(&sources),
        snapshot: Snapshot::of(&sources),
        warnings: problems,
        files: summaries,
        places: Places {
            gateway_mode: mode_at,
            policies: places,
            budgets: budgets.at.iter().map(|at| at.place.clone()).collect(),
            exempt: whole.exempt.into_iter().map(|(one, _)| one).collect(),
        },
    })
}

/// What files say of the whole configuration besides its policies.
#[derive(Debug, Default)]
struct Whole {
    exempt: Vec<(SubnetPlace, Excerpt)>,
    /// The first time zone that a file names.
    zone: Option<TimeZone>,
    /// Of each policy.
    zones: Vec<Option<TimeZone>>,
    hosts: Hosts,
}

impl Whole {
    fn read(&mut self, reader: &mut Reader<'_>, root: &DeTable<'_>, groups: &Groups) {
        self.hosts.read(reader, root);
        let Some(value) = root.get(EXEMPT.name) else {
            return;
        };
        for one in prefixes::read(reader, value, &EXEMPT, groups) {
            self.exempt
                .push((one.place(reader), reader.at(one.span.clone())));
        }
    }

    /// Reads the time zone of a file for its policies.
    fn zones(
        &mut self,
        reader: &mut Reader<'_>,
        root: &DeTable<'_>,
        policies: &[(Policy, PolicyPlaces)],
    ) {
        let zone = windows::zone(reader, root);
        let said = root.contains_key(TIMEZONE.name);
        if self.zone.is_none() {
            self.zone.clone_from(&zone);
        }
        self.zones.extend(policies.iter().map(|_| zone.clone()));
        let windows = root.get(POLICY.name).into_iter().flat_map(|value| {
            let list = value.get_ref().as_array().into_iter();
            list.flat_map(|list| list.iter())
                .filter_map(|policy| policy.get_ref().as_table()?.get_key_value(WINDOW.name))
        });
        let first = windows.map(|(key, _)| key.span()).next();
        let any = policies
            .iter()
            .any(|(policy, _)| !policy.windows.is_empty());
        if let Some(at) = first.filter(|_| any && !said && self.zone.is_none()) {
            let message = "no `timezone` says where the hours of this window hold: they are UTC's";
            let help = format!("add {} at the top of the file", TIMEZONE.example);
            reader.warning(at, message, help);
        }
    }

    /// How much of the prefix table the exempt hosts need: each stands at every place.
    fn size(&self, policies: &[(Policy, PolicyPlaces)]) -> usize {
        let mut places = HashSet::new();
        for (policy, _) in policies {
            places.extend(policy.vlans.iter().map(|vlan| format!("VLAN {vlan}")));
            places.extend(policy.interfaces.iter().cloned());
        }
        let exempt = self
            .exempt
            .iter()
            .map(|(one, _)| mapped_prefixes(one.net).len());
        exempt.sum::<usize>() * (places.len() + 1)
    }
}

/// The gateway's settings, and where the first of them stands.
fn settings(
    documents: &[(Document<'_>, (usize, usize))],
    problems: &mut Problems,
) -> Option<(Excerpt, Settings)> {
    let mut settings: Option<(Excerpt, Settings)> = None;
    for (document, _) in documents {
        let mut reader = Reader::new(document);
        let Some(at) = gateway_key(&reader, document) else {
            continue;
        };
        if document.root.contains_key(PACK.name) {
            continue; // which can't have such keys, and says so
        }
        if let Some(problem) = misplaced(document.source, &at, settings.as_ref()) {
            reader.report(problem);
        }
        let read = gateway::read(&mut reader, &document.root);
        settings.get_or_insert((at, read));
        problems.extend(reader.finish());
    }
    settings
}

/// No policy at all, or more prefixes than the kernel takes.
fn wrong_amount(
    policies: &PolicySet,
    prefixes: usize,
    first_file: &Path,
    is_wrong: bool,
) -> Option<Problem> {
    let at = Excerpt::whole(first_file);
    if policies.policies().is_empty() && !is_wrong {
        let message = "there is no policy: nothing would be judged";
        let help = "add a `[[policy]]`, or `include` files that have some";
        return Some(Problem::new(Severity::Warning, at, message, help));
    }
    (prefixes > MAX_PREFIXES).then(|| {
        let message =
            format!("{prefixes} prefixes are more than the {MAX_PREFIXES} that the kernel holds");
        let help = "write shorter prefixes that cover several, or name fewer VLANs and interfaces: \
                    a prefix counts once for each";
        Problem::error(at, message, help)
    })
}

/// Where a file first says something about the gateway.
fn gateway_key(reader: &Reader<'_>, document: &Document<'_>) -> Option<Excerpt> {
    GATEWAY_KEYS
        .iter()
        .filter_map(|key| document.root.get_key_value(key.name))
        .map(|(key, _)| key.span())
        .min_by_key(|span| span.start)
        .map(|span| reader.at(span))
}

/// What is wrong with gateway settings at `at`, if they may not stand there.
fn misplaced(
    source: &Source,
    at: &Excerpt,
    first: Option<&(Excerpt, Settings)>,
) -> Option<Problem> {
    if source.included {
        return Some(Problem::error(
            at.clone(),
            "gateway settings in an included file",
            "move them to the file that includes this one; here belong `[groups]`, `[[budget]]` and `[[policy]]`",
        ));
    }
    let (first, ..) = first?;
    let message = "gateway settings in a second file";
    let help = "keep them in one file";
    Some(Problem::error(at.clone(), message, help).related(first.clone(), "the first ones"))
}

/// SHA-256 over the files' texts in the order in which they were read.
fn hash(sources: &[Source]) -> String {
    let mut hasher = Sha256::new();
    for source in sources {
        hasher.update(&source.text);
    }
    hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        })
}
