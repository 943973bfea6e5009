//! Datagrams in a strange order. Segments have theirs in `found`.

use proptest::prelude::*;

use crate::found::cases;
use crate::script::{Host, MS, SECOND, Script};
use crate::trial;
use crate::wire::Note;

proptest! {
    #![proptest_config(cases(1000))]

    /// Three datagrams of a busy node, of which the later two overtake each other.
    #[test]
    fn three_states_of_a_busy_node_may_come_in_any_order(
        seed: u64,
        order in Just(vec![0, 1, 2]).prop_shuffle(),
    ) {
        let mut script = Script::new(seed);
        let mut node = Host::super_node(&mut script.rng);
        script.listens(&node);
        let mut datagrams = Vec::new();
        for index in 0..3 {
            node.process.wait_until(index * 6 * SECOND);
            datagrams.push(node.process.message(&mut script.rng, 40).datagram);
        }
        for (at, index) in (0..).zip(order) {
            let ends = (node.end, script.peer());
            let note = Note::default();
            script.datagram(at * 6 * SECOND + MS, ends, true, datagrams[index].clone(), note);
        }
        let session = script.end();
        for packet in &session.packets {
            prop_assert!(trial::finds(&session, &packet.flow), "{:?}", packet.flow);
        }
    }
}
