//! Skype stops, everything else arrives.

use std::time::Duration;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{GATEWAY_OUTSIDE, Net, SKYPE_PORT};

fn blocks(net: &Net, hook: &str) {
    let _server = net.serve();
    let mut daemon = Daemon::start(net, CONFIG, &["--hook", hook]);
    // The second probe completes the evidence and is the first to be dropped.
    assert_eq!(net.skype(12), [0], "hook {hook}");
    assert_eq!(net.plain(30), 30, "hook {hook}");
    let alert = daemon
        .event("alert", Duration::from_secs(5))
        .expect("an alert");
    assert_eq!(alert["skype"]["scope"], "endpoint");
    assert_eq!(alert["src_port"], SKYPE_PORT);
    assert_eq!(alert["policy"]["action"], "drop");
    let status = daemon.status();
    for interface in status["hooks"].as_array().expect("a list") {
        assert_eq!(interface["hook"], hook);
        let attached: Vec<&str> = interface["attached"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|a| a.as_str())
            .collect();
        assert_eq!(
            attached.contains(&"xdp native"),
            hook == "xdp",
            "{attached:?}"
        );
        assert_eq!(
            attached.contains(&"xdp generic"),
            hook == "xdp-generic",
            "{attached:?}"
        );
        assert_eq!(
            attached.contains(&"tc ingress"),
            hook != "off",
            "{attached:?}"
        );
    }
    daemon.stop();
}

#[test]
fn skype_is_blocked_with_every_hook() {
    for hook in ["xdp", "xdp-generic", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        blocks(&net, hook);
    }
}

#[test]
fn skype_is_blocked_behind_masquerading() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
        blocks(&net, hook);
    }
}

#[test]
fn behind_masquerading_an_answer_that_names_the_gateways_address_is_evidence() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
        let _server = net.serve_with(nack);
        let mut daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(
            net.skype(1).len(),
            0,
            "hook {hook}: the NACK completes the evidence and is dropped"
        );
        let alert = daemon
            .event("alert", Duration::from_secs(5))
            .expect("an alert");
        assert_eq!(
            alert["skype"]["evidence"][0], "udp-nack-address",
            "hook {hook}, {GATEWAY_OUTSIDE}"
        );
        daemon.stop();
    }
}

#[test]
fn media_that_may_be_teams_stops_only_where_the_policy_says_so() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        // Skype is dropped; what is ambiguous passes, until a name tells.
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.checks(20).len(), 20, "hook {hook}");
        net.look_up("login.skype.com");
        assert_eq!(net.checks(10), [0; 0], "hook {hook}");
        daemon.stop();
        // The other way round.
        let config = CONFIG.replace("default = \"drop\"", "ambiguous = \"drop\"");
        let mut daemon = Daemon::start(&net, &config, &["--hook", hook]);
        assert_eq!(net.checks(10), [0; 0], "hook {hook}");
        let alert = daemon
            .event("alert", Duration::from_secs(5))
            .expect("an alert");
        assert_eq!(alert["skype"]["detected"], false);
        assert_eq!(alert["skype"]["ambiguous"], true);
        assert_eq!(alert["skype"]["evidence"][0], "stun-microsoft");
        assert_eq!(alert["policy"]["action"], "drop");
        net.look_up("teams.microsoft.com");
        assert_eq!(net.checks(20).len(), 20, "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn monitoring_reports_and_drops_nothing() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let mut daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", "tc"]);
    assert_eq!(net.skype(12).len(), 12);
    let alert = daemon
        .event("alert", Duration::from_secs(5))
        .expect("an alert");
    assert_eq!(alert["policy"]["action"], "alert");
    daemon.stop();
}

#[test]
fn bypass_lets_everything_pass_and_its_end_blocks_again() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.skype(4), [0], "hook {hook}");
        daemon.bypass(true);
        assert_eq!(daemon.status()["bypass"]["on"], true);
        assert_eq!(net.skype(10).len(), 10, "hook {hook}");
        daemon.bypass(false);
        assert_eq!(net.skype(10).len(), 0, "hook {hook}");
        daemon.stop();
    }
}

/// Answers a probe with a NACK: the probe's ID, type 7, the sender's public address, a challenge.
fn nack(probe: &[u8], from: std::net::SocketAddr) -> Option<Vec<u8>> {
    let std::net::SocketAddr::V4(from) = from else {
        return None;
    };
    let mut nack = probe[..2].to_vec();
    nack.push(0x77);
    nack.extend(from.ip().octets());
    nack.extend([1, 2, 3, 4]);
    Some(nack)
}

#[test]
fn an_address_that_the_gateway_gets_later_is_evidence_too() {
    let Some(net) = Net::build() else { return };
    net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
    let mut daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    // The provider gives it another address.
    net.gateway("ip address add 203.0.113.9/24 dev out0");
    net.gateway("iptables -t nat -F POSTROUTING");
    net.gateway("iptables -t nat -A POSTROUTING -o out0 -j SNAT --to-source 203.0.113.9");
    std::thread::sleep(Duration::from_millis(1500));
    let _server = net.serve_with(nack);
    assert_eq!(net.skype(1).len(), 0, "the NACK completes the evidence");
    let alert = daemon
        .event("alert", Duration::from_secs(5))
        .expect("an alert");
    assert_eq!(alert["skype"]["evidence"][0], "udp-nack-address");
    daemon.stop();
}

#[test]
fn a_client_that_is_translated_to_another_port_is_blocked_at_once() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    assert_eq!(net.skype(4), [0]);
    // A home router behind the gateway's inside interface lost its table: same program, new port.
    assert_eq!(net.skype_from(SKYPE_PORT + 1, 4, 3).len(), 0);
    daemon.stop();
}
