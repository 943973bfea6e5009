//! What hosts do for others is found in time, and nobody is accused of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use skype_ips::policy::{Config, Mode, Role};
use skype_ips::replay::simulated::{JudgingGateway, START};
use skype_ips::simulator::gateway::Seen;
use skype_ips::simulator::net::Header;
use skype_ips::simulator::party::Figures;
use skype_ips::simulator::scenario::{self, Achieved, Scenario};

/// In what role each is played: ready scenarios, and those of `tests/simulated/scenarios`.
const PLAYED: [&str; 20] = [
    "relay",
    "relay-video",
    "relay-file",
    "relay-tcp",
    "relay-mixed",
    "relay-many",
    "super-node",
    "super-node-2006",
    "two-skype-calls",
    "skype-conference",
    "two-files",
    "popular",
    "call",
    "call-hole-punched",
    "video",
    "file-transfer",
    "fallback-443",
    "proxy",
    "listening-port",
    "two-subnets",
];
/// Outside hosts that have to be served before anybody can speak of a super node.
const SERVED: usize = 6;
/// How soon a role has to be found.
const IN_TIME: Duration = Duration::from_secs(15);

/// A role that a host played, and when it was found.
#[derive(Clone, Copy, Debug)]
struct Played {
    role: Role,
    began: Duration,
    found: Option<Duration>,
}

/// What came of one scenario with one seed.
#[derive(Debug, Default)]
struct Came {
    seed: u64,
    played: Vec<Played>,
    accused: Vec<String>,
}

pub(crate) fn load(name: &str) -> Scenario {
    if scenario::ready().iter().any(|ready| ready.name == name) {
        return scenario::load(name).expect("a ready scenario");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulated/scenarios");
    let path = folder.join(format!("{name}.toml"));
    scenario::load(&path.to_string_lossy()).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

/// What the simulator says that a host did for others.
#[derive(Debug, Default)]
struct Truth {
    /// When each session of its began to be carried.
    sessions: Vec<Duration>,
    /// Outside clients that came by themselves, and those of them that were answered.
    came: BTreeSet<IpAddr>,
    answered: BTreeSet<IpAddr>,
    /// When the sixth was.
    serves: Option<Duration>,
}

fn play(name: &str, seed: u64) -> Came {
    let scenario = load(name);
    let servers = scenario.parties.iter().enumerate().filter(|(party, one)| {
        one.kind == scenario::Kind::SuperNode && is_inside(&scenario, *party)
    });
    let addresses: BTreeMap<IpAddr, usize> = servers
        .map(|(party, _)| (IpAddr::V4(scenario.parties[party].address), party))
        .collect();
    let others = scenario
        .parties
        .iter()
        .filter(|one| one.kind != scenario::Kind::Client);
    let others = others.map(|one| IpAddr::V4(one.address)).collect();
    let mut truths: BTreeMap<IpAddr, Truth> = BTreeMap::new();
    for address in addresses.keys() {
        truths.insert(*address, Truth::default());
    }
    let mut gateway = JudgingGateway::new(&scenario, &Config::default_for_replay(), Mode::Monitor);
    let mut next = Duration::ZERO;
    let mut see = |now: Duration, seen: Seen<'_>, _: bool, achieved: &dyn Fn() -> Vec<Achieved>| {
        if now >= next {
            next = now + Duration::from_millis(250);
            let achieved = achieved();
            for (address, party) in &addresses {
                let figures = achieved.iter().filter(|one| one.party == *party);
                let carried: u64 = figures.map(|one: &Achieved| relayed(&one.figures)).sum();
                let truth = truths.get_mut(address).expect("one of each");
                truth.sessions.resize(carried as usize, now);
            }
        }
        note(&mut truths, &others, now, &seen);
    };
    gateway.play(&scenario, seed, &mut see);
    let report = gateway.finish();
    let at = |nanos: u64| Duration::from_nanos(nanos - START);
    let mut came = Came {
        seed,
        ..Came::default()
    };
    let mut found: BTreeMap<IpAddr, Vec<Duration>> = BTreeMap::new();
    let mut serving: BTreeMap<IpAddr, Duration> = BTreeMap::new();
    for proof in &report.proofs {
        let host = proof.inside.ip();
        let told = || {
            format!(
                "{name} seed {seed}: {host} at {:?}: {:?}",
                at(proof.at),
                proof.evidence
            )
        };
        let names = |wanted: &str| proof.evidence.iter().any(|one| one.name == wanted);
        match proof.finding.role {
            Role::Relay if names("relay-legs") => {
                if truths
                    .get(&host)
                    .is_none_or(|truth| truth.sessions.is_empty())
                {
                    came.accused.push(told());
                }
                found.entry(host).or_default().push(at(proof.at));
            }
            Role::SuperNode => {
                if !truths.contains_key(&host) {
                    came.accused.push(told());
                }
                serving.entry(host).or_insert(at(proof.at));
            }
            _ => {}
        }
    }
    for (host, truth) in truths {
        // Two legs each.
        let legs = found.remove(&host).unwrap_or_default();
        if legs.len() > 2 * truth.sessions.len() {
            came.accused.push(format!(
                "{name} seed {seed}: {host}: {} legs too many",
                legs.len() - 2 * truth.sessions.len()
            ));
        }
        for (place, began) in truth.sessions.iter().enumerate() {
            came.played.push(Played {
                role: Role::Relay,
                began: *began,
                found: legs.get(2 * place).copied(),
            });
        }
        if let Some(began) = truth.serves {
            came.played.push(Played {
                role: Role::SuperNode,
                began,
                found: serving.get(&host).copied(),
            });
        }
    }
    came
}

fn relayed(figures: &Figures) -> u64 {
    figures.relayed_sessions
}

fn is_inside(scenario: &Scenario, party: usize) -> bool {
    let network = &scenario.networks[scenario.parties[party].network];
    network.side == scenario::Side::Inside
}

/// Notes which clients come to a super node, and whom of them it answers; `others` are none.
fn note(
    truths: &mut BTreeMap<IpAddr, Truth>,
    others: &BTreeSet<IpAddr>,
    now: Duration,
    seen: &Seen<'_>,
) {
    let Some(header) = Header::read(seen.packet) else {
        return;
    };
    let ends = [header.source, header.destination].map(|end| IpAddr::V4(*end.ip()));
    let [inside, outside] = if seen.outbound {
        ends
    } else {
        [ends[1], ends[0]]
    };
    let Some(truth) = truths
        .get_mut(&inside)
        .filter(|_| !others.contains(&outside))
    else {
        return;
    };
    if !seen.outbound && !truth.answered.contains(&outside) {
        truth.came.insert(outside);
    }
    if seen.outbound && (truth.came.contains(&outside)) {
        truth.answered.insert(outside);
        if truth.answered.len() == SERVED {
            truth.serves.get_or_insert(now);
        }
    }
}

/// Plays each with each seed, on all cores.
pub(crate) fn all<T: Send>(
    names: &[&'static str],
    seeds: std::ops::RangeInclusive<u64>,
    play: fn(&str, u64) -> T,
) -> BTreeMap<&'static str, Vec<T>> {
    let jobs = names
        .iter()
        .flat_map(|name| seeds.clone().map(move |seed| (*name, seed)));
    let jobs = std::sync::Mutex::new(jobs.collect::<Vec<_>>());
    let made = std::sync::Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || jobs.lock().expect("no thread panicked").pop();
                while let Some((name, seed)) = next() {
                    let came = play(name, seed);
                    let mut made = made.lock().expect("no thread panicked");
                    made.entry(name).or_insert_with(Vec::new).push(came);
                }
            });
        }
    });
    made.into_inner().expect("no thread panicked")
}

