//! What was learned of an inside address ends when another machine has it.

use std::time::{Duration, Instant};

use crate::daemon::{Daemon, saying};
use crate::net::{Net, shell};

/// How long to wait for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(10);
const MAC: &str = "02:00:00:00:00:77";

/// How many inside hosts the daemon knows something of.
fn known(daemon: &Daemon) -> usize {
    daemon.get("/v1/hosts")["hosts"]
        .as_array()
        .expect("a list")
        .len()
}

/// The MAC that the gateway has for the inside host.
fn neighbour(net: &Net) -> String {
    net.gateway("ip neighbour show 10.9.1.2 dev in0")
}

#[test]
fn an_address_with_another_mac_is_another_host() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let config = saying("listening-port = \"reject\"");
    let mut daemon = Daemon::start(&net, &config, &["--hook", "tc"]);
    assert_eq!(net.skype(4).len(), 4);
    assert_eq!(known(&daemon), 1);

    // The same machine is asked for again.
    net.gateway("ip neighbour flush dev in0");
    assert_eq!(net.plain(1), 1);
    assert!(neighbour(&net).contains("lladdr"), "{}", neighbour(&net));

    // Another has the address now.
    shell(&net.inside, &format!("ip link set eth0 address {MAC}"));
    assert_eq!(net.plain(1), 1);
    assert!(neighbour(&net).contains(MAC), "{}", neighbour(&net));
    let event = daemon.event("audit", PATIENCE).expect("it is told");
    let audit = &event["audit"];
    assert_eq!(audit["action"], "forget", "{audit}");
    assert_eq!(audit["host"], "10.9.1.2", "{audit}");
    let reason = audit["reason"].as_str().expect("a reason");
    assert!(reason.ends_with(&format!("and is {MAC}")), "{reason}");
    assert_eq!(known(&daemon), 0);

    // Once, and not for having been asked for again.
    let deadline = Instant::now() + PATIENCE;
    assert_eq!(net.skype_from(13_022, 4, 0).len(), 4);
    while known(&daemon) == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(known(&daemon), 1, "it is learned anew");
    daemon.stop();
}
