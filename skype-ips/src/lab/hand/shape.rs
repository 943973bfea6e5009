//! Links with a rate, delay, jitter, loss and reordering, as far as the kernel has them.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::super::LabError;
use super::super::netns::Netns;
use super::super::tools::run;
use super::plan::Shape;

/// How long packets wait at most in front of a link that is too slow, milliseconds: what the
/// simulator's links do.
const LONGEST_QUEUE: u64 = 250;
/// Bytes that go at once at the least: some frames of full length.
const BURST: u64 = 8 * 1514;

/// What the kernel has for links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shaper {
    /// Everything.
    Netem,
    /// The rate alone.
    Tbf,
    /// Nothing.
    None,
}

/// What was done about the links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaping {
    /// With what.
    pub by: Shaper,
    /// What the scenario asks for and no link has: `delay`, `jitter`, …
    pub not_applied: BTreeSet<String>,
}

impl Shaping {
    /// Asks the kernel, in a namespace where nothing is yet.
    pub(super) fn probe(netns: &Netns) -> Result<Self, LabError> {
        let mut by = Shaper::None;
        for (shaper, arguments) in [
            (Shaper::Netem, &["netem", "delay", "1ms"][..]),
            (
                Shaper::Tbf,
                &["tbf", "rate", "1mbit", "burst", "16kb", "latency", "50ms"],
            ),
        ] {
            match tc(netns, &["add", "dev", "lo", "root"], arguments) {
                Ok(()) => {
                    tc(netns, &["del", "dev", "lo", "root"], &[])?;
                    by = shaper;
                    break;
                }
                Err(LabError::Tool { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Self {
            by,
            not_applied: BTreeSet::new(),
        })
    }

    /// Gives an interface the properties of what leaves through it.
    pub(super) fn apply(
        &mut self,
        netns: &Netns,
        interface: &str,
        shape: &Shape,
    ) -> Result<(), LabError> {
        let mut lacks = |what: &str| self.not_applied.insert(what.to_owned());
        if self.by != Shaper::Netem {
            for (what, value) in [
                ("delay", shape.delay),
                ("jitter", shape.jitter),
                ("loss", shape.loss),
                ("reorder", shape.reorder),
            ] {
                if value > 0.0 {
                    lacks(what);
                }
            }
            if self.by == Shaper::None && shape.rate.is_some() {
                lacks("rate");
            }
        }
        let arguments = match self.by {
            Shaper::Netem => netem(shape),
            Shaper::Tbf => tbf(shape),
            Shaper::None => Vec::new(),
        };
        if arguments.is_empty() {
            return Ok(());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        tc(netns, &["add", "dev", interface, "root"], &arguments)
    }
}

/// Arguments of `tc`; none if the link is perfect.
fn netem(shape: &Shape) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |text: &[&str]| words.extend(text.iter().map(|&word| word.to_owned()));
    // Reordering needs a delay that some packets don't have.
    let delay = shape.delay.max(if shape.reorder > 0.0 { 1.0 } else { 0.0 });
    if delay > 0.0 || shape.jitter > 0.0 {
        add(&["delay", &format!("{delay}ms")]);
        if shape.jitter > 0.0 {
            add(&[&format!("{}ms", shape.jitter)]);
        }
    }
    if shape.loss > 0.0 {
        add(&["loss", &format!("{}%", shape.loss * 100.0)]);
    }
    if shape.reorder > 0.0 {
        add(&["reorder", &format!("{}%", shape.reorder * 100.0)]);
    }
    if let Some(rate) = shape.rate {
        // In packets: what waits, and what is on its way.
        let waiting = rate * (LONGEST_QUEUE + shape.delay as u64) / 1000 / 1514 + 10;
        add(&["rate", &format!("{}bit", rate * 8)]);
        add(&["limit", &waiting.to_string()]);
    }
    if !words.is_empty() {
        words.insert(0, "netem".to_owned());
    }
    words
}

fn tbf(shape: &Shape) -> Vec<String> {
    let Some(rate) = shape.rate else {
        return Vec::new();
    };
    // The kernel's clock ticks 100 times a second at the least.
    let burst = BURST.max(rate / 100);
    [
        "tbf".to_owned(),
        "rate".to_owned(),
        format!("{}bit", rate * 8),
        "burst".to_owned(),
        burst.to_string(),
        "latency".to_owned(),
        format!("{LONGEST_QUEUE}ms"),
    ]
    .into()
}

fn tc(netns: &Netns, place: &[&str], arguments: &[&str]) -> Result<(), LabError> {
    let mut command = Command::new("tc");
    command
        .arg("qdisc")
        .args(place)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    run(netns, command, None, "iproute2")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DSL: Shape = Shape {
        rate: Some(125_000),
        delay: 20.0,
        jitter: 2.5,
        loss: 0.01,
        reorder: 0.0,
    };

    #[test]
    fn a_link_is_told_in_the_words_of_tc() {
        assert_eq!(
            netem(&DSL).join(" "),
            "netem delay 20ms 2.5ms loss 1% rate 1000000bit limit 32"
        );
        assert_eq!(
            tbf(&DSL).join(" "),
            "tbf rate 1000000bit burst 12112 latency 250ms"
        );
        let overtaking = Shape {
            reorder: 0.02,
            ..Shape::default()
        };
        assert_eq!(netem(&overtaking).join(" "), "netem delay 1ms reorder 2%");
    }

    #[test]
    fn a_perfect_link_is_left_alone() {
        assert!(netem(&Shape::default()).is_empty());
        assert!(tbf(&Shape::default()).is_empty());
    }
}
