//! Policies change places while packets pass.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::Hook;
use skype_ips_common::mark::Code;

use crate::frames::{INSIDE, OUTSIDE, SKYPE, key, udp};
use crate::twins::{Twins, compiled};

const PASSES: Outcome = Outcome::Pass(Code::Pass);

fn policy(subnet: &str, action: &str) -> String {
    format!(
        "version = 1\n[[policy]]\nname = \"p\"\nsubnets = [\"{subnet}\"]\ndefault = \"{action}\"\n"
    )
}

#[test]
fn policies_change_places_whole_and_keep_what_is_known() {
    let Some(mut twins) = Twins::under(&policy("10.0.0.0/8", "drop")) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let frame = udp(INSIDE, OUTSIDE, &[0x80; 40]);
    for round in 0..5 {
        for (file, expected) in [
            (policy("10.0.0.0/8", "drop"), Outcome::Drop),
            (policy("10.0.0.0/8", "allow"), PASSES),
            // A longer prefix that is gone with the next file.
            (policy("10.0.0.1/32", "drop"), Outcome::Drop),
            (policy("10.0.0.0/8", "allow"), PASSES),
            (policy("172.16.0.0/12", "drop"), PASSES),
        ] {
            twins.set_policy(&file);
            let said = twins.both(&frame, Side::InsideIngress);
            assert_eq!(said, expected, "round {round}: {file}");
        }
    }
}

#[test]
fn budgets_are_not_refilled_by_a_change_of_policies() {
    let budget = |extra: &str| {
        format!(
            "version = 1\n{extra}[[budget]]\nname = \"b\"\nrate = \"80 bit/s\"\nburst = \"1500 B\"\n\
             [[policy]]\nname = \"p\"\nsubnets = [\"10.0.0.0/8\"]\ndefault = {{ throttle = \"b\" }}\n\
             voice = {{ throttle = \"b\" }}\n"
        )
    };
    let Some(mut twins) = Twins::under(&budget("")) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let frame = udp(INSIDE, OUTSIDE, &[0x80; 1000]);
    assert_eq!(twins.both(&frame, Side::InsideIngress), PASSES);
    twins.set_policy(&budget(""));
    assert_eq!(twins.both(&frame, Side::InsideIngress), Outcome::Drop);
}

#[test]
fn no_packet_finds_a_half_filled_policy() {
    let Some(mut twins) = Twins::under(&policy("10.0.0.0/8", "drop")) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let frame = udp(INSIDE, OUTSIDE, &[0x80; 40]);
    assert_eq!(twins.both(&frame, Side::InsideIngress), Outcome::Drop);
    let programs = &mut twins.programs;
    let info = programs
        .classifier(Hook::Ingress)
        .expect("in the object")
        .info();
    let info = info.expect("the kernel tells about its programs");
    let other = SchedClassifier::from_program_info(info, "ingress".into());
    let classifier = other.expect("a second handle");
    let stop = AtomicBool::new(false);
    // All of these policies drop it, so whichever is in force, it must not pass.
    let subnets = ["10.0.0.0/8", "10.0.0.0/16", "10.0.0.1/32"];
    let (ran, passed) = std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let (mut ran, mut passed) = (0_u32, 0_u32);
            while !stop.load(Relaxed) {
                let result = classifier.test_run(TestRunOptions {
                    data_in: Some(&frame),
                    ..TestRunOptions::default()
                });
                ran += 1;
                passed += u32::from(result.expect("the kernel runs it").return_value != 2);
            }
            (ran, passed)
        });
        for round in 0..100 {
            let file = policy(subnets[round % subnets.len()], "drop");
            programs.set_policy(&compiled(&file)).expect("room");
        }
        stop.store(true, Relaxed);
        runner.join().expect("no panic")
    });
    assert!(ran > 100, "{ran} packets in 100 changes");
    assert_eq!(passed, 0, "of {ran} packets");
}

#[test]
fn the_bucket_of_a_policy_stays_wherever_it_stands_in_the_file() {
    let other = "[[policy]]\nname = \"first\"\nsubnets = [\"172.16.0.0/12\"]\n";
    let file = |before: &str| {
        format!(
            "version = 1\n[[budget]]\nname = \"b\"\nrate = \"80 bit/s\"\nburst = \"3000 B\"\nscope = \"policy\"\n\
             {before}[[policy]]\nname = \"p\"\nsubnets = [\"10.0.0.0/8\"]\ndefault = {{ throttle = \"b\" }}\n"
        )
    };
    let Some(mut twins) = Twins::under(&file("")) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let frame = udp(INSIDE, OUTSIDE, &[0x80; 1400]);
    // A host leaves as much room as it takes.
    assert_eq!(twins.both(&frame, Side::InsideIngress), PASSES);
    assert_eq!(twins.both(&frame, Side::InsideIngress), Outcome::Drop);
    twins.set_policy(&file(other));
    assert_eq!(twins.both(&frame, Side::InsideIngress), Outcome::Drop);
}
