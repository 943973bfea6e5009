//! The lab driver: captures through the real daemon, between an inside and an outside host in
//! network namespaces of their own.
//!
//! Each packet of a capture leaves from its own side, one at a time, with only link-layer
//! addresses changed; the next one waits until it has arrived on the other side or the daemon
//! says that it was dropped. Nothing is linked to the machine's own network, and nothing stays
//! behind, even after `kill -9`: namespaces have no names, and the kernel ends the daemon with
//! its parent.

mod address;
mod alert;
mod checksum;
mod daemon;
mod decision;
mod error;
mod exchange;
pub mod hand;
mod nat;
pub mod netns;
mod outcome;
mod packet;
pub mod run;
mod scratch;
mod signals;
mod tally;
mod tools;
mod topology;
mod unprivileged;
mod wire;

use std::path::{Path, PathBuf};

use ipnet::IpNet;

pub use error::LabError;
pub use outcome::{Counts, LabStats, Outcome, Totals};
pub use signals::{catch as catch_signals, interrupted};
pub use unprivileged::{again_in_user_namespace, in_user_namespace};

use crate::capture::{Capture, CaptureError, Record};
use crate::policy::{Config, HookChoice, InterfaceSide, Mode};
use address::{PRIVATE, Seen, in_ipv6, inside_ipv6, is_inside};
use daemon::Daemon;
use exchange::{Exchange, Side};
use packet::{Packet, Unroutable};
use scratch::Scratch;
use tally::{Prepared, Tally};
use topology::{GATEWAY_INSIDE, GATEWAY_OUTSIDE, Topology};

/// How long the hosts listen at the end for packets that were given up.
const LATE: std::time::Duration = std::time::Duration::from_millis(50);

/// What the lab is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The captures, one after the other through the same gateway.
    pub captures: Vec<PathBuf>,
    /// The `skype-ips` program whose `run` is the daemon.
    pub daemon: PathBuf,
    /// The daemon's configuration; without one, Skype of the inside networks is under `drop`.
    pub config: Option<PathBuf>,
    /// Instead of the configuration's mode.
    pub mode: Option<Mode>,
    /// Instead of the configuration's hook.
    pub hook: Option<HookChoice>,
    /// Inside networks, instead of those of the policies.
    pub inside: Vec<IpNet>,
    /// Masquerade on the gateway's outside interface.
    pub nat: bool,
    /// Send IPv4 packets as IPv6.
    pub ipv6: bool,
    /// Without the daemon: plain forwarding, the control experiment.
    pub no_daemon: bool,
    /// Folder for what both hosts saw, as captures.
    pub capture_dir: Option<PathBuf>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Packets done.
    pub done: u64,
    /// Packets in all captures.
    pub total: u64,
}

