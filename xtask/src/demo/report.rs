//! What the demo prints of its runs, and what it holds against them.

use std::fmt::Write as _;

use serde_json::Value;

use super::lab::{Counts, Outcome, Run, Stats};

/// The stages of a gateway that keep their own counts, by their names in its status.
const KERNEL_STAGES: [(&str, &str); 3] = [
    ("xdp", "XDP"),
    ("ingress", "TC ingress"),
    ("egress", "TC egress"),
];

/// Where the gateway's hooks are, and what each stage did.
pub(crate) fn stages(stats: &Stats) -> String {
    let status = &stats.gateway;
    let mut text = String::new();
    for hook in list(&status["hooks"]) {
        let attached: Vec<_> = list(&hook["attached"]).filter_map(Value::as_str).collect();
        let attached = if attached.is_empty() {
            "nothing attached".into()
        } else {
            attached.join(", ")
        };
        let (name, side) = (word(&hook["interface"]), word(&hook["side"]));
        line(
            &mut text,
            format_args!("interface {name} ({side}): the kernel reports {attached}"),
        );
    }
    line(
        &mut text,
        format_args!("firewall: {}", word(&status["firewall"]["backend"])),
    );
    for (key, name) in KERNEL_STAGES {
        let stage = &status["kernel"][key];
        if count(stage, "packets") > 0 {
            let (packets, tagged, dropped) = (
                count(stage, "packets"),
                count(stage, "tagged"),
                count(stage, "dropped"),
            );
            line(
                &mut text,
                format_args!(
                    "{name:<11}{packets:>7} packets{tagged:>7} tagged{dropped:>7} dropped"
                ),
            );
        }
    }
    let sum = |key| {
        list(&status["queues"])
            .map(|queue| count(queue, key))
            .sum::<u64>()
    };
    let (queued, dropped) = (sum("received"), sum("dropped"));
    line(
        &mut text,
        format_args!(
            "{:<11}{queued:>7} queued{:>15}{dropped:>7} dropped",
            "NFQUEUE", ""
        ),
    );
    line(
        &mut text,
        format_args!("decisions: {}", count(status, "decisions")),
    );
    text
}

/// Skype and other packets, sent and delivered, one line per run.
pub(crate) fn table(reports: &[(&Run, Box<Outcome>)]) -> String {
    let mut text = String::new();
    let head = [
        (
            "",
            "Skype until decision",
            "after decision",
            "all other packets",
        ),
        (
            "run",
            "sent  delivered  stopped*",
            "sent  delivered",
            "sent  delivered",
        ),
    ];
    for (run, until, after, other) in head {
        let _ = writeln!(text, "{run:<20}  {until:<27}  {after:<17}  {other}");
    }
    for (run, outcome) in reports {
        let (skype, other) = (&outcome.stats.lab.skype, &outcome.stats.lab.other);
        let (sent, delivered) = until_decision(skype);
        let _ = writeln!(
            text,
            "{:<20}  {sent:>4}{delivered:>11}{:>9}     {:>4}{:>11}    {:>4}{:>11}",
            run.to_string(),
            sent.saturating_sub(delivered),
            skype.sent_after_decision,
            skype.delivered_after_decision,
            other.sent,
            other.delivered,
        );
    }
    text += "* the packets that completed the evidence\n";
    if let Some((_, outcome)) = reports.first()
        && outcome.stats.lab.unroutable > 0
    {
        let count = outcome.stats.lab.unroutable;
        let _ = writeln!(text, "not sent, as no gateway would forward them: {count}");
    }
    text
}

/// What a run did not do that it should have; empty if all is well.
pub(crate) fn broken_promises(run: &Run, outcome: &Outcome) -> Vec<String> {
    let (skype, other) = (&outcome.stats.lab.skype, &outcome.stats.lab.other);
    let enforces = run.mode == "enforce";
    let mut broken = Vec::new();
    let mut expect = |kept: bool, what: String| {
        if !kept {
            broken.push(format!("{run}: {what}"));
        }
    };
    expect(
        outcome.is_content,
        "the lab found broken promises (see above)".to_owned(),
    );
    expect(
        skype.sent_after_decision > 0,
        "no Skype was found before its last packet".to_owned(),
    );
    expect(other.sent > 0, "no packet but Skype's was sent".to_owned());
    expect(
        other.sent == other.delivered,
        format!(
            "of {} other packets, {} arrived",
            other.sent, other.delivered
        ),
    );
    // What completes the evidence is dropped on it: one packet of a Skype conversation.
    let lost = outcome.flows.iter().filter(|flow| {
        let (sent, delivered) = until_decision(&flow.lab);
        sent.saturating_sub(delivered) > u64::from(enforces && flow.skype.detected)
    });
    let lost = lost.count();
    expect(
        lost == 0,
        format!("{lost} conversations lost packets that were not known as Skype"),
    );
    let (sent, delivered) = (skype.sent_after_decision, skype.delivered_after_decision);
    let promised = if enforces { 0 } else { sent };
    expect(
        delivered == promised,
        format!("of {sent} Skype packets after the decision, {delivered} arrived, not {promised}"),
    );
    broken
}

