//! What `cargo test -- --show-output` prints, cut down to what a person wants to see.

use std::fmt;

/// Reads the lines of several test programs, one after the other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    section: Section,
    /// The test whose output is being read.
    test: Option<String>,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Tests that passed without testing, and why.
    skipped: Vec<(String, String)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Section {
    /// Progress, failures, results: what is shown.
    #[default]
    Shown,
    /// The output of tests that passed, then their names.
    Successes,
}

impl Reader {
    /// Takes the next line; returns whether it is to be shown.
    pub(super) fn read(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.section = Section::Shown;
            self.passed += count_before(result, "passed");
            self.failed += count_before(result, "failed");
            self.ignored += count_before(result, "ignored");
            return true;
        }
        match line {
            "failures:" => self.section = Section::Shown,
            "successes:" => {
                self.section = Section::Successes;
                self.test = None;
            }
            _ if self.section == Section::Successes => self.read_output(line),
            _ => {}
        }
        self.section == Section::Shown
    }

    fn read_output(&mut self, line: &str) {
        let name = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = name {
            self.test = Some(name.to_owned());
        } else if line.trim_start().to_ascii_lowercase().starts_with("skipped")
            // One line per test: the first says why.
            && let Some(test) = self.test.take()
        {
            self.skipped.push((test, line.trim().to_owned()));
        }
    }
}

/// The number before a word, as in `3 passed; 0 failed`.
fn count_before(result: &str, word: &str) -> u64 {
    let words: Vec<_> = result
        .split([' ', ';', '.'])
        .filter(|part| !part.is_empty())
        .collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (test, why) in &self.skipped {
            writeln!(f, "{test}: {why}")?;
        }
        let skipped = self.skipped.len() as u64;
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed.saturating_sub(skipped),
            self.failed,
            self.ignored + skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- a stdout ----
SKIPPED: not root
SKIPPED: and no captures

---- b stdout ----
chatter

successes:
    a
    b

failures:

---- c stdout ----
reason

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s
";

    fn read(output: &str) -> (Reader, Vec<&str>) {
        let mut reader = Reader::default();
        let shown = output.lines().filter(|line| reader.read(line)).collect();
        (reader, shown)
    }

    #[test]
    fn output_of_passed_tests_is_not_shown_and_that_of_failed_ones_is() {
        let (_, shown) = read(OUTPUT);
        assert!(shown.contains(&"test a ... ok"), "{shown:?}");
        assert!(shown.contains(&"reason"), "{shown:?}");
        assert!(!shown.contains(&"chatter"), "{shown:?}");
    }

    #[test]
    fn a_test_that_says_it_skipped_does_not_count_as_passed() {
        let (reader, _) = read(OUTPUT);
        let sum = reader.to_string();
        assert_eq!(sum, "a: SKIPPED: not root\n1 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn the_results_of_several_programs_add_up() {
        let (reader, _) = read(&OUTPUT.repeat(2));
        assert!(
            reader
                .to_string()
                .ends_with("\n2 passed, 2 failed, 4 skipped"),
            "{reader}"
        );
    }
}
