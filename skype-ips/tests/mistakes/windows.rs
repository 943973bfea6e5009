//! Mistakes in `[[policy.window]]`.

use super::*;

/// Of line 4 of a file, a window of a policy whose `default` is an alert.
#[rustfmt::skip] // one mistake a line
const WINDOW_MISTAKES: &[Mistake] = &[
    ("to = \"08:00\"\nhours = 1\ndefault = \"drop\"", 1, "unknown key `hours`", "`[[policy.window]]` are"),
    ("from = \"08:00\"\nto = \"08:00\"\ndefault = \"drop\"", 6, "closes when it opens", "\"24:00\""),
    ("from = \"18:00\"\nto = \"08:00\"\ndefault = \"drop\"", 6, "over midnight: from 18:00 to 08:00", "earlier hour"),
    ("from = \"08:00\"\nto = \"09:00\"\nvoice = \"allow\"", 9, "`voice` of this window changes nothing", "stricter"),
    ("from = \"08:00\"\nto = \"09:00\"\ndefault = \"alert\"", 11, "`default` of this window changes nothing", "stricter"),
    ("days = [\"mon\", \"mon\"]\nto = \"09:00\"\ndefault = \"drop\"", 16, "named twice", "once"),
];

#[test]
fn mistakes_in_windows_are_told_with_place_and_remedy() {
    for mistake in WINDOW_MISTAKES {
        let policy = "name = \"a\"\nsubnets = [\"10.0.0.0/8\"]\ndefault = \"alert\"";
        let text = format!(
            "version = 1\ntimezone = \"UTC\"\n[[policy]]\n{policy}\n[[policy.window]]\n{}\n",
            mistake.0
        );
        let problem = only_problem(&text);
        let of_line = mistake.0.lines().position(|line| problem.at.text == line);
        assert!(of_line.is_some(), "{problem:#?}");
        assert_eq!(problem.at.place.column, mistake.1, "{problem:#?}");
        assert!(problem.message.contains(mistake.2), "{problem:#?}");
        assert!(problem.help.contains(mistake.3), "{problem:#?}");
    }
}

#[test]
fn a_window_that_is_always_open_is_warned_of() {
    let problem = only_problem(
        "version = 1\ntimezone = \"UTC\"\n[[policy]]\nname = \"a\"\nsubnets = [\"::/0\"]\n\
         [[policy.window]]\ndefault = \"drop\"\n",
    );
    assert_eq!(
        (problem.severity, problem.at.place.line),
        (Severity::Warning, 6)
    );
    assert!(problem.message.contains("always open"), "{problem:?}");
}

#[test]
fn hours_without_a_time_zone_are_warned_of() {
    let problem = only_problem(
        "version = 1\n[[policy]]\nname = \"a\"\nsubnets = [\"::/0\"]\n\
         [[policy.window]]\nto = \"08:00\"\ndefault = \"drop\"\n",
    );
    assert_eq!(
        (problem.severity, problem.at.place.line),
        (Severity::Warning, 5)
    );
    assert!(problem.message.contains("UTC"), "{problem:?}");
    assert!(problem.help.contains("timezone = "), "{problem:?}");
}
