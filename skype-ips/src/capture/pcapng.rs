//! The pcapng format: sections of either byte order, interfaces with their own link type and
//! clock, enhanced, simple and obsolete packet blocks.
//!
//! Read here and not by `pcap-file`, which gives up on options that it finds malformed (comments
//! that aren't UTF-8, time zones) although they say nothing about the packets, and leaves the
//! clocks to its caller. Section references: draft-ietf-opsawg-pcapng.

use super::error::Fault;
use super::input::Input;
use super::{MAX_PACKET_LEN, RawPacket};

/// Longest block that is believed: a packet of the greatest length with ample options.
const MAX_BLOCK_LEN: u32 = MAX_PACKET_LEN + (1 << 20);
/// Interfaces of one section that are remembered; more is damage or malice.
const MAX_INTERFACES: usize = 65_536;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
pub(super) const SECTION_HEADER_BLOCK: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION_BLOCK: u32 = 1;
pub(super) const PACKET_BLOCK: u32 = 2;
pub(super) const SIMPLE_PACKET_BLOCK: u32 = 3;
pub(super) const ENHANCED_PACKET_BLOCK: u32 = 6;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Whether a file that starts so is pcapng.
pub(super) fn is_magic(bytes: [u8; 4]) -> bool {
    u32::from_be_bytes(bytes) == SECTION_HEADER_BLOCK
}

#[derive(Debug)]
struct Interface {
    link_type: u16,
    /// Longest packet kept of this interface; 0 is no limit.
    snap_len: u32,
    clock: Clock,
}

/// How an interface counts time (section 4.2, `if_tsresol` and `if_tsoffset`).
#[derive(Clone, Copy, Debug)]
struct Clock {
    units_per_second: u128,
    offset_seconds: i64,
}

impl Clock {
    fn nanoseconds(self, units: u64) -> u64 {
        let since = u128::from(units) * 1_000_000_000 / self.units_per_second;
        let offset = i128::from(self.offset_seconds) * 1_000_000_000;
        i128::try_from(since)
            .ok()
            .and_then(|since| u64::try_from(since + offset).ok())
            .unwrap_or(0)
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    input: Input,
    big_endian: bool,
    interfaces: Vec<Interface>,
    last_timestamp: u64,
}

impl Reader {
    pub(super) fn new(input: Input) -> Result<Self, Fault> {
        Ok(Self {
            input,
            big_endian: false,
            interfaces: Vec::new(),
            last_timestamp: 0,
        })
    }

