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
            .map_err(|error| write_error(&file, error))?;
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
            Err(error) => Err(write_error(&self.file, error)),
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

fn write_error(file: &str, error: PcapError) -> CaptureError {
    let source = match error {
        PcapError::IoError(source) => source,
        other => io::Error::other(other.to_string()),
    };
    CaptureError::Write {
        file: file.to_owned(),
        source,
    }
}
