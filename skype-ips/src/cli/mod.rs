//! The command line: one file per subcommand, arguments and output only.

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
enum Command {}

/// Why a subcommand didn't do what was asked, and the exit status that says so.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// Something failed on the way (exit status 1).
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { status: 1, message: message.to_string() }
    }

    /// Wrong arguments or configuration (exit status 2).
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { status: 2, message: message.to_string() }
    }

    /// An expectation, or a policy's promise, was not met (exit status 3).
    pub fn unmet(message: impl fmt::Display) -> Self {
        Self { status: 3, message: message.to_string() }
    }

    /// This machine can't: a right, a kernel feature or a tool is missing (exit status 4).
    pub fn cannot(message: impl fmt::Display) -> Self {
        Self { status: 4, message: message.to_string() }
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
    let outcome: Result<(), Failure> = match command {};
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status)
        }
    }
}
