//! What an operator has set up goes on working.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{GATEWAY_INSIDE, INSIDE_HOST, Net, OUTSIDE_HOST, SKYPE_PORT, probe};

#[test]
fn an_operators_drop_later_in_forward_still_drops_queued_packets() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", hook]);
        net.gateway("iptables -A FORWARD -p udp --dport 7005 -j DROP");
        // Probes go to 7000 to 7009 in turn, and each is queued once: port 7005 is number 5.
        let answered = net.skype(10);
        assert_eq!(answered, [0, 1, 2, 3, 4, 6, 7, 8, 9], "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn mss_clamping_still_happens() {
    for hook in ["xdp", "off"] {
        let Some(net) = Net::build() else { return };
        net.gateway(
            "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 777",
        );
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        let listener = net
            .outside
            .run(|| TcpListener::bind((OUTSIDE_HOST, 8080)))
            .expect("a free port");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"hello").expect("an open connection");
        });
        let mut stream = net
            .inside
            .run(|| TcpStream::connect((OUTSIDE_HOST, 8080)))
            .expect("a way through");
        let mut word = [0; 5];
        stream.read_exact(&mut word).expect("an answer");
        assert!(
            max_segment(&stream) <= 777,
            "hook {hook}: {}",
            max_segment(&stream)
        );
        server.join().expect("the server ends");
        daemon.stop();
    }
}

fn max_segment(stream: &TcpStream) -> libc::c_int {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: value and length are valid for writes of the sizes given.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MAXSEG,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0);
    value
}

#[test]
fn an_operators_mark_bits_are_untouched() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        net.gateway("iptables -t mangle -A PREROUTING -p udp -j MARK --set-xmark 0x815/0xffff");
        net.gateway(
            "iptables -t mangle -A POSTROUTING -p udp -m mark --mark 0x815/0xffff -j ACCEPT",
        );
        let daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", hook]);
        let answered = net.skype(10).len() + net.plain(10);
        assert_eq!(answered, 20, "hook {hook}");
        let counted = net.gateway("iptables -t mangle -L POSTROUTING -v -x -n");
        let packets = counted
            .lines()
            .find(|line| line.contains("0x815"))
            .and_then(|line| line.split_whitespace().next());
        assert_eq!(packets, Some("40"), "hook {hook}: {counted}");
        daemon.stop();
    }
}

#[test]
fn what_goes_to_the_gateway_itself_is_never_judged() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        // The policy covers the gateway's own inside address as well.
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.skype(4), [0], "hook {hook}");

        let listener = net
            .gateway
            .run(|| TcpListener::bind((GATEWAY_INSIDE, 22)))
            .expect("a free port");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream
                .write_all(b"SSH-2.0-gateway\r\n")
                .expect("an open connection");
        });
        let mut stream = net
            .inside
            .run(|| TcpStream::connect((GATEWAY_INSIDE, 22)))
            .expect("a way in");
        let mut banner = String::new();
        stream.read_to_string(&mut banner).expect("an answer");
        assert_eq!(banner, "SSH-2.0-gateway\r\n", "hook {hook}");
        server.join().expect("the server ends");

        // Even from the endpoint that is known to be Skype, and in its own words.
        let service = net
            .gateway
            .run(|| UdpSocket::bind((GATEWAY_INSIDE, 53)))
            .expect("a free port");
        service
            .set_read_timeout(Some(Duration::from_secs(2)))
            .expect("a time-out");
        let client = net
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, SKYPE_PORT)))
            .expect("a free port");
        client
            .send_to(&probe(1, 1), (GATEWAY_INSIDE, 53))
            .expect("a route");
        let mut buffer = [0; 64];
        assert!(service.recv_from(&mut buffer).is_ok(), "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn connection_tracking_is_not_switched_on() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let count = || {
            let count = net
                .gateway
                .run(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count"));
            count.unwrap_or_else(|_| "0".to_owned()).trim().to_owned()
        };
        let _server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        net.skype(4);
        assert_eq!(net.plain(10), 10);
        assert_eq!(
            daemon.status()["firewall"]["conntrack"],
            false,
            "hook {hook}"
        );
        assert_eq!(count(), "0", "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn where_connection_tracking_is_in_use_connections_carry_what_was_judged() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    net.gateway("iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP");
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "off"]);
    assert_eq!(net.skype(4), [0]);
    // Ten connections with forty packets each: past the thirty-second one is let go.
    assert_eq!(net.plain(200), 200);
    let connections = net
        .gateway
        .run(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack"))
        .expect("the kernel lists connections");
    let judged = connections
        .lines()
        .filter(|line| line.contains(&format!("mark={}", 0x5000_0000_u32)))
        .count();
    assert_eq!(judged, 10, "{connections}");
    let received = |daemon: &Daemon| {
        let status = daemon.status();
        status["queues"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|queue| queue["received"].as_u64())
            .sum::<u64>()
    };
    // Four of Skype's and one answer, and thirty-two or so of each connection, not all four hundred.
    let queued = received(&daemon);
    assert!((320..360).contains(&queued), "{queued} packets were queued");
    daemon.stop();
}
