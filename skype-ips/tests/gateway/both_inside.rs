//! Between two inside hosts both policies hold, and both budgets are paid.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use skype_ips::lab::netns::Netns;

use crate::daemon::{Daemon, under};
use crate::net::{INSIDE_HOST, Net, SKYPE_PORT, shell};
use crate::streams::opening;
use crate::throttle::{flood, holds};

const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 2);

/// Another inside host behind an interface of its own.
fn add_host(net: &Net) -> Netns {
    let other = Netns::new().expect("root may make network namespaces");
    net.gateway(&format!(
        "ip link add in1 type veth peer name eth0 netns {}",
        other.path().display()
    ));
    net.gateway("ip address add 10.9.2.1/24 dev in1");
    net.gateway("ip link set in1 up");
    shell(&other, &format!("ip address add {OTHER_HOST}/24 dev eth0"));
    shell(&other, "ip link set eth0 up");
    shell(&other, "ip route add default via 10.9.2.1");
    other
}

/// A policy for each host, with these keys.
fn config(budgets: &str, here: &str, there: &str) -> String {
    let text = format!(
        "{budgets}[[policy]]\nname = \"here\"\nsubnets = [\"10.9.1.0/24\"]\n{here}\n\
         [[policy]]\nname = \"there\"\nsubnets = [\"10.9.2.0/24\"]\n{there}\n"
    );
    under(&text).replacen(
        "[[interface]]",
        "[[interface]]\nname = \"in1\"\nside = \"inside\"\n[[interface]]",
        1,
    )
}

#[test]
fn the_stricter_of_both_policies_wins() {
    let (allow, drop) = ("default = \"allow\"", "default = \"drop\"");
    for hook in ["xdp", "tc", "off"] {
        for (here, there, passes) in [
            (allow, allow, true),
            (allow, drop, false),
            (drop, allow, false),
        ] {
            let Some(net) = Net::build() else { return };
            let other = add_host(&net);
            let daemon = Daemon::start(&net, &config("", here, there), &["--hook", hook]);
            let (mut client, mut server) = Net::connection(&net.inside, (&other, OTHER_HOST), 4001);
            client.write_all(&opening()).expect("an open connection");
            std::thread::sleep(Duration::from_millis(100));
            client.write_all(b"more").expect("room in the socket");
            server
                .set_read_timeout(Some(Duration::from_secs(1)))
                .expect("a time-out");
            let mut heard = vec![0; opening().len() + 4];
            let arrived = server.read_exact(&mut heard).is_ok();
            assert_eq!(arrived, passes, "hook {hook}: {here} here, {there} there");
            daemon.stop();
        }
    }
}

#[test]
fn both_budgets_are_paid() {
    let budgets = "[[budget]]\nname = \"slow\"\nrate = \"20 KB/s\"\nburst = \"6 KB\"\n\
                   [[budget]]\nname = \"fast\"\nrate = \"1 MB/s\"\n";
    let throttle = |name| format!("default = {{ throttle = \"{name}\" }}");
    let (slow, fast) = (throttle("slow"), throttle("fast"));
    for hook in ["tc", "off"] {
        for (here, there) in [(&slow, &fast), (&fast, &slow)] {
            let Some(net) = Net::build_alone() else {
                return;
            };
            let other = add_host(&net);
            let daemon = Daemon::start(&net, &config(budgets, here, there), &["--hook", hook]);
            let server = net.serve();
            let hosts = [(&net.inside, INSIDE_HOST), (&other, OTHER_HOST)];
            // Each end is known as Skype's by what it says to the outside.
            for (host, address) in hosts {
                assert_eq!(
                    net.skype_at(host, address, 2).len(),
                    2,
                    "hook {hook}: {address}"
                );
            }
            drop(server);
            let ends = hosts.map(|(host, address)| {
                let socket = host.run(|| UdpSocket::bind((address, SKYPE_PORT)));
                socket.expect("a free port")
            });
            let (arrived, took) = flood(&ends[0], &ends[1]);
            holds(
                arrived,
                took,
                &format!("hook {hook}: {here} here, {there} there"),
            );
            daemon.stop();
        }
    }
}
