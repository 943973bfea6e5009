//! Rules for iptables and ip6tables, written through their restore commands, all or none.

use std::fmt::Write as _;

use ipnet::IpNet;
use skype_ips_common::mark::Code;

use super::{FirewallError, Plan, feed, run};

/// Chains are named `SKYPE-IPS.<instance>` and, with a letter behind, its parts.
const PREFIX: &str = "SKYPE-IPS.";
/// `F`: the queue rules; `O`, `I`: by inside address, outbound and inbound; `R`: what was judged
/// is recorded in the connection.
const PARTS: [&str; 4] = ["F", "O", "I", "R"];
const TOOLS: [(&str, &str, &str); 2] = [
    ("iptables", "iptables-save", "iptables-restore"),
    ("ip6tables", "ip6tables-save", "ip6tables-restore"),
];

fn chain(instance: &str, part: &str) -> String {
    format!("{PREFIX}{instance}.{part}")
}

pub(super) fn install(plan: &Plan) -> Result<(), FirewallError> {
    for (v6, (tool, _, restore)) in [false, true].into_iter().zip(TOOLS) {
        // A kernel without IPv6 has no packets of it to queue either.
        if v6 && run(tool, &["-t", "mangle", "-n", "-L", "FORWARD"]).is_err() {
            tracing::warn!("ip6tables does not work here: IPv6 packets are not queued");
            continue;
        }
        feed(restore, &["--noflush", "--wait", "5"], &rules(plan, v6))?;
    }
    Ok(())
}

/// The rules in restore's format.
fn rules(plan: &Plan, v6: bool) -> String {
    let mut text = String::from("*mangle\n");
    let name = |part: &str| chain(&plan.instance, part);
    let (forward, outbound, inbound, record) = (name("F"), name("O"), name("I"), name("R"));
    let mark = |code: Code| format!("{:#x}/{:#x}", plan.field.bits(code), plan.field.mask());
    let subnets: Vec<String> = plan
        .subnets
        .iter()
        .filter(|net| matches!(net, IpNet::V6(_)) == v6)
        .map(ToString::to_string)
        .collect();
    let mut line =
        |line: String| writeln!(text, "{line}").expect("writing to a string never fails");

    for part in PARTS {
        line(format!(":{} - [0:0]", name(part)));
    }
    line(format!(
        "-A {forward} -m mark --mark {} -j RETURN",
        mark(Code::Own)
    ));
    if plan.conntrack {
        line(format!(
            "-A {forward} -m mark --mark {} -j CONNMARK --set-xmark {}",
            mark(Code::Drop),
            mark(Code::Drop)
        ));
    }
    line(format!(
        "-A {forward} -m mark --mark {} -j DROP",
        mark(Code::Drop)
    ));
    if plan.guard() {
        for (direction, subnet) in sides(plan, &subnets) {
            line(format!(
                "-A {forward} {direction} {subnet} -m mark --mark {} -j DROP",
                mark(Code::Unseen)
            ));
        }
    }
    if plan.conntrack && !plan.classified {
        line(format!(
            "-A {forward} -m connmark --mark {} -j RETURN",
            mark(Code::Judged)
        ));
    }
    let bypass = if plan.open { " --queue-bypass" } else { "" };
    let queue = |number: u8| {
        format!(
            "NFQUEUE --queue-num {}{bypass}",
            plan.first_queue + u16::from(number)
        )
    };
    for number in 0..plan.queues {
        if plan.classified {
            line(format!(
                "-A {forward} -m mark --mark {} -j {}",
                mark(Code::Inspect(number)),
                queue(number)
            ));
            // Behind NAT the classifier can't know whose an arriving packet is: the connection does.
            for interface in plan.inside.iter().filter(|_| plan.conntrack) {
                line(format!(
                    "-A {forward} -o {interface} -m conntrack --ctstate SNAT,DNAT -m connmark --mark {} -j {}",
                    mark(Code::Inspect(number)),
                    queue(number)
                ));
            }
        }
        let low = low_bits(plan.queues, number, v6);
        line(format!(
            "-A {outbound} {} -j {}",
            low.as_ref()
                .map_or(String::new(), |low| format!("-s {low}")),
            queue(number)
        ));
        line(format!(
            "-A {inbound} {} -j {}",
            low.as_ref()
                .map_or(String::new(), |low| format!("-d {low}")),
            queue(number)
        ));
    }
    for (direction, subnet) in sides(plan, &subnets) {
        let target = if direction.starts_with("-i") {
            &outbound
        } else {
            &inbound
        };
        if !plan.classified {
            line(format!("-A {forward} {direction} {subnet} -j {target}"));
        } else if plan.conntrack && direction.starts_with("-o") {
            line(format!(
                "-A {forward} {direction} {subnet} -m conntrack --ctstate DNAT --ctdir ORIGINAL -j {target}"
            ));
            // A server's opening, until one has been judged.
            line(format!(
                "-A {forward} {direction} {subnet} -p tcp -m conntrack --ctstate SNAT --ctdir REPLY -m connmark --mark {} -j {target}",
                mark(Code::Unseen)
            ));
        }
    }
    line(format!("-A FORWARD -j {forward}"));
    if plan.conntrack {
        let mask = plan.field.mask();
        let save = format!("CONNMARK --save-mark --nfmask {mask:#x} --ctmask {mask:#x}");
        line(format!(
            "-A {record} -m mark --mark {} -j {save}",
            mark(Code::Judged)
        ));
        for number in 0..plan.queues {
            line(format!(
                "-A {record} -m mark --mark {} -m connmark --mark {} -j {save}",
                mark(Code::Inspect(number)),
                mark(Code::Unseen)
            ));
        }
        line(format!("-A POSTROUTING -j {record}"));
    }
    text.push_str("COMMIT\n");
    text
}

