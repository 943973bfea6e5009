use std::net::Ipv4Addr;

use super::*;
use crate::detect::generator::Sent;
use crate::detect::udp::Answer;

fn question(id: u16) -> Message {
    Message::Payload(Sent {
        id,
        iv: 1,
        check: 2,
        len: 18,
    })
}

fn acknowledgement(id: u16) -> Message {
    Message::Answer(Answer {
        id,
        nack: false,
        named: Ipv4Addr::new(192, 0, 2, 1),
        challenge: 0,
    })
}

/// Messages by their millisecond, whether the inside host sent them, and numbered from 1.
fn opening(messages: &[(u64, bool, Message)]) -> Opening {
    let mut opening = Opening::default();
    for ((at, outbound, message), packet) in messages.iter().zip(1..) {
        opening.observe(at * MILLISECOND, *outbound, message, packet);
    }
    opening
}

fn circumstances(opening: Option<Opening>) -> Circumstances {
    Circumstances {
        opening,
        is_peer: false,
        failed: Vec::new(),
        packet: 9,
    }
}

/// A second of a call with so many bytes each way.
fn call(bytes: u64) -> Counters {
    Counters {
        packets: [50; 2],
        bytes: [bytes; 2],
        large: [0; 2],
    }
}

fn path(circumstances: &Circumstances, bytes: u64) -> Option<MediaPath> {
    let said = circumstances.judge(Traffic::Voice, &call(bytes), SECOND);
    said.map(|(path, _)| path)
}

/// That of a call of a flow that began so.
fn path_after(messages: &[(u64, bool, Message)]) -> Option<MediaPath> {
    path(&circumstances(Some(opening(messages))), 5_000)
}

#[test]
fn a_question_and_its_answer_are_a_direct_path_whoever_asks() {
    let asks = [(0, true, question(1)), (30, false, question(70))];
    assert_eq!(path_after(&asks), Some(MediaPath::Direct));
    let is_asked = [(0, false, question(70)), (1, true, question(1))];
    assert_eq!(path_after(&is_asked), Some(MediaPath::Direct));
    // The other end's own question comes behind its answer.
    let both = [
        &asks[..],
        &[(40, false, question(72)), (41, true, question(3))],
    ]
    .concat();
    assert_eq!(path_after(&both), Some(MediaPath::Direct));
}

#[test]
fn a_hole_is_punched_where_both_ask_first() {
    let asked = [(0, true, question(1)), (500, true, question(3))];
    for answer in [question(5), acknowledgement(70)] {
        let crossed = [
            &asked[..],
            &[(600, false, question(70)), (601, true, answer)],
        ]
        .concat();
        let circumstances = circumstances(Some(opening(&crossed)));
        let (path, evidence) = circumstances
            .judge(Traffic::Voice, &call(5_000), SECOND)
            .expect("both were heard");
        assert_eq!((path, evidence.bits), (MediaPath::HolePunched, 0));
        let cited: Vec<_> = evidence.cited.iter().map(|one| one.packet).collect();
        assert_eq!(cited, [1, 3, 4]);
    }
}

#[test]
fn questions_that_cross_and_get_through_needed_no_hole() {
    let crossed = [
        (0, true, question(1)),
        (20, false, question(70)),
        (21, true, question(3)),
    ];
    let ends = [
        (vec![(40, false, question(72))], MediaPath::Direct),
        // Another question, and the answer to a later one.
        (
            vec![(500, false, question(72)), (501, true, question(5))],
            MediaPath::HolePunched,
        ),
        (
            vec![(500, true, question(5)), (530, false, question(72))],
            MediaPath::HolePunched,
        ),
    ];
    for (end, path) in ends {
        let messages = [&crossed[..], &end].concat();
        assert_eq!(path_after(&messages), Some(path), "{messages:?}");
    }
}

#[test]
fn what_is_sent_later_or_answers_something_else_crosses_nothing() {
    let ends = [
        vec![(30, false, question(70)), (81, true, question(3))],
        vec![(30, false, question(70)), (31, true, acknowledgement(71))],
        vec![(30, false, question(70)), (31, true, question(1))],
        vec![(30, false, acknowledgement(1)), (31, true, question(3))],
    ];
    for end in ends {
        let messages = [&[(0, true, question(1))][..], &end].concat();
        assert_eq!(
            path_after(&messages),
            Some(MediaPath::Direct),
            "{messages:?}"
        );
    }
}

#[test]
fn without_the_beginning_nothing_is_told() {
    assert_eq!(path(&circumstances(None), 5_000), None);
    assert_eq!(path_after(&[(0, true, question(1))]), None);
}

#[test]
fn a_host_wants_to_reach_another_that_it_asks_thrice() {
    let thrice = [0, 500, 1000].map(|at| (at, true, question(at as u16)));
    assert!(opening(&thrice).failed(SECOND));
    assert!(!opening(&thrice).failed(SECOND + SEARCH + 1));
    let repeated = [0, 2000, 6000].map(|at| (at, true, question(1)));
    assert!(!opening(&repeated).failed(6 * SECOND));
    let heard = [&thrice[..], &[(1030, false, question(70))]].concat();
    assert!(!opening(&heard).failed(2 * SECOND));
}

#[test]
fn a_slow_call_with_another_than_was_tried_is_relayed() {
    let asks = opening(&[(7000, true, question(9)), (7030, false, question(70))]);
    let mut tried = circumstances(Some(asks));
    tried.failed = vec![4];
    assert_eq!(path(&tried, 2_000), Some(MediaPath::Relayed));
    // No relay grants so much, and no call goes past whom it was for.
    assert_eq!(path(&tried, 5_000), None);
    // A relay is asked, and asks nobody.
    let is_asked = opening(&[(0, false, question(70)), (1, true, question(1))]);
    assert!(is_asked.is_of_peer() && !asks.is_of_peer());
    tried.is_peer = true;
    assert_eq!(path(&tried, 2_000), Some(MediaPath::Direct));
}

#[test]
fn two_addresses_that_are_tried_at_once_are_one_peers() {
    let at = |began: u64| opening(&[(began, true, question(1))]);
    assert!(at(100).is_of_one_search(&at(900)));
    assert!(!at(100).is_of_one_search(&at(5100)));
}

#[test]
fn a_connection_of_the_peers_is_direct_and_any_other_is_not_told() {
    let mut connection = circumstances(None);
    assert_eq!(path(&connection, 5_000), None);
    connection.is_peer = true;
    assert_eq!(path(&connection, 5_000), Some(MediaPath::Direct));
}
