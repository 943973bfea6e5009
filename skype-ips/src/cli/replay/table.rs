//! What was found, as a table.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::policy::{Action, Mode};
use crate::replay::{Conversation, Report, TO_CLIENT, TO_SERVER};
use crate::telemetry::StatsCounters;
use crate::telemetry::eve::protocol_name;

/// The Skype conversations of a capture, and what they rest on.
pub(super) fn table(out: &mut impl Write, report: &Report, capture: &str) -> io::Result<()> {
    let skype: Vec<_> = report
        .conversations
        .in_report_order()
        .into_iter()
        .map(|index| report.conversations.get(index))
        .filter(|conversation| conversation.detection.is_some())
        .collect();
    writeln!(
        out,
        "{}: {} of {} conversations are Skype",
        capture.escape_debug(),
        skype.len(),
        report.stats.flows
    )?;
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
    for conversation in &skype {
        for name in conversation
            .detection
            .iter()
            .flat_map(|found| &found.evidence)
        {
            *evidence.entry(name).or_default() += 1;
        }
    }
    let evidence: Vec<_> = evidence
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    writeln!(out, "  evidence: {}", evidence.join(", "))
}

fn row(conversation: &Conversation) -> [String; 10] {
    let found = conversation.detection.as_ref();
    let decided = match found.and_then(|found| found.decided_at_packet) {
        Some(packet) => packet.to_string(),
        None => "afterwards".into(),
    };
    let action = match &conversation.policy {
        Some((_, action)) => *action,
        None => Action::Allow,
    };
    [
        protocol_name(conversation.protocol).into(),
        conversation.src.to_string(),
        conversation.dest.to_string(),
        format!(
            "{}+{}",
            conversation.packets[TO_SERVER], conversation.packets[TO_CLIENT]
        ),
        found.map_or(String::new(), |found| found.finding.class.to_string()),
        found.map_or(String::new(), |found| found.finding.confidence.to_string()),
        decided,
        action.to_string(),
        conversation.dropped.to_string(),
        found.map_or(String::new(), |found| found.evidence.join(", ")),
    ]
}

pub(super) fn summary(out: &mut impl Write, totals: &StatsCounters, mode: Mode) -> io::Result<()> {
    writeln!(
        out,
        "\n{} packets ({} bytes) in {:.3} s; {} of {} conversations are Skype; {} packets judged \
         by the engine, {} dropped (mode {mode}), {} undecodable",
        totals.packets,
        totals.bytes,
        totals.seconds,
        totals.skype_flows,
        totals.flows,
        totals.queued,
        totals.dropped,
        totals.undecodable
    )
}
