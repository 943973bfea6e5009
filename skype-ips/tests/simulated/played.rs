//! A scenario played once.

use std::time::Duration;

use skype_ips::simulator::gateway::Seen;
use skype_ips::simulator::play::play;
use skype_ips::simulator::scenario::{self, Achieved, Scenario};

/// How many seeds each scenario is played with.
pub(crate) fn seeds() -> std::ops::RangeInclusive<u64> {
    let seeds = std::env::var("SKYPE_IPS_SEEDS").ok();
    1..=seeds.map_or(1, |text| text.parse().expect("SKYPE_IPS_SEEDS is a number"))
}

/// The ready scenarios.
pub(crate) fn ready() -> Vec<Scenario> {
    let names = scenario::ready().iter().map(|ready| ready.name);
    names
        .map(|name| scenario::load(name).unwrap_or_else(|problems| panic!("{name}: {problems}")))
        .collect()
}

/// Plays it and returns what its parties achieved. `see` is shown what the gateway sees, with the
/// time since the start.
pub(crate) fn played(
    scenario: &Scenario,
    seed: u64,
    mut see: impl FnMut(Duration, Seen<'_>),
) -> Vec<Achieved> {
    let mut built = scenario::build(scenario, seed);
    let schedule = std::mem::take(&mut built.schedule);
    let until = built.until;
    play(&mut built.world, schedule, until, &mut |now, seen| {
        see(now, seen);
        true
    });
    built.achieved()
}

/// Runs `work` for every scenario and seed, on as many threads as there are cores, and collects
/// what it complains of.
pub(crate) fn for_each(work: impl Fn(&Scenario, u64) -> Vec<String> + Sync) -> Vec<String> {
    let scenarios = ready();
    let mut jobs: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| seeds().map(move |seed| (scenario, seed)))
        .collect();
    // The longest first, so that none is left alone at the end.
    jobs.sort_by_key(|(scenario, _)| scenario.parties.len());
    let jobs = std::sync::Mutex::new(jobs);
    let complaints = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((scenario, seed)) = {
                    let mut jobs = jobs.lock().expect("no thread panicked");
                    jobs.pop()
                } {
                    let found = work(scenario, seed);
                    let mut complaints = complaints.lock().expect("no thread panicked");
                    complaints.extend(
                        found
                            .into_iter()
                            .map(|text| format!("{} seed {seed}: {text}", scenario.name)),
                    );
                }
            });
        }
    });
    complaints.into_inner().expect("no thread panicked")
}
