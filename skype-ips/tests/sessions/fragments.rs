//! Sets of fragments as the only evidence.

use skype_ips::simulator::speech::Process;

use crate::script::{Host, MS, Script};
use crate::trial;
use crate::wire::{Flow, Note};

/// Whether a set of fragments is found that one end sends the other; nothing else of either is
/// seen but, where the peer answers, the question.
fn found(seed: u64, outbound: bool) -> bool {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    let peer = script.peer();
    let ends = (host.end, peer);
    let mut directory = Process::super_node(&mut script.rng);
    let mut asker = Process::client(&mut script.rng);
    let request = if outbound {
        asker.message(&mut script.rng, 15).id
    } else {
        script.ask(0, &mut host, peer, 15).1.id
    };
    let len = script.rng.usize(6000..12_000);
    let parts = directory.fragments(&mut script.rng, request, len);
    for (index, part) in (0..).zip(parts) {
        let time = 90 * MS + index * 12 * MS;
        script.datagram(time, ends, outbound, part, Note::default());
    }
    let session = script.end();
    let flow: Flow = session.packets[0].flow;
    trial::finds(&session, &flow)
}

#[test]
fn a_directory_node_is_found_by_the_fragments_that_it_sends() {
    for seed in 0..50 {
        assert!(found(seed, true), "seed {seed}");
    }
}

#[test]
fn who_is_answered_in_fragments_is_found() {
    for seed in 0..50 {
        assert!(found(seed, false), "seed {seed}");
    }
}
