//! Mistakes in `[[budget]]`, and in what names them.

use super::*;

/// Of line 4 of a file, which is a line of a budget.
#[rustfmt::skip] // one mistake a line
const BUDGET_MISTAKES: &[Mistake] = &[
    ("rate = \"0 KB/s\"", 8, "lets nothing pass", "\"drop\""),
    ("rate = \"7 bit/s\"", 8, "lets nothing pass", "\"8 bit/s\""),
    ("rate = \"100 bit/s\"", 8, "longer than a minute", "\"3 KB/s\""),
    ("rate = \"101 Gbit/s\"", 8, "too much", "100 Gbit/s"),
    ("rate = \"-4 KB/s\"", 8, "below zero", "\"5 KB/s\""),
    ("rate = \"4 KB\"", 8, "has `KB` for a unit", "KB/s"),
    ("rate = \"4 kb/s\"", 8, "has `kb/s` for a unit", "\"4 KB/s\""),
    ("rate = \"fast\"", 8, "is not a rate", "KB/s"),
    ("rate = 4000", 8, "a string", "rate = \"4 KB/s\""),
    ("rate = \"4 KB/s\"\nburst = \"1499 B\"", 9, "never has room for a packet of 1500", "leave it out"),
    ("rate = \"4 KB/s\"\nburst = \"2 MB\"", 9, "lets 500 seconds of the rate pass", "smaller one"),
    ("rate = \"4 KB/s\"\nscope = \"hosts\"", 9, "no value of `scope`", "\"host\""),
    ("rate = \"4 KB/s\"\ndirection = \"both\"", 13, "no value of `direction`", "\"each\""),
    ("rate = \"4 KB/s\"\nunit = 1", 1, "unknown key `unit`", "`[[budget]]` are"),
    ("burst = \"4 KB\"", 1, "has no rate", "rate = "),
];

/// A file with a budget, whose lines from the fourth on these are, and a policy that names it.
fn with_budget_lines(lines: &str) -> String {
    format!(
        "version = 1\n[[budget]]\nname = \"slow\"\n{lines}\n[[policy]]\nname = \"a\"\n\
         subnets = [\"10.0.0.0/8\"]\ndefault = {{ throttle = \"slow\" }}\n"
    )
}

#[test]
fn mistakes_in_budgets_are_told_with_place_and_remedy() {
    for mistake in BUDGET_MISTAKES {
        let number = match mistake.2 {
            "has no rate" => 2, // at the header
            _ => 4 + mistake.0.matches('\n').count() as u32,
        };
        assert_says(&with_budget_lines(mistake.0), number, mistake);
    }
}

#[test]
fn a_rate_and_a_burst_may_be_as_small_and_as_large_as_is_said() {
    for lines in [
        "rate = \"200 bit/s\"",
        "rate = \"100 Gbit/s\"",
        "rate = \"40 bit/s\"\nburst = \"1500 B\"",
    ] {
        let config = parse(&with_budget_lines(lines)).expect("it is right");
        assert_eq!(config.policies.budgets.len(), 1, "{lines}");
    }
    let config = parse(&with_budget_lines("rate = \"5 KB/s\"")).expect("it is right");
    let budget = &config.policies.budgets[0];
    assert_eq!((budget.rate, budget.burst), (40_000, 4250));
    let config = parse(&with_budget_lines("rate = \"1 MB/s\"")).expect("it is right");
    assert_eq!(config.policies.budgets[0].burst, 500_000);
}

