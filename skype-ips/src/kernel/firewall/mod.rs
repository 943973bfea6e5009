//! The rules that feed the queues, those that drop or reject what was judged, and the guard.
//!
//! Under nft a table of our own with its own base chains; else iptables' NFQUEUE target, jumped to
//! from the end of mangle/FORWARD: a packet that comes back accepted from a queue leaves the chain
//! that queued it, so in filter an operator's later DROP would be passed by.

mod iptables;
mod nft;

use std::io::Write as _;
use std::process::Stdio;

use ipnet::IpNet;
use skype_ips_common::mark::Field;

use super::tool::command;

/// What the rules are to say.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of this daemon among others on the machine.
    pub instance: String,
    /// Where the code stands in the mark.
    pub field: Field,
    /// Number of the first queue.
    pub first_queue: u16,
    /// Queues: 1, 2, 4 or 8.
    pub queues: u8,
    /// Whether packets pass while no daemon listens.
    pub open: bool,
    /// Whether codes are recorded in and read from the connection's mark.
    pub conntrack: bool,
    /// Whether a classifier marks the packets; else the rules choose by address alone.
    pub classified: bool,
    /// Inside interfaces.
    pub inside: Vec<String>,
    /// Prefixes that policies cover.
    pub subnets: Vec<IpNet>,
    /// Whether the policies enforce anything: only then does `closed` guard.
    pub enforcing: bool,
}

impl Plan {
    /// Whether packets that no classifier saw are dropped.
    pub const fn guard(&self) -> bool {
        !self.open && self.enforcing && self.classified
    }

    /// Whether the rules name the prefixes that policies cover.
    pub const fn names_subnets(&self) -> bool {
        self.guard() || !self.classified || self.conntrack
    }
}

/// Which tool writes the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// nft, where the kernel has its `queue` statement.
    Nft,
    /// iptables and ip6tables, with their NFQUEUE target.
    Iptables,
}

impl Backend {
    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Iptables => "iptables",
        }
    }
}

/// The rules were not written.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// Neither tool will do.
    #[error("no way to queue packets: nft: {nft}; iptables: {iptables}")]
    NoBackend {
        /// What nft said.
        nft: String,
        /// What iptables said.
        iptables: String,
    },
    /// A tool refused.
    #[error("{tool} refused the rules: {message}")]
    Refused {
        /// Its name.
        tool: &'static str,
        /// What it said.
        message: String,
    },
}

/// Rules in force; removed when dropped.
#[derive(Debug)]
pub struct Firewall {
    plan: Plan,
    backend: Backend,
    /// Whether nft can answer the senders of what is rejected; iptables is asked by trying.
    answers: bool,
    installed: bool,
}

impl Firewall {
    /// Finds out which tool can queue, by asking the kernel.
    ///
    /// # Errors
    /// Neither can.
    pub fn probe(plan: Plan) -> Result<Self, FirewallError> {
        let has = |statement| {
            let text = nft::probe(&plan.instance, statement);
            feed("nft", &["--check", "--file", "-"], &text)
        };
        let nft = match has(nft::QUEUE) {
            Ok(()) => {
                return Ok(Self {
                    answers: has(nft::REJECT).is_ok(),
                    plan,
                    backend: Backend::Nft,
                    installed: false,
                });
            }
            Err(error) => error.to_string(),
        };
        match run("iptables", &["-t", "mangle", "-n", "-L", "FORWARD"]) {
            Ok(_) => Ok(Self {
                plan,
                answers: true,
                backend: Backend::Iptables,
                installed: false,
            }),
            Err(error) => Err(FirewallError::NoBackend {
                nft,
                iptables: error.to_string(),
            }),
        }
    }

    /// What the rules say.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The tool.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether the rules use the connection's mark.
    pub const fn uses_conntrack(&self) -> bool {
        self.plan.conntrack
    }

    /// Writes the rules, in the place of any that an earlier daemon of this name left.
    ///
    /// # Errors
    /// The tool refuses; then none of ours are there.
    pub fn install(&mut self) -> Result<(), FirewallError> {
        remove_all(&self.plan.instance);
        self.installed = true;
        let result = match self.backend {
            Backend::Nft => {
                if !self.answers {
                    tracing::warn!(
                        "this kernel's nft can't reject: what policies reject is dropped without an answer to its sender"
                    );
                }
                let rules = nft::rules(&self.plan, self.answers);
                feed("nft", &["--file", "-"], &rules)
            }
            Backend::Iptables => iptables::install(&self.plan),
        };
        if result.is_err() {
            self.remove();
        }
        result
    }

