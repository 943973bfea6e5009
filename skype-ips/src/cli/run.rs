//! `skype-ips run`: the daemon.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::Failure;
use crate::gateway::{self, GatewayError, Options, Source};
use crate::policy::{HookChoice, Interface, InterfaceSide, Mode, Place};

/// Run the daemon
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Monitor or enforce, instead of what the file says
    #[arg(long, value_name = "MODE", value_parser = super::word(Mode::from_word, Mode::ALL, Mode::word))]
    mode: Option<Mode>,
    /// Where to classify, instead of what the file says
    #[arg(long, value_name = "HOOK", value_parser = super::word(HookChoice::from_word, HookChoice::ALL, HookChoice::word))]
    hook: Option<HookChoice>,
    /// Interfaces and their sides, instead of those of the file: `eth1=inside`
    #[arg(long = "interface", value_name = "NAME=SIDE", value_parser = interface)]
    interfaces: Vec<Interface>,
    #[command(flatten)]
    instance: super::Instance,
    /// Folder under which it keeps what a reload that waits for its confirmation goes back to
    #[arg(long, value_name = "DIR", default_value = gateway::DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// Write event lines (JSON) to this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

fn interface(text: &str) -> Result<Interface, String> {
    let (name, side) = text
        .split_once('=')
        .ok_or("write NAME=inside or NAME=outside")?;
    let side = InterfaceSide::from_word(side)
        .ok_or_else(|| format!("{side:?} is no side: write inside or outside"))?;
    Ok(Interface {
        name: name.to_owned(),
        side,
        zone: 0,
        place: Place::whole("--interface"),
    })
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Status 2 for a wrong configuration, 4 where the machine can't, else 1.
pub fn run(args: Args) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
                .from_env_lossy(),
        )
        .init();
    let options = Options {
        source: Source {
            file: args.config,
            mode: args.mode,
            hook: args.hook,
            interfaces: args.interfaces,
        },
        instance: args.instance.instance,
        run_dir: args.instance.run_dir,
        state_dir: args.state_dir,
        events: args.events,
    };
    gateway::run(&options).map_err(failure)
}

fn failure(error: GatewayError) -> Failure {
    if error.is_usage() {
        Failure::usage(error)
    } else if error.is_incapable() {
        Failure::cannot(error)
    } else {
        Failure::failed(error)
    }
}
