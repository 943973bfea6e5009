//! What can be wrong with a capture.

use std::io;

use thiserror::Error;

/// A capture that can't be read, or no further.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file can't be opened.
    #[error("{file}: can't open the capture: {source}")]
    Open {
        /// The file's name as it was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is not one byte in it.
    #[error("{file}: the file is empty; a capture without packets has a header at least")]
    Empty {
        /// The file's name as it was given.
        file: String,
    },
    /// It starts like no capture.
    #[error("{file}: not a capture (neither pcap nor pcapng, plain, gzip or zstd)")]
    NotACapture {
        /// The file's name as it was given.
        file: String,
    },
    /// The link layer is none that this program reads.
    #[error(
        "{file}: packet {packet} has link type {link_type}; readable are Ethernet, raw IP, \
         Linux cooked and null/loopback (convert it, or capture on another interface)"
    )]
    UnknownLinkType {
        /// The file's name as it was given.
        file: String,
        /// The packet, from 1.
        packet: u64,
        /// LINKTYPE number.
        link_type: u16,
    },
    /// The file ends inside a packet; the packets before it are whole.
    #[error("{file}: the capture is cut off in packet {packet}")]
    Truncated {
        /// The file's name as it was given.
        file: String,
        /// The packet, from 1.
        packet: u64,
    },
    /// The file contradicts itself.
    #[error("{file}: the capture is damaged at packet {packet}: {reason}")]
    Damaged {
        /// The file's name as it was given.
        file: String,
        /// The packet, from 1.
        packet: u64,
        /// What is wrong.
        reason: String,
    },
    /// Reading failed.
    #[error("{file}: can't read packet {packet}: {source}")]
    Read {
        /// The file's name as it was given.
        file: String,
        /// The packet, from 1.
        packet: u64,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// There is something under the name of the file to be written.
    #[error("{file}: it exists, and is not overwritten; choose another name, or remove it first")]
    Exists {
        /// The file's name as it was given.
        file: String,
    },
    /// Writing failed.
    #[error("{file}: can't write the capture: {source}")]
    Write {
        /// The file's name as it was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The same, before file and packet are known.
#[derive(Debug)]
pub(super) enum Fault {
    UnknownLinkType(u16),
    Truncated,
    Damaged(String),
    Read(io::Error),
}

impl Fault {
    pub(super) fn at(self, file: &str, packet: u64) -> CaptureError {
        let file = file.to_owned();
        match self {
            Self::UnknownLinkType(link_type) => CaptureError::UnknownLinkType {
                file,
                packet,
                link_type,
            },
            Self::Truncated => CaptureError::Truncated { file, packet },
            Self::Damaged(reason) => CaptureError::Damaged {
                file,
                packet,
                reason,
            },
            Self::Read(source) => CaptureError::Read {
                file,
                packet,
                source,
            },
        }
    }
}

/// Decompressors wrap the end of their input in errors of their own.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let mut cause = error
            .get_ref()
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        let mut cut = error.kind() == io::ErrorKind::UnexpectedEof;
        while let Some(inner) = cause {
            cut |= inner
                .downcast_ref::<io::Error>()
                .is_some_and(|inner| inner.kind() == io::ErrorKind::UnexpectedEof);
            cause = inner.source();
        }
        if cut {
            Self::Truncated
        } else {
            Self::Read(error)
        }
    }
}
