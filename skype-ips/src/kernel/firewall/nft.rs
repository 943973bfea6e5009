//! Rules for nft: one table of our own, in one transaction.

use std::fmt::Write as _;

use ipnet::IpNet;
use skype_ips_common::mark::Code;

use super::Plan;

/// Tables are named by this and the instance.
pub(super) const PREFIX: &str = "skype-ips-";

pub(super) fn table(instance: &str) -> String {
    format!("{PREFIX}{instance}")
}

/// A statement that the kernel must have for us to use nft.
pub(super) const QUEUE: &str = "queue flags bypass to 65535";
/// A statement without which what is rejected gets no answer.
pub(super) const REJECT: &str = "reject with icmpx type port-unreachable";

/// A table that is only checked: does the kernel have this statement? Like all that nft reads, a
/// statement ends with its line.
pub(super) fn probe(instance: &str, statement: &str) -> String {
    format!(
        "table inet {}-probe {{\n\
         \tchain forward {{\n\
         \t\ttype filter hook forward priority mangle;\n\
         \t\t{statement}\n\
         \t}}\n\
         }}\n",
        table(instance)
    )
}

/// Lets the kernel pass by the table's chains, or enter them again.
pub(super) fn dormant(instance: &str, dormant: bool) -> String {
    let flags = if dormant { " { flags dormant; }" } else { "" };
    format!("add table inet {}{flags}\n", table(instance))
}

/// The rules; what is rejected is answered, or only dropped.
pub(super) fn rules(plan: &Plan, answer: bool) -> String {
    let mut text = String::new();
    let mask = plan.field.mask();
    let mark = |code: Code| format!("meta mark & {mask:#x} == {:#x}", plan.field.bits(code));
    let connection = |code: Code| format!("ct mark & {mask:#x} == {:#x}", plan.field.bits(code));
    let flags = if plan.open { " flags bypass" } else { "" };
    // Counted, for the kernel doesn't say what it lets pass by a full queue.
    let queue = |number: u8| {
        let number = plan.first_queue + u16::from(number);
        format!("counter queue{flags} to {number}")
    };
    let mut line =
        |line: String| writeln!(text, "{line}").expect("writing to a string never fails");

    line(format!("table inet {} {{", table(&plan.instance)));
    for (chain, end) in [("outbound", "saddr"), ("inbound", "daddr")] {
        line(format!("\tchain {chain} {{"));
        for number in 0..plan.queues {
            if plan.queues == 1 {
                line(format!("\t\t{}", queue(number)));
            } else {
                let low = plan.queues - 1;
                line(format!(
                    "\t\tip {end} & 0.0.0.{low} == 0.0.0.{number} {}",
                    queue(number)
                ));
                line(format!(
                    "\t\tip6 {end} & ::{low:x} == ::{number:x} {}",
                    queue(number)
                ));
            }
        }
        line("\t}".to_owned());
    }
    // Behind the operator's own mangle chains, before every filter chain.
    line("\tchain forward {".to_owned());
    line("\t\ttype filter hook forward priority mangle + 1; policy accept;".to_owned());
    line(format!("\t\t{} return", mark(Code::Own)));
    let answers: &[&str] = if answer {
        &["meta l4proto tcp reject with tcp reset", REJECT]
    } else {
        &["drop"]
    };
    for (code, endings) in [(Code::Drop, &["drop"][..]), (Code::Reject, answers)] {
        if plan.conntrack {
            let (others, bits) = (!mask, plan.field.bits(code));
            line(format!(
                "\t\t{} ct mark set ct mark & {others:#x} | {bits:#x}",
                mark(code)
            ));
        }
        for ending in endings {
            line(format!("\t\t{} {ending}", mark(code)));
        }
    }
    if plan.guard() {
        for (side, _) in sides(plan) {
            line(format!("\t\t{side} {} drop", mark(Code::Unseen)));
        }
    }
    if plan.conntrack && !plan.classified {
        line(format!("\t\t{} return", connection(Code::Judged)));
    }
    for number in 0..plan.queues {
        if plan.classified {
            line(format!(
                "\t\t{} {}",
                mark(Code::Inspect(number)),
                queue(number)
            ));
            // Behind NAT the classifier can't know whose an arriving packet is: the connection does.
            for interface in plan.inside.iter().filter(|_| plan.conntrack) {
                line(format!(
                    "\t\toifname \"{interface}\" ct status snat,dnat {} {}",
                    connection(Code::Inspect(number)),
                    queue(number)
                ));
            }
        }
    }
    for (side, chain) in sides(plan) {
        if !plan.classified {
            line(format!("\t\t{side} jump {chain}"));
        } else if plan.conntrack && chain == "inbound" {
            line(format!(
                "\t\t{side} ct status dnat ct direction original jump {chain}"
            ));
            // A server's opening, until one has been judged.
            line(format!(
                "\t\t{side} meta l4proto tcp ct status snat ct direction reply {} jump {chain}",
                connection(Code::Unseen)
            ));
        }
    }
    line("\t}".to_owned());
    if plan.conntrack {
        line("\tchain record {".to_owned());
        line("\t\ttype filter hook postrouting priority mangle + 1; policy accept;".to_owned());
        let mut codes = vec![(Code::Judged, String::new())];
        codes.extend(
            (0..plan.queues).map(|number| (Code::Inspect(number), connection(Code::Unseen))),
        );
        for (code, condition) in codes {
            line(format!(
                "\t\t{} {condition} ct mark set ct mark & {:#x} | {:#x}",
                mark(code),
                !mask,
                plan.field.bits(code)
            ));
        }
        line("\t}".to_owned());
    }
    line("}".to_owned());
    text
}

