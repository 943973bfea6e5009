//! The tables say what docs/policy.md says under "What goes before what", read word by word.

use std::net::{Ipv6Addr, SocketAddr};

use skype_ips_common::layout::{DSCP_SET, UDP};

use super::*;

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

fn any_net() -> impl Strategy<Value = IpNet> {
    (any_host(), 0u8..=128).prop_map(|(host, len)| {
        let net = IpNet::from(host);
        IpNet::new(host, len.min(net.max_prefix_len()))
            .expect("not too long")
            .trunc()
    })
}

fn any_word<T: Copy + std::fmt::Debug>(words: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(words)
}

prop_compose! {
    fn any_rule()(
        action in any_word(Action::ALL),
        budgets in proptest::collection::btree_set(0u16..4, 1..3),
        mark in proptest::option::of(0u32..8),
        dscp in proptest::option::of(0u8..64),
    ) -> Rule {
        Rule {
            action,
            budgets: match action {
                Action::Throttle => budgets.into_iter().collect(),
                _ => Vec::new(),
            },
            mark: mark.map(|value| (value, 7)),
            dscp,
        }
    }
}

const PROXIES: [&str; 3] = ["192.0.2.1:1080", "192.0.2.2:1080", "[2001:db8::1]:443"];

fn proxy(place: usize) -> SocketAddr {
    PROXIES[place].parse().expect("an address with a port")
}

prop_compose! {
    fn any_rules()(
        said in proptest::collection::vec((any::<proptest::sample::Index>(), any_rule()), 0..8),
        proxies in proptest::collection::btree_set(0usize..3, 1..3),
        ports in proptest::collection::vec(1u16..5, 0..3),
    ) -> Rules {
        let mut keys = vec![RuleKey::Default, RuleKey::Ambiguous];
        keys.extend(Restriction::ALL.iter().map(|one| RuleKey::Restriction(*one)));
        keys.extend(Role::ALL.iter().map(|role| RuleKey::Role(*role)));
        keys.extend(Class::ALL.iter().map(|class| RuleKey::Class(*class)));
        keys.extend(Role::ALL.iter().flat_map(|role| {
            Class::ALL.iter().map(|class| RuleKey::Both(*role, *class))
        }));
        let mut rules = Rules::default();
        for (index, rule) in said {
            *rules.get_mut(*index.get(&keys)) = Some(rule);
        }
        if rules.only_via.is_some() {
            rules.proxies = proxies.into_iter().map(proxy).collect();
        }
        if rules.listening_port.is_some() {
            rules.ports = ports;
        }
        rules
    }
}

prop_compose! {
    pub(super) fn any_window()(
        days in proptest::collection::btree_set(any_word(Day::ALL), 1..7),
        from in 0u16..DAY,
        length in 1u16..DAY,
        rules in any_rules(),
    ) -> Window {
        let to = (from + length) % DAY;
        Window {
            days: days.into_iter().collect(),
            from,
            to: if to == 0 { DAY } else { to },
            rules,
        }
    }
}

prop_compose! {
    fn any_policy()(
        nets in proptest::collection::vec(any_net(), 1..4),
        exempt in proptest::collection::vec(any_net(), 0..3),
        vlans in proptest::collection::btree_set(1u16..4, 0..3),
        interfaces in proptest::collection::btree_set(0usize..2, 0..2),
        rules in any_rules(),
        windows in proptest::collection::vec(any_window(), 0..3),
        mode in any_word(Mode::ALL),
        confidence in any_word(Confidence::ALL),
    ) -> Policy {
        let exempt = exempt.into_iter().filter(|one| nets.iter().any(|net| net.contains(one)));
        Policy {
            name: String::new(),
            exempt: exempt.collect(),
            subnets: nets,
            vlans: vlans.into_iter().collect(),
            interfaces: interfaces.into_iter().map(|one| format!("eth{one}")).collect(),
            rules,
            windows,
            mode,
            confidence,
        }
    }
}

