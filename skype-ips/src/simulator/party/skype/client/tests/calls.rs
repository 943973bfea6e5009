//! Calls over every kind of path.

use super::*;
use crate::simulator::speech::proxy::Proxy;

const CONE: Place = Place::Home(NatKind::PortRestricted);
const SYMMETRIC: Place = Place::Home(NatKind::Symmetric);

fn call(with: u32, seconds: u64, video: Option<u64>) -> Order {
    Order::Call {
        with: user(with),
        lasting: Duration::from_secs(seconds),
        video,
    }
}

/// A call of thirty seconds between two: whether it was as it should be at both ends.
fn both_ways(net: &mut Net, video: Option<u64>, path: &str) {
    net.order(20, 0, call(2, 30, video));
    net.play(120);
    for client in [0, 1] {
        let figures = net.figures(client);
        let call = &figures.calls[0];
        assert_eq!(call.path, path, "{call:?}");
        assert_eq!(call.kind, if video.is_some() { "video" } else { "voice" });
        assert!(call.received.share() >= 0.95, "{call:?}");
        assert!(call.received.sent >= 400, "{call:?}");
        assert!(call.received.longest_gap < 3 * SECOND, "{call:?}");
        assert!(call.set_up.is_some_and(|time| time < 25 * SECOND));
    }
}

#[test]
fn two_with_public_addresses_call_directly() {
    let mut net = Net::perfect();
    net.client(Place::Public, |_| {});
    net.client(Place::Outside, |_| {});
    both_ways(&mut net, None, "udp");
}

#[test]
fn holes_are_punched_through_translators() {
    for other in [Place::Outside, CONE, Place::Public] {
        for video in [None, Some(300_000)] {
            let mut net = Net::perfect();
            net.client(Place::Translated, |_| {});
            net.client(other, |_| {});
            both_ways(&mut net, video, "udp");
        }
    }
}

#[test]
fn two_behind_one_gateway_call_each_other() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(Place::Translated, |_| {});
    both_ways(&mut net, None, "udp");
}

#[test]
fn one_that_is_reachable_calls_whoever_is_not() {
    let mut net = Net::perfect();
    net.client(Place::Public, |_| {});
    net.client(SYMMETRIC, |_| {});
    both_ways(&mut net, None, "udp");
}

#[test]
fn two_that_cannot_reach_each_other_meet_at_a_relay() {
    for video in [None, Some(300_000)] {
        let mut net = Net::perfect();
        net.client(Place::Translated, |_| {});
        net.client(SYMMETRIC, |_| {});
        both_ways(&mut net, video, "relay-udp");
    }
}

#[test]
fn without_udp_a_listening_port_is_called_over_tcp() {
    let blocked = Blocked {
        udp: true,
        tcp_high: false,
    };
    for (first, second) in [(Place::Translated, Place::Outside), (Place::Public, CONE)] {
        let mut net = Net::new(1, blocked, LINK);
        net.client(first, |_| {});
        net.client(second, |_| {});
        both_ways(&mut net, None, "tcp");
    }
}

#[test]
fn without_udp_and_a_listening_port_a_relay_carries_over_tcp() {
    for tcp_high in [false, true] {
        let blocked = Blocked {
            udp: true,
            tcp_high,
        };
        let mut net = Net::new(1, blocked, LINK);
        net.client(Place::Translated, |_| {});
        net.client(CONE, |_| {});
        net.order(30, 0, call(2, 30, None));
        net.play(150);
        for (client, path) in [(0, "relay-tcp"), (1, "relay-udp")] {
            let call = &net.figures(client).calls[0];
            assert_eq!(call.path, path);
            assert!(call.received.share() >= 0.95, "{call:?}");
        }
    }
}

#[test]
fn through_a_proxy_calls_go_over_tcp() {
    let address = SocketAddrV4::new(PROXIES[0], 1080);
    let kind = Proxy::Socks5;
    for (other, path) in [(Place::Outside, "tcp"), (SYMMETRIC, "relay-tcp")] {
        let blocked = Blocked {
            udp: true,
            tcp_high: false,
        };
        let mut net = Net::new(1, blocked, LINK);
        net.client(Place::Translated, |client| {
            client.udp = false;
            client.proxy = Some(ProxyUse { kind, address });
        });
        net.client(other, |_| {});
        net.order(20, 0, call(2, 30, None));
        net.play(120);
        for client in [0, 1] {
            let call = &net.figures(client).calls[0];
            assert!(call.received.share() >= 0.95, "{call:?}");
        }
        assert_eq!(net.figures(0).calls[0].path, path);
    }
}

#[test]
fn users_of_different_super_nodes_call_each_other() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(CONE, |client| client.host_cache = vec![end(NODES[2])]);
    both_ways(&mut net, None, "udp");
}

#[test]
fn the_generations_understand_each_other() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |client| {
        client.generation = Generation::Y2006;
    });
    net.client(CONE, |_| {});
    both_ways(&mut net, None, "udp");
}

#[test]
fn a_lossy_link_loses_its_share_and_no_more() {
    let lossy = LinkSpec {
        loss: 0.02,
        jitter: Duration::from_millis(5),
        ..LINK
    };
    let mut net = Net::new(3, Blocked::default(), lossy);
    net.client(Place::Translated, |_| {});
    net.client(CONE, |_| {});
    net.order(20, 0, call(2, 60, None));
    net.play(120);
    for client in [0, 1] {
        let share = net.figures(client).calls[0].received.share();
        assert!((0.93..0.98).contains(&share), "{share}");
    }
}

#[test]
fn who_is_not_there_cannot_be_called() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.order(20, 0, call(4, 30, None));
    net.play(120);
    let call = &net.figures(0).calls[0];
    assert_eq!((call.path, call.set_up), ("none", None));
    assert!(call.received.sent >= 400, "{call:?}");
    assert_eq!(call.received.share(), 0.0);
}

#[test]
fn two_calls_at_once_do_not_disturb_each_other() {
    let mut net = Net::perfect();
    net.client(Place::Public, |_| {});
    net.client(CONE, |_| {});
    net.client(Place::Outside, |_| {});
    net.order(20, 0, call(2, 30, None));
    net.order(22, 0, call(3, 30, None));
    net.play(90);
    let calls = net.figures(0).calls;
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.received.share() > 0.95));
}

#[test]
fn who_hangs_up_early_leaves_the_other_short() {
    let mut net = Net::perfect();
    net.client(Place::Public, |_| {});
    net.client(Place::Outside, |_| {});
    net.order(20, 0, call(2, 100, None));
    net.order(50, 0, Order::SignOut);
    net.play(130);
    let call = &net.figures(1).calls[0];
    assert!((0.2..0.4).contains(&call.received.share()), "{call:?}");
}
