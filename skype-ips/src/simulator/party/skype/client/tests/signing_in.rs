//! Signing in, over every rung and through every proxy, and staying so.

use super::*;
use crate::simulator::speech::proxy::Proxy;

fn sign_in(blocked: Blocked, change: impl FnOnce(&mut Client)) -> Figures {
    let mut net = Net::new(1, blocked, LINK);
    let client = net.client(Place::Translated, change);
    net.play(90);
    net.figures(client)
}

#[test]
fn both_generations_sign_in_over_udp() {
    for generation in [Generation::Y2006, Generation::Y2015] {
        let figures = sign_in(Blocked::default(), |client| client.generation = generation);
        let at = figures.signed_in.expect("signed in");
        assert!(at < 3 * SECOND, "{at:?}");
        assert_eq!(figures.tried, ["udp"]);
    }
}

#[test]
fn without_udp_a_client_falls_back_to_tcp_and_then_to_443() {
    for (tcp_high, ways) in [(false, 2), (true, 3)] {
        let blocked = Blocked {
            udp: true,
            tcp_high,
        };
        for generation in [Generation::Y2006, Generation::Y2015] {
            let figures = sign_in(blocked, |client| client.generation = generation);
            assert_eq!(figures.tried, ["udp", "tcp", "tcp-443"][..ways]);
            let at = figures.signed_in.expect("signed in");
            assert!(5 * SECOND < at && at < 20 * SECOND, "{at:?}");
        }
    }
}

#[test]
fn a_client_that_uses_no_udp_begins_with_tcp() {
    let figures = sign_in(Blocked::default(), |client| client.udp = false);
    assert_eq!(figures.tried, ["tcp"]);
    assert!(figures.signed_in.is_some());
}

#[test]
fn port_80_is_the_last_rung() {
    let mut net = Net::perfect();
    let client = net.client(Place::Translated, |_| {});
    net.drop_what(|_, header, _| {
        let ports = [header.source.port(), header.destination.port()];
        !ports.contains(&80) && !ports.contains(&53)
    });
    net.play(90);
    let figures = net.figures(client);
    assert_eq!(figures.tried, ["udp", "tcp", "tcp-443", "tcp-80"]);
    assert!(figures.signed_in.is_some());
}

#[test]
fn through_every_kind_of_proxy_a_client_signs_in() {
    for kind in Proxy::ALL {
        let password = matches!(kind, Proxy::HttpPassword | Proxy::Socks5Password);
        let address = SocketAddrV4::new(PROXIES[usize::from(password)], kind.port());
        for (udp, ways) in [(false, &["proxy"][..]), (true, &["udp", "proxy"])] {
            let blocked = Blocked {
                udp: true,
                tcp_high: false,
            };
            let figures = sign_in(blocked, |client| {
                client.udp = udp;
                client.proxy = Some(ProxyUse { kind, address });
            });
            assert!(figures.signed_in.is_some(), "{kind:?}");
            assert_eq!(figures.tried, ways);
        }
    }
}

#[test]
fn a_proxy_that_wants_a_password_lets_nobody_through_without() {
    let address = SocketAddrV4::new(PROXIES[1], Proxy::HttpConnect.port());
    let figures = sign_in(Blocked::default(), |client| {
        client.udp = false;
        let kind = Proxy::HttpConnect;
        client.proxy = Some(ProxyUse { kind, address });
    });
    assert_eq!((figures.signed_in, figures.tried), (None, vec!["proxy"]));
}

#[test]
fn the_built_in_nodes_help_when_the_cache_is_stale() {
    let figures = sign_in(Blocked::default(), |client| {
        client.host_cache = vec![end("203.0.113.31:40000")];
        client.bootstrap = vec![end(NODES[1])];
    });
    let at = figures.signed_in.expect("signed in");
    assert!(at > 10 * SECOND, "{at:?}");
}

#[test]
fn when_nobody_answers_it_gives_up_and_tries_again_later() {
    let mut net = Net::perfect();
    let client = net.client(Place::Translated, |client| {
        client.host_cache = vec![end("203.0.113.31:40000")];
    });
    net.play(400);
    let figures = net.figures(client);
    assert_eq!(figures.signed_in, None);
    let attempt = ["udp", "tcp", "tcp-443", "tcp-80"];
    assert_eq!(figures.tried, attempt.repeat(figures.tried.len() / 4));
    assert!(figures.tried.len() >= 8, "{:?}", figures.tried);
}

#[test]
fn a_client_that_has_signed_out_is_silent() {
    let mut net = Net::perfect();
    let client = net.client(Place::Public, |_| {});
    net.order(30, client, Order::SignOut);
    net.play(200);
    let last = net.seen.last().expect("packets").0;
    assert!(last < 40 * SECOND, "{last:?}");
    assert!(net.figures(client).signed_in.is_some());
}

#[test]
fn who_has_signed_out_can_sign_in_again() {
    let mut net = Net::perfect();
    let client = net.client(Place::Translated, |_| {});
    net.order(20, client, Order::SignOut);
    net.order(40, client, Order::SignIn);
    let over = SECOND;
    net.order(50, client, Order::Search { count: 5, over });
    net.play(60);
    let figures = net.figures(client);
    assert_eq!((figures.searches.asked, figures.searches.answered), (5, 5));
    assert_eq!(figures.tried, ["udp", "udp"]);
}

#[test]
fn questions_are_answered_by_datagram_and_over_tcp() {
    for udp in [true, false] {
        let mut net = Net::perfect();
        let client = net.client(Place::Translated, |client| client.udp = udp);
        let over = 20 * SECOND;
        net.order(10, client, Order::Search { count: 30, over });
        net.play(60);
        let searches = net.figures(client).searches;
        assert_eq!((searches.asked, searches.answered), (30, 30), "udp: {udp}");
    }
}

#[test]
fn the_same_seed_gives_the_same_packets_and_another_one_others() {
    let packets = |seed| {
        let mut net = Net::new(seed, Blocked::default(), LINK);
        let caller = net.client(Place::Translated, |_| {});
        net.client(Place::Home(NatKind::PortRestricted), |_| {});
        net.order(10, caller, call(2, 5));
        net.play(30);
        net.seen
    };
    let (first, second, other) = (packets(1), packets(1), packets(2));
    assert!(first.len() > 300);
    assert!(first == second);
    assert!(first != other);
}

fn call(with: u32, seconds: u64) -> Order {
    Order::Call {
        with: user(with),
        lasting: Duration::from_secs(seconds),
        video: None,
    }
}