/// Matches for both directions of each subnet on each inside interface.
fn sides(plan: &Plan, subnets: &[String]) -> Vec<(String, String)> {
    let mut sides = Vec::new();
    for interface in &plan.inside {
        for subnet in subnets {
            sides.push((format!("-i {interface}"), format!("-s {subnet}")));
            sides.push((format!("-o {interface}"), format!("-d {subnet}")));
        }
    }
    sides
}

/// The address match that chooses a queue; `None` where there is but one.
fn low_bits(queues: u8, number: u8, v6: bool) -> Option<String> {
    let mask = queues - 1;
    (mask != 0).then(|| {
        if v6 {
            format!("::{number:x}/::{mask:x}")
        } else {
            format!("0.0.0.{number}/0.0.0.{mask}")
        }
    })
}

/// Removes the jump to the queue rules.
pub(super) fn suspend(instance: &str) {
    let forward = chain(instance, "F");
    for (tool, _, _) in TOOLS {
        // Where there is no jump, there is nothing to suspend.
        let _ = run(
            tool,
            &[
                "--wait", "5", "-t", "mangle", "-D", "FORWARD", "-j", &forward,
            ],
        );
    }
}

/// Puts the jump back, if its chain is still there.
pub(super) fn resume(instance: &str) {
    let forward = chain(instance, "F");
    for (tool, _, _) in TOOLS {
        let rule = |command| {
            run(
                tool,
                &[
                    "--wait", "5", "-t", "mangle", command, "FORWARD", "-j", &forward,
                ],
            )
        };
        if rule("-C").is_err() {
            let _ = rule("-A");
        }
    }
}

