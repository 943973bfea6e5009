//! What is rejected doesn't arrive, and both ends know.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpStream, UdpSocket};
use std::process::Command;

use skype_ips_common::lcg;

use crate::daemon::{Daemon, leftovers, saying};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST, PATIENCE, SKYPE_PORT, probe, shell};
use crate::streams::opening;

const REJECT: &str = "default = \"reject\"";
const PORT: u16 = 4001;

/// What an end hears next.
fn heard(end: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = [0; 2048];
    match end.read(&mut bytes) {
        Ok(len) => Ok(bytes[..len].to_vec()),
        Err(error) => Err(error.kind()),
    }
}

const RESET: Result<Vec<u8>, ErrorKind> = Err(ErrorKind::ConnectionReset);

#[test]
fn both_ends_of_a_connection_are_reset() {
    for (hook, masquerade) in [
        ("xdp", false),
        ("tc", false),
        ("off", false),
        ("tc", true),
        ("off", true),
    ] {
        let Some(net) = Net::build() else { return };
        if masquerade {
            net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
        }
        let case = format!("hook {hook}, masquerading: {masquerade}");
        let daemon = Daemon::start(&net, &saying(REJECT), &["--hook", hook]);
        let (mut client, mut server) =
            Net::connection(&net.inside, (&net.outside, OUTSIDE_HOST), PORT);
        client.write_all(&opening()).expect("an open connection");
        assert_eq!(heard(&mut client), RESET, "{case}");
        assert_eq!(heard(&mut server), RESET, "{case}");
        let status = daemon.status();
        assert_eq!(status["failures"]["reset-failed"], 0, "{case}");
        if !masquerade {
            // The handshake and the opening, or the opening alone: no reset came up.
            let queued = if hook == "off" { 4 } else { 1 };
            assert_eq!(daemon.queued(), queued, "{case}");
        }
        if hook != "off" {
            let egress = &status["kernel"]["egress"];
            assert_eq!(
                egress["packets"], 1,
                "{case}: the answer to the SYN alone: {egress}"
            );
        }
        daemon.stop();
    }
}

#[test]
fn a_reset_that_we_made_goes_to_the_inside_uncounted() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let daemon = Daemon::start(&net, &saying(REJECT), &["--hook", hook]);
        let (mut client, mut server) =
            Net::connection(&net.outside, (&net.inside, INSIDE_HOST), PORT);
        client.write_all(&opening()).expect("an open connection");
        assert_eq!(heard(&mut client), RESET, "hook {hook}");
        assert_eq!(heard(&mut server), RESET, "hook {hook}");
        let egress = &daemon.status()["kernel"]["egress"];
        if hook != "off" {
            assert_eq!(
                egress["packets"], 2,
                "hook {hook}: the SYN and the ACK: {egress}"
            );
        }
        daemon.stop();
    }
}

#[test]
fn both_ends_are_reset_over_ipv6() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        for (host, line) in [
            (&net.gateway, "ip address add fd00:1::1/64 dev in0 nodad"),
            (&net.gateway, "ip address add 2001:db8::1/64 dev out0 nodad"),
            (&net.inside, "ip address add fd00:1::2/64 dev eth0 nodad"),
            (&net.outside, "ip address add 2001:db8::2/64 dev eth0 nodad"),
            (&net.inside, "ip route add default via fd00:1::1"),
            (&net.outside, "ip route add default via 2001:db8::1"),
        ] {
            shell(host, line);
        }
        net.gateway
            .run(|| std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1"))
            .expect("root may route");
        let config = saying(REJECT).replace("10.0.0.0/8", "fd00::/8");
        let daemon = Daemon::start(&net, &config, &["--hook", hook]);
        let outside: Ipv6Addr = "2001:db8::2".parse().expect("an address");
        let (mut client, mut server) = Net::connection(&net.inside, (&net.outside, outside), PORT);
        client.write_all(&opening()).expect("an open connection");
        assert_eq!(heard(&mut client), RESET, "hook {hook}");
        assert_eq!(heard(&mut server), RESET, "hook {hook}");
        daemon.stop();
    }
}

/// Whether the kernel told the socket that nobody is there.
fn is_refused(socket: &UdpSocket, datagram: &[u8]) -> bool {
    socket.send(datagram).expect("a route");
    let mut buffer = [0; 64];
    matches!(socket.recv(&mut buffer), Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn datagrams_are_answered_with_port_unreachable() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, &saying(REJECT), &["--hook", hook]);
        let socket = net
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, SKYPE_PORT)))
            .expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut iv = 0x1234_5678;
        // The second probe completes the evidence; the third is known by its endpoint.
        let refused = [0, 1, 2].map(|number| {
            iv = lcg::next(iv);
            let to = (OUTSIDE_HOST, 7000 + number as u16);
            socket.connect(to).expect("an address");
            is_refused(&socket, &probe(number, iv))
        });
        assert_eq!(refused, [false, true, true], "hook {hook}");
        let outside = net
            .outside
            .run(|| UdpSocket::bind((OUTSIDE_HOST, 9000)))
            .expect("a free port");
        outside
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out");
        outside
            .connect((INSIDE_HOST, SKYPE_PORT))
            .expect("an address");
        assert!(
            is_refused(&outside, b"hello"),
            "hook {hook}: who calls is told too"
        );
        assert_eq!(net.plain(10), 10, "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn what_is_rejected_stops_where_an_operator_accepts_or_flushes_first() {
    for hook in ["tc", "off"] {
        for line in ["iptables -I FORWARD -j ACCEPT", "iptables -F FORWARD"] {
            let Some(net) = Net::build() else { return };
            let _server = net.serve();
            let daemon = Daemon::start(&net, &saying(REJECT), &["--hook", hook]);
            net.gateway(line);
            assert_eq!(net.skype(5), [0], "hook {hook}, {line}");
            assert_eq!(net.plain(10), 10, "hook {hook}, {line}");
            daemon.stop();
        }
    }
}

#[test]
fn the_rules_that_reject_are_listed_and_go_with_the_rest() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        net.gateway("iptables -A FORWARD -p udp --dport 1 -j DROP");
        let rejects = |daemon: &Daemon| {
            let rules = daemon.status()["firewall"]["rules"].to_string();
            rules.to_lowercase().contains("reject")
        };
        let daemon = Daemon::start(&net, &saying(REJECT), &["--hook", hook]);
        assert!(rejects(&daemon), "hook {hook}");
        daemon.signal(libc::SIGKILL);
        let (_, folder) = daemon.wait();
        let next = Daemon::start_in(&net, folder, &saying(REJECT), &["--hook", hook]);
        assert!(rejects(&next), "hook {hook}");
        next.signal(libc::SIGKILL);
        let (_, folder) = next.wait();
        let left = leftovers(&net, &folder).concat().to_lowercase();
        assert!(
            left.contains("reject"),
            "hook {hook}: rules outlive a kill: {left}"
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
        command.arg("cleanup").arg("--run-dir").arg(folder.path());
        net.gateway.place(&mut command);
        assert!(
            command
                .output()
                .expect("the binary was built")
                .status
                .success()
        );
        let rules = net.gateway("iptables-save") + &net.gateway("nft list tables");
        let rules = rules.to_lowercase();
        assert!(!rules.contains("skype"), "hook {hook}: {rules}");
        let filter = net.gateway("iptables-save -t filter");
        assert!(
            filter.contains("--dport 1 -j DROP"),
            "the operator's own stays: {filter}"
        );
    }
}
