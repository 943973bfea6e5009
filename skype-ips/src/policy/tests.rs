//! Facts about policies, whatever file they came from.

mod book;
mod windows;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::IpNet;
use proptest::prelude::*;
use skype_ips_common::layout::{FlowKey, Met, TCP, Verdict, kind};

use super::*;

fn policy(name: &str, subnets: &[&str], default: Action) -> Policy {
    Policy {
        name: name.into(),
        subnets: subnets
            .iter()
            .map(|net| net.parse().expect("a prefix"))
            .collect(),
        vlans: Vec::new(),
        interfaces: Vec::new(),
        exempt: Vec::new(),
        rules: Rules {
            default: Some(default.into()),
            ..Rules::default()
        },
        windows: Vec::new(),
        mode: Mode::Enforce,
        confidence: Confidence::Strong,
    }
}

fn compiled(set: &PolicySet, gateway: Mode) -> Compiled {
    set.compile(gateway, &Open::default(), &[])
}

fn name_of<'s>(set: &'s PolicySet, met: Met, host: &str) -> Option<&'s str> {
    let host = to_mapped(host.parse().expect("an address"));
    let entry = compiled(set, Mode::Enforce).policy_of(met, &host)?;
    Some(&set.policies[usize::from(entry.index)].name)
}

fn verdict(role: Role, class: Class, confidence: Confidence) -> Verdict {
    Verdict {
        kind: kind::SKYPE,
        class: class.number(),
        role: role.number(),
        confidence: confidence.number(),
        ..Verdict::default()
    }
}

fn outcome(set: &PolicySet, host: &str, confidence: Confidence, gateway: Mode) -> Option<Action> {
    let verdict = verdict(Role::Client, Class::Signaling, confidence);
    decided(set, host, &verdict, gateway)
}

fn decided(set: &PolicySet, host: &str, verdict: &Verdict, gateway: Mode) -> Option<Action> {
    let key = FlowKey {
        inside: to_mapped(host.parse().expect("an address")),
        protocol: TCP,
        ..FlowKey::default()
    };
    let compiled = compiled(set, gateway);
    let (_, entry) = compiled.decide(&key, Met::default(), false, verdict)?;
    Some(Action::from_number(entry.action))
}

#[test]
fn the_longest_prefix_decides_in_both_families() {
    let set = PolicySet::new(vec![
        policy("all", &["0.0.0.0/0"], Action::Alert),
        policy("net", &["10.0.0.0/8", "fd00::/8"], Action::Drop),
        policy("host", &["10.1.2.3/32", "fd00::7/128"], Action::Allow),
    ]);
    for (host, name) in [
        ("192.0.2.1", Some("all")),
        ("10.1.2.4", Some("net")),
        ("10.1.2.3", Some("host")),
        ("fd00::1", Some("net")),
        ("fd00::7", Some("host")),
        ("2001:db8::1", None),
    ] {
        assert_eq!(name_of(&set, Met::default(), host), name, "{host}");
    }
}

#[test]
fn a_vlans_policies_go_before_an_interfaces_and_those_before_all_others() {
    let mut by_vlan = policy("vlan", &["10.0.0.0/8"], Action::Allow);
    by_vlan.vlans = vec![7];
    let mut by_interface = policy("interface", &["10.1.0.0/16"], Action::Allow);
    by_interface.interfaces = vec!["eth2".into()];
    let mut set = PolicySet::new(vec![
        policy("anywhere", &["10.1.2.0/24"], Action::Allow),
        by_interface,
        by_vlan,
    ]);
    set.interfaces = vec!["eth1".into(), "eth2".into()];
    let met = |vlan, interface| Met { interface, vlan };
    for (met, host, name) in [
        (met(7, 2), "10.1.2.3", Some("vlan")),
        (met(8, 2), "10.1.2.3", Some("interface")),
        (met(0, 1), "10.1.2.3", Some("anywhere")),
        (met(0, 0), "10.1.2.3", Some("anywhere")),
        (met(0, 1), "10.9.9.9", None),
        (met(7, 1), "10.9.9.9", Some("vlan")),
        (met(7, 2), "192.0.2.1", None),
    ] {
        assert_eq!(name_of(&set, met, host), name, "{met:?} {host}");
    }
}

