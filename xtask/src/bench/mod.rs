//! `cargo xtask bench`: measures, beside what others reach in the same run.

mod figures;
mod throttle;

use std::process::Command;

use crate::failure::Failure;
use crate::setup::{self, Install};
use crate::{machine, process, workspace};

/// Measures skype-ips, beside what Linux has for the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Rates and fairness under budgets, next to the same limits made with `tc` and `nft`
    Throttle(Throttle),
}

/// How `bench throttle` measures.
#[derive(Debug, clap::Args)]
struct Throttle {
    /// Print a JSON object per figure
    #[arg(long)]
    json: bool,
    /// How often everything is measured, 75 seconds each; medians are shown
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u64).range(1..=100))]
    repeat: u64,
    /// Build skype-ips with optimisation; the kernel program that is measured is the same
    #[arg(long)]
    release: bool,
    /// Install nothing; name what is missing and exit with 4
    #[arg(long)]
    no_install: bool,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let What::Throttle(args) = &args.what;
    if !machine::is_root() {
        return Err(Failure::cannot(
            "only root may load the kernel program that is measured",
        ));
    }
    setup::for_benching(Install::unless(args.no_install))?;
    let repeat = args.repeat.to_string();
    let profile = if args.release { "bench" } else { "dev" };
    let arguments = ["--bench", "throttle", "--", "--repeat", &repeat];
    eprintln!(
        "measuring for {} seconds, after the build",
        75 * args.repeat
    );
    let output = process::output(
        machine::privileged_cargo()
            .args([
                "bench",
                "--locked",
                "--package",
                "skype-ips",
                "--profile",
                profile,
            ])
            .args(arguments)
            .current_dir(workspace::root()),
    )?;
    let lines = throttle::judge(&output)?;
    if args.json {
        for line in &lines {
            println!("{}", serde_json::to_string(line).map_err(Failure::failed)?);
        }
    } else {
        print!("{}\n{}", machine_line(), figures::table(&lines));
    }
    let missed = lines.iter().filter(|line| line.pass == Some(false));
    match missed.map(|line| line.name.as_str()).collect::<Vec<_>>()[..] {
        [] => Ok(()),
        ref missed => Err(Failure::unmet(format_args!(
            "missed its target: {}",
            missed.join(", ")
        ))),
    }
}

/// What the figures were measured on.
fn machine_line() -> String {
    let kernel = process::output(Command::new("uname").args(["-srm"])).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    format!("{kernel}, {processors} processors ({model})\n")
}
