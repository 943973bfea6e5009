//! `skype-ips bypass`: everything passes, watching goes on.

use super::{Failure, print};
use crate::control::blocking;

/// Let everything pass, or stop doing so; watching goes on either way
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    switch: Switch,
    #[command(flatten)]
    instance: super::Instance,
}

#[derive(clap::Subcommand, Debug)]
enum Switch {
    /// Everything passes, within a second
    On {
        /// End by itself after this time, such as 90s, 30m or 2h
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        time: Option<u64>,
    },
    /// Policies hold again
    Off,
}

/// A time such as `90s`, `30m` or `2h`, in seconds; at most a year.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: write a number with s, m or h, such as 30m");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(factor) {
        Some(seconds @ 1..=31_536_000) => Ok(seconds),
        _ => Err(format!("{text:?} is out of range: write 1s to 8760h")),
    }
}

/// Tells the daemon.
///
/// # Errors
/// Status 1 if none answers, or if it refuses.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (on, time) = match args.switch {
        Switch::On { time } => (true, time),
        Switch::Off => (false, None),
    };
    let status = blocking::bypass(&args.instance.socket(), on, time).map_err(Failure::failed)?;
    print(&match (on, status["bypass"]["until"].as_str()) {
        (true, Some(until)) => format!("bypass on until {until}: everything passes\n"),
        (true, None) => "bypass on: everything passes until `skype-ips bypass off`\n".to_owned(),
        (false, _) => "bypass off: policies hold\n".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("2h"), Ok(7200));
        for wrong in [
            "",
            "30",
            "m",
            "-1m",
            "0s",
            "9000h",
            "99999999999999999999h",
            "1é",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
