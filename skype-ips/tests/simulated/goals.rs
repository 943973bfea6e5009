//! What parties achieve where nothing stands in their way.

use skype_ips::simulator::scenario::judge;

use crate::played::{for_each, played};

#[test]
fn every_party_of_every_scenario_reaches_what_it_set_out_for() {
    let unmet = for_each(|scenario, seed| {
        let achieved = played(scenario, seed, |_, _| ());
        let goals = judge(scenario, &achieved);
        assert!(!goals.is_empty(), "{} has no goals", scenario.name);
        goals
            .into_iter()
            .filter(|goal| !goal.met)
            .map(|goal| format!("{}: {}; found: {}", goal.party, goal.goal, goal.found))
            .collect()
    });
    assert!(
        unmet.is_empty(),
        "{} goals:\n{}",
        unmet.len(),
        unmet.join("\n")
    );
}

#[test]
fn the_same_seed_plays_the_same_packets_and_another_others() {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let complaints = for_each(|scenario, seed| {
        let digest = |seed| {
            let mut hasher = DefaultHasher::new();
            played(scenario, seed, |now, seen| {
                (now, seen.packet).hash(&mut hasher);
            });
            hasher.finish()
        };
        let (first, again, other) = (digest(seed), digest(seed), digest(seed + 1000));
        let mut complaints = Vec::new();
        if first != again {
            complaints.push("two runs differ".to_owned());
        }
        if first == other {
            complaints.push("another seed changes nothing".to_owned());
        }
        complaints
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
