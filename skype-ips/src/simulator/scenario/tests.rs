//! What is drawn, who is told what, and how it is judged.

use std::path::Path as FilePath;
use std::time::Duration;

use super::read::LAB;
use super::*;
use crate::simulator::party::background;
use crate::simulator::party::{CallFigures, Direction, Figures, FileFigures, Order};

fn loaded(name: &str) -> Scenario {
    load(name).unwrap_or_else(|problems| panic!("{problems}"))
}

fn number(scenario: &Scenario, name: &str) -> usize {
    let mut parties = scenario.parties.iter();
    parties
        .position(|party| party.name == name)
        .unwrap_or_else(|| panic!("no party {name}"))
}

fn whole(plan: &Plan) -> String {
    format!("{plan:?}")
}

#[test]
fn a_seed_draws_the_same_and_another_draws_others() {
    let scenario = loaded("busy-evening");
    assert_eq!(whole(&plan(&scenario, 7)), whole(&plan(&scenario, 7)));
    assert_ne!(whole(&plan(&scenario, 7)), whole(&plan(&scenario, 8)));
}

#[test]
fn what_is_drawn_lies_within_its_range() {
    let scenario = loaded("busy-evening");
    let Plan { hosts, orders } = plan(&scenario, 3);
    let friends = scenario.parties.iter().zip(&hosts);
    let friends = friends.filter(|(party, _)| party.group.as_deref() == Some("friend"));
    let mut rates = Vec::new();
    for (_, host) in friends {
        let rate = host.up.rate.expect("a rate") * 8;
        assert!((768_000 - 8..=2_000_000).contains(&rate), "{rate}");
        let delays = Duration::from_millis(9)..=Duration::from_millis(22);
        assert!(delays.contains(&host.up.delay));
        assert!((0.0..=0.004).contains(&host.down.loss));
        rates.push(rate);
    }
    rates.sort_unstable();
    rates.dedup();
    assert_eq!(rates.len(), 20, "each draws its own");
    let signs_in = orders.iter().filter(|order| order.order == Order::SignIn);
    let times: Vec<_> = signs_in.map(|order| order.at).collect();
    assert!(times.iter().all(|at| (1..=21).contains(&at.as_secs())));
    let spread = *times.iter().max().unwrap() - *times.iter().min().unwrap();
    assert!(spread > Duration::from_secs(15), "{spread:?}");
}

#[test]
fn visitors_of_a_look_alike_are_its_own_doing() {
    let scenario = loaded("relay");
    let turn = number(&scenario, "turn");
    let Plan { hosts, orders } = plan(&scenario, 1);
    let of_turn: Vec<_> = hosts
        .iter()
        .enumerate()
        .flat_map(|(host, plan)| plan.programs.iter().map(move |program| (host, program)))
        .filter(|(_, program)| program.party == turn)
        .collect();
    let visitor = number(&scenario, "internet-host-1");
    let on: Vec<_> = of_turn.iter().map(|(host, _)| *host).collect();
    assert_eq!(on, [turn, visitor]);
    let told = orders.iter().filter(|order| order.host == visitor);
    assert!(told.count() > 0, "it is told to come");
}

#[test]
fn a_server_of_its_own_is_up_before_its_skype_and_strangers_come_to_it() {
    let scenario = loaded("listening-port");
    let alice = number(&scenario, "alice");
    let Plan { hosts, orders } = plan(&scenario, 1);
    let programs = &hosts[alice].programs;
    assert!(
        matches!(
            programs[..],
            [
                ProgramPlan {
                    program: Program::BackgroundServer(background::Kind::Https),
                    ..
                },
                ProgramPlan {
                    program: Program::Client(_),
                    ..
                }
            ]
        ),
        "{programs:?}"
    );
    let come = orders.iter().filter(|order| {
        order.host != alice && hosts[order.host].programs[order.program].party == alice
    });
    let visitors: Vec<_> = come
        .map(|order| scenario.parties[order.host].name.as_str())
        .collect();
    let strangers = ["internet-host-1", "internet-host-2", "internet-host-3"];
    assert_eq!(visitors, strangers);
}

#[test]
fn who_has_an_action_to_run_runs_only_then() {
    let text = "version = 1\nname = \"t\"\nduration = \"30 s\"\n\
        networks.a = { side = \"inside\", subnet = \"10.0.0.0/24\" }\n\
        networks.b = { side = \"outside\", subnet = \"198.51.100.0/24\" }\n\
        party = [{ name = \"x\", kind = \"host\", network = \"a\", runs = [\"http\", \"ssh\"] },\n\
        { name = \"y\", kind = \"host\", network = \"a\", runs = [\"http\"] }]\n\
        action = [{ at = \"9 s\", party = \"x\", do = \"run\", for = \"4 s\" }]\n";
    let scenario = parse(FilePath::new("t.toml"), text).unwrap_or_else(|p| panic!("{p}"));
    let orders = plan(&scenario, 1).orders;
    let of = |party| orders.iter().filter(move |order| order.host == party);
    let four = Order::Run {
        lasting: Duration::from_secs(4),
    };
    assert_eq!(of(0).count(), 2, "both of its programs");
    assert!(of(0).all(|order| order.at.as_secs() == 9 && order.order == four));
    let all_the_time: Vec<_> = of(1).collect();
    assert_eq!(all_the_time.len(), 1);
    assert!(all_the_time[0].at < Duration::from_secs(1));
}

