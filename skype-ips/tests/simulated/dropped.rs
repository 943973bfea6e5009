//! What parties achieve where no packet of Skype's gets through the gateway.

use skype_ips::simulator::gateway::Gateway;
use skype_ips::simulator::scenario::{self, Achieved, Goal, IfDropped, Scenario, judge};

use crate::played::complaints;

/// Plays it before a gateway that knows what is Skype and drops it.
fn played_without_skype(scenario: &Scenario, seed: u64) -> Vec<Achieved> {
    let mut built = scenario::build(scenario, seed);
    let (world, schedule, until) = (&mut built.world, &mut built.schedule, built.until);
    let mut gateway = Gateway::new(world);
    while schedule.step(world, |at| at < until).is_some() {
        for crossing in world.take_crossing() {
            if crossing.ground.skype {
                continue;
            }
            if let Some((side, packet)) = gateway.forward(crossing, &mut |_| true) {
                world.arrived(side, packet);
            }
        }
    }
    world.advance(until);
    built.achieved()
}

#[test]
fn what_crosses_the_gateway_fails_where_skype_is_dropped_and_all_else_holds() {
    let wrong = |goal: &Goal| match goal.if_dropped {
        IfDropped::Fails => goal.met,
        IfDropped::Holds => !goal.met,
        IfDropped::Either => false,
    };
    let complaints = complaints(|scenario, seed| {
        let goals = judge(scenario, &played_without_skype(scenario, seed));
        let fails = goals.iter().any(|goal| goal.if_dropped == IfDropped::Fails);
        assert!(fails, "{}: nothing is to fail", scenario.name);
        goals
            .into_iter()
            .filter(wrong)
            .map(|goal| format!("{goal:?}"))
            .collect()
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
