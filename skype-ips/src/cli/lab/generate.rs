//! `skype-ips lab generate`: what a gateway would see of a scenario.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{Failure, print};
use super::progress::{Done, ProgressLine};
use super::{conclude, scenario};
use crate::lab::run::{Look, Played, Report, Run, Treatment};
use crate::lab::{catch_signals, interrupted};
use crate::simulator::record::{Recorded, record};
use crate::simulator::scenario::build;

/// Write what a gateway would see of a scenario, on simulated time and without any rights
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A ready scenario's name (see `lab list`) or a file
    scenario: String,
    /// The capture, pcapng if it is named so, else pcap; the labels go beside it, to
    /// FILE.labels.tsv
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// The same number gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// Plays the scenario and writes the capture.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let scenario = scenario::read(&args.scenario)?;
    catch_signals().map_err(Failure::failed)?;
    let mut built = build(&scenario, args.seed);
    let schedule = std::mem::take(&mut built.schedule);
    let until = built.until;
    let mut line = ProgressLine::default();
    let recorded = record(
        &mut built.world,
        schedule,
        until,
        &args.write,
        &mut |now: Duration| {
            line.show(Done::of(now, until), "simulated");
            !interrupted()
        },
    );
    line.end();
    let Recorded { labels, unexpected } = recorded.map_err(Failure::failed)?;
    if interrupted() {
        return Err(Failure::failed(
            "interrupted; the capture ends where it was",
        ));
    }
    let mut played = Played::of(&built.world, &built.hosts, &built.programs);
    played.unexpected = unexpected;
    let run = Run::new("simulated", &scenario, played, Treatment::None);
    let report = Report {
        scenario: &scenario,
        seed: args.seed,
        runs: vec![run],
        promises: Vec::new(),
    };
    if args.json {
        let lines = report.json().into_iter().map(|line| format!("{line}\n"));
        print(&lines.collect::<String>())?;
    } else {
        print(&report.table(Look::of_stdout()))?;
        let skype = labels.conversations().iter().filter(|one| one.ground.skype);
        let (count, all) = (skype.count(), labels.conversations().len());
        let file = args.write.display();
        print(&format!(
            "\n{file}: {all} conversations, {count} of them Skype, as {file}.labels.tsv says\n"
        ))?;
    }
    conclude(&report)
}
