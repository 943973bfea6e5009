//! Rates over time, as lines of blocks.

use super::outcome::Played;
use super::rows::{Unit, units};
use super::words::rate;
use crate::simulator::net::Rates;
use crate::simulator::scenario::Scenario;

/// Eighths of a block; nothing at all is a blank.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve of each run, with a common scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curves {
    /// The party, or the group with the number of its members.
    pub(super) who: String,
    /// `Skype sent`, `other received`, …
    pub(super) what: String,
    /// One for each run.
    pub(super) lines: Vec<String>,
    /// What a full block is.
    pub(super) scale: String,
}

/// The curves of all parties that sent or received anything, over `seconds` in at most `width`
/// blocks each.
pub(super) fn curves(
    scenario: &Scenario,
    runs: &[&Played],
    seconds: usize,
    width: usize,
) -> Vec<Curves> {
    let mut curves = Vec::new();
    for unit in units(scenario) {
        for (kind, skype) in [("Skype", true), ("other", false)] {
            for (direction, word) in ["sent", "received"].into_iter().enumerate() {
                let each = runs.iter().map(|run| {
                    let of = |rates: &Rates| {
                        let kind = if skype { &rates.skype } else { &rates.other };
                        kind[direction].clone()
                    };
                    squeezed(&sum(run, &unit, of, seconds), width)
                });
                let each: Vec<Vec<f64>> = each.collect();
                let peak = each.iter().flatten().copied().fold(0.0, f64::max);
                if peak > 0.0 {
                    curves.push(Curves {
                        who: unit.name.clone(),
                        what: format!("{kind} {word}"),
                        lines: each.iter().map(|rates| line(rates, peak)).collect(),
                        scale: rate(peak),
                    });
                }
            }
        }
    }
    curves
}

/// Bytes of each second, of all parties together.
fn sum(run: &Played, unit: &Unit, of: impl Fn(&Rates) -> Vec<u64>, seconds: usize) -> Vec<u64> {
    let mut sum = vec![0; seconds];
    for rates in unit
        .members
        .iter()
        .filter_map(|member| run.rates.get(*member))
    {
        for (all, one) in sum.iter_mut().zip(of(rates)) {
            *all += one;
        }
    }
    sum
}

/// The same in at most `width` parts, each the mean of its seconds.
fn squeezed(seconds: &[u64], width: usize) -> Vec<f64> {
    let parts = seconds.len().min(width.max(1));
    let begin = |part: usize| part * seconds.len() / parts;
    (0..parts)
        .map(|part| &seconds[begin(part)..begin(part + 1)])
        .map(|part| part.iter().sum::<u64>() as f64 / part.len() as f64)
        .collect()
}

fn line(rates: &[f64], peak: f64) -> String {
    let block = |rate: &f64| {
        if *rate <= 0.0 {
            return ' ';
        }
        let level = (rate / peak * BLOCKS.len() as f64).ceil() as usize;
        BLOCKS[level.clamp(1, BLOCKS.len()) - 1]
    };
    rates.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_a_full_block_and_little_is_not_nothing() {
        assert_eq!(line(&[0.0, 1.0, 400.0, 401.0, 800.0], 800.0), " ▁▄▅█");
    }

    #[test]
    fn a_long_run_fits_the_width() {
        let seconds: Vec<u64> = (0..100).map(|second| u64::from(second < 50) * 10).collect();
        let parts = squeezed(&seconds, 30);
        assert_eq!(parts.len(), 30);
        assert_eq!((parts[0], parts[14], parts[15]), (10.0, 10.0, 0.0));
        let odd = squeezed(&[1, 2, 3, 4, 5], 4);
        assert_eq!(odd, [1.0, 2.0, 3.0, 4.5]);
        assert_eq!(squeezed(&[7], 30), [7.0]);
    }
}
