//! How calls and files came about is told: directly, through holes, by way of a relay.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use skype_ips::detect::path::MediaPath;
use skype_ips::policy::{Class, Config, Mode, Role};
use skype_ips::replay::simulated::JudgingGateway;
use skype_ips::simulator::scenario::{Kind, Nat, Scenario, Side};

use crate::roles::{REPORTED, all, load};

/// Ready scenarios, and those of `tests/simulated/scenarios`.
const PLAYED: [&str; 18] = [
    "call",
    "called",
    "call-hole-punched",
    "called-hole-punched",
    "video",
    "file-transfer",
    "two-files",
    "two-skype-calls",
    "skype-conference",
    "popular",
    "listening-port",
    "fallback-443",
    "proxy",
    "relay",
    "relay-file",
    "relayed-call",
    "relayed-file",
    "relayed-tcp",
];

/// What lies between an inside user and the other end of a call or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Truth {
    /// A translator at one end at the most.
    Open,
    /// A translator at each.
    Translators,
    /// Somebody who relays, or a proxy.
    Third,
}

impl Truth {
    /// Whether a label is right. Where the other end's hole was open already, nothing at the gateway tells
    /// that it took one.
    fn allows(self, path: MediaPath) -> bool {
        match self {
            Self::Open => path == MediaPath::Direct,
            Self::Translators => path != MediaPath::Relayed,
            Self::Third => path == MediaPath::Relayed,
        }
    }
}

/// What was said of the flows of one run that carried media.
#[derive(Debug, Default)]
struct Came {
    said: Vec<Option<MediaPath>>,
    wrong: Vec<Wrong>,
}

/// What was said wrongly.
#[derive(Clone, Debug)]
struct Wrong {
    path: MediaPath,
    of: String,
}

/// Of a hundred flows so many may be called hole-punched that took none: where the first question is
/// lost on the line and the other end has asked by then, it looks the same.
const MOST_LOST: usize = 1;

/// Who is behind a translator, and who is no end of a call.
struct Ends {
    translated: BTreeSet<IpAddr>,
    thirds: BTreeSet<IpAddr>,
}

impl Ends {
    fn of(scenario: &Scenario) -> Self {
        let mut ends = Self {
            translated: BTreeSet::new(),
            thirds: BTreeSet::new(),
        };
        for party in &scenario.parties {
            let address = IpAddr::V4(party.address);
            let network = &scenario.networks[party.network];
            match network.nat {
                Nat::Gateway => ends.translated.insert(address),
                Nat::Home { address, .. } => ends.translated.insert(IpAddr::V4(address)),
                Nat::None => false,
            };
            if party.kind != Kind::Client && network.side == Side::Outside {
                ends.thirds.insert(address);
            }
        }
        ends
    }

    fn truth(&self, inside: IpAddr, outside: IpAddr) -> Truth {
        if self.thirds.contains(&outside) {
            Truth::Third
        } else if [inside, outside]
            .iter()
            .all(|end| self.translated.contains(end))
        {
            Truth::Translators
        } else {
            Truth::Open
        }
    }
}

fn play(name: &str, seed: u64) -> Came {
    let scenario = load(name);
    let ends = Ends::of(&scenario);
    let mut gateway = JudgingGateway::new(&scenario, &Config::default_for_replay(), Mode::Monitor);
    gateway.play(&scenario, seed, &mut |_, _, _, _| {});
    let report = gateway.finish();
    // What was last said of each while it carried media; what turned out to be a leg of the host's own
    // service is none of its user's.
    let mut said: BTreeMap<usize, Option<MediaPath>> = BTreeMap::new();
    let mut legs = BTreeSet::new();
    for proof in &report.proofs {
        let Some(conversation) = proof.conversation else {
            continue;
        };
        let media = [Class::Voice, Class::Video, Class::FileTransfer];
        if proof.finding.role == Role::Relay {
            legs.insert(conversation);
        } else if media.contains(&proof.finding.class) || proof.path.is_some() {
            said.insert(conversation, proof.path);
        }
    }
    let mut came = Came::default();
    for (index, path) in said {
        let conversation = report.conversations.get(index);
        let [src, dest] = [conversation.src, conversation.dest].map(|end| end.ip());
        let from_inside = scenario.inside().any(|network| match src {
            IpAddr::V4(src) => network.subnet.contains(&src),
            IpAddr::V6(_) => false,
        });
        let (inside, outside) = if from_inside {
            (src, dest)
        } else {
            (dest, src)
        };
        let path = path.filter(|_| !legs.contains(&index));
        let truth = ends.truth(inside, outside);
        if let Some(path) = path.filter(|path| !truth.allows(*path)) {
            let of = format!("{name} seed {seed}: {src} {dest}, {truth:?}, said to be {path:?}");
            came.wrong.push(Wrong { path, of });
        }
        if !legs.contains(&index) {
            came.said.push(path);
        }
    }
    came
}

/// A table, and what is wrong.
fn table(came: &BTreeMap<&'static str, Vec<Came>>) -> (String, Vec<Wrong>) {
    let mut lines = format!(
        "{:<20} {:>5} {:>6} {:>7} {:>13} {:>8} {:>8} {:>6}\n",
        "Scenario", "runs", "flows", "direct", "hole-punched", "relayed", "not told", "wrong"
    );
    let mut wrong = Vec::new();
    for name in PLAYED.iter().filter(|name| came.contains_key(*name)) {
        let runs = &came[name];
        let said: Vec<_> = runs.iter().flat_map(|run| &run.said).collect();
        let count = |wanted: Option<MediaPath>| said.iter().filter(|one| ***one == wanted).count();
        let mistaken: Vec<_> = runs.iter().flat_map(|run| run.wrong.clone()).collect();
        lines += &format!(
            "{name:<20} {:>5} {:>6} {:>7} {:>13} {:>8} {:>8} {:>6}\n",
            runs.len(),
            said.len(),
            count(Some(MediaPath::Direct)),
            count(Some(MediaPath::HolePunched)),
            count(Some(MediaPath::Relayed)),
            count(None),
            mistaken.len(),
        );
        wrong.extend(mistaken);
    }
    (lines, wrong)
}

/// Plays; the table, with what is wrong below it if that is too much.
fn judge(seeds: std::ops::RangeInclusive<u64>) -> (String, Result<(), String>) {
    let came = all(&PLAYED, seeds, play);
    let flows = came.values().flatten().map(|run| run.said.len());
    let flows: usize = flows.sum();
    let (table, wrong) = table(&came);
    let lost = |one: &&Wrong| one.path == MediaPath::HolePunched;
    let lost = wrong.iter().filter(lost).count();
    let list: Vec<_> = wrong.iter().map(|one| one.of.clone()).collect();
    let list = list.join("\n");
    let fair = lost == wrong.len() && lost * 100 <= flows * MOST_LOST;
    println!("{list}");
    let judged = if fair { Ok(()) } else { Err(list) };
    (table, judged)
}

#[test]
fn no_call_is_said_to_have_come_about_as_it_did_not() {
    let (table, judged) = judge(crate::played::seeds());
    assert_eq!(judged, Ok(()), "\n{table}");
}

/// `cargo xtask eval --roles` prints what is between the marks.
#[test]
#[ignore = "takes minutes, and a release build"]
fn paths_of_two_hundred_seeds_of_each_scenario() {
    let (table, judged) = judge(REPORTED);
    println!("paths begin\n{table}paths end");
    assert_eq!(judged, Ok(()));
}
