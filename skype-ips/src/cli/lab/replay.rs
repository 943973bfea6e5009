//! `skype-ips lab replay`: captures through the real daemon, in network namespaces.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use ipnet::IpNet;

use super::super::{Failure, print, word};
use super::{failure, gateway_lines};
use crate::lab::{
    Counts, LabError, Options, Outcome, Progress, again_in_user_namespace, catch_signals,
    in_user_namespace, replay,
};
use crate::policy::{HookChoice, Mode};

/// Send captures through the real daemon, between an inside and an outside host
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The daemon's configuration [default: drop Skype of the inside networks]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Monitor or enforce, instead of what the configuration says
    #[arg(long, value_name = "MODE", value_parser = word(Mode::from_word, Mode::ALL, Mode::word))]
    mode: Option<Mode>,
    /// Where to classify, instead of what the configuration says
    #[arg(long, value_name = "HOOK", value_parser = word(HookChoice::from_word, HookChoice::ALL, HookChoice::word))]
    hook: Option<HookChoice>,
    /// Network that is inside [default: those of the policies]
    #[arg(long, value_name = "CIDR")]
    inside: Vec<IpNet>,
    /// Let the gateway put its own address before those of the inside
    #[arg(long)]
    nat: bool,
    /// Send IPv4 packets as IPv6
    #[arg(long)]
    ipv6: bool,
    /// Without the daemon: plain forwarding, by which everything must arrive
    #[arg(long, conflicts_with_all = ["mode", "hook"])]
    no_daemon: bool,
    /// Print records as JSON lines
    #[arg(long)]
    json: bool,
    /// Write what both hosts saw to inside.pcap and outside.pcap in this folder
    #[arg(long, value_name = "DIR")]
    capture: Option<PathBuf>,
    /// Captures: pcap or pcapng, also .gz and .zst
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
}

/// Sends the captures.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let daemon = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("finding this program's file: {error}")))?;
    let options = Options {
        captures: args.captures,
        daemon,
        config: args.config,
        mode: args.mode,
        hook: if in_user_namespace() {
            Some(HookChoice::Off)
        } else {
            args.hook
        },
        inside: args.inside,
        nat: args.nat,
        ipv6: args.ipv6,
        no_daemon: args.no_daemon,
        capture_dir: args.capture,
    };
    if in_user_namespace() && !options.no_daemon {
        eprintln!("not root: running in a user namespace, without BPF (hook off)");
    }
    catch_signals().map_err(Failure::failed)?;
    let mut line = ProgressLine::new();
    let outcome = match replay(&options, &mut |progress| line.show(progress)) {
        Err(LabError::Unprivileged(_)) if !in_user_namespace() => {
            let Err(error) = again_in_user_namespace();
            return Err(failure(error));
        }
        outcome => {
            line.end();
            outcome.map_err(failure)?
        }
    };
    for warning in &outcome.warnings {
        eprintln!("warning: {warning}");
    }
    print(&if args.json {
        json(&outcome)?
    } else {
        table(&outcome)
    })?;
    if outcome.unmet_count > 0 {
        let told = outcome.unmet.join("\n  ");
        let more = match outcome.unmet_count - outcome.unmet.len() as u64 {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        let count = outcome.unmet_count;
        return Err(Failure::unmet(format!(
            "{count} packets broke the promise:\n  {told}{more}"
        )));
    }
    if !outcome.warnings.is_empty() {
        return Err(Failure::failed("not all of the captures could be read"));
    }
    Ok(())
}

fn json(outcome: &Outcome) -> Result<String, Failure> {
    let mut lines = String::new();
    let mut add = |line: serde_json::Result<String>| -> Result<(), Failure> {
        lines += &line.map_err(Failure::failed)?;
        lines.push('\n');
        Ok(())
    };
    for flow in &outcome.flows {
        add(serde_json::to_string(flow))?;
    }
    add(serde_json::to_string(&outcome.stats))?;
    Ok(lines)
}

fn table(outcome: &Outcome) -> String {
    let lab = &outcome.stats.lab;
    let mut text = gateway_lines(&outcome.stats.gateway);
    text += &format!(
        "{:<10}{:>10}{:>11}{:>9}{:>6}{:>22}{:>11}\n",
        "packets", "sent", "delivered", "dropped", "lost", "sent after decision", "delivered"
    );
    for (name, counts) in [("Skype", lab.skype), ("other", lab.other)] {
        let Counts {
            sent,
            delivered,
            dropped,
            lost,
            ..
        } = counts;
        let (sent_after, delivered_after) =
            (counts.sent_after_decision, counts.delivered_after_decision);
        text += &format!(
            "{name:<10}{sent:>10}{delivered:>11}{dropped:>9}{lost:>6}{sent_after:>22}\
             {delivered_after:>11}\n"
        );
    }
    let stats = &outcome.stats.record.stats;
    text += &format!(
        "{} conversations, {} of them Skype\n",
        stats.flows, stats.skype_flows
    );
    if lab.unroutable > 0 {
        let reasons: Vec<String> = lab
            .unroutable_reasons
            .iter()
            .map(|(word, count)| format!("{word} {count}"))
            .collect();
        text += &format!(
            "not sent, unroutable: {} ({})\n",
            lab.unroutable,
            reasons.join(", ")
        );
    }
    for (count, what) in [
        (lab.repaired_checksums, "with checksums made right"),
        (lab.segmented, "in segments"),
        (lab.untagged, "without their VLAN tags"),
        (lab.late, "only after they had been given up"),
    ] {
        if count > 0 {
            text += &format!("sent {what}: {count}\n");
        }
    }
    text
}

/// A line that changes on a terminal; elsewhere one line per tenth.
struct ProgressLine {
    terminal: bool,
    shown: u64,
}

impl ProgressLine {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            shown: 0,
        }
    }

    fn show(&mut self, Progress { done, total }: Progress) {
        let steps = if self.terminal { 200 } else { 10 };
        let step = done * steps / total.max(1);
        if step <= self.shown {
            return;
        }
        self.shown = step;
        let end = if self.terminal { "\r" } else { "\n" };
        // Progress that nobody can read is no reason to stop.
        let _ = write!(std::io::stderr(), "{done} of {total} packets{end}");
    }

    fn end(&self) {
        if self.terminal && self.shown > 0 {
            eprintln!();
        }
    }
}
