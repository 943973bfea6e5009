//! What the demo prints of its runs, and what it holds against them.

use std::fmt::Write as _;

use serde_json::Value;

use super::lab::{Counts, Run, Stats};

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
pub(crate) fn table(reports: &[(&Run, Box<Stats>)]) -> String {
    let mut text = String::new();
    let head = [
        ("", "Skype", "other"),
        ("run", "before decision   after decision", "packets"),
        ("", "sent  delivered   sent  delivered", "sent  delivered"),
    ];
    for (run, skype, other) in head {
        let row = format!("{run:<22}{skype:<36}{other}");
        text += row.trim_end();
        text.push('\n');
    }
    for (run, stats) in reports {
        let (skype, other) = (&stats.lab.skype, &stats.lab.other);
        let (sent, delivered) = before_decision(skype);
        let _ = writeln!(
            text,
            "{:<22}{sent:>4}{delivered:>11}{:>7}{:>11}   {:>4}{:>11}",
            run.to_string(),
            skype.sent_after_decision,
            skype.delivered_after_decision,
            other.sent,
            other.delivered,
        );
    }
    if let Some((_, stats)) = reports.first()
        && stats.lab.unroutable > 0
    {
        let _ = writeln!(
            text,
            "not sent, as no gateway would forward them: {}",
            stats.lab.unroutable
        );
    }
    text
}

/// What a run did not do that it should have; empty if all is well.
pub(crate) fn broken_promises(run: &Run, stats: &Stats) -> Vec<String> {
    let (skype, other) = (&stats.lab.skype, &stats.lab.other);
    let mut broken = Vec::new();
    let mut expect = |kept: bool, what: String| {
        if !kept {
            broken.push(format!("{run}: {what}"));
        }
    };
    expect(
        skype.sent_after_decision > 0,
        "no Skype was found before its last packet".to_owned(),
    );
    expect(other.sent > 0, "no packet but Skype's was sent".to_owned());
    let (sent, delivered) = before_decision(skype);
    expect(
        sent == delivered,
        format!("of {sent} Skype packets before the decision, {delivered} arrived"),
    );
    expect(
        other.sent == other.delivered,
        format!(
            "of {} other packets, {} arrived",
            other.sent, other.delivered
        ),
    );
    let (sent, delivered) = (skype.sent_after_decision, skype.delivered_after_decision);
    let promised = if run.mode == "enforce" { 0 } else { sent };
    expect(
        delivered == promised,
        format!("of {sent} Skype packets after the decision, {delivered} arrived, not {promised}"),
    );
    broken
}

/// Skype packets sent and delivered before their conversation's decision.
const fn before_decision(skype: &Counts) -> (u64, u64) {
    (
        skype.sent.saturating_sub(skype.sent_after_decision),
        skype
            .delivered
            .saturating_sub(skype.delivered_after_decision),
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

    /// 40 Skype packets, 30 of them after the decision, of which `leaked` arrived; of 100 other
    /// packets `other` arrived.
    fn stats(leaked: u64, other: u64) -> Stats {
        serde_json::from_value(json!({
            "lab": {
                "skype": {"sent": 40, "delivered": 10 + leaked, "sent_after_decision": 30,
                    "delivered_after_decision": leaked},
                "other": {"sent": 100, "delivered": other, "sent_after_decision": 0,
                    "delivered_after_decision": 0},
                "unroutable": 7,
            },
            "gateway": {
                "hooks": [{"interface": "in0", "side": "inside", "attached": ["xdp native"]}],
                "firewall": {"backend": "nft"},
                "queues": [{"received": 9, "dropped": 1}, {"received": 3, "dropped": 1}],
                "kernel": {"xdp": {"packets": 140, "tagged": 12, "dropped": 28},
                    "ingress": {"packets": 0}},
                "decisions": 4,
            },
        }))
        .expect("all that is read is there")
    }

    #[test]
    fn enforcement_keeps_its_promise_if_nothing_leaks_and_all_else_arrives() {
        assert_eq!(broken_promises(&ENFORCE, &stats(0, 100)), [""; 0]);
    }

    #[test]
    fn a_leak_and_a_loss_are_both_told() {
        let broken = broken_promises(&ENFORCE, &stats(1, 99));
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(
            broken[0].contains("of 100 other packets, 99 arrived"),
            "{broken:?}"
        );
        assert!(broken[1].contains("1 arrived, not 0"), "{broken:?}");
    }

    #[test]
    fn monitoring_must_stop_nothing() {
        assert_eq!(broken_promises(&MONITOR, &stats(30, 100)), [""; 0]);
        assert_eq!(broken_promises(&MONITOR, &stats(29, 100)).len(), 1);
    }

    #[test]
    fn a_run_that_found_nothing_proves_nothing() {
        let mut nothing = stats(0, 100);
        nothing.lab.skype.sent_after_decision = 0;
        nothing.lab.skype.delivered = 40;
        assert_eq!(broken_promises(&ENFORCE, &nothing).len(), 1);
    }

    #[test]
    fn stages_say_where_the_hooks_are_and_what_each_stage_did() {
        let text = stages(&stats(0, 100));
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
}
