//! Facts about policies, whatever file they came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;
use proptest::prelude::*;
use skype_ips_common::gate::Tables;
use skype_ips_common::layout::{Verdict, kind};

use super::*;
use crate::kernel::MemoryTables;

fn policy(name: &str, subnets: &[&str], default: Action) -> Policy {
    Policy {
        name: name.into(),
        subnets: subnets
            .iter()
            .map(|net| net.parse().expect("a prefix"))
            .collect(),
        default,
        ambiguous: Action::Allow,
        mode: Mode::Enforce,
        confidence: Confidence::Strong,
    }
}

fn name_of<'s>(set: &'s PolicySet, host: &str) -> Option<&'s str> {
    let host = to_mapped(host.parse().expect("an address"));
    set.of(&host).map(|(_, policy)| policy.name.as_str())
}

fn outcome(set: &PolicySet, host: &str, confidence: Confidence, gateway: Mode) -> Option<Action> {
    let host = to_mapped(host.parse().expect("an address"));
    set.effective(&host, Role::Client, Class::Signaling, confidence, gateway)
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
        assert_eq!(name_of(&set, host), name, "{host}");
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
        assert_eq!(name_of(&everyone, host), Some("six"), "{host}");
    }
    for host in ["0.0.0.0", "10.0.0.1", "255.255.255.255"] {
        assert_eq!(name_of(&everyone, host), None, "{host}");
    }
    assert_eq!(everyone.prefixes(), 96);
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
    assert_eq!(name_of(&config.policies, "172.32.0.1"), None);
    assert_eq!(config.hash.len(), 64);
}

fn any_host() -> impl Strategy<Value = IpAddr> {
    // Few bits vary, so that hosts and prefixes meet often.
    prop_oneof![
        any::<[u8; 2]>().prop_map(|[a, b]| Ipv4Addr::new(10, a & 3, 0, b & 7).into()),
        any::<[u8; 2]>()
            .prop_map(
                |[a, b]| Ipv6Addr::from_bits(u128::from(a) << 120 | u128::from(b & 7)).into()
            ),
    ]
}

fn any_word<T: Copy + std::fmt::Debug>(words: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(words)
}

prop_compose! {
    fn any_policy()(
        nets in proptest::collection::vec((any_host(), 0u8..=128), 1..4),
        default in any_word(Action::ALL),
        ambiguous in any_word(Action::ALL),
        mode in any_word(Mode::ALL),
        confidence in any_word(Confidence::ALL),
    ) -> Policy {
        let net = |(host, len): (IpAddr, u8)| {
            let net = IpNet::from(host);
            IpNet::new(host, len.min(net.max_prefix_len())).expect("not too long").trunc()
        };
        Policy {
            name: "any".into(),
            subnets: nets.into_iter().map(net).collect(),
            default,
            ambiguous,
            mode,
            confidence,
        }
    }
}

#[test]
fn what_is_ambiguous_has_an_action_of_its_own() {
    let mut one = policy("one", &["10.0.0.0/8"], Action::Drop);
    let host = to_mapped(Ipv4Addr::new(10, 0, 0, 1).into());
    let done =
        |policy: &Policy, gateway| PolicySet::new(vec![policy.clone()]).ambiguous(&host, gateway);
    assert_eq!(done(&one, Mode::Enforce), Some(Action::Allow));
    one.default = Action::Allow;
    one.ambiguous = Action::Drop;
    // It has no confidence, so none can be asked of it.
    one.confidence = Confidence::Exact;
    assert_eq!(done(&one, Mode::Enforce), Some(Action::Drop));
    assert_eq!(done(&one, Mode::Monitor), Some(Action::Alert));
    one.mode = Mode::Monitor;
    assert_eq!(done(&one, Mode::Enforce), Some(Action::Alert));
    let stranger = to_mapped(Ipv4Addr::new(192, 0, 2, 1).into());
    assert_eq!(
        PolicySet::new(vec![one]).ambiguous(&stranger, Mode::Enforce),
        None
    );
}

proptest! {
    #[test]
    fn the_gates_tables_say_what_the_policies_say(
        policies in proptest::collection::vec(any_policy(), 0..5),
        hosts in proptest::collection::vec(any_host(), 1..20),
        gateway in any_word(Mode::ALL),
        role in any_word(Role::ALL),
        class in any_word(Class::ALL),
        confidence in any_word(Confidence::ALL),
    ) {
        let set = PolicySet::new(policies);
        let mut tables = MemoryTables::new(&set.compile(gateway, 7));
        let verdict = Verdict {
            kind: kind::SKYPE,
            class: class.number(),
            role: role.number(),
            confidence: confidence.number(),
            ..Verdict::default()
        };
        for host in hosts {
            let host = to_mapped(host);
            let said = set.effective(&host, role, class, confidence, gateway);
            let row = tables.policy(&host);
            let done = row.map(|row| tables.action(row, &verdict));
            prop_assert_eq!(done, said.map(Action::number));
            let said = set.ambiguous(&host, gateway);
            let done = row.map(|row| tables.action(row, &Verdict::AMBIGUOUS));
            prop_assert_eq!(done, said.map(Action::number));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(Path::new("any.toml"), &text);
    }

    #[test]
    fn no_broken_configuration_panics(cut in 0usize..5000, noise in "\\PC{0,8}", drop in 0usize..20) {
        let whole = include_str!("default.toml");
        let from = cut % (whole.len() + 1);
        let to = (from + drop).min(whole.len());
        let text = format!("{}{noise}{}", &whole[..from], &whole[to..]);
        if let Err(problems) = parse(Path::new("any.toml"), &text) {
            prop_assert!(problems.has_errors());
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}
