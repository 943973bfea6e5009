//! What can't be is said clearly, with the right status, and leaves nothing behind.

use std::os::unix::process::CommandExt as _;

use crate::daemon::{CONFIG, Daemon, command, leftovers};
use crate::net::Net;

/// Starts a daemon that must refuse: its exit status, what it must say, and nothing left.
fn refused(net: &Net, config: &str, arguments: &[&str], status: i32, words: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let output = command(net, &folder, config, arguments)
        .output()
        .expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert_eq!(leftovers(net, &folder), [] as [String; 0]);
}

#[test]
fn a_missing_interface() {
    let Some(net) = Net::build_alone() else {
        return;
    };
    let config = CONFIG.replace("out0", "wan9");
    refused(
        &net,
        &config,
        &[],
        2,
        &["gateway.toml:8", "no interface named \"wan9\""],
    );
}

#[test]
fn an_interface_that_refuses_native_xdp() {
    let Some(net) = Net::build_alone() else {
        return;
    };
    net.gateway("ip link add plain0 type bridge");
    net.gateway("ip link set plain0 up");
    let config = CONFIG.replace("out0", "plain0");
    refused(
        &net,
        &config,
        &["--hook", "xdp"],
        4,
        &["plain0", "native XDP", "hook = \"tc\""],
    );
}

#[test]
fn a_policy_without_subnets() {
    let Some(net) = Net::build_alone() else {
        return;
    };
    let config = CONFIG.replace("subnets = [\"10.0.0.0/8\"]", "");
    refused(&net, &config, &[], 2, &["subnets"]);
}

#[test]
fn no_right() {
    let Some(net) = Net::build_alone() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .expect("ours");
    let mut command = command(&net, &folder, CONFIG, &[]);
    command.uid(65534);
    let output = command.output();
    // Where the build folder is closed to others the binary itself can't be reached.
    let Ok(output) = output else {
        eprintln!("SKIPPED: another user can't run the binary here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("root"), "{said}");
}

#[test]
fn an_occupied_queue() {
    let Some(net) = Net::build_alone() else {
        return;
    };
    let first = Daemon::start(&net, CONFIG, &["--hook", "off"]);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let output = command(
        &net,
        &folder,
        CONFIG,
        &["--instance", "other", "--hook", "off"],
    )
    .output();
    let output = output.expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("queue 300 is taken"), "{said}");
    // Whichever of the two could queue here.
    let rules = net.gateway("iptables-save -t mangle") + &net.gateway("nft list tables");
    let rules = rules.to_lowercase().replace("skype-ips-", "skype-ips.");
    assert!(!rules.contains("skype-ips.other"), "{rules}");
    assert!(
        rules.contains("skype-ips.test"),
        "the first one's rules stay: {rules}"
    );
    first.stop();
}

#[test]
fn a_second_daemon_of_the_same_name() {
    let Some(net) = Net::build_alone() else {
        return;
    };
    let _server = net.serve();
    let first = Daemon::start(&net, CONFIG, &["--hook", "off"]);
    let folder = first.folder();
    let output = command(&net, folder, CONFIG, &[])
        .output()
        .expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("already runs"), "{said}");
    assert_eq!(net.skype(3), [0], "the first one goes on");
    first.stop();
}
