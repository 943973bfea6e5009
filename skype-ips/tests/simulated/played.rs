//! A scenario played once.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use skype_ips::simulator::gateway::Seen;
use skype_ips::simulator::play::play;
use skype_ips::simulator::scenario::{self, Achieved, Scenario};

use crate::found::{Replay, Replayed};

/// How many seeds each scenario is played with.
pub(crate) fn seeds() -> std::ops::RangeInclusive<u64> {
    let seeds = std::env::var("SKYPE_IPS_SEEDS").ok();
    1..=seeds.map_or(1, |text| text.parse().expect("SKYPE_IPS_SEEDS is a number"))
}

/// The ready scenarios.
pub(crate) fn ready() -> &'static [Scenario] {
    static READY: OnceLock<Vec<Scenario>> = OnceLock::new();
    READY.get_or_init(|| {
        let names = scenario::ready().iter().map(|ready| ready.name);
        names
            .map(|name| {
                scenario::load(name).unwrap_or_else(|problems| panic!("{name}: {problems}"))
            })
            .collect()
    })
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

/// Runs `work` for every scenario and seed, on as many threads as there are cores, and returns
/// what it made of them.
pub(crate) fn for_each<T: Send>(work: impl Fn(&'static Scenario, u64) -> T + Sync) -> Vec<T> {
    let mut jobs: Vec<_> = ready()
        .iter()
        .flat_map(|scenario| seeds().map(move |seed| (scenario, seed)))
        .collect();
    // The longest first, so that none is left alone at the end.
    jobs.sort_by_key(|(scenario, _)| scenario.parties.len());
    let jobs = Mutex::new(jobs);
    let made = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || jobs.lock().expect("no thread panicked").pop();
                while let Some((scenario, seed)) = next() {
                    let result = work(scenario, seed);
                    made.lock().expect("no thread panicked").push(result);
                }
            });
        }
    });
    made.into_inner().expect("no thread panicked")
}

/// All complaints about all scenarios, each with the scenario's name and the seed.
pub(crate) fn complaints(
    work: impl Fn(&'static Scenario, u64) -> Vec<String> + Sync,
) -> Vec<String> {
    let all = for_each(|scenario, seed| {
        let complaints = work(scenario, seed).into_iter();
        complaints
            .map(|text| format!("{} seed {seed}: {text}", scenario.name))
            .collect::<Vec<_>>()
    });
    all.concat()
}

/// What there is to know of a scenario that was played.
pub(crate) struct Play {
    pub(crate) scenario: &'static Scenario,
    pub(crate) seed: u64,
    /// Of all packets and their times.
    pub(crate) digest: u64,
    pub(crate) achieved: Vec<Achieved>,
    pub(crate) replayed: Replayed,
}

/// Every scenario played with every seed, once for all tests.
pub(crate) fn plays() -> &'static [Play] {
    static PLAYS: OnceLock<Vec<Play>> = OnceLock::new();
    PLAYS.get_or_init(|| {
        for_each(|scenario, seed| {
            let mut digest = DefaultHasher::new();
            let mut replay = Replay::of(scenario);
            let achieved = played(scenario, seed, |now, seen| {
                (now, seen.packet).hash(&mut digest);
                replay.see(now, seen);
            });
            Play {
                scenario,
                seed,
                digest: digest.finish(),
                achieved,
                replayed: replay.finish(),
            }
        })
    })
}
