//! Rates and fairness under budgets, measured in network namespaces with the real daemon and kernel
//! program, next to the same limits made with `tc` and `nft`. `cargo xtask bench throttle` runs it,
//! judges what it prints and explains it; docs/performance.md says how.
//!
//! All limiters run at the same time, each in namespaces of its own. A JSON object per limiter, case
//! and repetition goes to standard output.

mod case;
mod daemon;
mod figures;
mod limiter;
mod net;
mod traffic;
mod watch;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use serde_json::json;

use self::case::{Case, Transport};
use self::figures::{Figures, Window};
use self::limiter::Limiter;
use self::net::Net;
use self::watch::Watch;

/// Measures rates and fairness under budgets.
#[derive(Debug, Parser)]
struct Args {
    /// How often
    #[arg(long, default_value_t = 1)]
    repeat: u64,
    /// Seconds before counting begins
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// Seconds counted
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only the limiter of this name
    #[arg(long)]
    only: Option<String>,
    /// What `cargo bench` says to each of its programs
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    for repetition in 0..args.repeat {
        if let Err(error) = all(&args, repetition) {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// One repetition under all limiters at once.
fn all(args: &Args, repetition: u64) -> io::Result<()> {
    let wanted = |limiter: &Limiter| match &args.only {
        Some(name) => limiter.name() == name,
        None => true,
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = Limiter::ALL
            .into_iter()
            .filter(wanted)
            .map(|limiter| (limiter, scope.spawn(move || one(limiter, args, repetition))))
            .collect();
        for (limiter, thread) in running {
            for figures in thread.join().expect("no thread panics")? {
                let line = json!({
                    "limiter": limiter.name(),
                    "repetition": repetition,
                    "figures": figures,
                });
                println!("{line}");
            }
        }
        Ok(())
    })
}

/// All cases under one limiter.
fn one(limiter: Limiter, args: &Args, repetition: u64) -> io::Result<Vec<Figures>> {
    let cases = cases();
    let net = Net::build(&cases)?;
    let _limiter = limiter.start(&net, &cases)?;
    let watch = Watch::start(&net)?;
    let (warm_up, length) = (
        Duration::from_secs(args.warm_up),
        Duration::from_secs(args.seconds),
    );
    let (began, from) = (Instant::now(), SystemTime::now() + warm_up);
    let end = began + warm_up + length;
    let seed = repetition << 48;
    let received = cases
        .iter()
        .map(|case| traffic::start(&net, case, end, seed))
        .collect::<io::Result<Vec<_>>>()?;
    let arrivals = watch.until(end)?;
    let window = Window { from, length };
    let of = |(case, received): (&Case, &traffic::Received)| {
        let reads = received.connections.lock();
        let reads = reads.expect("no thread panics with it");
        Figures::of(case, window, &arrivals, &reads)
    };
    Ok(cases.iter().zip(&received).map(of).collect())
}

/// The rates that the paper's budgets have, and one far above.
const RATES: [u64; 5] = [3_000, 4_000, 5_000, 10_000, 1_000_000];

/// What ten hosts share: five times the paper's largest budget.
const SHARED: u64 = 50_000;

/// All cases; they run at the same time.
fn cases() -> Vec<Case> {
    let single = RATES.map(|rate| (rate, 1));
    let both = [Transport::Udp, Transport::Tcp];
    let cases = single.into_iter().chain([(SHARED, 10)]);
    let cases = cases.flat_map(|(rate, hosts)| both.map(|transport| (transport, rate, hosts)));
    (0..)
        .zip(cases)
        .map(|(number, (transport, rate, hosts))| Case::new(number, transport, rate, hosts))
        .collect()
}