#[test]
fn every_ipv6_host_is_no_ipv4_host() {
    let everyone = PolicySet::new(vec![policy("six", &["::/0"], Action::Drop)]);
    for host in [
        "::",
        "::1",
        "::fffe:0:1",
        "::1:0:0:1",
        "2001:db8::1",
        "ffff::",
    ] {
        assert_eq!(
            name_of(&everyone, Met::default(), host),
            Some("six"),
            "{host}"
        );
    }
    for host in ["0.0.0.0", "10.0.0.1", "255.255.255.255"] {
        assert_eq!(name_of(&everyone, Met::default(), host), None, "{host}");
    }
    assert_eq!(compiled(&everyone, Mode::Enforce).prefixes().count(), 96);
}

#[test]
fn a_policys_exempt_hosts_are_its_own() {
    let mut wide = policy("wide", &["10.0.0.0/8", "10.1.2.128/25"], Action::Drop);
    wide.exempt = vec!["10.1.0.0/16".parse().expect("a prefix")];
    let narrow = policy("narrow", &["10.1.2.0/24"], Action::Drop);
    for policies in [vec![wide.clone(), narrow.clone()], vec![narrow, wide]] {
        let set = PolicySet::new(policies);
        for (host, name) in [
            ("10.2.0.1", Some("wide")),
            ("10.1.0.1", None),
            ("10.1.2.3", Some("narrow")),
            ("10.1.2.130", None),
        ] {
            assert_eq!(name_of(&set, Met::default(), host), name, "{host}");
        }
    }
}

#[test]
fn each_prefix_of_each_policy_has_a_number_of_its_own() {
    let mut one = policy("one", &["10.0.0.0/8", "10.1.0.0/16"], Action::Drop);
    one.vlans = vec![10, 20];
    let mut two = policy("two", &["10.0.0.0/8"], Action::Drop);
    two.vlans = vec![30];
    let numbers = |set: &PolicySet| -> BTreeSet<(u16, u32)> {
        let compiled = compiled(set, Mode::Enforce);
        compiled
            .prefixes()
            .map(|(_, _, entry)| (entry.index, entry.subnet))
            .collect()
    };
    let set = PolicySet::new(vec![one.clone(), two.clone()]);
    let both = numbers(&set);
    assert_eq!(both.len(), 3);
    let subnets: BTreeSet<u32> = both.iter().map(|(_, subnet)| *subnet).collect();
    assert_eq!(subnets.len(), 3);
    // In another order they are the same.
    let turned = numbers(&PolicySet::new(vec![two, one]));
    assert_eq!(subnets, turned.iter().map(|(_, subnet)| *subnet).collect());
}

#[test]
fn only_enforcing_on_both_sides_with_enough_confidence_drops() {
    use Confidence::{Exact, Heuristic, Strong};
    let mut watched = policy("watched", &["10.2.0.0/16"], Action::Drop);
    watched.mode = Mode::Monitor;
    let mut sure = policy("sure", &["10.3.0.0/16"], Action::Drop);
    sure.confidence = Exact;
    let set = PolicySet::new(vec![
        policy("plain", &["10.1.0.0/16"], Action::Drop),
        watched,
        sure,
        policy("allowed", &["10.4.0.0/16"], Action::Allow),
        policy("refused", &["10.6.0.0/16"], Action::Reject),
    ]);
    for (host, confidence, gateway, action) in [
        ("10.1.0.1", Strong, Mode::Enforce, Some(Action::Drop)),
        ("10.1.0.1", Heuristic, Mode::Enforce, Some(Action::Alert)),
        ("10.1.0.1", Exact, Mode::Monitor, Some(Action::Alert)),
        ("10.2.0.1", Exact, Mode::Enforce, Some(Action::Alert)),
        ("10.3.0.1", Strong, Mode::Enforce, Some(Action::Alert)),
        ("10.3.0.1", Exact, Mode::Enforce, Some(Action::Drop)),
        ("10.4.0.1", Exact, Mode::Enforce, Some(Action::Allow)),
        ("10.4.0.1", Heuristic, Mode::Monitor, Some(Action::Allow)),
        ("10.5.0.1", Exact, Mode::Enforce, None),
        ("10.6.0.1", Strong, Mode::Enforce, Some(Action::Reject)),
        ("10.6.0.1", Heuristic, Mode::Enforce, Some(Action::Alert)),
    ] {
        let found = outcome(&set, host, confidence, gateway);
        assert_eq!(found, action, "{host} {confidence} {gateway}");
    }
}

