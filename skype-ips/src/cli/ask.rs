//! What the subcommands that speak to a daemon share: times, hosts, reasons, and its refusals.

use std::net::IpAddr;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use hyper::StatusCode;
use jiff::SignedDuration;
use serde_json::Value;

use super::{Failure, Instance};
use crate::control::{ClientError, blocking};

/// Longest time that can be asked for: a year.
const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A time such as `90s`, `30m` or `1h 30m`, in seconds; at most a year.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let time: SignedDuration = text.parse().map_err(|_| {
        format!("{text:?} is no time: write a number with s, m, h or d, such as 30m")
    })?;
    if (SignedDuration::from_secs(1)..=LONGEST).contains(&time) {
        return Ok(time.as_secs() as u64);
    }
    Err(format!("{text:?} is out of range: write 1s to 365d"))
}

/// Why something is changed.
#[derive(clap::Args, Debug)]
pub(super) struct Reason {
    /// Why, for the audit line among the events
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

/// How the answer is printed.
#[derive(clap::Args, Debug)]
pub(super) struct Output {
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Prints an answer: as it is, or as `text` says it.
    pub(super) fn print(
        &self,
        answer: &Value,
        text: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            super::print(&format!("{answer}\n"))
        } else {
            super::print(&text(answer))
        }
    }
}

impl Instance {
    /// Asks the daemon to show something.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        blocking::get(&self.socket(), path).map_err(failure)
    }

    /// Asks the daemon for a change.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        blocking::post(&self.socket(), path, body).map_err(failure)
    }
}

/// Wrong files and wrong arguments are so whoever finds it out; the rest is a failure.
fn failure(error: ClientError) -> Failure {
    let ClientError::Refused { status, answer, .. } = &error else {
        return Failure::failed(error);
    };
    let problems: Vec<String> = items(&answer["problems"]).map(problem).collect();
    match *status {
        StatusCode::UNPROCESSABLE_ENTITY => Failure::usage(format!(
            "{error}; what was in force still is\n{}",
            problems.join("\n")
        )),
        StatusCode::BAD_REQUEST => Failure::usage(error),
        _ => Failure::failed(error),
    }
}

/// A problem of a configuration in a line, and its remedy in another.
pub(super) fn problem(problem: &Value) -> String {
    let word = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let mut place = word("file");
    for key in ["line", "column"] {
        if let Some(number) = problem[key].as_u64().filter(|number| *number > 0) {
            place += &format!(":{number}");
        }
    }
    format!(
        "{}: {place}: {}\n  help: {}",
        word("severity"),
        word("message"),
        word("help")
    )
}

/// What of a long list is shown.
#[derive(clap::Args, Debug)]
pub(super) struct Paging {
    /// Most entries to show, up to 1000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Entries to leave out at the beginning
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

impl Paging {
    /// The same behind the `?` of a URL.
    pub(super) fn query(&self, host: Option<IpAddr>) -> String {
        let host = host.map_or(String::new(), |host| format!("&host={host}"));
        format!("limit={}&offset={}{host}", self.limit, self.offset)
    }
}

/// Where a list that was cut off goes on.
pub(super) fn more(answer: &Value, what: &str) -> String {
    let total = number(&answer["total"]);
    match answer["next_offset"].as_u64() {
        Some(next) => format!("{total} {what}; the next with --offset {next}\n"),
        None => format!("{total} {what}\n"),
    }
}

/// The entries of a list; none if it is something else.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A word, or `-` where there is none.
pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// A number, or `-` where there is none.
pub(super) fn number(value: &Value) -> String {
    value
        .as_u64()
        .map_or("-".to_owned(), |number| number.to_string())
}

/// Rows under their headings, without lines around them.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("2h"), Ok(7200));
        assert_eq!(seconds("1h 30m"), Ok(5400));
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