    pub(super) fn next_packet(&mut self) -> Result<Option<RawPacket>, Fault> {
        while let Some((kind, body)) = self.next_block()? {
            let fields = Fields {
                body: &body,
                big_endian: self.big_endian,
            };
            let packet = match kind {
                SECTION_HEADER_BLOCK => {
                    self.interfaces.clear();
                    None
                }
                INTERFACE_DESCRIPTION_BLOCK => {
                    let interface = interface(&fields).ok_or_else(|| short("interface"))?;
                    if self.interfaces.len() == MAX_INTERFACES {
                        return Err(Fault::Damaged("too many interfaces".to_owned()));
                    }
                    self.interfaces.push(interface);
                    None
                }
                ENHANCED_PACKET_BLOCK => Some(self.packet(&fields, fields.u32(0))?),
                // Obsolete, but written for years: a 16-bit interface and a drop count.
                PACKET_BLOCK => Some(self.packet(&fields, fields.u16(0).map(u32::from))?),
                SIMPLE_PACKET_BLOCK => Some(self.simple_packet(&fields)?),
                _ => None,
            };
            if let Some(packet) = packet {
                self.last_timestamp = packet.timestamp;
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    /// The byte order of the section of the last block.
    pub(super) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// The next block's type and body.
    pub(super) fn next_block(&mut self) -> Result<Option<(u32, Vec<u8>)>, Fault> {
        let mut bytes = vec![0; 12];
        if !self.input.fill(&mut bytes[..8])? {
            return Ok(None);
        }
        self.input.fill_whole(&mut bytes[8..])?;
        let big = |at: usize| {
            u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four of twelve bytes"))
        };
        // The same from either end, so that it can be told before the byte order is known.
        if big(0) == SECTION_HEADER_BLOCK {
            self.big_endian = match big(8) {
                BYTE_ORDER_MAGIC => true,
                magic if magic == BYTE_ORDER_MAGIC.swap_bytes() => false,
                _ => return Err(Fault::Damaged("a section without a byte order".to_owned())),
            };
        }
        let fields = Fields {
            body: &bytes,
            big_endian: self.big_endian,
        };
        let (kind, len) = (fields.u32(0).unwrap_or(0), fields.u32(4).unwrap_or(0));
        if !(12..=MAX_BLOCK_LEN).contains(&len) || len % 4 != 0 {
            return Err(Fault::Damaged(format!("a block claims {len} bytes")));
        }
        bytes.resize(len as usize, 0);
        self.input.fill_whole(&mut bytes[12..])?;
        let body_end = len as usize - 4;
        let fields = Fields {
            body: &bytes,
            big_endian: self.big_endian,
        };
        if fields.u32(body_end) != Some(len) {
            return Err(Fault::Damaged("a block's two lengths differ".to_owned()));
        }
        bytes.truncate(body_end);
        bytes.drain(..8);
        Ok(Some((kind, bytes)))
    }

    /// An enhanced packet block, or an obsolete one: they differ in the first word only.
    fn packet(&self, fields: &Fields<'_>, interface: Option<u32>) -> Result<RawPacket, Fault> {
        let (Some(interface), Some(high), Some(low), Some(len), Some(wire_len)) = (
            interface,
            fields.u32(4),
            fields.u32(8),
            fields.u32(12),
            fields.u32(16),
        ) else {
            return Err(short("packet"));
        };
        let interface = self.interface(interface)?;
        let data = fields.bytes(20, len).ok_or_else(|| short("packet"))?;
        Ok(RawPacket {
            timestamp: interface
                .clock
                .nanoseconds(u64::from(high) << 32 | u64::from(low)),
            link_type: interface.link_type,
            wire_len: wire_len.max(len),
            data,
        })
    }

    /// A simple packet block: interface 0, no time, as long as that interface's limit lets it be.
    fn simple_packet(&self, fields: &Fields<'_>) -> Result<RawPacket, Fault> {
        let interface = self.interface(0)?;
        let wire_len = fields.u32(0).ok_or_else(|| short("packet"))?;
        let len = match interface.snap_len {
            0 => wire_len,
            limit => wire_len.min(limit),
        };
        Ok(RawPacket {
            timestamp: self.last_timestamp,
            link_type: interface.link_type,
            wire_len,
            data: fields.bytes(4, len).ok_or_else(|| short("packet"))?,
        })
    }

    fn interface(&self, index: u32) -> Result<&Interface, Fault> {
        self.interfaces.get(index as usize).ok_or_else(|| {
            Fault::Damaged(format!("it names interface {index}, which isn't described"))
        })
    }
}

fn short(what: &str) -> Fault {
    Fault::Damaged(format!("a {what} block is shorter than its contents"))
}

fn interface(fields: &Fields<'_>) -> Option<Interface> {
    let mut clock = Clock {
        units_per_second: 1_000_000,
        offset_seconds: 0,
    };
    let mut at = 8;
    // Options: code, length, value padded to 32 bits; code 0 ends them.
    while let (Some(code), Some(len)) = (fields.u16(at), fields.u16(at + 2)) {
        let value = at + 4;
        match (code, len) {
            (0, _) => break,
            (IF_TSRESOL, 1) => clock.units_per_second = resolution(*fields.body.get(value)?)?,
            (IF_TSOFFSET, 8) => {
                let (first, second) = (fields.u32(value)?, fields.u32(value + 4)?);
                let (high, low) = if fields.big_endian {
                    (first, second)
                } else {
                    (second, first)
                };
                clock.offset_seconds = (u64::from(high) << 32 | u64::from(low)) as i64;
            }
            _ => {}
        }
        at = value + usize::from(len).next_multiple_of(4);
    }
    Some(Interface {
        link_type: fields.u16(0)?,
        snap_len: fields.u32(4)?,
        clock,
    })
}

/// Units per second: a negative power of 2 if the highest bit is set, else of 10.
fn resolution(value: u8) -> Option<u128> {
    let base: u128 = if value & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(u32::from(value & 0x7f))
}

/// Fields of a block's body in the section's byte order.
struct Fields<'a> {
    body: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.body.get(at..at + 2)?.try_into().ok()?;
        Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.body.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn bytes(&self, at: usize, len: u32) -> Option<Vec<u8>> {
        Some(self.body.get(at..at.checked_add(len as usize)?)?.to_vec())
    }
}
