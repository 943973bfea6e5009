//! Every ready policy against every ready scenario, in real time, around real gateways: what the
//! policies promise must hold, and what they don't touch must be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skype_ips::lab::LabError;
use skype_ips::lab::run::{
    DaemonOptions, InForce, Options, Played, Promise, Report, Run, Treatment, promises, run,
    run_under, untouched,
};
use skype_ips::simulator::scenario::{self, Ready, Scenario, build};

const POLICIES: [&str; 4] = ["ban", "campus", "monitor", "no-relay"];
const SEED: u64 = 1;
/// Worlds at a time, for each processor: they mostly wait. See docs/lab.md for what they take.
const AT_A_TIME: usize = 5;
/// As [`AT_A_TIME`], of those for which that was too many.
const AGAIN_AT_A_TIME: usize = 1;
/// A world that is further behind the clock than this says more of the machine than of a policy.
const TOO_LATE: Duration = Duration::from_millis(50);

/// A run to be played: of which scenario, and under which policy, if under any.
#[derive(Clone, Copy, Debug)]
struct Job {
    scenario: usize,
    policy: Option<&'static str>,
}

type Outcome = Result<(Played, Option<InForce>), LabError>;

fn daemon(policy: &str) -> DaemonOptions {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    DaemonOptions {
        program: PathBuf::from(env!("CARGO_BIN_EXE_skype-ips")),
        config: Some(rules.join(format!("{policy}.toml"))),
        mode: None,
        hook: None,
    }
}

fn play(scenario: &Scenario, policy: Option<&str>) -> Outcome {
    let world = || build(scenario, SEED);
    match policy {
        Some(policy) => {
            let (played, in_force) = run_under(&daemon(policy), &world, &mut |_| ())?;
            Ok((played, Some(in_force)))
        }
        None => {
            let options = Options {
                daemon: None,
                capture_dir: None,
            };
            Ok((run(&options, &world, &mut |_| ())?.plain, None))
        }
    }
}

/// A line for whoever waits, which the harness doesn't keep back.
fn tell(line: &str) {
    // Nobody who reads it is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Plays all of them in their order, `at_a_time` for each processor.
fn play_all(scenarios: &[Scenario], jobs: &[Job], at_a_time: usize) -> Vec<Outcome> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcomes: Mutex<BTreeMap<usize, Outcome>> = Mutex::default();
    let take = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        Some((number, jobs.get(number)?))
    };
    std::thread::scope(|scope| {
        for _ in 0..(processors * at_a_time).min(jobs.len()) {
            scope.spawn(|| {
                while let Some((number, job)) = take() {
                    let scenario = &scenarios[job.scenario];
                    let outcome = play(scenario, job.policy);
                    let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                    let policy = job.policy.unwrap_or("no policy");
                    tell(&format!(
                        "{count} of {}: {} under {policy}",
                        jobs.len(),
                        scenario.name
                    ));
                    outcomes
                        .lock()
                        .expect("no one panics")
                        .insert(number, outcome);
                }
            });
        }
    });
    outcomes
        .into_inner()
        .expect("no one panics")
        .into_values()
        .collect()
}

/// What was promised, and what went wrong.
fn judged(
    scenario: &Scenario,
    plain: &Played,
    under: &Played,
    in_force: &InForce,
) -> (Vec<Promise>, Vec<String>) {
    let untouched = untouched(scenario, plain, in_force);
    let promises = promises(scenario, plain, under, in_force);
    let run = Run::new("under", scenario, under.clone(), Treatment::Configured);
    let report = Report {
        scenario,
        seed: SEED,
        runs: vec![run.expecting(scenario, &untouched)],
        promises,
    };
    let problems = report.problems();
    (report.promises, problems)
}

/// What must be among the promises, lest nothing at all be proven: the scenario, the policy, of whom,
/// what, and the policy's word.
const TOLD: [(&str, &str, &str, &str, &str); 15] = [
    ("relay", "no-relay", "carrier", "relay: voice", "drop"),
    (
        "relay",
        "no-relay",
        "carrier",
        "own voice with nina",
        "as without",
    ),
    (
        "relay",
        "campus",
        "carrier",
        "own voice with nina",
        "as without",
    ),
    ("super-node", "no-relay", "directory", "super node", "drop"),
    (
        "super-node",
        "no-relay",
        "directory",
        "own voice with nina",
        "as without",
    ),
    (
        "super-node",
        "campus",
        "directory",
        "super node",
        "throttle super-node",
    ),
    (
        "listening-port",
        "no-relay",
        "alice",
        "own voice with bob",
        "as without",
    ),
    (
        "listening-port",
        "no-relay",
        "alice",
        "own signaling, called by TCP",
        "drop",
    ),
    (
        "listening-port",
        "ban",
        "alice",
        "everyday traffic, serves https",
        "untouched",
    ),
    (
        "listening-port",
        "campus",
        "alice",
        "everyday traffic, serves https",
        "untouched",
    ),
    (
        "listening-port",
        "monitor",
        "alice",
        "everyday traffic, serves https",
        "untouched",
    ),
    (
        "listening-port",
        "no-relay",
        "alice",
        "everyday traffic, serves https",
        "untouched",
    ),
    ("call", "ban", "alice", "own voice with bob", "stopped"),
    (
        "call",
        "monitor",
        "alice",
        "own voice with bob",
        "as without",
    ),
    (
        "file-transfer",
        "campus",
        "alice",
        "own file-transfer",
        "reject",
    ),
];

