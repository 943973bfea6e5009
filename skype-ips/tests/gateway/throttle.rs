//! Budgets hold with every hook, also without a classifier.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, under};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST, SKYPE_PORT};

/// Bytes a second of the budget of these tests.
const RATE: f64 = 20_000.0;
const BURST: f64 = 6_000.0;
/// Bytes of a datagram with its headers.
const DATAGRAM: usize = 500;

fn policies(scope: &str) -> String {
    under(&format!(
        "[[budget]]\nname = \"slow\"\nrate = \"20 KB/s\"\nburst = \"6 KB\"\nscope = \"{scope}\"\n\
         [[policy]]\nname = \"skype\"\nsubnets = [\"10.0.0.0/8\"]\ndefault = {{ throttle = \"slow\" }}\n"
    ))
}

/// Sends ten times the rate for a while from `from` to the outside host: what arrives there, and how
/// long that took, seconds.
pub(crate) fn flood(from: &UdpSocket, to: &UdpSocket) -> (f64, f64) {
    let address = to.local_addr().expect("it is bound");
    let start = Instant::now();
    let mut sent = 0;
    let mut arrived = 0;
    let mut buffer = [0; 2048];
    to.set_nonblocking(true).expect("an option of sockets");
    while start.elapsed() < Duration::from_secs(3) {
        let due = start.elapsed().as_secs_f64() * RATE * 10.0;
        while f64::from(sent) < due {
            from.send_to(&[0x55; DATAGRAM - 28], address)
                .expect("a route");
            sent += DATAGRAM as u32;
        }
        while to.recv(&mut buffer).is_ok() {
            arrived += DATAGRAM;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = start.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(100));
    while to.recv(&mut buffer).is_ok() {
        arrived += DATAGRAM;
    }
    (arrived as f64, took)
}

/// No more than the budget says, and most of it.
pub(crate) fn holds(arrived: f64, took: f64, case: &str) {
    let most = RATE * took + BURST + DATAGRAM as f64;
    assert!(
        arrived <= most,
        "{case}: {arrived} bytes in {took} s, {most} at most"
    );
    assert!(
        arrived >= 0.8 * RATE * took,
        "{case}: {arrived} bytes in {took} s"
    );
}

#[test]
fn a_host_gets_what_its_budget_has_room_for() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build_alone() else {
            return;
        };
        let server = net.serve();
        let daemon = Daemon::start(&net, &policies("host"), &["--hook", hook]);
        assert_eq!(
            net.skype(2).len(),
            2,
            "hook {hook}: there is room for a few"
        );
        drop(server);
        let from = net
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, SKYPE_PORT)));
        let to = net.outside.run(|| UdpSocket::bind((OUTSIDE_HOST, 7777)));
        let (arrived, took) = flood(&from.expect("free"), &to.expect("free"));
        holds(arrived, took, &format!("hook {hook}"));
        let _server = net.serve();
        assert_eq!(net.plain(30), 30, "hook {hook}: the rest has no budget");
        daemon.stop();
    }
}

#[test]
fn hosts_of_two_queues_share_the_budget_of_their_subnet() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build_alone() else {
            return;
        };
        let server = net.serve();
        // Its last bit leads to the other queue.
        crate::net::shell(&net.inside, "ip address add 10.9.1.3/24 dev eth0");
        let daemon = Daemon::start(&net, &policies("subnet"), &["--hook", hook]);
        let hosts = [[10, 9, 1, 2], [10, 9, 1, 3]];
        for host in hosts {
            assert_eq!(
                net.skype_at(&net.inside, host.into(), 2).len(),
                2,
                "hook {hook}: {host:?}"
            );
        }
        drop(server);
        let ends = hosts.map(|host| {
            let from = net
                .inside
                .run(|| UdpSocket::bind((std::net::Ipv4Addr::from(host), SKYPE_PORT)));
            let to = net
                .outside
                .run(|| UdpSocket::bind((OUTSIDE_HOST, 7000 + u16::from(host[3]))));
            (from.expect("free"), to.expect("free"))
        });
        let shares: Vec<(f64, f64)> = std::thread::scope(|scope| {
            let floods = ends
                .each_ref()
                .map(|(from, to)| scope.spawn(move || flood(from, to)));
            floods
                .into_iter()
                .map(|flood| flood.join().expect("no panic"))
                .collect()
        });
        let arrived: f64 = shares.iter().map(|share| share.0).sum();
        let took = shares.iter().map(|share| share.1).fold(0.0, f64::max);
        holds(arrived, took, &format!("hook {hook}"));
        daemon.stop();
    }
}

#[test]
fn what_passes_is_marked_and_the_operators_other_bits_stay() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        net.gateway("iptables -t mangle -A PREROUTING -p udp -j MARK --set-xmark 0x800/0xff00");
        net.gateway("iptables -t mangle -A POSTROUTING -p udp -m mark --mark 0x810/0xfff0");
        let config = under(
            "[[policy]]\nname = \"skype\"\nsubnets = [\"10.0.0.0/8\"]\n\
             default = { action = \"allow\", mark = { value = 0x10, mask = 0xf0 } }\n",
        );
        let daemon = Daemon::start(&net, &config, &["--hook", hook]);
        assert_eq!(net.skype(10).len(), 10, "hook {hook}");
        assert_eq!(net.plain(10), 10, "hook {hook}");
        let counted = net.gateway("iptables -t mangle -L POSTROUTING -v -x -n");
        let marked = counted.lines().find(|line| line.contains("0x810/0xfff0"));
        let packets = marked.and_then(|line| line.split_whitespace().next());
        // All probes but the first, with which nobody knew yet, and all answers to them.
        assert_eq!(packets, Some("18"), "hook {hook}: {counted}");
        daemon.stop();
    }
}
