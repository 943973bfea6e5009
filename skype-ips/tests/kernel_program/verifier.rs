//! How much of the verifier's patience the programs use up.

use aya::programs::ProgramInfo;
use skype_ips_common::layout::Hook;

use crate::twins::Twins;

/// Where the verifier gives up (`BPF_COMPLEXITY_LIMIT_INSNS`), instructions.
const LIMIT: u32 = 1_000_000;
/// What we may use of it: kernels between those that we try count differently.
const OURS: u32 = LIMIT * 7 / 10;

#[test]
fn the_programs_stay_far_below_the_verifiers_limit() {
    let Some(mut twins) = Twins::load() else {
        return;
    };
    let used = |name, info: Result<ProgramInfo, _>| {
        let info = info.expect("the kernel tells about its programs");
        let count = info.verified_instruction_count().expect("since Linux 5.16");
        println!("verifier {name} instructions={count}");
        assert!(count < OURS, "{name}: {count} of {LIMIT} instructions");
    };
    let programs = &mut twins.programs;
    used("xdp", programs.xdp().expect("in the object").info());
    for (name, hook) in [("ingress", Hook::Ingress), ("egress", Hook::Egress)] {
        let program = programs.classifier(hook).expect("in the object");
        used(name, program.info());
    }
}
