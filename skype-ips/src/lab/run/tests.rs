//! The report of figures that are made up.

use std::path::Path;
use std::time::Duration;

use super::{Look, Played, Report, Run, Treatment};
use crate::simulator::net::program::Ground;
use crate::simulator::net::{Count, Crossed, Rates};
use crate::simulator::party::{CallFigures, Direction, Exchanges, Figures, FileFigures, Searches};
use crate::simulator::scenario::{Achieved, Scenario, parse};

const SCENARIO: &str = r#"
version = 1
name = "made-up"
duration = "20 s"
services = "internet"
networks.office = { side = "inside", subnet = "10.1.0.0/24", nat = true }
networks.internet = { side = "outside", subnet = "198.51.100.0/24" }
party = [
  { name = "alice", kind = "client", network = "office" },
  { name = "asker", kind = "client", network = "office", count = 3 },
  { name = "bob", kind = "client", network = "internet" } ]
action = [
  { at = "1 s", party = ["alice", "asker", "bob"], do = "sign-in" },
  { at = "8 s", party = "alice", do = "call", with = "bob", for = "10 s" } ]
"#;
const PLAIN: Look = Look {
    width: None,
    colour: false,
};

fn scenario() -> Scenario {
    parse(Path::new("made-up.toml"), SCENARIO).expect("no mistakes")
}

fn signed_in(seconds: u64) -> Figures {
    Figures {
        signed_in: Some(Duration::from_secs(seconds)),
        tried: vec!["udp"],
        searches: Searches {
            asked: 2,
            answered: 2,
        },
        ..Figures::default()
    }
}

fn call(with: &str, arrived: u64) -> CallFigures {
    CallFigures {
        with: with.to_owned(),
        kind: "voice",
        path: if arrived > 0 { "udp" } else { "none" },
        set_up: (arrived > 0).then_some(Duration::from_secs(1)),
        received: Direction {
            sent: 500,
            arrived,
            bytes: arrived * 100,
            longest_gap: Duration::from_millis(60),
        },
    }
}

/// Everything went well.
fn plain() -> Played {
    let mut alice = signed_in(2);
    alice.calls.push(call("bob", 500));
    alice.files.push(FileFigures {
        with: "bob".to_owned(),
        sending: true,
        path: "udp",
        bytes: 200_000,
        arrived: 200_000,
        took: Some(Duration::from_millis(3100)),
    });
    alice.exchanges.push(Exchanges {
        what: "DNS",
        begun: 5,
        done: 5,
    });
    let mut bob = signed_in(1);
    bob.calls.push(call("alice", 495));
    let askers = [3, 4, 9].map(signed_in);
    let all = [vec![alice], askers.to_vec(), vec![bob]].concat();
    let mut played = Played {
        achieved: all
            .into_iter()
            .enumerate()
            .map(|(party, figures)| Achieved { party, figures })
            .collect(),
        ..Played::default()
    };
    let rates = Rates {
        skype: [vec![0, 4000, 1000], vec![]],
        ..Rates::default()
    };
    played.rates = vec![rates];
    played
        .crossed
        .insert(Ground::skype("login"), crossed(10, 10));
    played.crossed.insert(Ground::other("DNS"), crossed(5, 5));
    played
}

fn crossed(handed: u64, emerged: u64) -> Crossed {
    let count = |packets| Count {
        packets,
        payload: 0,
    };
    Crossed {
        handed: [count(handed), count(0)],
        emerged: [count(emerged), count(0)],
    }
}

/// The inside ones got nowhere.
fn dropped() -> Played {
    let mut played = plain();
    for achieved in &mut played.achieved[..4] {
        achieved.figures = Figures {
            tried: vec!["udp", "tcp", "udp"],
            ..Figures::default()
        };
    }
    played.achieved[0].figures.calls.push(call("bob", 0));
    played.achieved[4].figures.calls.clear();
    played
        .crossed
        .insert(Ground::skype("login"), crossed(10, 1));
    played
}