prop_compose! {
    /// Policies none of which has a prefix of another.
    fn any_set()(mut policies in proptest::collection::vec(any_policy(), 0..5)) -> PolicySet {
        let mut taken = BTreeSet::new();
        for (place, policy) in policies.iter_mut().enumerate() {
            policy.name = format!("p{place}");
            policy.subnets.retain(|net| taken.insert(*net));
            let own = &policy.subnets;
            policy.exempt.retain(|one| own.iter().any(|net| net.contains(one)));
        }
        let mut set = PolicySet::new(policies);
        set.interfaces = vec!["eth0".into(), "eth1".into()];
        set
    }
}

/// A flow, and what is known of it.
#[derive(Clone, Debug)]
struct Flow {
    host: IpAddr,
    vlan: u16,
    interface: u16,
    udp: bool,
    called: bool,
    outside: SocketAddr,
    ambiguous: bool,
    role: Role,
    class: Class,
    confidence: Confidence,
}

prop_compose! {
    fn any_flow()(
        host in any_host(),
        (vlan, interface) in (0u16..5, 0u16..3),
        (udp, called, ambiguous) in (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2)),
        outside in 0usize..4,
        role in any_word(Role::ALL),
        class in any_word(Class::ALL),
        confidence in any_word(Confidence::ALL),
    ) -> Flow {
        let other = SocketAddr::new(Ipv4Addr::new(198, 51, 100, 1).into(), 443);
        let outside = if outside < PROXIES.len() { proxy(outside) } else { other };
        Flow { host, vlan, interface, udp, called, outside, ambiguous, role, class, confidence }
    }
}

impl Flow {
    fn key(&self) -> FlowKey {
        FlowKey {
            protocol: if self.udp { UDP } else { TCP },
            inside: to_mapped(self.host),
            outside: to_mapped(self.outside.ip()),
            outside_port: self.outside.port(),
            ..FlowKey::default()
        }
    }

    fn met(&self) -> Met {
        Met {
            interface: self.interface,
            vlan: self.vlan,
        }
    }

    fn verdict(&self) -> Verdict {
        match self.ambiguous {
            true => Verdict::AMBIGUOUS,
            false => verdict(self.role, self.class, self.confidence),
        }
    }
}

