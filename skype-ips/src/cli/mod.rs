//! The command line: one file per subcommand, arguments and output only.

#[cfg(target_os = "linux")]
mod ask;
#[cfg(target_os = "linux")]
pub mod bypass;
pub mod check;
#[cfg(target_os = "linux")]
pub mod cleanup;
#[cfg(target_os = "linux")]
pub mod confirm;
#[cfg(target_os = "linux")]
pub mod exempt;
#[cfg(target_os = "linux")]
pub mod explain;
pub mod export;
#[cfg(target_os = "linux")]
pub mod flows;
#[cfg(target_os = "linux")]
pub mod hosts;
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod reload;
pub mod replay;
#[cfg(target_os = "linux")]
pub mod run;
#[cfg(target_os = "linux")]
pub mod status;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Finds Skype on a gateway and blocks it.
#[derive(Debug, Parser)]
#[command(name = "skype-ips", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(target_os = "linux")]
    Run(run::Args),
    Check(check::Args),
    #[cfg(target_os = "linux")]
    Lab(lab::Args),
    Replay(replay::Args),
    Export(export::Args),
    #[cfg(target_os = "linux")]
    Status(status::Args),
    #[cfg(target_os = "linux")]
    Flows(flows::Args),
    #[cfg(target_os = "linux")]
    Hosts(hosts::Args),
    #[cfg(target_os = "linux")]
    Explain(explain::Args),
    #[cfg(target_os = "linux")]
    Reload(reload::Args),
    #[cfg(target_os = "linux")]
    Confirm(confirm::Args),
    #[cfg(target_os = "linux")]
    Exempt(exempt::Args),
    #[cfg(target_os = "linux")]
    Bypass(bypass::Args),
    #[cfg(target_os = "linux")]
    Cleanup(cleanup::Args),
    /// Suspend the rules of a daemon that falls silent (the daemon starts this itself)
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Watchdog {
        /// Its name
        instance: String,
    },
}

/// Which daemon is meant.
#[cfg(target_os = "linux")]
#[derive(clap::Args, Debug)]
pub struct Instance {
    /// Name of the daemon among others on this machine
    #[arg(long, global = true, value_name = "NAME", default_value = "main")]
    instance: String,
    /// Folder under which the daemon has its lock and control socket
    #[arg(long, global = true, value_name = "DIR", default_value = crate::gateway::DEFAULT_RUN_DIR)]
    run_dir: std::path::PathBuf,
}

#[cfg(target_os = "linux")]
impl Instance {
    fn socket(&self) -> std::path::PathBuf {
        crate::gateway::socket(&self.run_dir, &self.instance)
    }
}

/// A parser of an option whose values are the words of the policy language.
fn word<T: Copy + Send + Sync + 'static>(
    from_word: fn(&str) -> Option<T>,
    all: &'static [T],
    to_word: fn(T) -> &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        from_word(text).ok_or_else(|| {
            let words: Vec<_> = all.iter().map(|value| to_word(*value)).collect();
            format!("write one of {}", words.join(", "))
        })
    }
}

/// Prints; a reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("can't write the output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Why a subcommand didn't do what was asked, and the exit status that says so.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Something failed on the way (exit status 1).
    pub fn failed(message: impl fmt::Display) -> Self {
        Self {
            status: 1,
            message: message.to_string(),
        }
    }

    /// Wrong arguments or configuration (exit status 2).
    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            status: 2,
            message: message.to_string(),
        }
    }

    /// An expectation, or a policy's promise, was not met (exit status 3).
    pub fn unmet(message: impl fmt::Display) -> Self {
        Self {
            status: 3,
            message: message.to_string(),
        }
    }

    /// This machine can't: a right, a kernel feature or a tool is missing (exit status 4).
    pub fn cannot(message: impl fmt::Display) -> Self {
        Self {
            status: 4,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let outcome: Result<(), Failure> = match command {
        #[cfg(target_os = "linux")]
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        #[cfg(target_os = "linux")]
        Command::Lab(args) => lab::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Export(args) => export::run(args),
        #[cfg(target_os = "linux")]
        Command::Status(args) => status::run(&args),
        #[cfg(target_os = "linux")]
        Command::Flows(args) => flows::run(&args),
        #[cfg(target_os = "linux")]
        Command::Hosts(args) => hosts::run(&args),
        #[cfg(target_os = "linux")]
        Command::Explain(args) => explain::run(&args),
        #[cfg(target_os = "linux")]
        Command::Reload(args) => reload::run(&args),
        #[cfg(target_os = "linux")]
        Command::Confirm(args) => confirm::run(&args),
        #[cfg(target_os = "linux")]
        Command::Exempt(args) => exempt::run(&args),
        #[cfg(target_os = "linux")]
        Command::Bypass(args) => bypass::run(&args),
        #[cfg(target_os = "linux")]
        Command::Cleanup(args) => cleanup::run(&args),
        #[cfg(target_os = "linux")]
        Command::Watchdog { instance } => crate::gateway::watch(&instance).map_err(Failure::failed),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Problems of a configuration come with a heading of their own.
            let text = failure.to_string();
            let heading = if text.starts_with("error:") {
                ""
            } else {
                "error: "
            };
            eprintln!("{heading}{text}");
            ExitCode::from(failure.status)
        }
    }
}