/// Takes the chains of an instance away; says whether there were any.
pub(super) fn remove(instance: &str) -> bool {
    let mut any = false;
    for (tool, save, restore) in TOOLS {
        let Ok(saved) = run(save, &["-t", "mangle"]) else {
            continue;
        };
        let chains: Vec<String> = PARTS.iter().map(|part| chain(instance, part)).collect();
        if !chains.iter().any(|chain| {
            saved
                .lines()
                .any(|line| line.starts_with(&format!(":{chain} ")))
        }) {
            continue;
        }
        any = true;
        let mut text = String::from("*mangle\n");
        for line in saved.lines() {
            let ours = chains
                .iter()
                .any(|chain| line.ends_with(&format!("-j {chain}")));
            if let (true, Some(rule)) = (ours, line.strip_prefix("-A ")) {
                writeln!(text, "-D {rule}").expect("writing to a string never fails");
            }
        }
        for command in ["-F", "-X"] {
            for chain in &chains {
                writeln!(text, "{command} {chain}").expect("writing to a string never fails");
            }
        }
        text.push_str("COMMIT\n");
        if let Err(error) = feed(restore, &["--noflush", "--wait", "5"], &text) {
            tracing::error!("{tool}: rules of instance {instance} were not removed: {error}");
        }
    }
    any
}

pub(super) fn instances() -> Vec<String> {
    let mut found = Vec::new();
    for (_, save, _) in TOOLS {
        let saved = run(save, &["-t", "mangle"]).unwrap_or_default();
        found.extend(saved.lines().filter_map(|line| {
            let name = line.strip_prefix(':')?.split_whitespace().next()?;
            Some(name.strip_prefix(PREFIX)?.strip_suffix(".F")?.to_owned())
        }));
    }
    found
}

pub(super) fn in_force(instance: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for (tool, save, _) in TOOLS {
        let saved = run(save, &["-t", "mangle"]).unwrap_or_default();
        let ours = format!("{PREFIX}{instance}.");
        rules.extend(
            saved
                .lines()
                .filter(|line| line.starts_with("-A ") && line.contains(&ours))
                .map(|line| format!("{tool} -t mangle {line}")),
        );
    }
    rules
}

#[cfg(test)]
mod tests {
    use skype_ips_common::mark::Field;

    use super::*;

    fn plan() -> Plan {
        Plan {
            instance: "main".to_owned(),
            field: Field::new(0xf000_0000).expect("four adjacent bits"),
            first_queue: 200,
            queues: 2,
            open: true,
            conntrack: false,
            classified: true,
            inside: vec!["eth1".to_owned()],
            subnets: vec![
                "10.0.0.0/8".parse().expect("a prefix"),
                "fd00::/8".parse().expect("a prefix"),
            ],
            enforcing: true,
        }
    }

    #[test]
    fn without_conntrack_no_rule_touches_it() {
        for classified in [true, false] {
            for v6 in [true, false] {
                let text = rules(
                    &Plan {
                        classified,
                        ..plan()
                    },
                    v6,
                );
                assert!(!text.lines().any(super::super::needs_conntrack), "{text}");
            }
        }
    }

    #[test]
    fn the_jump_is_appended_so_that_the_operators_mangle_rules_come_first() {
        assert!(rules(&plan(), false).contains("\n-A FORWARD -j SKYPE-IPS.main.F\n"));
    }

    #[test]
    fn open_lets_packets_pass_without_a_daemon_and_closed_does_not() {
        assert!(rules(&plan(), false).contains("--queue-num 201 --queue-bypass"));
        let closed = rules(
            &Plan {
                open: false,
                ..plan()
            },
            false,
        );
        assert!(!closed.contains("--queue-bypass"));
        assert!(closed.contains("-i eth1 -s 10.0.0.0/8 -m mark --mark 0x0/0xf0000000 -j DROP"));
    }

    #[test]
    fn each_family_gets_its_own_subnets() {
        let closed = Plan {
            open: false,
            ..plan()
        };
        assert!(!rules(&closed, false).contains("fd00::"));
        assert!(!rules(&closed, true).contains("10.0.0.0"));
        assert!(rules(&closed, true).contains("-o eth1 -d fd00::/8"));
    }

    #[test]
    fn the_longest_instance_name_fits_a_chain_name() {
        let longest = chain(&"x".repeat(crate::gateway::MAX_INSTANCE), "F");
        assert!(longest.len() <= 28, "{longest}");
    }
}
