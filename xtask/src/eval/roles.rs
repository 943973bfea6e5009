//! Which roles are found in simulated traffic: the test that plays it prints the table.

use super::{docs, print};
use crate::failure::Failure;
use crate::{machine, process, test, workspace};

/// The test, in `skype-ips/tests/simulated`.
const TEST: &str = "roles::two_hundred_seeds_of_each_scenario";
/// What the test prints before and after the table.
const MARKS: [&str; 2] = ["roles begin", "roles end"];

/// Plays, prints the table, and puts it into the document if `write_docs` says so.
pub(super) fn run(write_docs: bool) -> Result<(), Failure> {
    test::take_back_target()?;
    let mut play = machine::cargo();
    play.args(["test", "--locked", "--release", "--package", "skype-ips"]);
    play.args([
        "--test",
        "simulated",
        "--",
        "--ignored",
        "--exact",
        TEST,
        "--nocapture",
    ]);
    let said = process::output(play.current_dir(workspace::root()))?;
    let [begin, end] = MARKS;
    let table = said
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end));
    let table = table.map(|(table, _)| table.trim_matches('\n'));
    let table = table.ok_or_else(|| Failure::failed("the test printed no table"))?;
    print(&format!("{table}\n"))?;
    if write_docs {
        docs::write(docs::ROLES, table)?;
    }
    Ok(())
}
