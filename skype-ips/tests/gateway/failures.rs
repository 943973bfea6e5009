//! Killed, hung, stopped: what passes, what is left, and that a new start takes over.

use std::process::Command;
use std::time::Duration;

use crate::daemon::{CONFIG, Daemon, closed, leftovers};
use crate::net::Net;

/// Longer than the heartbeat's limit, and the second that is promised.
const A_SECOND: Duration = Duration::from_millis(1000);

#[test]
fn after_a_stop_nothing_is_left() {
    for hook in ["xdp", "xdp-generic", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.skype(3), [0]);
        let folder = daemon.stop();
        assert_eq!(leftovers(&net, &folder), [] as [String; 0], "hook {hook}");
        assert_eq!(net.skype(3).len(), 3, "hook {hook}: no daemon, no blocking");
    }
}

#[test]
fn killed_and_open_traffic_goes_on_and_the_next_start_takes_over() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.skype(3), [0]);
        daemon.signal(libc::SIGKILL);
        let (_, folder) = daemon.wait();
        assert_eq!(net.plain(20), 20, "hook {hook}");
        assert_eq!(net.skype(3).len(), 3, "hook {hook}");
        let next = Daemon::start_in(&net, folder, CONFIG, &["--hook", hook]);
        assert_eq!(net.plain(20), 20, "hook {hook}");
        assert!(net.skype(5).len() <= 1, "hook {hook}: blocks again");
        let folder = next.stop();
        assert_eq!(leftovers(&net, &folder), [] as [String; 0], "hook {hook}");
    }
}

#[test]
fn killed_and_closed_the_guard_stops_what_would_be_judged_until_the_next_start() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, &closed(), &["--hook", hook]);
        assert_eq!(net.plain(10), 10, "hook {hook}");
        daemon.signal(libc::SIGKILL);
        let (_, folder) = daemon.wait();
        assert_eq!(net.plain(3), 0, "hook {hook}");
        let next = Daemon::start_in(&net, folder, &closed(), &["--hook", hook]);
        assert_eq!(net.plain(10), 10, "hook {hook}");
        let folder = next.stop();
        assert_eq!(leftovers(&net, &folder), [] as [String; 0], "hook {hook}");
        assert_eq!(net.plain(3), 3, "hook {hook}");
    }
}

#[test]
fn hung_and_open_traffic_goes_on_within_a_second() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.skype(3), [0]);
        daemon.signal(libc::SIGSTOP);
        std::thread::sleep(A_SECOND);
        assert_eq!(net.plain(20), 20, "hook {hook}");
        assert_eq!(net.skype(3).len(), 3, "hook {hook}");
        daemon.signal(libc::SIGCONT);
        std::thread::sleep(A_SECOND);
        assert_eq!(net.skype(3).len(), 0, "hook {hook}: it lives again");
        daemon.signal(libc::SIGTERM);
        let (status, folder) = daemon.wait();
        assert!(status.success(), "hook {hook}: {status}");
        assert_eq!(leftovers(&net, &folder), [] as [String; 0], "hook {hook}");
    }
}

#[test]
fn hung_and_closed_what_would_be_judged_stops_and_the_rest_goes_on() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let daemon = Daemon::start(&net, &closed(), &["--hook", "tc"]);
    daemon.signal(libc::SIGSTOP);
    std::thread::sleep(A_SECOND);
    assert_eq!(net.skype(3).len(), 0, "probes would be judged");
    assert_eq!(net.plain(10), 10, "nothing special would not");
    daemon.signal(libc::SIGCONT);
    assert_eq!(net.plain(10), 10);
    daemon.stop();
}

#[test]
fn cleanup_removes_what_a_killed_daemon_left() {
    for config in [CONFIG.to_owned(), closed()] {
        let Some(net) = Net::build() else { return };
        let daemon = Daemon::start(&net, &config, &["--hook", "tc"]);
        daemon.signal(libc::SIGKILL);
        let (_, folder) = daemon.wait();
        assert_ne!(
            leftovers(&net, &folder),
            [] as [String; 0],
            "rules outlive a kill"
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
        command.arg("cleanup").arg("--run-dir").arg(folder.path());
        net.gateway.place(&mut command);
        let output = command.output().expect("the binary was built");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(leftovers(&net, &folder), [] as [String; 0]);
    }
}
