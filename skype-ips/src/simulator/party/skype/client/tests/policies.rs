//! What clients make of a gateway that drops packets, and of servers that go away.

use super::*;
use crate::simulator::net::Protocol;

fn call(with: u32, seconds: u64) -> Order {
    Order::Call {
        with: user(with),
        lasting: Duration::from_secs(seconds),
        video: None,
    }
}

fn involves(header: &Header, address: &str) -> bool {
    let address = *end(address).ip();
    *header.source.ip() == address || *header.destination.ip() == address
}

#[test]
fn where_all_of_skype_is_dropped_nobody_signs_in_and_nothing_is_received() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(Place::Outside, |_| {});
    net.order(20, 0, call(2, 30));
    let to = user(2);
    net.order(20, 0, Order::SendFile { to, bytes: 9_000 });
    net.order(20, 1, call(1, 30));
    net.drop_what(|_, _, ground| ground.skype);
    net.play(200);
    let [inside, outside] = [0, 1].map(|client| net.figures(client));
    assert_eq!(inside.signed_in, None);
    assert_eq!(inside.tried[..4], ["udp", "tcp", "tcp-443", "tcp-80"]);
    for call in inside.calls.iter().chain(&outside.calls) {
        assert_eq!((call.path, call.received.arrived), ("none", 0));
        assert!(call.received.sent > 400);
    }
    assert_eq!((inside.files[0].arrived, inside.files[0].took), (0, None));
}

#[test]
fn a_call_whose_path_dies_looks_for_another() {
    for relayed in [false, true] {
        let mut net = Net::perfect();
        net.client(Place::Translated, |_| {});
        // A home router that lets nobody in leaves only relays.
        let kind = NatKind::PortRestricted;
        let other = if relayed {
            Place::Home(kind)
        } else {
            Place::Outside
        };
        net.client(other, |_| {});
        net.order(20, 0, call(2, 100));
        net.drop_what(|now, header, _| now > 40 * SECOND && header.protocol == Protocol::Udp);
        net.play(160);
        for client in [0, 1] {
            let call = &net.figures(client).calls[0];
            assert_eq!(call.path, "udp", "the first path");
            let gap = call.received.longest_gap;
            assert!(6 * SECOND < gap && gap < 30 * SECOND, "{call:?}");
            assert!(call.received.share() > 0.7, "{call:?}");
        }
    }
}

#[test]
fn a_call_that_finds_no_other_path_is_dropped_at_both_ends() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(Place::Outside, |_| {});
    net.order(20, 0, call(2, 200));
    net.drop_what(|now, _, _| now > 60 * SECOND);
    net.play(300);
    for client in [0, 1] {
        let call = &net.figures(client).calls[0];
        assert!((0.15..0.25).contains(&call.received.share()), "{call:?}");
        assert!(call.received.longest_gap < 100 * SECOND, "{call:?}");
    }
}

#[test]
fn another_relay_takes_over_from_one_that_dies() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(Place::Home(NatKind::Symmetric), |_| {});
    net.order(20, 0, call(2, 100));
    net.drop_what(|now, header, _| now > 50 * SECOND && involves(header, NODES[1]));
    net.play(160);
    for client in [0, 1] {
        let call = &net.figures(client).calls[0];
        assert_eq!(call.path, "relay-udp");
        assert!(call.received.share() > 0.75, "{call:?}");
    }
}

#[test]
fn a_file_goes_on_over_another_path() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(Place::Outside, |_| {});
    let to = user(2);
    let bytes = 30_000_000;
    net.order(20, 0, Order::SendFile { to, bytes });
    net.drop_what(|now, header, _| now > 30 * SECOND && header.protocol == Protocol::Udp);
    net.play(200);
    for client in [0, 1] {
        let file = &net.figures(client).files[0];
        assert_eq!((file.path, file.arrived), ("udp", bytes));
        assert!(file.took.is_some());
    }
}

#[test]
fn another_super_node_is_found_when_the_own_one_is_gone() {
    let mut net = Net::perfect();
    let client = net.client(Place::Translated, |client| {
        client.bootstrap = NODES.iter().map(|node| end(node)).collect();
    });
    net.drop_what(|now, header, _| now > 30 * SECOND && involves(header, NODES[0]));
    net.order(
        150,
        client,
        Order::Search {
            count: 5,
            over: SECOND,
        },
    );
    net.play(200);
    let searches = net.figures(client).searches;
    assert_eq!((searches.asked, searches.answered), (5, 5));
}

#[test]
fn a_narrow_budget_slows_a_file_and_does_not_stop_it() {
    let mut net = Net::perfect();
    net.client(Place::Public, |_| {});
    net.client(Place::Outside, |_| {});
    let to = user(2);
    net.order(20, 0, Order::SendFile { to, bytes: 400_000 });
    // A bucket of 16 kB that fills at 8 kB a second.
    let (mut level, mut last) = (16_000.0, Duration::ZERO);
    net.drop_what(move |now, header, _| {
        if header.protocol != Protocol::Udp || header.destination.port() == 53 {
            return false;
        }
        level = f64::min(level + (now - last).as_secs_f64() * 8_000.0, 16_000.0);
        last = now;
        let len = 1_300.0;
        let full = level < len;
        level -= if full { 0.0 } else { len };
        full
    });
    net.play(400);
    let file = &net.figures(1).files[0];
    assert_eq!(file.arrived, 400_000);
    let took = file.took.expect("whole").as_secs_f64();
    assert!((50.0..200.0).contains(&took), "{took}");
}