#[derive(Debug, Default)]
struct Tally {
    played: usize,
    found: usize,
    in_time: usize,
    took: Vec<Duration>,
}

/// A table, and what is wrong.
fn table(came: &BTreeMap<&'static str, Vec<Came>>) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let mut lines = format!(
        "{:<20} {:<11} {:>5} {:>7} {:>6} {:>10} {:>7} {:>7} {:>8}\n",
        "Scenario", "role", "runs", "played", "found", "in 15 s", "median", "worst", "accused"
    );
    for name in PLAYED.iter().filter(|name| came.contains_key(*name)) {
        let runs = &came[name];
        let accused: usize = runs.iter().map(|run| run.accused.len()).sum();
        wrong.extend(runs.iter().flat_map(|run| run.accused.clone()));
        let mut tallies: BTreeMap<Role, Tally> = BTreeMap::new();
        let all = runs
            .iter()
            .flat_map(|run| run.played.iter().map(|played| (run.seed, played)));
        for (seed, played) in all {
            let took = played.found.map(|found| found.saturating_sub(played.began));
            if took.is_none_or(|took| took > IN_TIME) {
                wrong.push(format!(
                    "{name} seed {seed}: {} found after {took:?}",
                    played.role
                ));
            }
            let tally = tallies.entry(played.role).or_default();
            tally.played += 1;
            if let Some(found) = played.found {
                let took = found.saturating_sub(played.began);
                tally.found += 1;
                tally.in_time += usize::from(took <= IN_TIME);
                tally.took.push(took);
            }
        }
        if tallies.is_empty() {
            lines += &format!(
                "{name:<20} {:<11} {:>5} {:>7} {:>6} {:>10} {:>7} {:>7} {accused:>8}\n",
                "none",
                runs.len(),
                0,
                "-",
                "-",
                "-",
                "-"
            );
        }
        for (role, mut tally) in tallies {
            tally.took.sort();
            let shown = |at: Option<&Duration>| {
                at.map_or("-".into(), |took| format!("{:.1} s", took.as_secs_f64()))
            };
            lines += &format!(
                "{name:<20} {:<11} {:>5} {:>7} {:>6} {:>10} {:>7} {:>7} {accused:>8}\n",
                role.word(),
                runs.len(),
                tally.played,
                tally.found,
                tally.in_time,
                shown(tally.took.get(tally.took.len() / 2)),
                shown(tally.took.last()),
            );
        }
    }
    (lines, wrong)
}

#[test]
fn every_role_is_found_in_time_and_nobody_is_accused() {
    let (table, wrong) = table(&all(&PLAYED, crate::played::seeds(), play));
    println!("{table}");
    assert!(wrong.is_empty(), "{table}{}", wrong.join("\n"));
}

/// Seeds on which no bound was tuned.
pub(crate) const REPORTED: std::ops::RangeInclusive<u64> = 2001..=2200;

/// `cargo xtask eval --roles` prints what is between the marks.
#[test]
#[ignore = "takes minutes, and a release build"]
fn two_hundred_seeds_of_each_scenario() {
    let (table, wrong) = table(&all(&PLAYED, REPORTED, play));
    println!("roles begin\n{table}roles end\n{}", wrong.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
