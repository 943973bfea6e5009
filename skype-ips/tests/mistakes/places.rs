//! Mistakes about which hosts a policy is for.

use super::*;

#[test]
fn equal_prefixes_are_told_apart_by_where_hosts_are_met() {
    let policy = |name: &str, rest: &str| {
        format!("[[policy]]\nname = \"{name}\"\nsubnets = [\"10.0.0.0/8\"]\n{rest}\n")
    };
    let gateway = "interface = [{ name = \"eth1\", side = \"inside\" }, \
                   { name = \"eth2\", side = \"inside\" }, { name = \"eth0\", side = \"outside\" }]";
    let text = |first: &str, second: &str| {
        format!(
            "version = 1\n{gateway}\n{}{}",
            policy("a", first),
            policy("b", second)
        )
    };
    for (first, second) in [
        ("", "vlans = [10]"),
        ("vlans = [20]", "vlans = [10]"),
        ("vlans = [10]", "interfaces = [\"eth1\"]"),
        ("interfaces = [\"eth2\"]", "interfaces = [\"eth1\"]"),
    ] {
        assert!(
            problems(&text(first, second)).is_empty(),
            "{first} {second}"
        );
    }
    for (first, second, at) in [
        ("", "", ""),
        ("vlans = [10, 20]", "vlans = [20, 30]", " in VLAN 20"),
        (
            "interfaces = [\"eth1\"]",
            "interfaces = [\"eth1\"]\nvlans = [5]",
            " at interface `eth1`",
        ),
    ] {
        let problem = only_problem(&text(first, second));
        let message = format!("policy `a` has 10.0.0.0/8{at} already");
        assert!(problem.message.contains(&message), "{problem:?}");
        assert!(problem.related.is_some(), "{problem:?}");
    }
    for (line, message, help) in [
        (
            "interfaces = [\"eth0\"]",
            "faces the outside",
            "inside interface",
        ),
        (
            "interfaces = [\"eht1\"]",
            "has no interface `eht1`",
            "did you mean \"eth1\"",
        ),
        (
            "interfaces = [\"wan\"]",
            "has no interface `wan`",
            "\"eth1\" or \"eth2\"",
        ),
    ] {
        let problem = only_problem(&text("", line));
        assert!(problem.message.contains(message), "{problem:?}");
        assert!(problem.help.contains(help), "{problem:?}");
    }
}

#[test]
fn a_policy_of_a_place_alone_is_for_every_host_there() {
    let config =
        parse("version = 1\n[[policy]]\nname = \"a\"\nvlans = [7]\n").expect("it is right");
    let subnets: Vec<_> = config.policies.policies[0]
        .subnets
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(subnets, ["0.0.0.0/0", "::/0"]);
}

#[test]
fn a_policy_that_could_stop_a_management_host_is_refused() {
    let text = |rest: &str| {
        format!(
            "version = 1\nmanagement = [\"10.0.0.5\"]\n[[policy]]\nname = \"a\"\n\
             subnets = [\"10.0.0.0/8\"]\n{rest}\n"
        )
    };
    for rest in [
        "relay = \"drop\"",
        "udp = \"reject\"",
        "ambiguous = \"drop\"",
        "vlans = [9]\ndefault = \"drop\"",
        "[[policy.window]]\nfrom = \"08:00\"\nfile-transfer = \"drop\"",
    ] {
        let problems = problems(&text(rest));
        let errors: Vec<_> = problems
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .collect();
        let [problem] = errors[..] else {
            panic!("{rest}: {problems:#?}");
        };
        assert_eq!(
            (problem.at.place.line, problem.at.place.column),
            (2, 15),
            "{rest}"
        );
        assert!(
            problem
                .message
                .contains("policy `a` could stop packets of 10.0.0.5"),
            "{problem:?}"
        );
        assert!(
            problem.help.contains("exempt = [\"10.0.0.5\"]"),
            "{problem:?}"
        );
        assert_eq!(
            problem.related.as_ref().expect("the policy").at.place.line,
            3
        );
    }
    for rest in [
        "default = \"alert\"",
        "default = \"drop\"\nexempt = [\"10.0.0.5\"]",
        "default = \"drop\"\nexempt = [\"10.0.0.0/24\"]",
        "default = \"drop\"\nmode = \"monitor\"",
    ] {
        assert!(
            parse(&text(rest)).is_ok(),
            "{rest}: {:?}",
            problems(&text(rest))
        );
    }
}
