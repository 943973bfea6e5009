//! What a reload can't change, because rules, queues, hooks or engines were made for it.

use ipnet::IpNet;

use crate::kernel::Plan;
use crate::policy::{Config, Mode, OnFailure, PolicySet};

/// What of `next` can't be had without a restart, each with its reason; empty if all can.
pub(super) fn needs_restart(now: &Config, next: &Config, plan: &Plan) -> Vec<String> {
    let (before, after) = (&now.gateway, &next.gateway);
    let interfaces = |config: &Config| -> Vec<_> {
        let interfaces = config.gateway.interfaces.iter();
        interfaces
            .map(|one| (one.name.clone(), one.side, one.zone))
            .collect()
    };
    let settings = [
        ("`interface`", interfaces(now) != interfaces(next)),
        ("`hook`", before.hook != after.hook),
        ("`queues`", before.queues != after.queues),
        ("`marks.mask`", before.mark_mask != after.mark_mask),
        ("`failure`", before.failure != after.failure),
        ("`conntrack`", before.conntrack != after.conntrack),
        (
            "`public-addresses`",
            before.public_addresses != after.public_addresses,
        ),
        ("detection packs", now.knowledge != next.knowledge),
    ];
    let mut others: Vec<String> = settings
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| format!("{key} differs"))
        .collect();
    others.extend(other_failure(now, next));
    others.extend(other_subnets(&next.policies, plan));
    others
}

/// Where nothing is enforced, queues and rules let pass what can't be judged, whatever `failure` says.
fn other_failure(now: &Config, next: &Config) -> Option<String> {
    let failure = now.gateway.failure;
    let closed = [failure.daemon_down, failure.queue_full].contains(&OnFailure::Closed);
    let enforcing = |config: &Config| enforces(config.gateway.mode, &config.policies);
    if !closed || enforcing(now) == enforcing(next) {
        return None;
    }
    let what = if enforcing(next) {
        "something is enforced now"
    } else {
        "nothing is enforced any more"
    };
    Some(format!(
        "`mode`: {what}, and with `failure` \"closed\" queues and rules are made for that"
    ))
}

/// Rules that name the policies' prefixes go on naming those of the start: more can't be covered
/// by them. Fewer can, for what is queued in vain passes; but a guard would drop it.
fn other_subnets(policies: &PolicySet, plan: &Plan) -> Option<String> {
    if !plan.names_subnets() {
        return None;
    }
    let next: Vec<IpNet> = subnets(policies).collect();
    let missing = uncovered(&plan.subnets, &next);
    if let Some(net) = missing.first() {
        return Some(format!(
            "`subnets`: the firewall rules don't cover {net}, which was under no policy at the start"
        ));
    }
    let left = uncovered(&next, &plan.subnets);
    let net = left.first().filter(|_| plan.guard())?;
    Some(format!(
        "`subnets`: {net} is under no policy any more, and the rules of `daemon-down = \"closed\"` still name it"
    ))
}

/// The prefixes of all policies.
pub(super) fn subnets(policies: &PolicySet) -> impl Iterator<Item = IpNet> {
    policies
        .policies()
        .iter()
        .flat_map(|policy| policy.subnets.iter().copied())
}

/// The prefixes of `nets` that those of `by` don't cover together.
fn uncovered(by: &[IpNet], nets: &[IpNet]) -> Vec<IpNet> {
    let by = IpNet::aggregate(&by.to_vec());
    let covered = |net: &IpNet| by.iter().any(|one| one.contains(net));
    let nets = nets.iter().copied();
    nets.filter(|net| !covered(net)).collect()
}

