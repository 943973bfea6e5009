//! Copies a capture to pcapng with comments on packets, which Wireshark shows.
//!
//! A pcapng file keeps all its blocks, byte for byte, but that comments come in front of a
//! packet's options. Of a pcap file the packets become those of one interface.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use pcap_file::TsResolution;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use tempfile::NamedTempFile;

use super::pcapng::{
    ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK,
};
use super::writer::write_error;
use super::{Capture, CaptureError, Format, error, pcap, pcapng};

/// Option of any block: text for whoever reads the file (draft-ietf-opsawg-pcapng, section 3.5).
const COMMENT: u16 = 1;
/// Bytes in front of a packet's data in its block.
const PACKET_FIELDS: usize = 20;
/// Where a section header says how long its section is; comments make it longer.
const SECTION_LENGTH: std::ops::Range<usize> = 8..16;

/// Comments by number of the packet in the file, from 1.
pub type Comments = BTreeMap<u64, Vec<String>>;

/// What became of a copy.
#[derive(Debug)]
pub struct Copied {
    /// Packets in it.
    pub packets: u64,
    /// Packets whose comments are left out: pcapng's Simple Packet Blocks have no place for any.
    pub uncommented: u64,
    /// Why the capture could not be read to its end; what was there is in the copy.
    pub fault: Option<CaptureError>,
}

/// Copies the capture `from` to `to`, a new pcapng file, with comments. Until all of it is written
/// the file is not there under its name.
///
/// # Errors
/// `to` exists or can't be written; `from` can't be opened, or read to the end of its first packet.
pub fn copy_with_comments(
    from: &Path,
    to: &Path,
    comments: &Comments,
) -> Result<Copied, CaptureError> {
    let name = to.display().to_string();
    refuse_existing(to)?;
    let failed = |source| CaptureError::Write {
        file: name.clone(),
        source,
    };
    let mut capture = Capture::open(from)?;
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let file = new_file(folder).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let mut copied = Copied {
        packets: 0,
        uncommented: 0,
        fault: None,
    };
    let outcome = match &mut capture.format {
        Format::Pcap(reader) => copy_pcap(reader, &mut out, comments, &mut copied),
        Format::PcapNg(reader) => copy_pcapng(reader, &mut out, comments, &mut copied),
    };
    match outcome {
        Ok(()) => {}
        Err(Stopped::Reading(fault)) => {
            let fault = fault.at(&capture.file, copied.packets + 1);
            if copied.packets == 0 {
                return Err(fault);
            }
            copied.fault = Some(fault);
        }
        Err(Stopped::Writing(source)) => return Err(failed(source)),
    }
    let file = out
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    match file.persist_noclobber(to) {
        Ok(_) => Ok(copied),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CaptureError::Exists { file: name })
        }
        Err(error) => Err(failed(error.error)),
    }
}

/// Refuses what [`copy_with_comments`] would not overwrite.
///
/// # Errors
/// There is something under that name.
pub fn refuse_existing(to: &Path) -> Result<(), CaptureError> {
    match to.symlink_metadata() {
        Ok(_) => Err(CaptureError::Exists {
            file: to.display().to_string(),
        }),
        Err(_) => Ok(()),
    }
}

/// A file without its name yet, which goes away if it never gets it.
fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".skype-ips-");
    #[cfg(unix)]
    builder.permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Why a copy ends early.
enum Stopped {
    Reading(error::Fault),
    Writing(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

impl From<pcap_file::PcapError> for Stopped {
    fn from(error: pcap_file::PcapError) -> Self {
        Self::Writing(write_error(error))
    }
}

fn copy_pcap(
    reader: &mut pcap::Reader,
    out: &mut impl Write,
    comments: &Comments,
    copied: &mut Copied,
) -> Result<(), Stopped> {
    let header = reader.header();
    // Units of the interface's clock, as many digits as the file has.
    let (digits, unit) = match header.ts_resolution {
        TsResolution::MicroSecond => (6, 1000),
        TsResolution::NanoSecond => (9, 1),
    };
    let mut writer = PcapNgWriter::new(out)?;
    writer.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: u32::from(reader.link_type()).into(),
        snaplen: header.snaplen,
        options: vec![InterfaceDescriptionOption::IfTsResol(digits)],
    })?;
    while let Some(packet) = reader.next_packet().map_err(Stopped::Reading)? {
        copied.packets += 1;
        let comments = comments.get(&copied.packets).into_iter().flatten();
        let options = comments.map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(fit(text))));
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            // The crate writes as many units as there are nanoseconds in it.
            timestamp: Duration::from_nanos(packet.timestamp / unit),
            original_len: packet.wire_len,
            data: Cow::Borrowed(&packet.data),
            options: options.collect(),
        })?;
    }
    Ok(())
}

fn copy_pcapng(
    reader: &mut pcapng::Reader,
    out: &mut impl Write,
    comments: &Comments,
    copied: &mut Copied,
) -> Result<(), Stopped> {
    while let Some((kind, mut body)) = reader.next_block().map_err(Stopped::Reading)? {
        let big_endian = reader.is_big_endian();
        let is_packet = matches!(
            kind,
            ENHANCED_PACKET_BLOCK | PACKET_BLOCK | SIMPLE_PACKET_BLOCK
        );
        copied.packets += u64::from(is_packet);
        match (kind, comments.get(&copied.packets)) {
            (SECTION_HEADER_BLOCK, _) => {
                let unknown = body.get_mut(SECTION_LENGTH).into_iter().flatten();
                unknown.for_each(|byte| *byte = 0xff);
            }
            (SIMPLE_PACKET_BLOCK, Some(_)) => copied.uncommented += 1,
            (ENHANCED_PACKET_BLOCK | PACKET_BLOCK, Some(texts)) => {
                comment(&mut body, texts, big_endian).map_err(Stopped::Reading)?;
            }
            _ => {}
        }
        let len = word(body.len() as u32 + 12, big_endian);
        for part in [&word(kind, big_endian)[..], &len, &body, &len] {
            out.write_all(part)?;
        }
    }
    Ok(())
}

fn word(value: u32, big_endian: bool) -> [u8; 4] {
    match big_endian {
        true => value.to_be_bytes(),
        false => value.to_le_bytes(),
    }
}

/// Puts comments in front of the options of a packet's block.
fn comment(body: &mut Vec<u8>, texts: &[String], big_endian: bool) -> Result<(), error::Fault> {
    let short = || error::Fault::Damaged("a packet block is shorter than its contents".to_owned());
    let len: [u8; 4] = body
        .get(12..16)
        .and_then(|len| len.try_into().ok())
        .ok_or_else(short)?;
    let len = match big_endian {
        true => u32::from_be_bytes(len),
        false => u32::from_le_bytes(len),
    };
    let at = PACKET_FIELDS + (len as usize).next_multiple_of(4);
    if at > body.len() {
        return Err(short());
    }
    let half = |value: u16| match big_endian {
        true => value.to_be_bytes(),
        false => value.to_le_bytes(),
    };
    let mut options = Vec::new();
    for text in texts.iter().map(|text| fit(text)) {
        options.extend(half(COMMENT));
        options.extend(half(text.len() as u16));
        options.extend(text.as_bytes());
        options.resize(options.len().next_multiple_of(4), 0);
    }
    if at == body.len() {
        // Nothing stood there: the end of options has to come behind.
        options.extend([0; 4]);
    }
    body.splice(at..at, options);
    Ok(())
}

/// As much of a comment as an option can hold: its length has 16 bits.
fn fit(text: &str) -> &str {
    const MOST: usize = u16::MAX as usize;
    &text[..text.floor_char_boundary(MOST)]
}
