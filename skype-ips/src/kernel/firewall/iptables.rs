//! Rules for iptables and ip6tables, written through their restore commands, all or none.
//!
//! The REJECT target exists in the filter table only. So the one rule of ours there is a jump at the
//! head of FORWARD, for packets with code 3 alone, to a chain that answers and never accepts.

use std::fmt::Write as _;

use ipnet::IpNet;
use skype_ips_common::mark::Code;

use super::{FirewallError, Plan, feed, run};

/// Chains are named `SKYPE-IPS.<instance>` and, with a letter behind, its parts.
const PREFIX: &str = "SKYPE-IPS.";
/// `F`: the queue rules; `O`, `I`: by inside address, outbound and inbound; `R`: what was judged
/// is recorded in the connection, and what should have been rejected ends.
const PARTS: [&str; 4] = ["F", "O", "I", "R"];
/// The answers to what is rejected, in the filter table.
const ANSWERS: &str = "A";
/// Our parts by table.
const TABLES: [(&str, &[&str]); 2] = [("mangle", &PARTS), ("filter", &[ANSWERS])];
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
        let restore = |rules: &str| feed(restore, &["--noflush", "--wait", "5"], rules);
        restore(&rules(plan, v6))?;
        if let Err(error) = restore(&answers(plan, v6, true)) {
            tracing::warn!(
                "{tool} can't reject ({error}): what policies reject is dropped without an answer to its sender"
            );
            restore(&answers(plan, v6, false))?;
        }
    }
    Ok(())
}

/// The rules of the filter table in restore's format: what is rejected is answered, or only dropped.
fn answers(plan: &Plan, v6: bool, answer: bool) -> String {
    let chain = chain(&plan.instance, ANSWERS);
    let (field, code) = (plan.field, Code::Reject);
    let icmp = if v6 { "icmp6" } else { "icmp" };
    let targets = if answer {
        format!(
            "-A {chain} -p tcp -j REJECT --reject-with tcp-reset\n\
             -A {chain} -j REJECT --reject-with {icmp}-port-unreachable\n"
        )
    } else {
        format!("-A {chain} -j DROP\n")
    };
    format!(
        "*filter\n:{chain} - [0:0]\n{targets}\
         -I FORWARD -m mark --mark {:#x}/{:#x} -j {chain}\nCOMMIT\n",
        field.bits(code),
        field.mask()
    )
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
    for (code, target) in [(Code::Drop, "DROP"), (Code::Reject, "RETURN")] {
        let code = mark(code);
        if plan.conntrack {
            line(format!(
                "-A {forward} -m mark --mark {code} -j CONNMARK --set-xmark {code}"
            ));
        }
        line(format!("-A {forward} -m mark --mark {code} -j {target}"));
    }
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
    // Only where somebody has flushed filter/FORWARD: what should have been rejected ends here. An
    // answer may bear the same code (net.ipv4.fwmark_reflect).
    let reject = mark(Code::Reject);
    line(format!(
        "-A {record} -p udp -m mark --mark {reject} -j DROP"
    ));
    line(format!(
        "-A {record} -p tcp ! --tcp-flags RST RST -m mark --mark {reject} -j DROP"
    ));
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
    }
    line(format!("-A POSTROUTING -j {record}"));
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

/// Removes the jump to the queue rules. Nothing new is rejected then, and what was decided still is.
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
        for (table, parts) in TABLES {
            let Ok(saved) = run(save, &["-t", table]) else {
                continue;
            };
            let chains: Vec<String> = parts.iter().map(|part| chain(instance, part)).collect();
            let Some(text) = removal(table, &saved, &chains) else {
                continue;
            };
            any = true;
            if let Err(error) = feed(restore, &["--noflush", "--wait", "5"], &text) {
                tracing::error!(
                    "{tool}: rules of instance {instance} were not removed from {table}: {error}"
                );
            }
        }
    }
    any
}

/// What takes these chains and the jumps to them out of a saved table, in restore's format; `None`
/// where there are none.
fn removal(table: &str, saved: &str, chains: &[String]) -> Option<String> {
    let declared = |chain: &String| {
        let declaration = format!(":{chain} ");
        saved.lines().any(|line| line.starts_with(&declaration))
    };
    let chains: Vec<&String> = chains.iter().filter(|chain| declared(chain)).collect();
    if chains.is_empty() {
        return None;
    }
    let mut text = format!("*{table}\n");
    let mut line =
        |line: String| writeln!(text, "{line}").expect("writing to a string never fails");
    for rule in saved.lines().filter_map(|line| line.strip_prefix("-A ")) {
        if chains
            .iter()
            .any(|chain| rule.ends_with(&format!("-j {chain}")))
        {
            line(format!("-D {rule}"));
        }
    }
    for command in ["-F", "-X"] {
        for chain in &chains {
            line(format!("{command} {chain}"));
        }
    }
    text.push_str("COMMIT\n");
    Some(text)
}

