//! The pcap format: both byte orders, micro- and nanoseconds.
//!
//! Framing is done here and not by the crate's reader, which takes an absurd length for a cut and
//! refuses packets that were cut off on purpose (`tcpdump -s`).

use pcap_file::TsResolution;
use pcap_file::pcap::{PcapHeader, PcapParser};

use super::error::Fault;
use super::input::Input;
use super::{MAX_PACKET_LEN, RawPacket};

const HEADER_LEN: usize = 24;
const PACKET_HEADER_LEN: usize = 16;

/// Whether a file that starts so is pcap.
pub(super) fn is_magic(bytes: [u8; 4]) -> bool {
    let number = u32::from_be_bytes(bytes);
    [number, number.swap_bytes()]
        .iter()
        .any(|number| matches!(number, 0xa1b2_c3d4 | 0xa1b2_3c4d))
}

#[derive(Debug)]
pub(super) struct Reader {
    input: Input,
    parser: PcapParser,
    header: PcapHeader,
}

impl Reader {
    pub(super) fn new(mut input: Input) -> Result<Self, Fault> {
        let mut header = [0; HEADER_LEN];
        input.fill_whole(&mut header)?;
        let (_, parser) =
            PcapParser::new(&header).map_err(|error| Fault::Damaged(error.to_string()))?;
        let header = parser.header();
        Ok(Self {
            input,
            parser,
            header,
        })
    }

    pub(super) fn header(&self) -> &PcapHeader {
        &self.header
    }

    /// The LINKTYPE number. The upper half of its field says whether frames end in a checksum.
    pub(super) fn link_type(&self) -> u16 {
        u32::from(self.header.datalink) as u16
    }

    pub(super) fn next_packet(&mut self) -> Result<Option<RawPacket>, Fault> {
        let mut bytes = vec![0; PACKET_HEADER_LEN];
        if !self.input.fill(&mut bytes)? {
            return Ok(None);
        }
        let len: [u8; 4] = bytes[8..12].try_into().expect("four of sixteen bytes");
        let len = match self.header.endianness.is_big() {
            true => u32::from_be_bytes(len),
            false => u32::from_le_bytes(len),
        };
        if len > MAX_PACKET_LEN {
            return Err(Fault::Damaged(format!(
                "it claims {len} bytes, more than the {MAX_PACKET_LEN} of any capture tool"
            )));
        }
        bytes.resize(PACKET_HEADER_LEN + len as usize, 0);
        self.input.fill_whole(&mut bytes[PACKET_HEADER_LEN..])?;
        let (_, packet) = self
            .parser
            .next_raw_packet(&bytes)
            .map_err(|error| Fault::Damaged(error.to_string()))?;
        let unit = match self.header.ts_resolution {
            TsResolution::MicroSecond => 1000,
            TsResolution::NanoSecond => 1,
        };
        let link_type = self.link_type();
        let (seconds, fraction) = (u64::from(packet.ts_sec), u64::from(packet.ts_frac));
        let wire_len = packet.orig_len.max(len);
        bytes.drain(..PACKET_HEADER_LEN);
        Ok(Some(RawPacket {
            timestamp: seconds * 1_000_000_000 + fraction * unit,
            link_type,
            data: bytes,
            wire_len,
        }))
    }
}
