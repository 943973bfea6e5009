//! `skype-ips replay`: what is Skype in captures, and what a policy would have done about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::Failure;
use crate::capture::Capture;
use crate::engine::Settings;
use crate::policy::{Action, Config, Mode, Policy, PolicySet};
use crate::replay::{
    Conversation, Driver, Expectations, Report, Score, TO_CLIENT, TO_SERVER, private_networks,
};
use crate::telemetry::eve::protocol_name;
use crate::telemetry::{StatsCounters, StatsRecord};

/// Find Skype in captures, and show what a policy would do about it
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Policies to apply; without it, Skype of every inside host would be dropped in mode enforce
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Mode of the gateway, whatever the configuration says
    #[arg(long, value_name = "monitor|enforce", value_parser = super::word(Mode::from_word, Mode::ALL, Mode::word))]
    mode: Option<Mode>,

    /// Network whose hosts are inside; without it, private addresses are
    #[arg(long, value_name = "CIDR", value_parser = network)]
    inside: Vec<IpNet>,

    /// Address under which inside hosts are seen outside
    #[arg(long, value_name = "IP")]
    public_address: Vec<IpAddr>,

    /// Print one JSON object per conversation, and totals
    #[arg(long)]
    json: bool,

    /// With --json: how many payload bytes each side sent, and the first 16 of them
    #[arg(long, requires = "json")]
    payload_heads: bool,

    /// Compare with labels of conversations (tab-separated); exit status 3 if they differ
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Captures: pcap or pcapng, also gzip or zstd; `-` is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(net), _) => Ok(net.trunc()),
        (_, Ok(address)) => Ok(address.into()),
        _ => Err("write an address or a network, such as 192.168.0.0/16".into()),
    }
}

/// Runs `replay`.
///
/// # Errors
/// Status 1 if a capture can't be read to its end (what was there is reported all the same),
/// status 2 for a configuration or labels that can't be used, status 3 if labels differ.
pub fn run(args: Args) -> Result<(), Failure> {
    let expectations = args.expect.as_deref().map(labels).transpose()?;
    let config = configuration(args.config.as_deref(), &args.inside)?;
    let mode = args.mode.unwrap_or(config.gateway.mode);
    let inside = if args.inside.is_empty() {
        private_networks()
    } else {
        args.inside
    };
    let mut public_addresses = config.gateway.public_addresses.clone();
    public_addresses.extend(args.public_address);

    let mut out = BufWriter::new(io::stdout().lock());
    let mut totals = StatsCounters::default();
    let (mut end, mut failed) = (0, 0);
    let mut score = Score::default();
    for path in &args.captures {
        let settings = Settings {
            public_addresses: public_addresses.clone(),
            ..Settings::default()
        };
        let mut driver = Driver::new(&config, mode, settings, &inside);
        if let Err(problem) = feed(&mut driver, path) {
            eprintln!("warning: {problem}");
            failed += 1;
        }
        let report = driver.finish();
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy();
        written(if args.json {
            json(&mut out, &report, &name, args.payload_heads)
        } else {
            table(&mut out, &report, &name)
        })?;
        if let Some(expectations) = &expectations {
            let of_this = expectations.score(&name, &report.conversations);
            score.found += of_this.found;
            score.let_alone += of_this.let_alone;
            score.unscored += of_this.unscored;
            score.mismatches.extend(of_this.mismatches);
        }
        end = end.max(report.end);
        add(&mut totals, &report.stats);
    }
    written(if args.json {
        json_line(&mut out, &StatsRecord::new(end, totals))
    } else {
        summary(&mut out, &totals, mode)
    })?;
    written(out.flush())?;
    drop(out);
    if expectations.is_some() {
        eprintln!(
            "labels: {} found, {} rightly let alone, {} not scored, {} wrong",
            score.found,
            score.let_alone,
            score.unscored,
            score.mismatches.len()
        );
    }
    if failed > 0 {
        let all = args.captures.len();
        return Err(Failure::failed(format!(
            "{failed} of {all} captures could not be read to the end"
        )));
    }
    if score.mismatches.is_empty() {
        Ok(())
    } else {
        let mut message = "conversations that are not as labelled:".to_owned();
        for mismatch in &score.mismatches {
            let _ = write!(message, "\n  {mismatch}");
        }
        Err(Failure::unmet(message))
    }
}

fn labels(path: &Path) -> Result<Expectations, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Expectations::parse(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The configuration of a file, else one that drops Skype of every inside host.
fn configuration(path: Option<&Path>, inside: &[IpNet]) -> Result<Config, Failure> {
    let Some(path) = path else {
        let mut config = Config::default_for_replay();
        if !inside.is_empty() {
            let policies = config.policies.policies().iter().map(|policy| Policy {
                subnets: inside.to_vec(),
                ..policy.clone()
            });
            config.policies = PolicySet::new(policies.collect());
        }
        return Ok(config);
    };
    match Config::load(&[path.to_owned()]) {
        Ok(config) => {
            if !config.warnings.is_empty() {
                eprintln!("{}\n", config.warnings);
            }
            Ok(config)
        }
        Err(problems) => Err(Failure::usage(problems)),
    }
}

/// Replays what can be read of a capture.
fn feed(driver: &mut Driver, path: &Path) -> Result<(), crate::capture::CaptureError> {
    for record in Capture::open(path)? {
        driver.packet(&record?);
    }
    Ok(())
}

/// A reader that has seen enough (`| head`) is no failure.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("can't write the output: {error}")))
        }
        _ => Ok(()),
    }
}

fn json(
    out: &mut impl Write,
    report: &Report,
    capture: &str,
    payload_heads: bool,
) -> io::Result<()> {
    let line = |record| json_line(out, &record);
    if payload_heads {
        report.records_with_payload(capture).try_for_each(line)
    } else {
        report.records(capture).try_for_each(line)
    }
}

fn json_line(out: &mut impl Write, record: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    writeln!(out)
}

fn add(totals: &mut StatsCounters, more: &StatsCounters) {
    totals.packets += more.packets;
    totals.bytes += more.bytes;
    totals.flows += more.flows;
    totals.skype_flows += more.skype_flows;
    totals.queued += more.queued;
    totals.dropped += more.dropped;
    totals.undecodable += more.undecodable;
    totals.seconds += more.seconds;
}

/// The Skype conversations of a capture, and what they rest on.
fn table(out: &mut impl Write, report: &Report, capture: &str) -> io::Result<()> {
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

fn summary(out: &mut impl Write, totals: &StatsCounters, mode: Mode) -> io::Result<()> {
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
