//! Writes captures: pcap or pcapng, nanoseconds, Ethernet.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};

use super::{CaptureError, MAX_PACKET_LEN};

/// Digits after the second's point in a pcapng file's times.
const NANOSECONDS: u8 = 9;

/// A capture being written. [`Writer::finish`] says whether all of it got there.
pub struct Writer {
    file: String,
    writer: Format,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, .. } = self;
        f.debug_struct("Writer")
            .field("file", file)
            .finish_non_exhaustive()
    }
}

enum Format {
    Pcap(PcapWriter<BufWriter<File>>),
    PcapNg(PcapNgWriter<BufWriter<File>>),
}

impl Writer {
    /// Creates the file, or empties it: pcapng if its name ends in `.pcapng`, else pcap.
    ///
    /// # Errors
    /// The file can't be created.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let file = path.display().to_string();
        let open = || -> Result<Format, PcapError> {
            let out = BufWriter::new(File::create(path).map_err(PcapError::IoError)?);
            if path
                .extension()
                .is_some_and(|extension| extension == "pcapng")
            {
                let mut writer = PcapNgWriter::new(out)?;
                writer.write_pcapng_block(InterfaceDescriptionBlock {
                    linktype: DataLink::ETHERNET,
                    snaplen: MAX_PACKET_LEN,
                    options: vec![InterfaceDescriptionOption::IfTsResol(NANOSECONDS)],
                })?;
                return Ok(Format::PcapNg(writer));
            }
            let header = PcapHeader {
                snaplen: MAX_PACKET_LEN,
                datalink: DataLink::ETHERNET,
                ts_resolution: TsResolution::NanoSecond,
                endianness: Endianness::Little,
                ..PcapHeader::default()
            };
            Ok(Format::Pcap(PcapWriter::with_header(out, header)?))
        };
        match open() {
            Ok(writer) => Ok(Self { file, writer }),
            Err(error) => Err(CaptureError::Write {
                file,
                source: write_error(error),
            }),
        }
    }

    /// Adds an Ethernet frame; `timestamp` is in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// The file can't be written, or the frame is longer than [`MAX_PACKET_LEN`].
    pub fn write(&mut self, timestamp: u64, frame: &[u8]) -> Result<(), CaptureError> {
        self.write_commented(timestamp, frame, None)
    }

    /// As [`Writer::write`], with a comment for whoever reads the file; a pcap file has no place
    /// for it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn write_commented(
        &mut self,
        timestamp: u64,
        frame: &[u8],
        comment: Option<&str>,
    ) -> Result<(), CaptureError> {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let timestamp = Duration::from_nanos(timestamp);
        let written = match &mut self.writer {
            Format::Pcap(writer) => writer
                .write_packet(&PcapPacket::new(timestamp, len, frame))
                .map(drop),
            Format::PcapNg(_) if len > MAX_PACKET_LEN => Err(PcapError::IoError(io::Error::from(
                io::ErrorKind::InvalidInput,
            ))),
            Format::PcapNg(writer) => writer
                .write_pcapng_block(EnhancedPacketBlock {
                    interface_id: 0,
                    timestamp,
                    original_len: len,
                    data: Cow::Borrowed(frame),
                    options: comment
                        .map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(text)))
                        .into_iter()
                        .collect(),
                })
                .map(drop),
        };
        written.map_err(|error| CaptureError::Write {
            file: self.file.clone(),
            source: write_error(error),
        })
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(self) -> Result<(), CaptureError> {
        let flushed = match self.writer {
            Format::Pcap(writer) => writer.into_writer().flush(),
            Format::PcapNg(mut writer) => writer.get_mut().flush(),
        };
        flushed.map_err(|source| CaptureError::Write {
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