/// What docs/policy.md says under "What goes before what", read word by word: the policy's place, what
/// is done, by which budgets, with which mark and code point.
fn by_the_book(
    set: &PolicySet,
    gateway: Mode,
    open: &Open,
    exempt: &[IpNet],
    flow: &Flow,
) -> Option<(usize, Rule)> {
    // Which policy.
    if set
        .exempt
        .iter()
        .chain(exempt)
        .any(|net| net.contains(&flow.host))
    {
        return None;
    }
    let interface = |name: &str| {
        let place = set
            .interfaces
            .iter()
            .position(|one| one == name)
            .expect("it is known");
        place as u16 + 1
    };
    let in_vlan = |policy: &Policy| policy.vlans.contains(&flow.vlan);
    let at_interface = |policy: &Policy| {
        policy
            .interfaces
            .iter()
            .any(|name| interface(name) == flow.interface)
    };
    let anywhere = |policy: &Policy| policy.vlans.is_empty() && policy.interfaces.is_empty();
    let places: [&dyn Fn(&Policy) -> bool; 3] = [&in_vlan, &at_interface, &anywhere];
    let (index, _) = places.iter().find_map(|place| {
        let policies = set
            .policies
            .iter()
            .enumerate()
            .filter(|(_, policy)| place(policy));
        let nets =
            policies.flat_map(|(index, policy)| policy.subnets.iter().map(move |net| (index, net)));
        nets.filter(|(_, net)| net.contains(&flow.host))
            .max_by_key(|(_, net)| net.prefix_len())
    })?;
    let policy = &set.policies[index];
    if policy.exempt.iter().any(|net| net.contains(&flow.host)) {
        return None;
    }
    // What it and its open windows say.
    let mut layers = vec![&policy.rules];
    for (place, window) in policy.windows.iter().enumerate() {
        if open.windows[index][place] {
            layers.push(&window.rules);
        }
    }
    let mut said: Vec<Rule> = Vec::new();
    if flow.ambiguous {
        said.extend(layers.iter().filter_map(|rules| rules.ambiguous.clone()));
    } else {
        for rules in &layers {
            let (role, class) = (flow.role as usize, flow.class as usize);
            if let Some(rule) = &rules.both[role][class] {
                said.push(rule.clone());
            } else if let Some(rule) = &rules.roles[role] {
                said.push(rule.clone());
            } else if let Some(rule) = &rules.classes[class] {
                said.push(rule.clone());
            } else if let Some(rule) = &rules.default {
                said.push(rule.clone());
            }
        }
        let naming = layers.iter().filter(|rules| rules.only_via.is_some());
        let by_proxy = naming
            .clone()
            .all(|rules| rules.proxies.contains(&flow.outside));
        for rules in &layers {
            let listening = rules
                .listening_port
                .clone()
                .filter(|_| !flow.udp && flow.called);
            said.extend(listening);
            said.extend(rules.udp.clone().filter(|_| flow.udp));
            said.extend(rules.only_via.clone().filter(|_| !by_proxy));
        }
    }
    // The strictest, with what accompanies it.
    let strictest = said
        .iter()
        .map(|rule| rule.action)
        .max()
        .unwrap_or(Action::Allow);
    let mut result = Rule::from(strictest);
    if strictest == Action::Throttle {
        let budgets: BTreeSet<u16> = said.iter().flat_map(|rule| rule.budgets.clone()).collect();
        result.budgets = budgets.into_iter().collect();
    }
    for action in Action::ALL.iter().rev() {
        for rule in said.iter().filter(|rule| rule.action == *action) {
            result.mark = result.mark.or(rule.mark);
            result.dscp = result.dscp.or(rule.dscp);
        }
    }
    // Held back.
    if gateway == Mode::Monitor || policy.mode == Mode::Monitor {
        result = Rule::from(result.action.min(Action::Alert));
    }
    let sure = flow.ambiguous || flow.confidence >= policy.confidence;
    if !sure && result.action > Action::Alert {
        result = Action::Alert.into();
    }
    Some((index, result))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_tables_say_what_the_book_says(
        mut set in any_set(),
        of_all in proptest::collection::vec(any_net(), 0..2),
        exempt in proptest::collection::vec(any_net(), 0..2),
        flows in proptest::collection::vec(any_flow(), 1..20),
        gateway in any_word(Mode::ALL),
        seed in any::<u64>(),
    ) {
        // Long prefixes, or too few hosts were left.
        let long = |net: &IpNet| net.prefix_len() > 20;
        set.exempt = of_all.into_iter().filter(long).collect();
        let exempt: Vec<IpNet> = exempt.into_iter().filter(long).collect();
        let mut bits = seed;
        let open = Open {
            windows: set.policies.iter().map(|policy| {
                policy.windows.iter().map(|_| {
                    bits = bits.rotate_left(1);
                    bits & 1 == 1
                }).collect()
            }).collect(),
        };
        let compiled = set.compile(gateway, &open, &exempt);
        for flow in flows {
            let done = compiled.decide(&flow.key(), flow.met(), flow.called, &flow.verdict());
            let done = done.map(|(policy, entry)| {
                let budgets = entry.budgets.iter().filter(|budget| **budget != 0);
                let mut budgets: Vec<u16> = budgets.map(|budget| budget - 1).collect();
                budgets.sort_unstable();
                let rule = Rule {
                    action: Action::from_number(entry.action),
                    budgets,
                    mark: (entry.mark_mask != 0).then_some((entry.mark, entry.mark_mask)),
                    dscp: (entry.dscp & DSCP_SET != 0).then_some(entry.dscp & !DSCP_SET),
                };
                (usize::from(policy.index), rule)
            });
            prop_assert_eq!(done, by_the_book(&set, gateway, &open, &exempt, &flow), "{:?}", flow);
        }
    }
}
