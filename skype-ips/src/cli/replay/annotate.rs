//! `replay --annotate`: a copy of the capture that says what was found where.

use std::path::{Path, PathBuf};

use super::refuse_streams;
use crate::capture::{CaptureError, Comments, copy_with_comments, refuse_existing};
use crate::cli::Failure;

/// Refuses, before anything is read, what can't be annotated.
///
/// # Errors
/// Status 2 for several captures, for one that can't be read twice, and for a file that exists.
pub(super) fn check(captures: &[PathBuf], to: &Path) -> Result<(), Failure> {
    if captures.len() != 1 {
        return Err(Failure::usage(format!(
            "--annotate copies one capture, and {} are named; run it once for each",
            captures.len()
        )));
    }
    refuse_streams(captures, "--annotate")?;
    refuse_existing(to).map_err(Failure::usage)
}

/// Writes the copy.
///
/// # Errors
/// Status 1 if it can't be written, status 2 if it exists by now.
pub(super) fn write(from: &Path, to: &Path, comments: &Comments) -> Result<(), Failure> {
    let copied = match copy_with_comments(from, to, comments) {
        Ok(copied) => copied,
        Err(error @ CaptureError::Exists { .. }) => return Err(Failure::usage(error)),
        Err(error) => return Err(Failure::failed(error)),
    };
    if copied.uncommented > 0 {
        eprintln!(
            "warning: {} packets are without their comments: the capture holds them in Simple \
             Packet Blocks, which have no place for any",
            copied.uncommented
        );
    }
    eprintln!(
        "{}: {} packets, {} of them with comments (Wireshark: frame.comment)",
        to.display(),
        copied.packets,
        comments.range(..=copied.packets).count() as u64 - copied.uncommented
    );
    Ok(())
}
