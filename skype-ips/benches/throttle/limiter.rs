//! What holds hosts to a budget: skype-ips, and what Linux has for it.

use std::fmt::Write as _;
use std::io;

use crate::case::Case;
use crate::daemon::Daemon;
use crate::net::{Net, OUTSIDE, input};

/// Who holds the hosts to their budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limiter {
    /// The daemon, whose kernel program drops what a budget has no room for.
    SkypeIps,
    /// Hierarchical token buckets on the outside interface, which delay packets in short queues.
    Tc,
    /// The firewall's `limit`, which drops.
    Nft,
}

impl Limiter {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::SkypeIps, Self::Tc, Self::Nft];

    /// Its name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SkypeIps => "skype-ips",
            Self::Tc => "tc-htb",
            Self::Nft => "nft-limit",
        }
    }

    /// Puts it in force on a gateway.
    pub(crate) fn start(self, net: &Net, cases: &[Case]) -> io::Result<Running> {
        match self {
            Self::SkypeIps => Daemon::start(net, cases).map(Running::Daemon),
            Self::Tc => {
                input(&net.gateway, "tc", &["-batch", "-"], &htb(cases)).map(|()| Running::Kernel)
            }
            Self::Nft => {
                input(&net.gateway, "nft", &["-f", "-"], &nft(cases)).map(|()| Running::Kernel)
            }
        }
    }
}

/// A limiter in force.
pub(crate) enum Running {
    /// Our daemon.
    Daemon(#[expect(dead_code, reason = "held for as long as it is to run")] Daemon),
    /// Something that lives as long as its namespace.
    Kernel,
}

/// A class for each case, chosen by the sender's address, with a queue of ten packets: what it does
/// with packets for which there is no room at the moment.
fn htb(cases: &[Case]) -> String {
    let mut text = format!("qdisc add dev {OUTSIDE} root handle 1: htb\n");
    for case in cases {
        let (class, rate, burst) = (case.number + 1, case.rate, case.burst());
        let subnet = case.subnet();
        let written = write!(
            text,
            "class add dev {OUTSIDE} parent 1: classid 1:{class} htb rate {rate}bps burst {burst}b \
             cburst {burst}b quantum 1514\n\
             qdisc add dev {OUTSIDE} parent 1:{class} pfifo limit 10\n\
             filter add dev {OUTSIDE} parent 1: protocol ip prio 1 u32 match ip src {subnet} \
             flowid 1:{class}\n"
        );
        written.expect("a string takes everything");
    }
    text
}

/// A rule for each case.
fn nft(cases: &[Case]) -> String {
    let mut text = String::from(
        "table ip limits {\n chain forward {\n  type filter hook forward priority filter;\n",
    );
    for case in cases {
        let (rate, burst) = (case.rate, case.burst());
        let written = writeln!(
            text,
            "  ip saddr {} limit rate over {rate} bytes/second burst {burst} bytes drop",
            case.subnet()
        );
        written.expect("a string takes everything");
    }
    text + " }\n}\n"
}
