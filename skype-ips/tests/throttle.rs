//! A budget through the real daemon and kernel program: what arrives stays under it, exactly.
//!
//! Only the upper bound is asserted to the byte, by arithmetic. How close to the budget it comes, and
//! how fair it is, `cargo xtask bench throttle` measures.

#[path = "../benches/throttle/case.rs"]
mod case;
#[path = "../benches/throttle/daemon.rs"]
mod daemon;
#[path = "../benches/throttle/figures.rs"]
mod figures;
#[path = "../benches/throttle/net.rs"]
mod net;
#[path = "../benches/throttle/traffic.rs"]
mod traffic;
#[path = "../benches/throttle/watch.rs"]
mod watch;

use std::time::{Duration, Instant, SystemTime};

use self::case::{Case, Transport};
use self::daemon::Daemon;
use self::figures::{Figures, Window};
use self::net::Net;
use self::watch::Watch;

/// Until what a host sent before it was known to be Skype is long through.
const WARM_UP: Duration = Duration::from_secs(4);
const LENGTH: Duration = Duration::from_secs(8);
const RATE: u64 = 10_000;

#[test]
fn what_arrives_never_exceeds_the_budget() {
    // SAFETY: no arguments, no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("SKIPPED: not root");
        return;
    }
    let cases = [
        Case::new(0, Transport::Udp, RATE, 1),
        Case::new(1, Transport::Tcp, RATE, 1),
        Case::new(2, Transport::Udp, RATE, 4),
    ];
    let net = Net::build(&cases).expect("root may make network namespaces");
    let _daemon = Daemon::start(&net, &cases).expect("the daemon starts");
    let watch = Watch::start(&net).expect("a packet socket");
    let window = Window {
        from: SystemTime::now() + WARM_UP,
        length: LENGTH,
    };
    let end = Instant::now() + WARM_UP + LENGTH;
    let received = cases
        .each_ref()
        .map(|case| traffic::start(&net, case, end, 1).expect("free ports"));
    let arrivals = watch.until(end).expect("every packet counted");
    for (case, received) in cases.iter().zip(&received) {
        let reads = received.connections.lock().expect("no thread panicked");
        let figures = Figures::of(case, window, &arrivals, &reads);
        assert!(
            figures.beyond <= figures.burst + figures.largest,
            "more than rate × time + burst + one packet: {figures:?}"
        );
        // A machine under load sends less; one that drops all, or a rate that is another, shows.
        assert!(
            figures.delivered >= RATE * LENGTH.as_secs() / 2,
            "much less than the budget: {figures:?}"
        );
    }
}
