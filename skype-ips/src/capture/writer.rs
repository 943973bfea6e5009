//! Writes captures: pcap, nanoseconds, Ethernet.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};

use super::{CaptureError, MAX_PACKET_LEN};

/// A capture being written. [`Writer::finish`] says whether all of it got there.
#[derive(Debug)]
pub struct Writer {
    file: String,
    writer: PcapWriter<BufWriter<File>>,
}

impl Writer {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// The file can't be created.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let file = path.display().to_string();
        let header = PcapHeader {
            snaplen: MAX_PACKET_LEN,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::Little,
            ..PcapHeader::default()
        };
        let writer = File::create(path)
            .map_err(PcapError::IoError)
            .and_then(|opened| PcapWriter::with_header(BufWriter::new(opened), header))
            .map_err(|error| CaptureError::Write {
                file: file.clone(),
                source: write_error(error),
            })?;
        Ok(Self { file, writer })
    }

    /// Adds an Ethernet frame; `timestamp` is in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// The file can't be written, or the frame is longer than [`MAX_PACKET_LEN`].
    pub fn write(&mut self, timestamp: u64, frame: &[u8]) -> Result<(), CaptureError> {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let packet = PcapPacket::new(Duration::from_nanos(timestamp), len, frame);
        match self.writer.write_packet(&packet) {
            Ok(_) => Ok(()),
            Err(error) => Err(CaptureError::Write {
                file: self.file.clone(),
                source: write_error(error),
            }),
        }
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(self) -> Result<(), CaptureError> {
        let mut inner = self.writer.into_writer();
        inner.flush().map_err(|source| CaptureError::Write {
            file: self.file,
            source,
        })
    }
}

/// What the system said, if it was that.
pub(super) fn write_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(source) => source,
        other => io::Error::other(other.to_string()),
    }
}
