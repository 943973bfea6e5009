//! Goals and what came of them, in words: one row for each goal of a party or of a group.

use super::report::Run;
use super::rows::{Row, units};
use super::verdict::Judged;
use crate::simulator::scenario::Scenario;

/// Members of a group that are named, if they failed.
const NAMED: usize = 3;

/// All rows of the runs side by side.
pub(super) fn goal_rows(scenario: &Scenario, runs: &[Run]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for unit in units(scenario) {
        let names: Vec<&str> = unit
            .members
            .iter()
            .map(|member| scenario.parties[*member].name.as_str())
            .collect();
        let begin = rows.len();
        for run in runs {
            for judged in &run.judged {
                let goal = &judged.goal;
                let is_known = rows[begin..].iter().any(|row| row.what == goal.goal);
                if names.contains(&goal.party.as_str()) && !is_known {
                    rows.push(Row {
                        who: unit.name.clone(),
                        what: goal.goal.clone(),
                        found: Vec::new(),
                    });
                }
            }
        }
        for row in &mut rows[begin..] {
            for run in runs {
                let all = run.judged.iter().filter(|judged| {
                    judged.goal.goal == row.what && names.contains(&judged.goal.party.as_str())
                });
                row.found.push(found(&all.collect::<Vec<_>>()));
            }
        }
    }
    rows
}

fn found(all: &[&Judged]) -> String {
    match all {
        [] => "-".to_owned(),
        [one] => format!("{}: {}", one.word(), one.goal.found),
        many => {
            let wrong: Vec<&&Judged> = many.iter().filter(|one| !one.is_right()).collect();
            let Some(first) = wrong.first() else {
                // The words of the first are those of all but where either will do.
                let met = many.iter().filter(|one| one.goal.met).count();
                return format!("{}: {met} of {} met", many[0].word(), many.len());
            };
            let named = wrong.iter().take(NAMED);
            let named: Vec<String> = named
                .map(|one| format!("{} ({})", one.goal.party, one.goal.found))
                .collect();
            let more = match wrong.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let (word, wrong, all) = (first.word(), wrong.len(), many.len());
            format!("{word}: {wrong} of {all}: {}{more}", named.join(", "))
        }
    }
}