/// Sends captures through a gateway.
///
/// # Errors
/// See [`LabError`]; whatever was set up is gone by then.
pub fn replay(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Outcome, LabError> {
    if options.ipv6 && !Path::new("/proc/sys/net/ipv6").exists() {
        return Err(LabError::NoIpv6);
    }
    let scratch = Scratch::new().map_err(|error| LabError::failed("making a folder", error))?;
    let config_path = match &options.config {
        Some(path) => path.clone(),
        None => {
            let path = scratch.path().join("gateway.toml");
            std::fs::write(&path, built_in(&options.inside))
                .map_err(|error| LabError::failed("writing the configuration", error))?;
            path
        }
    };
    let config =
        Config::load(std::slice::from_ref(&config_path)).map_err(LabError::Configuration)?;
    let inside = inside_networks(options, &config);
    let survey = survey(&options.captures)?;
    let addresses = survey.seen.unused().ok_or(LabError::NoAddresses)?;
    let mut routed = inside.clone();
    if options.ipv6 {
        routed.push(inside_ipv6());
    }
    let topology = Topology::build(&addresses, &routed, options.nat)?;
    let daemon = match options.no_daemon {
        true => None,
        false => {
            let interfaces = [
                (GATEWAY_INSIDE.to_owned(), InterfaceSide::Inside),
                (GATEWAY_OUTSIDE.to_owned(), InterfaceSide::Outside),
            ];
            let start = daemon::Start {
                program: &options.daemon,
                config: &config_path,
                mode: options.mode,
                hook: options.hook,
                interfaces: &interfaces,
                run_dir: scratch.path(),
            };
            Some(Daemon::start(&start, &topology.gateway)?)
        }
    };
    let mut exchange = Exchange::new(
        topology,
        daemon,
        options.nat,
        options.capture_dir.as_deref(),
    )?;
    let mut tally = Tally::default();
    for path in &options.captures {
        tally.begin(path.clone());
        for record in whole_packets(path)? {
            if interrupted() {
                return Err(LabError::Interrupted);
            }
            send(&record?, options, &inside, &mut exchange, &mut tally)?;
            progress(Progress {
                done: tally.so_far(),
                total: survey.packets,
            });
        }
    }
    exchange.listen(LATE)?;
    tally.arrived_late(exchange.arrived_late());
    let (status, alerts) = exchange.finish()?;
    Ok(tally.finish(&alerts, status, &config, options.mode, survey.warnings))
}

/// A policy that drops Skype of the given networks, or of private ones.
fn built_in(inside: &[IpNet]) -> String {
    let subnets: Vec<String> = match inside {
        [] => PRIVATE.iter().map(|net| format!("{net:?}")).collect(),
        // With the unique local addresses, which stand for them in IPv6.
        nets => nets
            .iter()
            .map(|net| format!("\"{}\"", net.trunc()))
            .chain(
                (!nets.iter().any(|net| net.to_string() == PRIVATE[3]))
                    .then(|| format!("{:?}", PRIVATE[3])),
            )
            .collect(),
    };
    format!(
        "version = 1\n\n[[policy]]\nname = \"skype\"\nsubnets = [{}]\ndefault = \"drop\"\n",
        subnets.join(", ")
    )
}

fn inside_networks(options: &Options, config: &Config) -> Vec<IpNet> {
    if !options.inside.is_empty() {
        return options.inside.clone();
    }
    let policies = config.policies.policies().iter();
    policies
        .flat_map(|policy| policy.subnets.iter().copied())
        .collect()
}

/// What the captures hold, before anything is set up.
#[derive(Default)]
struct Survey {
    seen: Seen,
    packets: u64,
    warnings: Vec<String>,
}

fn survey(captures: &[PathBuf]) -> Result<Survey, LabError> {
    let mut survey = Survey::default();
    for path in captures {
        for record in Capture::open(path)? {
            let record = match record {
                Ok(record) => record,
                Err(error @ CaptureError::Truncated { .. }) => {
                    survey
                        .warnings
                        .push(format!("{error}; the packets before it were used"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            survey.packets += 1;
            if let Ok((packet, _)) = Packet::from_record(&record) {
                survey.seen.note(packet.source());
                survey.seen.note(packet.destination());
            }
        }
    }
    Ok(survey)
}

/// The packets of a capture up to where it is cut off, which the survey has told.
fn whole_packets(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Record, CaptureError>>, CaptureError> {
    let whole = |record: &Result<_, _>| !matches!(record, Err(CaptureError::Truncated { .. }));
    Ok(Capture::open(path)?.take_while(whole))
}

fn send(
    record: &Record,
    options: &Options,
    inside: &[IpNet],
    exchange: &mut Exchange,
    tally: &mut Tally,
) -> Result<(), LabError> {
    let (packet, tags) = match Packet::from_record(record) {
        Ok(parsed) => parsed,
        Err(reason) => {
            tally.unroutable(record, None, reason);
            return Ok(());
        }
    };
    let whole = packet.clone();
    let (side, prepared) = match prepare(packet, tags, options, inside) {
        Ok(prepared) => prepared,
        Err(reason) => {
            tally.unroutable(record, Some(&whole), reason);
            return Ok(());
        }
    };
    match exchange.send(side, tally.next_number(), &prepared.segments)? {
        Ok(sent) => tally.sent(record, &prepared, sent),
        Err(reason) => tally.unroutable(record, Some(&prepared.packet), reason),
    }
    Ok(())
}

/// Makes a packet ready, and says who sends it.
fn prepare(
    mut packet: Packet,
    tags: usize,
    options: &Options,
    inside: &[IpNet],
) -> Result<(Side, Prepared), Unroutable> {
    packet.check_forwardable()?;
    let side = match (
        is_inside(inside, packet.source()),
        is_inside(inside, packet.destination()),
    ) {
        (true, false) => Side::Inside,
        (false, true) => Side::Outside,
        _ => return Err(Unroutable::SameSide),
    };
    if options.nat {
        packet.check_translatable()?;
    }
    let repaired = packet.repair_checksums();
    if options.ipv6 {
        packet = packet.into_ipv6(|address| in_ipv6(is_inside(inside, address.into()), address))?;
    }
    let segments = packet.clone().segments()?;
    Ok((
        side,
        Prepared {
            packet,
            segments,
            repaired,
            tags,
        },
    ))
}