/// Packets sent and delivered until their conversation's decision, the deciding one among them.
const fn until_decision(counts: &Counts) -> (u64, u64) {
    (
        counts.sent.saturating_sub(counts.sent_after_decision),
        counts
            .delivered
            .saturating_sub(counts.delivered_after_decision),
    )
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "  {what}");
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn count(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ENFORCE: Run = Run {
        mode: "enforce",
        hook: "xdp",
    };
    const MONITOR: Run = Run {
        mode: "monitor",
        hook: "auto",
    };

    /// A Skype conversation of 40 packets, 30 of them after the decision, of which `leaked`
    /// arrived, and of the first 10, `until`; and another of 100 packets, of which `other` arrived.
    fn outcome(until: u64, leaked: u64, other: u64) -> Outcome {
        let skype = json!({"sent": 40, "delivered": until + leaked, "sent_after_decision": 30,
            "delivered_after_decision": leaked});
        let other = json!({"sent": 100, "delivered": other, "sent_after_decision": 0,
            "delivered_after_decision": 0});
        let stats = json!({
            "lab": {"skype": skype, "other": other, "unroutable": 7},
            "gateway": {
                "hooks": [{"interface": "in0", "side": "inside", "attached": ["xdp native"]}],
                "firewall": {"backend": "nft"},
                "queues": [{"received": 9, "dropped": 1}, {"received": 3, "dropped": 1}],
                "kernel": {"xdp": {"packets": 140, "tagged": 12, "dropped": 28},
                    "ingress": {"packets": 0}},
                "decisions": 4,
            },
        });
        let flows = json!([
            {"skype": {"detected": true}, "lab": skype},
            {"skype": {"detected": false}, "lab": other},
        ]);
        Outcome {
            is_content: true,
            flows: serde_json::from_value(flows).expect("all that is read is there"),
            stats: serde_json::from_value(stats).expect("all that is read is there"),
        }
    }

    #[test]
    fn enforcement_may_stop_the_deciding_packet_and_must_stop_those_after_it() {
        assert_eq!(broken_promises(&ENFORCE, &outcome(9, 0, 100)), [""; 0]);
        assert_eq!(broken_promises(&ENFORCE, &outcome(10, 0, 100)), [""; 0]);
        let leak = broken_promises(&ENFORCE, &outcome(9, 1, 100));
        assert!(leak[0].contains("1 arrived, not 0"), "{leak:?}");
    }

    #[test]
    fn enforcement_must_not_stop_more_than_the_deciding_packet_before() {
        let lost = broken_promises(&ENFORCE, &outcome(8, 0, 100));
        assert!(lost[0].contains("1 conversations lost packets"), "{lost:?}");
    }

    #[test]
    fn all_other_packets_must_arrive() {
        let lost = broken_promises(&ENFORCE, &outcome(9, 0, 99));
        assert!(
            lost[0].contains("of 100 other packets, 99 arrived"),
            "{lost:?}"
        );
    }

    #[test]
    fn monitoring_must_stop_nothing() {
        assert_eq!(broken_promises(&MONITOR, &outcome(10, 30, 100)), [""; 0]);
        assert_eq!(broken_promises(&MONITOR, &outcome(10, 29, 100)).len(), 1);
        assert_eq!(broken_promises(&MONITOR, &outcome(9, 30, 100)).len(), 1);
    }

    #[test]
    fn a_run_that_found_nothing_proves_nothing() {
        let mut nothing = outcome(10, 0, 100);
        nothing.stats.lab.skype.sent_after_decision = 0;
        assert_eq!(broken_promises(&ENFORCE, &nothing).len(), 1);
    }

    #[test]
    fn what_the_lab_holds_against_a_run_counts() {
        let mut complaint = outcome(9, 0, 100);
        complaint.is_content = false;
        assert_eq!(broken_promises(&ENFORCE, &complaint).len(), 1);
    }

    #[test]
    fn stages_say_where_the_hooks_are_and_what_each_stage_did() {
        let text = stages(&outcome(9, 0, 100).stats);
        assert!(
            text.contains("in0 (inside): the kernel reports xdp native"),
            "{text}"
        );
        assert!(
            text.contains("140 packets     12 tagged     28 dropped"),
            "{text}"
        );
        assert!(
            text.contains("12 queued                     2 dropped"),
            "{text}"
        );
        assert!(!text.contains("TC ingress"), "{text}");
    }

    #[test]
    fn the_table_has_a_line_per_run() {
        let text = table(&[
            (&MONITOR, Box::new(outcome(10, 30, 100))),
            (&ENFORCE, Box::new(outcome(9, 0, 100))),
        ]);
        let words: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words[2],
            [
                "monitor,", "hook", "auto", "10", "10", "0", "30", "30", "100", "100"
            ]
        );
        assert_eq!(
            words[3],
            [
                "enforce,", "hook", "xdp", "10", "9", "1", "30", "0", "100", "100"
            ]
        );
    }
}
