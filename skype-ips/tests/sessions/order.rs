//! Packets in a strange order.

use proptest::prelude::*;

use crate::enough::Patience;
use crate::found::cases;
use crate::mangle::Mangle;
use crate::script::{Host, MS, SECOND, Script};
use crate::sessions::Kind;
use crate::trial;
use crate::wire::Note;

fn tcp() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::SignIn, Kind::Fallback, Kind::Listener])
}

proptest! {
    #![proptest_config(cases(1000))]

    /// A SYN that is captured twice, or behind the SYN and ACK, and an ACK that comes before
    /// the only SYN of the other direction.
    #[test]
    fn handshakes_may_come_in_any_order(
        kind in tcp(),
        seed: u64,
        mangle in Mangle::any(),
    ) {
        let mangle = Mangle { mixed_handshakes: true, ..mangle };
        let outcome = trial::missed(&kind.session(seed), &mangle, Patience::SHORT);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

    /// What a receiver would put together, of eight packets with payload.
    #[test]
    fn openings_may_come_in_any_order(
        kind in tcp(),
        seed: u64,
        mangle in Mangle::any(),
    ) {
        let outcome = trial::missed(&kind.session(seed), &mangle, Patience::LONG);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

    /// Segments sent again in pieces of one byte and more.
    #[test]
    fn openings_may_come_in_pieces_of_any_size(
        kind in tcp(),
        seed: u64,
        mangle in Mangle::any(),
    ) {
        let mangle = Mangle { shortest_piece: 1, ..mangle };
        let outcome = trial::missed(&kind.session(seed), &mangle, Patience::SHORT);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

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
