//! One door for developers: `cargo xtask setup | ebpf | test | lint | demo | eval | bench | vm`.
//!
//! Exit status, as of `skype-ips`: 0 done; 1 failed; 2 wrong arguments; 3 an expectation was not
//! met; 4 this machine can't.

mod bench;
mod demo;
mod ebpf;
mod eval;
mod failure;
mod lint;
mod machine;
mod process;
mod setup;
mod source_hash;
mod test;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a developer of skype-ips does besides `cargo build`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks for, and as root on Debian installs, the tools that skype-ips needs
    Setup(setup::Args),
    /// Builds the kernel object and keeps it, or proves that the kept one is what its sources give
    Ebpf(ebpf::Args),
    /// Runs all tests
    Test(test::Args),
    /// Checks format, lints, documentation and licences
    Lint,
    /// Shows on this machine that Skype is found and blocked, and that everything else arrives
    Demo(demo::Args),
    /// Measures detection over labelled captures, beside nDPI
    Eval(eval::Args),
    /// Measures rates and fairness, beside what Linux has for the same
    Bench(bench::Args),
    /// Runs the test of the kernel program on other kernels, in an emulated machine
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Ebpf(args) => ebpf::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Lint => lint::run(),
        Command::Demo(args) => demo::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Vm(args) => vm::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
