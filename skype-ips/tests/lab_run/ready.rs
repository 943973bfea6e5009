//! Every ready scenario in real time, around a real gateway: minutes, so not in every run of the
//! tests. `cargo test --release -p skype-ips --test lab_run ready -- --ignored --nocapture`

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use skype_ips::simulator::scenario;

use crate::{records, stderr};

/// Runs at a time: each is two worlds, which must not wait for the machine.
const AT_A_TIME: usize = 3;

/// What a goal's measure may fall behind where the daemon only watches.
const ALLOWED: f64 = 0.05;
/// Times differ by more than the gateway's doing: what is drawn depends on when packets come.
const SHORT: f64 = 0.5;

#[test]
#[ignore = "plays all ready scenarios twice, in real time: some minutes"]
fn the_ready_scenarios_suffer_nothing_from_watching_and_skype_everything_from_a_drop() {
    let runs: Vec<_> = scenario::ready()
        .iter()
        .flat_map(|ready| ["monitor", "enforce"].map(|mode| (ready.name, mode)))
        .collect();
    let mut complaints = Vec::new();
    for some in runs.chunks(AT_A_TIME) {
        let playing = some.iter().map(|(name, mode)| {
            let child = Command::new(env!("CARGO_BIN_EXE_skype-ips"))
                .args(["lab", "run", name, "--mode", mode, "--json"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            (name, mode, child)
        });
        for (name, mode, child) in playing.collect::<Vec<_>>() {
            let output = child.wait_with_output().expect("it ends");
            if output.status.code() == Some(4) {
                println!("SKIPPED: {}", stderr(&output));
                continue;
            }
            let mut found = compare(&records(&output, "lab-crossing"), mode);
            if *mode == "monitor" {
                found.extend(slowed(&records(&output, "lab-party")));
            }
            if !output.status.success() {
                found.push(stderr(&output));
            }
            println!("{name} {mode}: {}", output.status);
            complaints.extend(found.iter().map(|text| format!("{name} {mode}: {text}")));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What crossed the gateway: nothing is lost without a daemon or before one that watches, and of
/// other traffic nothing ever; of Skype's something is, where it is dropped.
fn compare(crossings: &[Value], mode: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut stopped = 0;
    for crossing in crossings {
        let lost = crossing["lost"].as_u64().expect("a count");
        let skype = crossing["skype"] == true;
        match crossing["run"] == "enforce" && skype {
            true => stopped += lost,
            false if lost > 0 => complaints.push(format!(
                "{}: {lost} packets of {} lost",
                crossing["run"], crossing["what"]
            )),
            false => {}
        }
    }
    if mode == "enforce" && stopped == 0 {
        complaints.push("nothing was dropped".to_owned());
    }
    complaints
}

/// Files and calls before a daemon that watches, against those without one.
fn slowed(parties: &[Value]) -> Vec<String> {
    let measures = |run: &str| -> BTreeMap<String, (f64, f64)> {
        let mut measures = BTreeMap::new();
        for party in parties.iter().filter(|party| party["run"] == run) {
            let name = party["party"].as_str().expect("a name");
            let figures = &party["figures"];
            for (number, call) in (0..).zip(figures["calls"].as_array().into_iter().flatten()) {
                let received = &call["received"];
                let share = received["arrived"].as_f64().unwrap_or(0.0)
                    / received["sent"].as_f64().unwrap_or(0.0).max(1.0);
                measures.insert(format!("{name}: call {number}"), (1.0 - share, ALLOWED));
            }
            for (number, file) in (0..).zip(figures["files"].as_array().into_iter().flatten()) {
                let took = &file["took"];
                let took = took["secs"].as_f64().unwrap_or(f64::INFINITY)
                    + took["nanos"].as_f64().unwrap_or(0.0) / 1e9;
                measures.insert(
                    format!("{name}: file {number}"),
                    (took, took.mul_add(ALLOWED, SHORT)),
                );
            }
        }
        measures
    };
    let (plain, watched) = (measures("no daemon"), measures("monitor"));
    let mut complaints = Vec::new();
    for (what, (before, allowed)) in plain {
        let Some((after, _)) = watched.get(&what) else {
            complaints.push(format!("{what} is missing before a daemon that watches"));
            continue;
        };
        if *after > before + allowed {
            complaints.push(format!(
                "{what}: {before:.3} without a daemon, {after:.3} with one"
            ));
        }
    }
    complaints
}