/// Whether any policy enforces under this gateway's mode.
pub(super) fn enforces(mode: Mode, policies: &PolicySet) -> bool {
    mode == Mode::Enforce
        && policies
            .policies()
            .iter()
            .any(|policy| policy.mode == Mode::Enforce)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use skype_ips_common::mark::Field;

    use super::*;
    use crate::policy::parse;

    fn config(top: &str, tables: &str) -> Config {
        let text = format!(
            "version = 1\nmode = \"enforce\"\n{top}\n[[interface]]\nname = \"in0\"\nside = \"inside\"\n\
             [[interface]]\nname = \"out0\"\nside = \"outside\"\n{tables}"
        );
        parse(Path::new("gateway.toml"), &text).expect("a configuration")
    }

    fn policy(subnet: &str) -> String {
        format!("[[policy]]\nname = \"one\"\nsubnets = [\"{subnet}\"]\ndefault = \"drop\"\n")
    }

    fn plan(config: &Config, classified: bool, open: bool) -> Plan {
        Plan {
            instance: "test".to_owned(),
            field: Field::new(0xf000_0000).expect("four adjacent bits"),
            first_queue: 200,
            queues: 1,
            open,
            conntrack: false,
            classified,
            inside: vec!["in0".to_owned()],
            subnets: subnets(&config.policies).collect(),
            enforcing: true,
        }
    }

    #[test]
    fn each_setting_of_the_gateway_is_named_when_it_differs() {
        let now = config("", &policy("10.0.0.0/8"));
        let plan = plan(&now, true, true);
        for (key, top, tables) in [
            ("`hook`", "hook = \"tc\"", ""),
            ("`conntrack`", "conntrack = \"off\"", ""),
            (
                "`public-addresses`",
                "public-addresses = [\"192.0.2.1\"]",
                "",
            ),
            ("`queues`", "", "[queues]\ncount = 2\n"),
            ("`marks.mask`", "", "[marks]\nmask = 0x0f000000\n"),
            ("`failure`", "", "[failure]\ndaemon-down = \"closed\"\n"),
            (
                "`interface`",
                "",
                "[[interface]]\nname = \"in1\"\nside = \"inside\"\n",
            ),
        ] {
            let next = config(top, &(tables.to_owned() + &policy("10.0.0.0/8")));
            let others = needs_restart(&now, &next, &plan);
            assert_eq!(others, [format!("{key} differs")]);
        }
        let next = config("", &policy("192.168.0.0/16"));
        assert_eq!(needs_restart(&now, &next, &plan), [] as [String; 0]);
    }

    #[test]
    fn rules_that_name_subnets_can_serve_fewer_but_not_more() {
        let now = config("", &policy("10.0.0.0/8"));
        let plan = plan(&now, false, true);
        let fewer = config("", &policy("10.1.0.0/16"));
        assert_eq!(needs_restart(&now, &fewer, &plan), [] as [String; 0]);
        let more = config("", &policy("10.0.0.0/7"));
        let others = needs_restart(&now, &more, &plan);
        assert!(others[0].contains("don't cover 10.0.0.0/7"), "{others:?}");
    }

    #[test]
    fn a_guard_names_exactly_what_is_covered() {
        let closed = "[failure]\ndaemon-down = \"closed\"\n";
        let now = config("", &(closed.to_owned() + &policy("10.0.0.0/8")));
        let plan = plan(&now, true, false);
        let fewer = config("", &(closed.to_owned() + &policy("10.1.0.0/16")));
        let others = needs_restart(&now, &fewer, &plan);
        assert!(others[0].contains("still name it"), "{others:?}");
        let halves = policy("10.0.0.0/9\", \"10.128.0.0/9");
        let same = config("", &(closed.to_owned() + &halves));
        assert_eq!(needs_restart(&now, &same, &plan), [] as [String; 0]);
    }

    #[test]
    fn failing_closed_is_made_for_what_is_enforced() {
        let closed = "[failure]\nqueue-full = \"closed\"\nmessage-lost = \"closed\"\n";
        let now = config("", &(closed.to_owned() + &policy("10.0.0.0/8")));
        let monitor = policy("10.0.0.0/8") + "mode = \"monitor\"\n";
        let next = config("", &(closed.to_owned() + &monitor));
        let plan = plan(&now, true, true);
        let others = needs_restart(&now, &next, &plan);
        assert!(others[0].starts_with("`mode`"), "{others:?}");
        let (now, next) = (config("", &policy("10.0.0.0/8")), config("", &monitor));
        assert_eq!(needs_restart(&now, &next, &plan), [] as [String; 0]);
    }
}