/// Matches for both directions of each subnet on each inside interface, and the chain that picks
/// the queue.
fn sides(plan: &Plan) -> Vec<(String, &'static str)> {
    let mut sides = Vec::new();
    for interface in &plan.inside {
        for subnet in &plan.subnets {
            let family = if matches!(subnet, IpNet::V4(_)) {
                "ip"
            } else {
                "ip6"
            };
            sides.push((
                format!("iifname \"{interface}\" {family} saddr {subnet}"),
                "outbound",
            ));
            sides.push((
                format!("oifname \"{interface}\" {family} daddr {subnet}"),
                "inbound",
            ));
        }
    }
    sides
}

/// Packets that a line of nft's list has handed to a queue.
pub(super) fn queued(line: &str) -> Option<u64> {
    let (_, counted) = line.split_once("counter packets ")?;
    let (packets, rest) = counted.split_once(' ')?;
    rest.contains(" queue").then(|| packets.parse().ok())?
}

#[cfg(test)]
mod tests {
    use skype_ips_common::mark::Field;

    use super::*;
    use crate::kernel::firewall::{FirewallError, feed};

    fn plans() -> Vec<Plan> {
        let mut plans = Vec::new();
        for bits in 0..8_u8 {
            for queues in [1, 4] {
                plans.push(Plan {
                    instance: "main".to_owned(),
                    field: Field::new(0xf000_0000).expect("four adjacent bits"),
                    first_queue: 200,
                    queues,
                    open: bits & 1 == 0,
                    conntrack: bits & 2 == 0,
                    classified: bits & 4 == 0,
                    inside: vec!["eth1".to_owned(), "br-lan.7".to_owned()],
                    subnets: vec![
                        "10.0.0.0/8".parse().expect("a prefix"),
                        "fd00::/8".parse().expect("a prefix"),
                    ],
                    enforcing: true,
                });
            }
        }
        plans
    }

    fn variants() -> Vec<String> {
        let variants = |plan| [true, false].map(|answer| rules(&plan, answer));
        plans().into_iter().flat_map(variants).collect()
    }

    #[test]
    fn what_is_rejected_is_answered_before_it_could_be_queued() {
        for text in variants() {
            let (_, forward) = text.split_once("chain forward").expect("our base chain");
            let reject = forward.find("== 0x30000000").expect("a rule for code 3");
            let first = ["queue", "jump"].map(|word| forward.find(word).unwrap_or(usize::MAX));
            assert!(first.iter().all(|first| reject < *first), "{text}");
        }
    }

    /// What nft itself objects to in a text: not what the kernel lacks, nor that we aren't root.
    /// `None` without nft.
    fn objections(text: &str) -> Option<String> {
        match feed("nft", &["--check", "--file", "-"], text) {
            Ok(()) => Some(String::new()),
            Err(FirewallError::Refused { message, .. }) => {
                let objections: Vec<&str> = message
                    .split("; ")
                    .filter(|part| part.contains("Error: "))
                    .filter(|part| !part.contains("Could not process rule"))
                    .filter(|part| !part.contains("cache initialization failed"))
                    .collect();
                Some(objections.join("\n"))
            }
            Err(_) => None,
        }
    }

    #[test]
    fn nft_reads_the_probe_and_every_variant_of_the_rules() {
        if std::process::Command::new("nft")
            .arg("-v")
            .output()
            .is_err()
        {
            eprintln!("SKIPPED: no nft here");
            return;
        }
        let probes = [QUEUE, REJECT].map(|statement| probe("main", statement));
        for text in variants().into_iter().chain(probes) {
            assert_eq!(objections(&text).as_deref(), Some(""), "{text}");
        }
    }

    #[test]
    fn what_a_rule_hands_to_a_queue_is_read_from_its_counter() {
        let line = "\t\tip saddr & 0.0.0.1 == 0.0.0.1 counter packets 12 bytes 1020 queue flags bypass to 201";
        assert_eq!(queued(line), Some(12));
        let alone = "\t\tmeta mark & 0xf0000000 == 0x80000000 queue to 200";
        assert_eq!(queued(alone), None);
        assert_eq!(queued("\t\tcounter packets 12 bytes 1020 drop"), None);
    }

    #[test]
    fn without_conntrack_no_rule_touches_it() {
        for plan in plans().iter().filter(|plan| !plan.conntrack) {
            let text = rules(plan, true);
            assert!(!text.lines().any(super::super::needs_conntrack), "{text}");
        }
    }
}
