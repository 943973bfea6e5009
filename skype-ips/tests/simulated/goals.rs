//! What parties achieve where nothing stands in their way.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use skype_ips::simulator::scenario::{Scenario, judge};

use crate::played::{played, plays, ready};

#[test]
fn every_party_of_every_scenario_reaches_what_it_set_out_for() {
    let mut unmet = Vec::new();
    for play in plays() {
        let goals = judge(play.scenario, &play.achieved);
        assert!(!goals.is_empty(), "{} has no goals", play.scenario.name);
        for goal in goals.into_iter().filter(|goal| !goal.met) {
            unmet.push(format!(
                "{} seed {}: {}: {}; found: {}",
                play.scenario.name, play.seed, goal.party, goal.goal, goal.found
            ));
        }
    }
    assert!(
        unmet.is_empty(),
        "{} goals:\n{}",
        unmet.len(),
        unmet.join("\n")
    );
}

fn digest(scenario: &Scenario, seed: u64) -> u64 {
    let mut digest = DefaultHasher::new();
    played(scenario, seed, |now, seen| {
        (now, seen.packet).hash(&mut digest);
    });
    digest.finish()
}

#[test]
fn the_same_seed_plays_the_same_packets() {
    let differ: Vec<_> = plays()
        .iter()
        .filter(|play| digest(play.scenario, play.seed) != play.digest)
        .map(|play| (&play.scenario.name, play.seed))
        .collect();
    assert!(differ.is_empty(), "{differ:?}");
}

#[test]
fn another_seed_plays_others() {
    let scenario = &ready()[0];
    assert_ne!(digest(scenario, 1), digest(scenario, 2));
}
