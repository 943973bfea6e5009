//! The report for people.

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::curves::curves;
use super::goals::goal_rows;
use super::report::Report;
use super::rows::{rows, units};
use super::verdict::{NOT_MET, NOT_STOPPED};
use super::words::seconds;

/// Blocks of a curve at the most, and at the least.
const CURVE: std::ops::RangeInclusive<usize> = 10..=60;
/// Columns beside a row's curves and its party: what is drawn, and the scale.
const BESIDE_CURVES: usize = 2 + 14 + 2 + 10;
/// Columns where no terminal says how many it has.
const ELSEWHERE: u16 = 120;
/// Blanks between two columns.
const GAP: u16 = 2;
const HEADING: Style = Style::new().bold();
/// The words for what became of a promise.
const KEPT: &str = "kept";
const BROKEN: &str = "BROKEN";
const BAD: Style = AnsiColor::Red.on_default().bold();

/// What the report is shown on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns; `None`: as wide as needed.
    pub width: Option<u16>,
    /// Whether colours are shown.
    pub colour: bool,
}

impl Report<'_> {
    /// The report for people.
    pub fn table(&self, look: Look) -> String {
        let scenario = self.scenario;
        let title = format!(
            "{}: {}, seed {}, links simulated",
            scenario.name,
            seconds(scenario.duration),
            self.seed
        );
        let mut text = look.styled(HEADING, &title) + "\n";
        for (heading, section) in [
            ("what the policy promises", self.promised(look)),
            ("what parties achieved", self.achieved(look)),
            ("bytes a second, over the run", self.curves(look)),
            ("packets that crossed the gateway", self.crossed(look)),
            ("goals", self.goals(look)),
        ] {
            if !section.is_empty() {
                text += "\n";
                text += &look.styled(HEADING, heading);
                text += "\n";
                text += &section;
            }
        }
        text
    }

    fn played(&self) -> Vec<&super::Played> {
        self.runs.iter().map(|run| &run.played).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().map(|run| run.name.as_str())
    }

    fn achieved(&self, look: Look) -> String {
        let rows = rows(self.scenario, &self.played());
        let mut table = look.grid();
        let head = ["party", "what"].into_iter().chain(self.names());
        table.add_row(head);
        let mut last = String::new();
        for row in &rows {
            let who = if row.who == last {
                ""
            } else {
                row.who.as_str()
            };
            last.clone_from(&row.who);
            let found = row.found.iter().map(|found| match found.as_str() {
                "" => "-",
                found => found,
            });
            table.add_row([who, row.what.as_str()].into_iter().chain(found));
        }
        if rows.is_empty() {
            String::new()
        } else {
            look.laid_out(table)
        }
    }

    fn curves(&self, look: Look) -> String {
        let seconds = self.scenario.duration.as_secs_f64().ceil() as usize;
        let runs = self.runs.len().max(1);
        let who = units(self.scenario).into_iter();
        let who = who.map(|unit| unit.name.chars().count()).max();
        let who = who.unwrap_or(0).max("party".len());
        let room = match look.width {
            Some(width) => {
                (usize::from(width).saturating_sub(who + BESIDE_CURVES) / runs).saturating_sub(2)
            }
            None => *CURVE.end(),
        };
        let room = room.clamp(*CURVE.start(), *CURVE.end());
        let curves = curves(self.scenario, &self.played(), seconds, room);
        let Some(length) = curves
            .iter()
            .map(|curve| curve.lines[0].chars().count())
            .max()
        else {
            return String::new();
        };
        let mut text = format!("{:<who$}  {:<14}", "party", "what");
        for name in self.names() {
            text += &format!("  {name:<length$}");
        }
        text += "  █ is\n";
        let mut last = String::new();
        for curve in curves {
            let shown = if curve.who == last {
                ""
            } else {
                curve.who.as_str()
            };
            text += &format!("{shown:<who$}  {:<14}", curve.what);
            last.clone_from(&curve.who);
            for line in &curve.lines {
                text += &format!("  {line:<length$}");
            }
            text += &format!("  {}\n", curve.scale);
        }
        text
    }

    fn crossed(&self, look: Look) -> String {
        let mut table = look.grid();
        let mut head = vec![Cell::new("what")];
        for name in self.names() {
            for word in ["handed", "came out", "lost"] {
                head.push(number(format!("{name}\n{word}")));
            }
        }
        table.add_row(head);
        let grounds = self.grounds();
        for ground in &grounds {
            let whose = if ground.skype { "Skype" } else { "other" };
            let mut row = vec![Cell::new(format!("{whose} {}", ground.what))];
            for run in &self.runs {
                let (due, lost) = run.played.lost(ground);
                for count in [due, due - lost, lost] {
                    row.push(number(count.to_string()));
                }
            }
            table.add_row(row);
        }
        let mut text = if grounds.is_empty() {
            String::new()
        } else {
            look.laid_out(table)
        };
        for run in &self.runs {
            let unexpected: u64 = run.played.unexpected.values().sum();
            if unexpected > 0 {
                text += &format!(
                    "{}: {unexpected} more for ports of the gateway's own behind which nobody had \
                     spoken to the sender\n",
                    run.name
                );
            }
        }
        text
    }

    fn promised(&self, look: Look) -> String {
        if self.promises.is_empty() {
            return String::new();
        }
        let mut table = look.grid();
        table.add_row(["party", "what", "the policy says", "seen", ""]);
        let mut last = "";
        for promise in &self.promises {
            let who = if promise.party == last {
                ""
            } else {
                promise.party.as_str()
            };
            last = &promise.party;
            let outcome = match (promise.kept, &promise.why) {
                (Some(true), _) => KEPT.to_owned(),
                (Some(false), _) => BROKEN.to_owned(),
                (None, Some(why)) => format!("not promised: {why}"),
                (None, None) => "not promised".to_owned(),
            };
            let cells = [who, &promise.what, &promise.word, &promise.seen, &outcome];
            table.add_row(cells);
        }
        let text = look.laid_out(table);
        text.replace(BROKEN, &look.styled(BAD, BROKEN))
    }

    fn goals(&self, look: Look) -> String {
        let rows = goal_rows(self.scenario, &self.runs);
        if rows.is_empty() {
            return String::new();
        }
        let mut table = look.grid();
        table.add_row(["party", "goal"].into_iter().chain(self.names()));
        let mut last = String::new();
        for row in &rows {
            let who = if row.who == last {
                ""
            } else {
                row.who.as_str()
            };
            last.clone_from(&row.who);
            let found = row.found.iter().map(String::as_str);
            table.add_row([who, row.what.as_str()].into_iter().chain(found));
        }
        let text = look.laid_out(table);
        [NOT_MET, NOT_STOPPED].into_iter().fold(text, |text, word| {
            text.replace(word, &look.styled(BAD, word))
        })
    }
}

fn number(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

impl Look {
    /// On standard output. Where that is no terminal, `COLUMNS` may say how wide it is.
    pub fn of_stdout() -> Self {
        let terminal = terminal_size::terminal_size_of(std::io::stdout());
        let width = terminal.map(|(width, _)| width.0);
        let wished = || std::env::var("COLUMNS").ok()?.parse().ok();
        let colour = anstream::AutoStream::choice(&std::io::stdout());
        Self {
            width: width.or_else(wished).or(Some(ELSEWHERE)),
            colour: colour != anstream::ColorChoice::Never,
        }
    }

    fn styled(self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    fn grid(self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        match self.width {
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table
    }

    /// The table without what pads its lines.
    fn laid_out(self, mut table: Table) -> String {
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        let mut text = String::new();
        for line in table.lines() {
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}
