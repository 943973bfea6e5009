//! `replay --explain`: what proved one conversation.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::inputs::World;
use super::{file_name, json_line, readable, refuse_streams, replay, written};
use crate::cli::Failure;
use crate::replay::explain::{Witness, explain};
use crate::replay::{Conversation, Query, Report};

/// Conversations that are listed where one has to be chosen.
const LISTED: usize = 10;

/// A conversation that was asked for, and the report of its capture.
struct Match<'a> {
    path: &'a Path,
    report: Report,
    indexes: Vec<usize>,
}

/// Explains the conversation that `query` names in one of the captures.
///
/// # Errors
/// Status 1 if a capture can't be read to its end, status 2 if the query names none or several.
pub(super) fn run(
    world: &World,
    query: &Query,
    captures: &[PathBuf],
    json: bool,
) -> Result<(), Failure> {
    refuse_streams(captures, "--explain")?;
    let mut matches = Vec::new();
    let mut near = Vec::new();
    let mut failed = 0;
    for path in captures {
        let (report, problem) = replay(world, path, |_, _, _| {});
        if let Some(problem) = problem {
            eprintln!("warning: {problem}");
            failed += 1;
        }
        let all = report.conversations.in_report_order();
        let is_meant = |index: &usize| query.matches(report.conversations.get(*index));
        let indexes: Vec<_> = all.into_iter().filter(is_meant).collect();
        if indexes.is_empty() {
            let all = report.conversations.iter();
            near.extend(all.map(|one| {
                let nearness = (query.likeness(one), one.detection.is_some());
                (nearness, line(path, one))
            }));
            near.sort_by_key(|(nearness, _)| std::cmp::Reverse(*nearness));
            near.truncate(LISTED);
        } else {
            matches.push(Match {
                path,
                report,
                indexes,
            });
        }
    }
    let found: usize = matches.iter().map(|one| one.indexes.len()).sum();
    match &matches[..] {
        [one] if found == 1 => {
            told(world, one.path, &one.report, one.indexes[0], json)?;
            readable(failed, captures.len())
        }
        [] => Err(none(query, &near, failed)),
        _ => Err(several(query, &matches, found)),
    }
}

fn told(
    world: &World,
    path: &Path,
    report: &Report,
    index: usize,
    json: bool,
) -> Result<(), Failure> {
    let mut witness = Witness::new(report, index);
    // What could not be read was reported by the first pass.
    replay(world, path, |record, step, _| witness.packet(record, step));
    let record = explain(
        report,
        &witness,
        &world.config,
        world.mode,
        &file_name(path),
    );
    let mut out = io::stdout().lock();
    written(match json {
        true => json_line(&mut out, &record),
        false => io::Write::write_all(&mut out, record.to_string().as_bytes()),
    })
}

/// A conversation to choose from.
fn line(path: &Path, conversation: &Conversation) -> String {
    let found = match &conversation.detection {
        Some(found) => format!("Skype ({})", found.finding.class),
        None if conversation.ambiguous.is_some() => "Skype or Teams".to_owned(),
        None => "not Skype".to_owned(),
    };
    let tunnel = match &conversation.tunnel {
        Some(tunnel) => format!(", in a tunnel ({})", tunnel.kind),
        None => String::new(),
    };
    format!(
        "{conversation}  flow_id {}  {found}{tunnel}, {}",
        conversation.flow_id(),
        path.display()
    )
}

/// `near`: how much each has in common with what was asked for, and whether it is Skype.
fn none(query: &Query, near: &[((u32, bool), String)], failed: usize) -> Failure {
    let mut message = format!("no conversation is called {query}");
    if failed > 0 {
        message += "; not all of the captures could be read";
    }
    let like: Vec<_> = near
        .iter()
        .filter(|((likeness, _), _)| *likeness > 0)
        .collect();
    // Where nothing is like it, any will do to show what there is.
    let (heading, lines) = match like.is_empty() {
        true => ("; there are", near.iter().collect()),
        false => ("; the nearest are", like),
    };
    if !lines.is_empty() {
        message += heading;
        message.push(':');
    }
    for (_, line) in lines {
        let _ = write!(message, "\n  {line}");
    }
    Failure::usage(message)
}

fn several(query: &Query, matches: &[Match<'_>], found: usize) -> Failure {
    let mut message = format!(
        "{found} conversations are called {query}; choose one by its flow_id, or name one capture:"
    );
    let all = matches.iter().flat_map(|one| {
        let conversations = one
            .indexes
            .iter()
            .map(|index| one.report.conversations.get(*index));
        conversations.map(|conversation| line(one.path, conversation))
    });
    for line in all.take(LISTED) {
        let _ = write!(message, "\n  {line}");
    }
    if found > LISTED {
        let _ = write!(message, "\n  and {} more", found - LISTED);
    }
    Failure::usage(message)
}
