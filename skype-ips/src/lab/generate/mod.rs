//! Made-up traffic for where no capture is at hand: classic Skype sessions out of the protocol's
//! published facts, and ordinary traffic around them.
//!
//! Nothing here uses the detectors, so that a mistake in them can't hide here; what hosts say is
//! in [`super::speech`].

mod background;
mod skype;
mod traffic;

use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::{CaptureError, Writer};
use traffic::Traffic;

/// The capture starts then, nanoseconds since the Unix epoch: 2015-05-18.
const START: u64 = 1_431_907_200_000_000_000;

/// Writes a capture and, beside it, `FILE.labels.tsv`: one line per conversation with packets and
/// payload bytes per direction, `skype` or `other`, and what makes it so. The same `seed` gives
/// the same bytes.
///
/// # Errors
/// A file can't be written.
pub fn write(path: &Path, seed: u64) -> Result<(), CaptureError> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut traffic = Traffic::default();
    skype::sessions(&mut traffic, &mut rng);
    background::everyday(&mut traffic, &mut rng);
    let mut writer = Writer::create(path)?;
    for (time, frame) in traffic.in_order() {
        writer.write(START + time, &frame)?;
    }
    writer.finish()?;
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let labels = PathBuf::from(format!("{}.labels.tsv", path.display()));
    fs::write(&labels, traffic.labels(&name)).map_err(|source| CaptureError::Write {
        file: labels.display().to_string(),
        source,
    })
}
