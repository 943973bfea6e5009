//! Writes what a gateway would see of a world, on simulated time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::gateway::Seen;
use super::labels::Labels;
use super::net::World;
use super::net::program::{Ground, Instant};
use super::party::Party;
use super::play::{Schedule, play};
use crate::capture::{CaptureError, Writer};

/// Captures start then, nanoseconds since the Unix epoch: 2015-05-18, in classic Skype's last
/// years.
const START: u64 = 1_431_907_200_000_000_000;

/// Link-layer addresses on the gateway's inside cable: locally administered ones.
const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0, 0x20];
/// Beginning of the hosts' addresses; the IPv4 address follows.
const HOST: [u8; 2] = [2, 1];

/// What was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The conversations.
    pub labels: Labels,
    /// See [`Gateway::unexpected`](super::gateway::Gateway::unexpected).
    pub unexpected: BTreeMap<Ground, u64>,
}

/// Plays a world until `until` and writes what the gateway's inside interface sees: `path`, and
/// beside it `FILE.labels.tsv`, one line per conversation: packets and bytes of payload per
/// direction, `skype` or `other`, and what it is. In a pcapng file the first packet of each
/// conversation has that as its comment. The same world gives the same bytes. `progress` is told
/// the simulated time about every second of it, and ends it by returning `false`.
///
/// # Errors
/// A file can't be written.
pub fn record(
    world: &mut World<dyn Party>,
    schedule: Schedule,
    until: Instant,
    path: &Path,
    progress: &mut dyn FnMut(Instant) -> bool,
) -> Result<Recorded, CaptureError> {
    let mut labels = Labels::default();
    let mut writer = Writer::create(path)?;
    let mut outcome = Ok(());
    let mut second = 0;
    let unexpected = play(world, schedule, until, &mut |now, seen| {
        let kind = labels.note(&seen);
        let comment = kind.map(|ground| ground.to_string());
        outcome = writer.write_commented(
            START + now.as_nanos() as u64,
            &frame(&seen),
            comment.as_deref(),
        );
        if now.as_secs() > second {
            second = now.as_secs();
            return outcome.is_ok() && progress(now);
        }
        outcome.is_ok()
    });
    outcome?;
    writer.finish()?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    let table = labels.table(&name.to_string_lossy());
    let beside = PathBuf::from(format!("{}.labels.tsv", path.display()));
    std::fs::write(&beside, table).map_err(|source| CaptureError::Write {
        file: beside.display().to_string(),
        source,
    })?;
    Ok(Recorded { labels, unexpected })
}

/// The packet as a frame between its inside host and the gateway.
fn frame(seen: &Seen<'_>) -> Vec<u8> {
    let address = if seen.outbound { 12..16 } else { 16..20 };
    let host = [&HOST[..], &seen.packet[address]].concat();
    let (from, to) = if seen.outbound {
        (&host[..], &GATEWAY[..])
    } else {
        (&GATEWAY[..], &host[..])
    };
    [to, from, &[0x08, 0x00], seen.packet].concat()
}
