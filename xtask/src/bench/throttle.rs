//! What `skype-ips/benches/throttle` measured, and whether it is what budgets promise.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use super::figures::{Line, median, worst};

/// Names of the limiters in the order of a [`Line`]: ours, its peer, another.
const LIMITERS: [&str; 3] = ["skype-ips", "tc-htb", "nft-limit"];

/// What may be delivered more or less than the budget in a minute, and two packets.
const TOLERANCE: f64 = 0.03;
/// Bytes of the largest packet of one segment.
const PACKET: f64 = 1500.0;
/// The rate whose connections must bring so much, without standing still for longer.
const SLOW: u64 = 3000;
const GOODPUT: f64 = 85.0;
const STALL: f64 = 2.0;
/// How equal the shares of equal hosts must be.
const FAIR: f64 = 0.95;

/// A line of the bench program.
#[derive(Debug, Deserialize)]
struct Measured {
    limiter: String,
    figures: Figures,
}

/// Of one case, limiter and repetition: see `skype-ips/benches/throttle/figures.rs`.
#[derive(Clone, Debug, Deserialize)]
struct Figures {
    case: String,
    transport: String,
    rate: u64,
    hosts: u8,
    burst: u64,
    seconds: f64,
    delivered: u64,
    largest: u64,
    beyond: u64,
    jain: f64,
    goodput: Option<u64>,
    stall: Option<f64>,
}

/// The lines of what the bench program printed.
pub(super) fn judge(output: &str) -> anyhow::Result<Vec<Line>> {
    let mut cases: Vec<Figures> = Vec::new();
    let mut measured: BTreeMap<(String, String), Vec<Figures>> = BTreeMap::new();
    for line in output.lines() {
        let one: Measured = serde_json::from_str(line)
            .with_context(|| format!("what the measuring program printed: {line}"))?;
        if !cases.iter().any(|case| case.case == one.figures.case) {
            cases.push(one.figures.clone());
        }
        let key = (one.figures.case.clone(), one.limiter);
        measured.entry(key).or_default().push(one.figures);
    }
    let of = |case: &str| {
        LIMITERS.map(|limiter| {
            let key = (case.to_owned(), limiter.to_owned());
            measured.get(&key).cloned().unwrap_or_default()
        })
    };
    let lines = cases.iter().flat_map(|case| lines(case, &of(&case.case)));
    Ok(lines.collect())
}

/// The lines of one case, of which `all` is what each limiter gave.
fn lines(case: &Figures, all: &[Vec<Figures>; 3]) -> Vec<Line> {
    let values = |figure: &dyn Fn(&Figures) -> Option<f64>| {
        all.each_ref()
            .map(|of_one| of_one.iter().filter_map(figure).collect::<Vec<f64>>())
    };
    let rate = case.rate as f64;
    let name = |what: &str| format!("{} {what}", case.case);
    let mut lines = Vec::new();

    let delivered = values(&|f| Some(f.delivered as f64 / f.seconds));
    let room = TOLERANCE * rate + 2.0 * PACKET / case.seconds;
    let each = delivered[0].clone();
    let line = Line::new(name("delivered"), "B/s", delivered.map(median));
    lines.push(line.target(format!("{rate} ± {room:.0}"), |_| {
        each.iter().all(|figure| (figure - rate).abs() <= room)
    }));

    let beyond = values(&|f| Some(f.beyond as f64));
    // A super-packet is one packet.
    let largest = all[0].iter().map(|f| f.largest).max().unwrap_or(0);
    let most = (case.burst + largest) as f64;
    let line = Line::new(name("beyond"), "B", beyond.map(worst));
    lines.push(
        line.target(format!("<= {} + {largest}", case.burst), |figure| {
            figure <= most
        }),
    );

    if case.transport == "tcp" {
        let goodput = values(&|f| Some(f.goodput? as f64 / f.seconds / rate * 100.0));
        let stall = values(&|f| f.stall);
        let mut goodput = Line::new(name("goodput"), "%", goodput.map(median));
        let mut stall = Line::new(name("stall"), "s", stall.map(worst));
        if case.rate == SLOW && case.hosts == 1 {
            goodput = goodput.target(format!(">= {GOODPUT}"), |figure| figure >= GOODPUT);
            stall = stall.target(format!("<= {STALL}"), |figure| figure <= STALL);
        }
        lines.extend([goodput, stall]);
    }
    if case.hosts > 1 {
        let line = Line::new(name("jain"), "", values(&|f| Some(f.jain)).map(median));
        lines.push(line.target(format!(">= {FAIR}"), |figure| figure >= FAIR));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(limiter: &str, delivered: u64, beyond: u64) -> String {
        format!(
            r#"{{"limiter":"{limiter}","repetition":0,"figures":{{"case":"tcp-3-kb-s",
            "transport":"tcp","rate":3000,"hosts":1,"burst":3000,"seconds":60.0,
            "delivered":{delivered},"largest":1500,"beyond":{beyond},"jain":1.0,
            "goodput":160000,"stall":1.0}}}}"#
        )
        .replace('\n', "")
            + "\n"
    }

    fn passes(output: &str) -> Vec<(String, bool)> {
        let lines = judge(output).expect("it can be read");
        lines
            .into_iter()
            .map(|line| (line.name, line.pass.expect("it has a target")))
            .collect()
    }

    #[test]
    fn a_budget_is_kept_or_missed() {
        let kept = passes(&printed("skype-ips", 180_000, 4500));
        assert_eq!(kept.len(), 4);
        assert!(kept.iter().all(|(_, pass)| *pass), "{kept:?}");
        // 3 % of 180,000 bytes, and two packets.
        let missed = passes(&printed("skype-ips", 180_000 - 8401, 4501));
        let pass: Vec<bool> = missed.iter().map(|(_, pass)| *pass).collect();
        assert_eq!(pass, [false, false, true, true]);
    }

    #[test]
    fn one_bad_repetition_misses() {
        let output = [180_000, 180_000, 200_000].map(|d| printed("skype-ips", d, 0));
        assert!(!passes(&output.concat())[0].1);
    }

    #[test]
    fn what_was_not_measured_misses() {
        assert!(!passes(&printed("tc-htb", 180_000, 0))[1].1);
    }
}