#[test]
fn every_ready_policy_keeps_its_promises_in_every_ready_scenario() {
    let begun = Instant::now();
    let ready = scenario::ready().iter();
    let mut scenarios: Vec<Scenario> = ready.map(Ready::scenario).collect();
    scenarios.sort_by_key(|scenario| std::cmp::Reverse(scenario.duration));
    let policies = || POLICIES.into_iter().map(Some).chain([None]);
    // The scenarios that take longest have most parties: not all of their runs at once.
    let jobs: Vec<Job> = policies()
        .flat_map(|policy| (0..scenarios.len()).map(move |scenario| Job { scenario, policy }))
        .collect();
    let mut plain: BTreeMap<usize, Played> = BTreeMap::new();
    let mut under: Vec<(Job, Played, InForce)> = Vec::new();
    for (job, mut outcome) in jobs.iter().zip(play_all(&scenarios, &jobs, AT_A_TIME)) {
        let scenario = &scenarios[job.scenario];
        if let Err(error) = &outcome {
            if error.is_incapable() {
                println!("SKIPPED: {error}");
                return;
            }
            tell(&format!("{}: {error}; again by itself", scenario.name));
            outcome = play(scenario, job.policy);
        }
        match outcome {
            Ok((played, Some(in_force))) => under.push((*job, played, in_force)),
            Ok((played, None)) => {
                plain.insert(job.scenario, played);
            }
            Err(error) => panic!("{}: {error}", scenario.name),
        }
    }
    let (mut complaints, mut count, mut late) = (Vec::new(), 0, Vec::new());
    for (job, played, in_force) in under {
        let (scenario, reference) = (&scenarios[job.scenario], &plain[&job.scenario]);
        let (kept, problems) = examined(job, scenario, reference, &played, &in_force);
        for problem in &problems {
            tell(problem);
        }
        if !problems.is_empty() && played.behind.max(reference.behind) > TOO_LATE {
            late.push(job);
        } else {
            count += kept;
            complaints.extend(problems);
        }
    }
    // A machine that was too slow says nothing of a policy.
    for job in &late {
        let policy = job.policy.expect("it is under one");
        let name = &scenarios[job.scenario].name;
        tell(&format!(
            "{name} under {policy} was late: again with fewer beside it"
        ));
    }
    let of: BTreeSet<usize> = late.iter().map(|job| job.scenario).collect();
    let references = of.iter().map(|scenario| Job {
        scenario: *scenario,
        policy: None,
    });
    let again: Vec<Job> = references.chain(late.iter().copied()).collect();
    let mut again = play_all(&scenarios, &again, AGAIN_AT_A_TIME).into_iter();
    let mut next = || {
        let outcome = again.next().expect("as many as jobs");
        outcome.expect("it was played before")
    };
    let references: BTreeMap<usize, Played> = of.iter().map(|one| (*one, next().0)).collect();
    for job in late {
        let (played, in_force) = next();
        let in_force = in_force.expect("it is under a policy");
        let (scenario, reference) = (&scenarios[job.scenario], &references[&job.scenario]);
        let (kept, problems) = examined(job, scenario, reference, &played, &in_force);
        count += kept;
        complaints.extend(problems);
    }
    tell(&format!(
        "{count} promises in {} runs, {:.0} s",
        jobs.len(),
        begun.elapsed().as_secs_f64()
    ));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// How many promises a run had to keep, and what is wrong with it.
fn examined(
    job: Job,
    scenario: &Scenario,
    reference: &Played,
    played: &Played,
    in_force: &InForce,
) -> (usize, Vec<String>) {
    let policy = job.policy.expect("it is under one");
    let (promises, mut problems) = judged(scenario, reference, played, in_force);
    let here = TOLD
        .iter()
        .filter(|(of, under, ..)| (*of, *under) == (scenario.name.as_str(), policy));
    for (.., party, what, word) in here {
        let told = promises.iter().any(|promise| {
            (promise.party.as_str(), promise.what.as_str()) == (*party, *what)
                && promise.word == *word
                && promise.kept.is_some()
        });
        if !told {
            problems.push(format!("nothing is promised of {party}'s {what}: {word}"));
        }
    }
    let judged = promises.iter().filter(|promise| promise.kept.is_some());
    let name = format!("{} under {policy}", scenario.name);
    let problems = problems.iter().map(|problem| format!("{name}: {problem}"));
    (judged.count(), problems.collect())
}
