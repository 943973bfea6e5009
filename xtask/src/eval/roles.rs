//! Which roles are found in simulated traffic, and how calls are said to have come about: the tests that
//! play it print the tables.

use super::{docs, print};
use crate::failure::Failure;
use crate::{machine, process, test, workspace};

/// A test in `skype-ips/tests/simulated`, and what it prints before and after its table.
struct Table {
    test: &'static str,
    begin: &'static str,
    end: &'static str,
    section: docs::Section,
}

const TABLES: [Table; 2] = [
    Table {
        test: "roles::two_hundred_seeds_of_each_scenario",
        begin: "roles begin",
        end: "roles end",
        section: docs::ROLES,
    },
    Table {
        test: "paths::paths_of_two_hundred_seeds_of_each_scenario",
        begin: "paths begin",
        end: "paths end",
        section: docs::PATHS,
    },
];

/// Plays, prints the tables, and puts them into the document if `write_docs` says so.
pub(super) fn run(write_docs: bool) -> Result<(), Failure> {
    test::take_back_target()?;
    for table in &TABLES {
        let lines = played(table)?;
        print(&format!("{lines}\n"))?;
        if write_docs {
            docs::write(table.section, &lines)?;
        }
    }
    Ok(())
}

fn played(table: &Table) -> Result<String, Failure> {
    let mut play = machine::cargo();
    play.args(["test", "--locked", "--release", "--package", "skype-ips"]);
    play.args(["--test", "simulated", "--", "--ignored", "--exact"]);
    play.args([table.test, "--nocapture"]);
    let said = process::output(play.current_dir(workspace::root()))?;
    let lines = said
        .split_once(table.begin)
        .and_then(|(_, rest)| rest.split_once(table.end));
    let lines = lines.map(|(lines, _)| lines.trim_matches('\n').to_owned());
    lines.ok_or_else(|| Failure::failed("the test printed no table"))
}
