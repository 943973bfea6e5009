//! What was found, as a table.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::policy::Mode;
use crate::replay::{Conversation, Report, TO_CLIENT, TO_SERVER};
use crate::telemetry::StatsCounters;
use crate::telemetry::eve::protocol_name;

/// The Skype conversations of a capture, and what they rest on.
pub(super) fn table(out: &mut impl Write, report: &Report, capture: &str) -> io::Result<()> {
    let mut skype: Vec<_> = report
        .conversations
        .in_report_order()
        .into_iter()
        .map(|index| report.conversations.get(index))
        .filter(|one| one.detection.is_some() || one.ambiguous.is_some())
        .collect();
    // What is ambiguous stands below what was found.
    skype.sort_by_key(|conversation| conversation.detection.is_none());
    let many = so_many(&report.stats);
    writeln!(out, "{}: {many}", capture.escape_debug())?;
    if skype.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = skype.iter().map(|conversation| row(conversation)).collect();
    let header = [
        "",
        "from",
        "to",
        "packets",
        "class",
        "sure",
        "decided at",
        "action",
        "dropped",
        "evidence",
    ]
    .map(str::to_owned);
    let mut widths = [0; 10];
    for row in std::iter::once(&header).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in std::iter::once(&header).chain(&rows) {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("  {cell:width$}"))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    let mut evidence = BTreeMap::<_, usize>::new();
    for name in skype.iter().flat_map(|one| evidence_of(one)) {
        *evidence.entry(name).or_default() += 1;
    }
    let evidence: Vec<_> = evidence
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    writeln!(out, "  evidence: {}", evidence.join(", "))
}

/// How many conversations are Skype, and how many may be.
fn so_many(stats: &StatsCounters) -> String {
    let StatsCounters {
        flows,
        skype_flows,
        ambiguous_flows,
        ..
    } = stats;
    let doubt = match ambiguous_flows {
        0 => String::new(),
        some => format!(", {some} may be Skype's or Teams'"),
    };
    format!("{skype_flows} of {flows} conversations are Skype{doubt}")
}

/// Names of the tests that a conversation was found by, or that make it ambiguous.
fn evidence_of(conversation: &Conversation) -> Vec<&'static str> {
    let found = conversation.detection.iter();
    let found = found.flat_map(|found| found.evidence.iter().copied());
    let doubt = conversation.ambiguous.iter();
    let doubt = doubt.flat_map(|doubt| &doubt.evidence);
    found.chain(doubt.map(|evidence| evidence.name)).collect()
}

fn row(conversation: &Conversation) -> [String; 10] {
    let found = conversation.detection.as_ref();
    let decided = match found.and_then(|found| found.decided_at_packet) {
        Some(packet) => packet.to_string(),
        None if found.is_none() => String::new(),
        None => "afterwards".into(),
    };
    let action = conversation.action();
    [
        protocol_name(conversation.protocol).into(),
        conversation.src.to_string(),
        conversation.dest.to_string(),
        format!(
            "{}+{}",
            conversation.packets[TO_SERVER], conversation.packets[TO_CLIENT]
        ),
        found.map_or("ambiguous".into(), |found| found.finding.class.to_string()),
        found.map_or(String::new(), |found| found.finding.confidence.to_string()),
        decided,
        action.to_string(),
        conversation.dropped.to_string(),
        evidence_of(conversation).join(", "),
    ]
}

pub(super) fn summary(out: &mut impl Write, totals: &StatsCounters, mode: Mode) -> io::Result<()> {
    writeln!(
        out,
        "\n{} packets ({} bytes) in {:.3} s; {}; {} packets judged \
         by the engine, {} dropped (mode {mode}), {} undecodable",
        totals.packets,
        totals.bytes,
        totals.seconds,
        so_many(totals),
        totals.queued,
        totals.dropped,
        totals.undecodable
    )
}