#[test]
fn the_built_in_configuration_drops_in_private_networks_and_monitors() {
    let config = Config::default_for_replay();
    assert!(config.warnings.is_empty());
    assert_eq!(config.gateway, Gateway::default());
    assert_eq!(config.gateway.mode, Mode::Monitor);
    for host in ["10.9.8.7", "172.31.0.1", "192.168.1.34", "fd12::1"] {
        let action = outcome(&config.policies, host, Confidence::Strong, Mode::Enforce);
        assert_eq!(action, Some(Action::Drop), "{host}");
    }
    assert_eq!(
        name_of(&config.policies, Met::default(), "172.32.0.1"),
        None
    );
    assert_eq!(config.hash.len(), 64);
}

#[test]
fn what_is_ambiguous_has_an_action_of_its_own() {
    let mut one = policy("one", &["10.0.0.0/8"], Action::Drop);
    let done = |policy: &Policy, gateway| {
        let set = PolicySet::new(vec![policy.clone()]);
        decided(&set, "10.0.0.1", &Verdict::AMBIGUOUS, gateway)
    };
    assert_eq!(done(&one, Mode::Enforce), Some(Action::Allow));
    one.rules.default = Some(Action::Allow.into());
    one.rules.ambiguous = Some(Action::Drop.into());
    // It has no confidence, so none can be asked of it.
    one.confidence = Confidence::Exact;
    assert_eq!(done(&one, Mode::Enforce), Some(Action::Drop));
    assert_eq!(done(&one, Mode::Monitor), Some(Action::Alert));
    one.mode = Mode::Monitor;
    assert_eq!(done(&one, Mode::Enforce), Some(Action::Alert));
    let stranger = decided(
        &PolicySet::new(vec![one]),
        "192.0.2.1",
        &Verdict::AMBIGUOUS,
        Mode::Enforce,
    );
    assert_eq!(stranger, None);
}

#[test]
fn what_accompanies_an_action_is_that_of_the_strictest_that_has_some() {
    let with = |action: Action, dscp| Rule {
        dscp,
        ..Rule::from(action)
    };
    let rules = |rule| Rules {
        default: Some(rule),
        ..Rules::default()
    };
    let several = [
        rules(with(Action::Allow, Some(1))),
        rules(with(Action::Throttle, None)),
        rules(with(Action::Alert, Some(3))),
    ];
    let several: Vec<_> = several.iter().collect();
    let together = Rules::together(&several, Role::Client, Class::Voice, 0);
    assert_eq!(
        (together.action, together.dscp),
        (Action::Throttle, Some(3))
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(Path::new("any.toml"), &text);
    }

    #[test]
    fn no_broken_configuration_panics(cut in 0usize..9000, noise in "\\PC{0,8}", drop in 0usize..20) {
        let (_, rest) = include_str!("../../../docs/policy.md").split_once("```toml\n").expect("a policy");
        let (whole, _) = rest.split_once("```").expect("its end");
        let from = cut % (whole.len() + 1);
        let to = (from + drop).min(whole.len());
        let text = format!("{}{noise}{}", &whole[..from], &whole[to..]);
        if let Err(problems) = parse(Path::new("any.toml"), &text) {
            prop_assert!(problems.has_errors());
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}
