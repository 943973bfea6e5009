//! `skype-ips lab run`: a scenario in real time, around a real gateway.

use std::path::PathBuf;

use super::super::{Failure, print, word};
use super::progress::{Done, ProgressLine};
use super::{conclude, failure, gateway_lines, scenario};
use crate::lab::run::{DaemonOptions, Look, Options, Outcome, Progress, Report, Run, Treatment};
use crate::lab::run::{bit_rate, promises, run as play, untouched};
use crate::lab::{LabError, again_in_user_namespace, catch_signals, in_user_namespace};
use crate::policy::{HookChoice, Mode};
use crate::simulator::scenario::{Scenario, build};

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
    let outcome = match play(&options, &world, &mut |progress| show(&mut line, progress)) {
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

fn show(line: &mut ProgressLine, progress: Progress) {
    let Progress {
        done,
        total,
        signed_in,
        calls,
        rate,
    } = progress;
    let rate = bit_rate(rate);
    let text = format!("{signed_in} signed in, {calls} calls, {rate}");
    line.show(Done::of(done, total), &text);
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
    let promises = match (&outcome.daemon, &outcome.in_force) {
        (Some(under), Some(in_force)) => promises(scenario, &outcome.plain, under, in_force),
        _ => Vec::new(),
    };
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
        let run = Run::new(mode, scenario, played, treatment);
        runs.push(match (treatment, &outcome.in_force) {
            (Treatment::Configured, Some(in_force)) => {
                let untouched = untouched(scenario, &runs[0].played, in_force);
                run.expecting(scenario, &untouched)
            }
            _ => run,
        });
    }
    let report = Report {
        scenario,
        seed,
        runs,
        promises,
    };
    if json {
        let lines = report.json().into_iter().map(|line| format!("{line}\n"));
        print(&lines.collect::<String>())?;
    } else {
        print(&(status + &report.table(Look::of_stdout())))?;
    }
    conclude(&report)
}
