//! None of it is taken for Skype.

use std::sync::Mutex;

use skype_ips::capture::Record;
use skype_ips::engine::Settings;
use skype_ips::policy::{Config, Mode};
use skype_ips::replay::Driver;
use skype_ips::simulator::play::play;
use skype_ips_common::parse::Link;

use crate::world::{Ready, Subject, world};

const SEEDS: u64 = 20;
/// 2015-05-18, nanoseconds since the Unix epoch.
const START: u64 = 1_431_907_200_000_000_000;

/// Which conversations the replay takes for Skype's, and how many there are.
fn accused(subject: Subject, seed: u64) -> (Vec<String>, usize) {
    let inside = ["198.51.100.0/24".parse().expect("a network")];
    let config = Config::default_for_replay();
    let mut driver = Driver::new(&config, Mode::Monitor, Settings::default(), &inside);
    let Ready {
        mut world,
        schedule,
        until,
    } = world(subject, seed);
    let mut number = 0;
    play(&mut world, schedule, until, &mut |now, seen| {
        number += 1;
        driver.packet(&Record {
            number,
            timestamp: START + now.as_nanos() as u64,
            link: Link::Raw,
            vlan: Vec::new(),
            data: seen.packet.to_vec(),
            wire_len: seen.packet.len() as u32,
        });
        true
    });
    let report = driver.finish();
    let all = report.conversations.iter();
    let accused = all.filter(|conversation| conversation.detection.is_some());
    let accused = accused.map(|conversation| format!("{subject:?}, seed {seed}: {conversation:?}"));
    (accused.collect(), report.conversations.len())
}

#[test]
fn the_engine_finds_no_skype_in_it() {
    let jobs = Subject::all().into_iter();
    let jobs = jobs.flat_map(|subject| (0..SEEDS).map(move |seed| (subject, seed)));
    let jobs = Mutex::new(jobs.collect::<Vec<_>>());
    let complaints = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((subject, seed)) = {
                    let mut jobs = jobs.lock().expect("no thread panicked");
                    jobs.pop()
                } {
                    let (mut found, conversations) = accused(subject, seed);
                    if conversations == 0 {
                        found.push(format!("{subject:?}, seed {seed}: nothing was said"));
                    }
                    let mut complaints = complaints.lock().expect("no thread panicked");
                    complaints.extend(found);
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no thread panicked");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
