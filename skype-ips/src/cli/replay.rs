//! `skype-ips replay`: what is Skype in captures, and what a policy would have done about it.

mod annotate;
mod explain;
mod inputs;
mod table;

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::Failure;
use crate::capture::{Capture, CaptureError, Record};
use crate::policy::Mode;
use crate::replay::{Annotator, Driver, Query, Report, Score, Step};
use crate::telemetry::{StatsCounters, StatsRecord};

use inputs::{World, labels, network};
use table::{summary, table};

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

    /// Tell which bytes of which packets proved one conversation: its community_id, its flow_id,
    /// or its ends, such as "udp 192.168.1.34:13021 1.2.3.4:5"
    #[arg(long, value_name = "FLOW", conflicts_with_all = ["payload_heads", "expect", "annotate"])]
    explain: Option<Query>,

    /// Copy the capture to a new pcapng file with a comment on each packet that proves or decides
    #[arg(long, value_name = "OUT.pcapng")]
    annotate: Option<PathBuf>,

    /// Captures: pcap or pcapng, also gzip or zstd; `-` is standard input
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,
}

/// Runs `replay`.
///
/// # Errors
/// Status 1 if a capture can't be read to its end (what was there is reported all the same),
/// status 2 for a configuration, labels or a conversation that can't be used, or a file that is
/// not to be overwritten, status 3 if labels differ.
pub fn run(args: Args) -> Result<(), Failure> {
    let expectations = args.expect.as_deref().map(labels).transpose()?;
    let world = World::new(
        args.config.as_deref(),
        args.mode,
        args.inside,
        args.public_address,
    )?;
    if let Some(query) = &args.explain {
        return explain::run(&world, query, &args.captures, args.json);
    }
    if let Some(to) = &args.annotate {
        annotate::check(&args.captures, to)?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut totals = StatsCounters::default();
    let (mut end, mut failed) = (0, 0);
    let mut score = Score::default();
    for path in &args.captures {
        let mut annotator = args.annotate.as_ref().map(|_| Annotator::default());
        let (report, problem) = replay(&world, path, |record, step, driver| {
            if let Some(annotator) = &mut annotator {
                annotator.packet(record, step, driver);
            }
        });
        if let Some(problem) = problem {
            eprintln!("warning: {problem}");
            failed += 1;
        }
        let name = file_name(path);
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
        if let (Some(annotator), Some(to)) = (annotator, &args.annotate) {
            written(out.flush())?;
            annotate::write(path, to, &annotator.comments(&report))?;
        }
        end = end.max(report.end);
        add(&mut totals, &report.stats);
    }
    written(if args.json {
        json_line(&mut out, &StatsRecord::new(end, totals))
    } else {
        summary(&mut out, &totals, world.mode)
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
    readable(failed, args.captures.len())?;
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

/// Whether all captures could be read.
fn readable(failed: usize, all: usize) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        _ => Err(Failure::failed(format!(
            "{failed} of {all} captures could not be read to the end"
        ))),
    }
}

/// Replays what can be read of a capture, and says why there is no more. `watch` sees each packet
/// after the driver did.
fn replay(
    world: &World,
    path: &Path,
    mut watch: impl FnMut(&Record, &Step, &Driver),
) -> (Report, Option<CaptureError>) {
    let mut driver = world.driver();
    let mut feed = || -> Result<(), CaptureError> {
        for record in Capture::open(path)? {
            let record = record?;
            let step = driver.packet(&record);
            watch(&record, &step, &driver);
        }
        Ok(())
    };
    let problem = feed().err();
    (driver.finish(), problem)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Refuses what can't be read twice: the first pass finds which packets matter, and the second
/// reads them, so that memory doesn't grow with the capture.
fn refuse_streams(captures: &[PathBuf], option: &str) -> Result<(), Failure> {
    let is_stream = |path: &PathBuf| {
        let is_file = std::fs::metadata(path).map(|what| what.is_file() || what.is_dir());
        path.as_path() == Path::new("-") || is_file.is_ok_and(|is_file| !is_file)
    };
    match captures.iter().find(|path| is_stream(path)) {
        Some(path) => Err(Failure::usage(format!(
            "{}: {option} reads a capture twice, which standard input and pipes don't allow; save \
             it to a file first",
            path.display()
        ))),
        None => Ok(()),
    }
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
    totals.ambiguous_flows += more.ambiguous_flows;
    totals.queued += more.queued;
    totals.dropped += more.dropped;
    totals.undecodable += more.undecodable;
    totals.seconds += more.seconds;
}
