//! From TOML to a [`Config`]: every problem of every file in one pass.

mod files;
mod gateway;
mod groups;
mod language;
mod packs;
mod policies;
mod snapshot;
mod subnet;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::config::{Config, FileSummary};
use super::gateway::Gateway;
use super::model::{MAX_PREFIXES, PolicySet};
use super::places::Places;
use crate::detect::knowledge::Knowledge;
use crate::toml_file::{
    Document, Excerpt, Place, Problem, Problems, Reader, Severity, Source, quoted,
};
use files::Files;
use groups::Groups;
use language::{FILE, GATEWAY_KEYS, LANGUAGE, PACK};
pub use packs::Pack;
use policies::Policies;
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

/// Reads all files' groups, then all files' settings and policies, which may name any group.
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
    for source in &sources {
        let document = Document::parse(source, &LANGUAGE);
        problems.extend(document.syntax.iter().cloned());
        let mut reader = Reader::new(&document);
        if reader.version(&document) {
            let before = groups.len();
            groups::read(&mut reader, &document.root, &mut groups);
            documents.push((document, groups.len() - before));
        }
        problems.extend(reader.finish());
    }

    let mut settings: Option<(Excerpt, Gateway, Option<Place>)> = None;
    let mut policies = Policies::new(&groups);
    let mut summaries = Vec::new();
    let mut loaded: Vec<(Pack, Knowledge)> = Vec::new();
    for (document, groups) in &documents {
        let mut reader = Reader::new(document);
        if let Some((key, _)) = document.root.get_key_value(PACK.name) {
            let (pack, knowledge) = packs::read(document, &mut reader);
            if let Some(pack) = &pack {
                if loaded.iter().any(|(other, _)| other.name == pack.name) {
                    let message = format!("two packs are called {}", quoted(&pack.name));
                    reader.error(
                        key.span(),
                        message,
                        "leave one out, or give it another name",
                    );
                }
                loaded.push((pack.clone(), knowledge));
            }
            problems.extend(reader.finish());
            summaries.push(FileSummary::of_pack(&document.source.path, pack));
            continue;
        }
        reader.keys(&document.root, &FILE);
        let policies_before = policies.list.len();
        policies.read(&mut reader, &document.root);
        let of_gateway = gateway_key(&reader, document);
        if let Some(at) = &of_gateway {
            if let Some(problem) = misplaced(document.source, at, settings.as_ref()) {
                reader.report(problem);
            }
            let (gateway, mode_at) = gateway::read(&mut reader, &document.root);
            settings.get_or_insert((at.clone(), gateway, mode_at));
        }
        problems.extend(reader.finish());
        let added = &policies.list[policies_before..];
        summaries.push(FileSummary {
            path: document.source.path.clone(),
            pack: None,
            gateway: of_gateway.is_some(),
            groups: *groups,
            policies: added.len(),
            prefixes: added.iter().map(|(policy, _)| policy.subnets.len()).sum(),
        });
    }

    let (policies, places): (Vec<_>, Vec<_>) = policies.list.into_iter().unzip();
    let policies = PolicySet::new(policies);
    let paths: Vec<_> = sources.iter().map(|source| &*source.path).collect();
    let only_packs = summaries.iter().all(|file| file.pack.is_some());
    if let Some(first) = paths
        .first()
        .filter(|_| !only_packs && !problems.has_errors())
    {
        problems.extend(wrong_amount(&policies, first));
    }
    problems.sort(&paths);
    if problems.has_errors() {
        return Err(problems);
    }
    let (gateway, gateway_mode) = match settings {
        Some((_, gateway, mode_at)) => (gateway, mode_at),
        None => (Gateway::default(), None),
    };
    Ok(Config {
        gateway,
        policies: Arc::new(policies),
        knowledge: Arc::new(packs::together(loaded)),
        hash: hash(&sources),
        snapshot: Snapshot::of(&sources),
        warnings: problems,
        files: summaries,
        places: Places {
            gateway_mode,
            policies: places,
        },
    })
}

/// No policy at all, or more prefixes than the kernel takes.
fn wrong_amount(policies: &PolicySet, first_file: &Path) -> Option<Problem> {
    let at = Excerpt::whole(first_file);
    if policies.policies().is_empty() {
        let message = "there is no policy: nothing would be judged";
        let help = "add a `[[policy]]`, or `include` files that have some";
        return Some(Problem::new(Severity::Warning, at, message, help));
    }
    let prefixes = policies.prefixes();
    (prefixes > MAX_PREFIXES).then(|| {
        let message =
            format!("{prefixes} prefixes are more than the {MAX_PREFIXES} that the kernel holds");
        Problem::error(at, message, "write shorter prefixes that cover several")
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
    first: Option<&(Excerpt, Gateway, Option<Place>)>,
) -> Option<Problem> {
    if source.included {
        return Some(Problem::error(
            at.clone(),
            "gateway settings in an included file",
            "move them to the file that includes this one; here belong `[groups]` and `[[policy]]`",
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
