//! The bytes of a capture file, decompressed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::error::{CaptureError, Fault};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Bytes read at once.
const BUFFER_LEN: usize = 64 * 1024;

/// Largest zstd window that is allocated on the file's word, bytes: what `zstd -19` uses.
const MAX_WINDOW: u64 = 8 << 20;

/// A stream of bytes that can tell a clean end from a cut.
pub(super) struct Input(Box<dyn Read + Send>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

impl Input {
    /// Fills `buffer`; false at a clean end, which is one before its first byte.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, Fault> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(Fault::Truncated),
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Fills `buffer` with bytes that have to be there.
    pub(super) fn fill_whole(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        if !buffer.is_empty() && !self.fill(buffer)? {
            return Err(Fault::Truncated);
        }
        Ok(())
    }
}

/// Opens a file (`-`: standard input) and looks at its first four bytes, which stay in the stream.
pub(super) fn open(path: &Path, file: &str) -> Result<(Input, [u8; 4]), CaptureError> {
    let bytes: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let opened = File::open(path).and_then(|opened| match opened.metadata()?.is_dir() {
            true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            false => Ok(opened),
        });
        Box::new(opened.map_err(|source| CaptureError::Open {
            file: file.to_owned(),
            source,
        })?)
    };
    let empty = || CaptureError::Empty {
        file: file.to_owned(),
    };
    let peeked = peek(Input(bytes)).map_err(|fault| match fault {
        Fault::Truncated => CaptureError::NotACapture {
            file: file.to_owned(),
        },
        fault => fault.at(file, 1),
    })?;
    let (packed, magic) = peeked.ok_or_else(empty)?;
    let unpacked: Box<dyn Read + Send> = if magic[..2] == GZIP {
        Box::new(MultiGzDecoder::new(packed))
    } else if magic == ZSTD {
        Box::new(ZstdFrames {
            packed: Some(packed),
            frame: None,
        })
    } else {
        return Ok((Input(Box::new(packed)), magic));
    };
    let peeked = peek(Input(unpacked)).map_err(|fault| fault.at(file, 1))?;
    let (unpacked, magic) = peeked.ok_or_else(empty)?;
    Ok((Input(Box::new(unpacked)), magic))
}

type Peeked = BufReader<io::Chain<io::Cursor<[u8; 4]>, Box<dyn Read + Send>>>;

/// The stream and its first four bytes; `None` if it is empty.
fn peek(mut input: Input) -> Result<Option<(Peeked, [u8; 4])>, Fault> {
    let mut magic = [0; 4];
    if !input.fill(&mut magic)? {
        return Ok(None);
    }
    let whole = io::Cursor::new(magic).chain(input.0);
    Ok(Some((BufReader::with_capacity(BUFFER_LEN, whole), magic)))
}

/// All frames of a zstd file one after the other: the crate's decoder ends with the first.
struct ZstdFrames {
    /// The rest of the file, between frames.
    packed: Option<Peeked>,
    frame: Option<StreamingDecoder<Peeked, ruzstd::decoding::FrameDecoder>>,
}

impl Read for ZstdFrames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let len = frame.read(buffer)?;
                if len > 0 || buffer.is_empty() {
                    return Ok(len);
                }
                self.packed = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut packed) = self.packed.take() else {
                return Ok(0);
            };
            if packed.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let frame = StreamingDecoder::new_with_max_window_size(packed, MAX_WINDOW);
            self.frame = Some(frame.map_err(io::Error::other)?);
        }
    }
}