#[test]
fn nobody_who_does_nothing_reaches_a_goal_of_skypes() {
    for ready in ready() {
        let scenario = ready.scenario();
        let goals = judge(&scenario, &[]);
        assert_eq!(goals.len(), scenario.expectations.len());
        let skypes = goals.iter().filter(|goal| goal.skype);
        for goal in skypes.clone() {
            assert!(!goal.met, "{}: {goal:?}", ready.name);
        }
        let must_fail = skypes.filter(|goal| goal.if_dropped == IfDropped::Fails);
        assert!(must_fail.count() > 0, "{}", ready.name);
        let mut background = goals.iter().filter(|goal| !goal.skype);
        assert!(background.any(|goal| !goal.met), "{}", ready.name);
        let mut holds = goals.iter().filter(|goal| !goal.skype);
        assert!(holds.all(|goal| goal.if_dropped == IfDropped::Holds));
    }
}

/// Figures of a call of `call`, in which so many of a hundred packets came.
fn call(with: &str, arrived: u64, longest_gap: Duration) -> Figures {
    Figures {
        signed_in: Some(Duration::from_secs(2)),
        calls: vec![CallFigures {
            with: with.into(),
            kind: "voice",
            path: "udp",
            received: Direction {
                sent: 100,
                arrived,
                bytes: arrived * 60,
                longest_gap,
            },
            ..CallFigures::default()
        }],
        ..Figures::default()
    }
}

/// Which of alice's goals in `call` are reached if so much arrives at either end.
fn of_call(at_alice: u64, at_bob: u64, gap: Duration) -> Vec<(String, bool)> {
    let scenario = loaded("call");
    let achieved = [("alice", "bob", at_alice), ("bob", "alice", at_bob)];
    let achieved = achieved.map(|(name, with, arrived)| Achieved {
        party: number(&scenario, name),
        figures: call(with, arrived, gap),
    });
    let goals = judge(&scenario, &achieved).into_iter();
    let goals = goals.filter(|goal| goal.party == "alice" && goal.skype);
    goals.map(|goal| (goal.goal, goal.met)).collect()
}

#[test]
fn a_call_counts_what_arrives_at_both_ends() {
    let met = |at_alice, at_bob, gap| {
        let goals = of_call(at_alice, at_bob, gap).into_iter();
        goals.map(|(_, met)| met).collect::<Vec<_>>()
    };
    let short = Duration::from_millis(60);
    let names: Vec<_> = of_call(0, 0, short)
        .into_iter()
        .map(|goal| goal.0)
        .collect();
    let expected = [
        "signed in",
        "calls delivered 95 %",
        "no gap over 1.00 s",
        "path udp",
    ];
    assert_eq!(names, expected);
    assert_eq!(met(95, 100, short), [true, true, true, true]);
    assert_eq!(met(94, 100, short), [true, false, true, true]);
    assert_eq!(met(100, 94, short), [true, false, true, true]);
    assert_eq!(met(100, 100, 30 * short), [true, true, false, true]);
    // A silent end has no gap to measure, and that is no success.
    assert_eq!(met(100, 0, short), [true, false, false, true]);
}

#[test]
fn a_file_is_whole_at_both_ends_or_not_at_all() {
    let scenario = loaded("file-transfer");
    let file = |with: &str, sending, arrived| Figures {
        files: vec![FileFigures {
            with: with.into(),
            sending,
            path: "udp",
            bytes: 400_000,
            arrived,
            took: (arrived == 400_000).then_some(Duration::from_secs(3)),
        }],
        ..Figures::default()
    };
    let whole = |at_bob| {
        let achieved = [
            ("alice", file("bob", true, 400_000)),
            ("bob", file("alice", false, at_bob)),
        ];
        let achieved = achieved.map(|(name, figures)| Achieved {
            party: number(&scenario, name),
            figures,
        });
        let goals = judge(&scenario, &achieved);
        let goal = goals.iter().find(|goal| goal.goal == "files whole");
        goal.expect("it is expected").met
    };
    assert!(whole(400_000));
    assert!(!whole(399_999));
}

#[test]
fn what_the_gateway_does_not_see_is_not_said_to_fail() {
    let scenario = loaded("call");
    let goals = judge(&scenario, &[]);
    let of = |party| goals.iter().find(|goal| goal.party == party && goal.skype);
    assert_eq!(of("alice").expect("a goal").if_dropped, IfDropped::Fails);
    assert_eq!(of("bob").expect("a goal").if_dropped, IfDropped::Either);
}

#[test]
fn the_lab_keeps_the_gateways_address_for_itself() {
    assert!(LAB.contains(&GATEWAY));
}

#[test]
fn a_file_with_any_line_missing_is_refused_or_played() {
    let (mut refused, mut played) = (0, 0);
    for ready in ready() {
        let lines: Vec<_> = ready.text.lines().collect();
        for missing in 0..lines.len() {
            let text = [&lines[..missing], &lines[missing + 1..]]
                .concat()
                .join("\n");
            match parse(FilePath::new(ready.name), &text) {
                Ok(scenario) => {
                    assert_eq!(plan(&scenario, 1).hosts.len(), scenario.parties.len());
                    played += 1;
                }
                Err(problems) => {
                    assert!(problems.has_errors());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 300 && played > 300, "{refused} {played}");
}
