//! Reads captures: pcap and pcapng, plain, gzip or zstd, from a file or standard input.
//!
//! Lengths in a file are not trusted: nothing is allocated on their word beyond
//! [`MAX_PACKET_LEN`] per packet.

mod commented;
mod error;
mod input;
mod link;
mod pcap;
mod pcapng;
pub mod tunnel;
mod writer;

use std::path::Path;

use skype_ips_common::parse::Link;

pub use commented::{Comments, Copied, copy_with_comments, refuse_existing};
pub use error::CaptureError;
pub use link::strip_vlan_tags;
pub use writer::Writer;

use error::Fault;

/// Longest packet that is believed, bytes. Capture tools stop at 262,144 (libpcap's
/// `MAXIMUM_SNAPLEN`); anything longer is damage.
pub const MAX_PACKET_LEN: u32 = 262_144;

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the file, from 1.
    pub number: u64,
    /// When it was captured, nanoseconds since the Unix epoch. A packet without a time (pcapng's
    /// Simple Packet Block) has that of the one before it.
    pub timestamp: u64,
    /// What `data` starts with.
    pub link: Link,
    /// VLAN identifiers (12 bits) from the outside in.
    pub vlan: Vec<u16>,
    /// The bytes. An Ethernet frame is whole, tags included; of other link types the link-layer
    /// header is gone and the IP header comes first. What isn't IP there has an Ethernet header
    /// of zero addresses in front, so that nobody takes it for IP.
    pub data: Vec<u8>,
    /// Bytes on the wire, counted like `data`, which a capture may have cut off.
    pub wire_len: u32,
}

/// An open capture: an iterator over its packets, which ends after the first error.
#[derive(Debug)]
pub struct Capture {
    file: String,
    format: Format,
    number: u64,
    ended: bool,
}

#[derive(Debug)]
enum Format {
    Pcap(pcap::Reader),
    PcapNg(pcapng::Reader),
}

/// A packet as the file has it.
struct RawPacket {
    timestamp: u64,
    /// The LINKTYPE number of <https://www.tcpdump.org/linktypes.html>.
    link_type: u16,
    data: Vec<u8>,
    wire_len: u32,
}

impl Capture {
    /// Opens a capture; `-` is standard input.
    ///
    /// # Errors
    /// The file can't be read, is empty, or is not a capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = path.display().to_string();
        let at_start = |fault: Fault| fault.at(&file, 1);
        let (input, magic) = input::open(path, &file)?;
        let format = if pcapng::is_magic(magic) {
            Format::PcapNg(pcapng::Reader::new(input).map_err(at_start)?)
        } else if pcap::is_magic(magic) {
            Format::Pcap(pcap::Reader::new(input).map_err(at_start)?)
        } else {
            return Err(CaptureError::NotACapture { file });
        };
        Ok(Self {
            file,
            format,
            number: 0,
            ended: false,
        })
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    fn read(&mut self) -> Result<Option<Record>, Fault> {
        let raw = match &mut self.format {
            Format::Pcap(reader) => reader.next_packet()?,
            Format::PcapNg(reader) => reader.next_packet()?,
        };
        raw.map(|raw| link::record(raw, self.number)).transpose()
    }
}

impl Iterator for Capture {
    type Item = Result<Record, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.number += 1;
        let record = self
            .read()
            .map_err(|fault| fault.at(&self.file, self.number))
            .transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}