    /// Takes the rules away.
    pub fn remove(&mut self) {
        if self.installed {
            remove_all(&self.plan.instance);
            self.installed = false;
        }
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Takes away the rules of an instance, whichever tool wrote them; silent where there are none.
/// Says whether there were any.
pub fn remove_all(instance: &str) -> bool {
    let nft = run("nft", &["delete", "table", "inet", &nft::table(instance)]).is_ok();
    let iptables = iptables::remove(instance);
    nft || iptables
}

/// Takes the rules of an instance out of the packets' way without removing them.
pub fn suspend(instance: &str) {
    // An unknown table or chain is no fault: only one of the tools wrote rules.
    let _ = run("nft", &["list", "table", "inet", &nft::table(instance)])
        .and_then(|_| feed("nft", &["--file", "-"], &nft::dormant(instance, true)));
    iptables::suspend(instance);
}

/// Undoes [`suspend`].
pub fn resume(instance: &str) {
    let _ = run("nft", &["list", "table", "inet", &nft::table(instance)])
        .and_then(|_| feed("nft", &["--file", "-"], &nft::dormant(instance, false)));
    iptables::resume(instance);
}

/// Instances that have rules here, for a clean-up with no daemon running.
pub fn instances() -> Vec<String> {
    let mut found: Vec<String> = run("nft", &["list", "tables"])
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("table inet ")?.strip_prefix(nft::PREFIX))
        .map(str::to_owned)
        .collect();
    found.extend(iptables::instances());
    found.sort();
    found.dedup();
    found
}

/// The rules of an instance, read back from the kernel.
pub fn in_force(instance: &str) -> Vec<String> {
    if let Ok(text) = run("nft", &["list", "table", "inet", &nft::table(instance)]) {
        return text.lines().map(str::to_owned).collect();
    }
    iptables::in_force(instance)
}

/// Packets that the rules of an instance have handed to its queues since they were written. What the
/// queues didn't get of them passed by, or was lost.
pub fn queued_by_rules(instance: &str) -> u64 {
    match run("nft", &["list", "table", "inet", &nft::table(instance)]) {
        Ok(text) => text.lines().filter_map(nft::queued).sum(),
        Err(_) => iptables::queued(instance),
    }
}

/// Whether connection tracking holds connections of this network namespace at the moment.
pub fn holds_connections() -> bool {
    let count =
        std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap_or_default();
    count.trim().parse::<u64>().is_ok_and(|count| count > 0)
}

/// Whether connection tracking is in use in this network namespace: it holds connections, or some
/// rule needs it. Asking doesn't switch it on.
pub fn conntrack_in_use() -> bool {
    if holds_connections() {
        return true;
    }
    let rules = [
        run("nft", &["list", "ruleset"]),
        run("iptables-save", &[]),
        run("ip6tables-save", &[]),
    ];
    rules
        .iter()
        .flatten()
        .flat_map(|text| text.lines())
        .any(needs_conntrack)
}

/// Whether a line of nft's or iptables-save's needs connection tracking.
fn needs_conntrack(line: &str) -> bool {
    let words = [
        "conntrack",
        "connmark",
        "CONNMARK",
        "--ctstate",
        "masquerade",
        "MASQUERADE",
        "DNAT",
        "SNAT",
        "REDIRECT",
    ];
    let mut parts = line.split_whitespace();
    parts.any(|part| words.contains(&part) || matches!(part, "ct" | "snat" | "dnat" | "redirect"))
        || line.contains("-m state ")
}

/// Runs a tool and returns what it printed.
fn run(tool: &'static str, arguments: &[&str]) -> Result<String, FirewallError> {
    let output = command(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| FirewallError::Refused {
            tool,
            message: error.to_string(),
        })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(FirewallError::Refused {
            tool,
            message: message(&output.stderr),
        })
    }
}

/// Runs a tool that reads rules from its standard input.
fn feed(tool: &'static str, arguments: &[&str], rules: &str) -> Result<(), FirewallError> {
    let refused = |message: String| FirewallError::Refused { tool, message };
    let mut child = command(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| refused(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A tool that stops reading early says why on its standard error.
        let _ = input.write_all(rules.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(refused(message(&output.stderr)))
    }
}

/// What a tool complained of, on one line.
fn message(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        "no reason given".to_owned()
    } else {
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_need_connection_tracking_are_told_from_others() {
        for line in [
            "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "-A POSTROUTING -o eth0 -j MASQUERADE",
            "-A FORWARD -m state --state NEW -j DROP",
            "\t\tct state established accept",
            "\t\toifname \"eth0\" masquerade",
        ] {
            assert!(needs_conntrack(line), "{line}");
        }
        for line in [
            "-A FORWARD -p tcp -j TCPMSS --clamp-mss-to-pmtu",
            ":POSTROUTING ACCEPT [0:0]",
            "\t\tip protocol tcp accept",
            "*nat",
        ] {
            assert!(!needs_conntrack(line), "{line}");
        }
    }
}