#[test]
fn budgets_are_named_once_and_used() {
    let budget = |name: &str| format!("[[budget]]\nname = \"{name}\"\nrate = \"4 KB/s\"\n");
    let policy = "[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n";
    let text = |budgets: &[&str], rest: &str| {
        let budgets: String = budgets.iter().map(|name| budget(name)).collect();
        format!("version = 1\n{budgets}{policy}{rest}\n")
    };
    let problem = only_problem(&text(&["slow"], ""));
    assert_eq!(
        (problem.severity, problem.at.place.line),
        (Severity::Warning, 3)
    );
    assert!(
        problem
            .message
            .contains("no action names the budget `slow`"),
        "{problem:?}"
    );

    let used = "default = { throttle = \"slow\" }";
    let problem = only_problem(&text(&["slow", "slow"], used));
    assert_eq!(problem.at.place.line, 6);
    assert_eq!(problem.related.expect("the first").at.place.line, 3);

    // crc32(b"plumless") == crc32(b"buckeroo"): a known pair.
    let problem = only_problem(
        &text(
            &["plumless", "buckeroo"],
            "default = { throttle = [\"plumless\", \"buckeroo\"] }",
        )
        .replace(", \"buckeroo\"]", "]"),
    );
    assert!(
        problem.message.contains("can't tell the name `buckeroo`"),
        "{problem:?}"
    );
    assert_eq!(problem.related.expect("the other").at.place.line, 3);

    let problem = only_problem(&text(
        &["slow"],
        "default = { throttle = [\"slow\", \"slow\"] }",
    ));
    assert!(problem.message.contains("twice"), "{problem:?}");
    let near = "default = { throttle = \"slow\" }\nvoice = { throttle = \"slwo\" }";
    let problem = only_problem(&text(&["slow"], near));
    assert_eq!((problem.at.place.line, problem.at.place.column), (9, 22));
    assert!(
        problem.help.contains("did you mean \"slow\""),
        "{problem:?}"
    );
    let both = "default = { throttle = \"slow\", action = \"drop\" }";
    let problem = only_problem(&text(&["slow"], both));
    assert!(
        problem.message.contains("both throttled and \"drop\""),
        "{problem:?}"
    );
}

#[test]
fn five_budgets_at_once_are_refused_however_they_come_together() {
    let names = ["a", "b", "c", "d", "e"];
    let budgets: String = names
        .iter()
        .map(|name| format!("[[budget]]\nname = \"{name}\"\nrate = \"4 KB/s\"\n"))
        .collect();
    let text = |policy: &str| {
        let head = "name = \"p\"\nsubnets = [\"10.0.0.0/8\"]";
        format!("version = 1\ntimezone = \"UTC\"\n{budgets}[[policy]]\n{head}\n{policy}\n")
    };
    let window = |from: &str, to: &str| {
        format!(
            "[[policy.window]]\nfrom = \"{from}\"\nto = \"{to}\"\nvoice = {{ throttle = \"e\" }}"
        )
    };
    let five = "default = { throttle = [\"a\", \"b\", \"c\", \"d\", \"e\"] }";
    let said = problems(&text(five));
    let first = said
        .iter()
        .find(|one| one.severity == Severity::Error)
        .expect("an error");
    assert!(
        first.message.contains("5 budgets in one throttle"),
        "{said:?}"
    );

    let udp = "default = { throttle = [\"a\", \"b\", \"c\"] }\nudp = { throttle = [\"d\", \"e\"] }";
    let problem = only_problem(&text(udp));
    for part in ["that meets `udp`", "5 budgets at once", "`a`", "`e`"] {
        assert!(problem.message.contains(part), "{problem:?}");
    }
    assert_eq!(problem.at.text, "udp = { throttle = [\"d\", \"e\"] }");

    let four = "default = { throttle = [\"a\", \"b\"] }\nudp = { throttle = [\"c\", \"d\"] }";
    let problem = only_problem(&text(&format!("{four}\n{}", window("08:00", "10:00"))));
    assert!(problem.message.contains("5 budgets at once"), "{problem:?}");

    // Windows that are never open together don't add up.
    let two = "default = { throttle = [\"a\", \"b\", \"c\"] }";
    let other = window("10:00", "12:00").replace("\"e\"", "\"d\"");
    let apart = format!("{two}\n{}\n{other}", window("08:00", "10:00"));
    assert!(
        parse(&text(&apart)).is_ok(),
        "{:?}",
        problems(&text(&apart))
    );
    let together = apart.replace("\"10:00\"\nto", "\"09:59\"\nto");
    assert!(parse(&text(&together)).is_err());
}