pub(super) fn instances() -> Vec<String> {
    let mut found = Vec::new();
    for (_, save, _) in TOOLS {
        for (table, parts) in TABLES {
            let saved = run(save, &["-t", table]).unwrap_or_default();
            found.extend(saved.lines().filter_map(|line| {
                let name = line.strip_prefix(':')?.split_whitespace().next()?;
                let (instance, part) = name.strip_prefix(PREFIX)?.rsplit_once('.')?;
                parts.contains(&part).then(|| instance.to_owned())
            }));
        }
    }
    found
}

pub(super) fn in_force(instance: &str) -> Vec<String> {
    let mut rules = Vec::new();
    let ours = format!("{PREFIX}{instance}.");
    for (tool, save, _) in TOOLS {
        for (table, _) in TABLES {
            let saved = run(save, &["-t", table]).unwrap_or_default();
            rules.extend(
                saved
                    .lines()
                    .filter(|line| line.starts_with("-A ") && line.contains(&ours))
                    .map(|line| format!("{tool} -t {table} {line}")),
            );
        }
    }
    rules
}

/// Packets that the rules of an instance have handed to its queues.
pub(super) fn queued(instance: &str) -> u64 {
    let ours = format!("-A {PREFIX}{instance}.");
    let saved = TOOLS.map(|(_, save, _)| run(save, &["-c", "-t", "mangle"]).unwrap_or_default());
    let lines = saved.iter().flat_map(|text| text.lines());
    lines.filter_map(|line| counted(line, &ours)).sum()
}

/// The packets of a rule `[packets:bytes] -A chain …` that queues, if it is in one of our chains.
fn counted(line: &str, ours: &str) -> Option<u64> {
    let (packets, rest) = line.strip_prefix('[')?.split_once(':')?;
    let (_, rule) = rest.split_once("] ")?;
    let queues = rule.starts_with(ours) && rule.contains("-j NFQUEUE");
    queues.then(|| packets.parse().ok())?
}

#[cfg(test)]
mod tests {
    use skype_ips_common::mark::Field;

    use super::*;

    #[test]
    fn what_a_rule_hands_to_a_queue_is_read_from_its_counter() {
        let line = "[12:1020] -A SKYPE-IPS.main.F -m mark --mark 0x80000000/0xf0000000 -j NFQUEUE --queue-num 200";
        let ours = "-A SKYPE-IPS.main.";
        assert_eq!(counted(line, ours), Some(12));
        assert_eq!(counted(line, "-A SKYPE-IPS.other."), None);
        assert_eq!(counted(&line.replace("NFQUEUE", "DROP"), ours), None);
        assert_eq!(counted(":FORWARD ACCEPT [12:1020]", ours), None);
    }

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
    fn in_filter_stands_one_jump_for_what_is_rejected_which_never_accepts() {
        for (v6, icmp) in [(false, "icmp"), (true, "icmp6")] {
            let text = answers(&plan(), v6, true);
            let rules: Vec<&str> = text.lines().filter(|line| line.starts_with('-')).collect();
            assert_eq!(
                rules,
                [
                    "-A SKYPE-IPS.main.A -p tcp -j REJECT --reject-with tcp-reset",
                    &format!("-A SKYPE-IPS.main.A -j REJECT --reject-with {icmp}-port-unreachable"),
                    "-I FORWARD -m mark --mark 0x30000000/0xf0000000 -j SKYPE-IPS.main.A",
                ]
            );
            assert!(!answers(&plan(), v6, false).contains("REJECT"));
        }
    }

    #[test]
    fn what_is_rejected_is_queued_no_more() {
        for classified in [true, false] {
            let plan = Plan {
                classified,
                ..plan()
            };
            let text = rules(&plan, false);
            let leaves = text.find("--mark 0x30000000/0xf0000000 -j RETURN");
            let queues = text.find(if classified {
                "NFQUEUE"
            } else {
                "-j SKYPE-IPS.main.O"
            });
            assert!(leaves.is_some() && leaves < queues, "{text}");
        }
    }

    #[test]
    fn only_our_chains_and_the_jumps_to_them_go() {
        let saved = "*filter\n:FORWARD ACCEPT [0:0]\n:SKYPE-IPS.main.A - [0:0]\n\
                     :SKYPE-IPS.main.other.A - [0:0]\n\
                     -A FORWARD -m mark --mark 0x3/0xf -j SKYPE-IPS.main.A\n\
                     -A FORWARD -m mark --mark 0x3/0xf -j SKYPE-IPS.main.other.A\n\
                     -A FORWARD -j ACCEPT\n-A SKYPE-IPS.main.A -j DROP\nCOMMIT\n";
        assert_eq!(
            removal("filter", saved, &[chain("main", ANSWERS)]).as_deref(),
            Some(
                "*filter\n-D FORWARD -m mark --mark 0x3/0xf -j SKYPE-IPS.main.A\n\
                 -F SKYPE-IPS.main.A\n-X SKYPE-IPS.main.A\nCOMMIT\n"
            )
        );
        assert_eq!(removal("filter", saved, &[chain("none", ANSWERS)]), None);
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
