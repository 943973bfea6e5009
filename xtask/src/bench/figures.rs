//! Figures, and the table that shows them.

use serde::Serialize;

/// One figure of ours, what others reach, and what it should be.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// What was measured.
    pub(crate) name: String,
    /// Ours.
    pub(crate) figure: f64,
    /// Of the figure.
    pub(crate) unit: &'static str,
    /// The same of `tc`; null where it gave none.
    pub(crate) peer: Option<f64>,
    /// Ours over that of `tc`.
    pub(crate) ratio: Option<f64>,
    /// What the figure should be, in words; null where nothing is asked.
    pub(crate) target: Option<String>,
    /// Whether it is so, in every repetition that `figure` stands for.
    pub(crate) pass: Option<bool>,
    /// The same of the firewall's `limit`.
    pub(crate) nft: Option<f64>,
}

impl Line {
    /// A line without a target.
    pub(crate) fn new(name: String, unit: &'static str, [ours, tc, nft]: [Option<f64>; 3]) -> Self {
        let ratio = ours.zip(tc).filter(|(_, tc)| *tc != 0.0);
        Self {
            name,
            figure: ours.unwrap_or(f64::NAN),
            unit,
            peer: tc,
            ratio: ratio.map(|(ours, tc)| ours / tc),
            target: None,
            pass: None,
            nft,
        }
    }

    /// The line with what it should be.
    #[must_use]
    pub(crate) fn target(self, words: String, pass: impl FnOnce(f64) -> bool) -> Self {
        // A figure that isn't there meets no target.
        let pass = Some(!self.figure.is_nan() && pass(self.figure));
        Self {
            target: Some(words),
            pass,
            ..self
        }
    }
}

/// The middle one; of an even number the mean of both. `None` of none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The largest; `None` of none.
pub(crate) fn worst(values: Vec<f64>) -> Option<f64> {
    values.into_iter().max_by(f64::total_cmp)
}

/// All lines for a person.
pub(crate) fn table(lines: &[Line]) -> String {
    let number = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.3}"),
    };
    let heading = [
        "figure",
        "unit",
        "skype-ips",
        "tc htb",
        "nft limit",
        "target",
        "",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(lines.iter().map(|line| {
        let pass = match line.pass {
            None => "",
            Some(true) => "ok",
            Some(false) => "MISSED",
        };
        [
            line.name.clone(),
            line.unit.to_owned(),
            number(Some(line.figure)),
            number(line.peer),
            number(line.nft),
            line.target.clone().unwrap_or_default(),
            pass.to_owned(),
        ]
    }));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            2..=4 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_figure_that_is_missing_meets_no_target() {
        let line = Line::new("a".into(), "B", [None, Some(1.0), None]);
        assert_eq!(line.target(String::new(), |_| true).pass, Some(false));
    }

    #[test]
    fn a_table_shows_what_was_missed() {
        let line = Line::new("rate".into(), "B/s", [Some(5.0), Some(10.0), None]);
        assert_eq!(line.ratio, Some(0.5));
        let text = table(&[line.target("9".into(), |figure| figure > 9.0)]);
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
        assert!(text.ends_with("MISSED\n"), "{text}");
    }
}