fn report(scenario: &Scenario) -> Report<'_> {
    Report {
        scenario,
        seed: 7,
        runs: vec![
            Run::new("no daemon", scenario, plain(), Treatment::None),
            Run::new("enforce", scenario, dropped(), Treatment::Dropped),
        ],
        promises: Vec::new(),
    }
}

/// The lines of a section of the table.
fn section<'a>(table: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = table.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn runs_stand_side_by_side_and_groups_are_summed_up() {
    let scenario = scenario();
    let table = report(&scenario).table(PLAIN);
    assert!(
        table.starts_with("made-up: 20.0 s, seed 7, links simulated\n"),
        "{table}"
    );
    let achieved = section(&table, "what parties achieved");
    assert_eq!(
        achieved[..10].join("\n"),
        "\
party      what              no daemon                                  enforce
alice      signed in         after 2.00 s, udp                          no: udp, tcp
           voice from bob    udp, 100 % at 5.0 KB/s, gap 0.06 s         no call
           file to bob       udp, 200.0 KB in 3.10 s                    -
           searches          2 of 2 answered                            -
           DNS               5 of 5                                     -
asker (3)  signed in         3 of 3, median 4.00 s, last 9.00 s; udp 3  0 of 3
           searches          6 of 6 answered                            -
bob        signed in         after 1.00 s, udp                          after 1.00 s, udp
           voice from alice  udp, 99.0 % at 5.0 KB/s, gap 0.06 s        -"
    );
    let curves = section(&table, "bytes a second, over the run");
    assert!(curves[1].contains("Skype sent       █▂ "), "{curves:?}");
    assert!(curves[1].ends_with("  4.0 KB/s"), "{curves:?}");
    let crossed = section(&table, "packets that crossed the gateway");
    let numbers =
        |line: &str| -> Vec<u64> { line.split_whitespace().flat_map(str::parse).collect() };
    assert_eq!(numbers(crossed[2]), [10, 10, 0, 10, 1, 9]);
    assert_eq!(numbers(crossed[3]), [5, 5, 0, 5, 5, 0]);
}

#[test]
fn what_a_policy_stops_is_right_and_what_it_lets_through_is_not() {
    let scenario = scenario();
    let right = report(&scenario);
    assert_eq!(right.problems(), Vec::<String>::new());
    let mut wrong = report(&scenario);
    wrong.runs[1] = Run::new("enforce", &scenario, plain(), Treatment::Dropped);
    let problems = wrong.problems();
    assert!(
        problems
            .iter()
            .any(|told| told.starts_with("enforce: alice: signed in: NOT STOPPED")),
        "{problems:?}"
    );
    assert!(
        wrong
            .table(PLAIN)
            .contains("NOT STOPPED: 3 of 3: asker-1 (signed in after 3.00 s)")
    );
    // A configuration of one's own may want either.
    wrong.runs[1] = Run::new("enforce", &scenario, plain(), Treatment::Configured);
    assert_eq!(wrong.problems(), Vec::<String>::new());
}

#[test]
fn lost_background_is_a_problem_whatever_the_policy() {
    let scenario = scenario();
    let mut played = dropped();
    played.crossed.insert(Ground::other("DNS"), crossed(5, 3));
    let mut report = report(&scenario);
    report.runs[1] = Run::new("enforce", &scenario, played, Treatment::Configured);
    assert_eq!(
        report.problems(),
        ["enforce: the gateway lost 2 packets of background traffic"]
    );
    let last = report.json().pop().expect("a last line");
    assert_eq!(last["event_type"], "lab");
    assert_eq!(last["lab"]["runs"][1]["background_lost"], 2);
}

#[test]
fn colours_and_width_are_the_terminals() {
    let scenario = scenario();
    let report = report(&scenario);
    let narrow = report.table(Look {
        width: Some(80),
        colour: false,
    });
    for line in narrow.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!narrow.contains('\x1b'));
    let coloured = report.table(Look {
        width: None,
        colour: true,
    });
    assert!(coloured.contains("\x1b["));
}
