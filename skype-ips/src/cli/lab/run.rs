//! `skype-ips lab run`: a scenario in real time, around a real gateway.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use super::super::{Failure, print, word};
use super::{failure, gateway_lines, scenario};
use crate::lab::run::{DaemonOptions, Look, Options, Outcome, Progress, Report, Run, Treatment};
use crate::lab::run::{bit_rate, run as play};
use crate::lab::{LabError, again_in_user_namespace, catch_signals, in_user_namespace};
use crate::policy::{HookChoice, Mode};
use crate::simulator::scenario::{Scenario, build};

/// Problems that are told one by one.
const TOLD: usize = 20;

/// Let a scenario's parties talk through a real gateway, in real time
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A ready scenario's name (see `lab list`) or a file
    scenario: String,
    /// The daemon's configuration; with --mode alone, Skype of the inside networks is dropped
    /// [default: no daemon]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Monitor or enforce, instead of what the configuration says
    #[arg(long, value_name = "MODE", value_parser = word(Mode::from_word, Mode::ALL, Mode::word))]
    mode: Option<Mode>,
    /// Where to classify, instead of what the configuration says
    #[arg(long, value_name = "HOOK", value_parser = word(HookChoice::from_word, HookChoice::ALL, HookChoice::word))]
    hook: Option<HookChoice>,
    /// What everything random comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    /// Write what crossed the gateway to inside.pcapng and outside.pcapng in this folder, and what
    /// it was to labels.tsv; with a daemon, of the run with it
    #[arg(long, value_name = "DIR")]
    capture: Option<PathBuf>,
}

/// Plays the scenario: without a daemon, or once with and once without one.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let scenario = scenario::read(&args.scenario)?;
    let options = Options {
        daemon: daemon(&args)?,
        capture_dir: args.capture,
    };
    catch_signals().map_err(Failure::failed)?;
    let mut line = ProgressLine::default();
    let world = || build(&scenario, args.seed);
    let outcome = match play(&options, &world, &mut |progress| line.show(progress)) {
        Err(LabError::Unprivileged(_)) if !in_user_namespace() => {
            let Err(error) = again_in_user_namespace();
            return Err(failure(error));
        }
        outcome => {
            line.end();
            outcome.map_err(failure)?
        }
    };
    let built_in = options.daemon.is_some_and(|daemon| daemon.config.is_none());
    report(&scenario, args.seed, outcome, built_in, args.json)
}

fn daemon(args: &Args) -> Result<Option<DaemonOptions>, Failure> {
    if args.config.is_none() && args.mode.is_none() {
        return match args.hook {
            Some(_) => Err(Failure::usage(
                "--hook says where the daemon classifies, and there is none: add --config or --mode",
            )),
            None => Ok(None),
        };
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("finding this program's file: {error}")))?;
    let hook = if in_user_namespace() {
        eprintln!("not root: running in a user namespace, without BPF (hook off)");
        Some(HookChoice::Off)
    } else {
        args.hook
    };
    Ok(Some(DaemonOptions {
        program,
        config: args.config.clone(),
        mode: args.mode,
        hook,
    }))
}

fn report(
    scenario: &Scenario,
    seed: u64,
    outcome: Outcome,
    built_in: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut runs = vec![Run::new(
        "no daemon",
        scenario,
        outcome.plain,
        Treatment::None,
    )];
    let mut status = String::new();
    if let Some(played) = outcome.daemon {
        status = gateway_lines(&played.gateway);
        let mode = played.gateway["mode"]
            .as_str()
            .unwrap_or("daemon")
            .to_owned();
        let treatment = Treatment::of(&played, built_in);
        runs.push(Run::new(mode, scenario, played, treatment));
    }
    let report = Report {
        scenario,
        seed,
        runs,
    };
    if json {
        let lines = report.json().into_iter().map(|line| format!("{line}\n"));
        print(&lines.collect::<String>())?;
    } else {
        print(&(status + &report.table(Look::of_stdout())))?;
    }
    for doubt in report.doubts() {
        eprintln!("warning: {doubt}");
    }
    let problems = report.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let told = &problems[..problems.len().min(TOLD)];
    let more = match problems.len() - told.len() {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    Err(Failure::unmet(format!(
        "not all went as it had to:\n  {}{more}",
        told.join("\n  ")
    )))
}

/// A line that changes on a terminal; elsewhere one line per tenth.
#[derive(Default)]
struct ProgressLine {
    shown: Option<u64>,
}

impl ProgressLine {
    fn show(&mut self, progress: Progress) {
        let Progress {
            done,
            total,
            signed_in,
            calls,
            rate,
        } = progress;
        let terminal = std::io::stderr().is_terminal();
        let tenth = (10.0 * done.as_secs_f64() / total.as_secs_f64().max(0.001)) as u64;
        if !terminal && self.shown.replace(tenth) == Some(tenth) {
            return;
        }
        self.shown = Some(tenth);
        let (begin, end) = if terminal {
            ("\r\x1b[K", "")
        } else {
            ("", "\n")
        };
        // Progress that nobody can read is no reason to stop.
        let _ = write!(
            std::io::stderr(),
            "{begin}{:.0} of {:.0} s, {signed_in} signed in, {calls} calls, {}{end}",
            done.as_secs_f64(),
            total.as_secs_f64(),
            bit_rate(rate),
        );
    }

    fn end(&self) {
        if std::io::stderr().is_terminal() && self.shown.is_some() {
            eprintln!();
        }
    }
}
