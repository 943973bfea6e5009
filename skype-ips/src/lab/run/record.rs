//! Recordings of what crossed the gateway, and what it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::LabError;
use super::cables::packet;
use crate::capture::Writer;
use crate::simulator::gateway::Seen;
use crate::simulator::labels::Labels;
use crate::simulator::net::Side;
use crate::simulator::net::program::Ground;

const INSIDE: &str = "inside.pcapng";
const OUTSIDE: &str = "outside.pcapng";
const LABELS: &str = "labels.tsv";

/// Both sides' recordings, and the labels of the inside one.
#[derive(Debug)]
pub(super) struct Recorder {
    folder: PathBuf,
    inside: Writer,
    outside: Writer,
    labels: Labels,
}

impl Recorder {
    /// Makes the folder, if it isn't there, and the files.
    pub(super) fn create(folder: &Path) -> Result<Self, LabError> {
        fs::create_dir_all(folder)
            .map_err(|error| LabError::failed("making the folder of --capture", error))?;
        Ok(Self {
            inside: Writer::create(&folder.join(INSIDE))?,
            outside: Writer::create(&folder.join(OUTSIDE))?,
            labels: Labels::default(),
            folder: folder.to_owned(),
        })
    }

    /// A frame was handed to the gateway.
    pub(super) fn handed(
        &mut self,
        side: Side,
        frame: &[u8],
        ground: Ground,
    ) -> Result<(), LabError> {
        self.write(side, frame, true, Some(ground))
    }

    /// A frame has come out of the gateway; `ground` is `None` if it is of no conversation.
    pub(super) fn emerged(
        &mut self,
        side: Side,
        frame: &[u8],
        ground: Option<Ground>,
    ) -> Result<(), LabError> {
        self.write(side, frame, false, ground)
    }

    fn write(
        &mut self,
        side: Side,
        frame: &[u8],
        outbound: bool,
        ground: Option<Ground>,
    ) -> Result<(), LabError> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = since.as_nanos() as u64;
        match side {
            Side::Outside => self.outside.write(time, frame)?,
            Side::Inside => {
                let begun = ground.and_then(|ground| {
                    self.labels.note(&Seen {
                        outbound,
                        packet: packet(frame),
                        ground,
                    })
                });
                let comment = begun.map(|ground| ground.to_string());
                self.inside
                    .write_commented(time, frame, comment.as_deref())?;
            }
        }
        Ok(())
    }

    /// Writes what is still in memory, and the labels.
    pub(super) fn finish(self) -> Result<(), LabError> {
        self.inside.finish()?;
        self.outside.finish()?;
        fs::write(self.folder.join(LABELS), self.labels.table(INSIDE))
            .map_err(|error| LabError::failed("writing the labels", error))
    }
}
