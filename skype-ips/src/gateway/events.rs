//! Event lines to a file or standard output, off the packet threads.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait for a slow reader; further ones are given up and counted.
const BACKLOG: usize = 8192;

/// Where the shards put their lines.
#[derive(Clone, Debug)]
pub(super) struct Events {
    lines: SyncSender<String>,
}

impl Events {
    /// Takes a line, or says that it was given up.
    pub(super) fn send(&self, record: &impl serde::Serialize) -> bool {
        let Ok(line) = serde_json::to_string(record) else {
            return false;
        };
        !matches!(self.lines.try_send(line), Err(TrySendError::Full(_)))
    }
}

/// Starts the writer: `None` discards, `-` is standard output, anything else a file to append to.
/// The writer ends when the last [`Events`] is gone.
///
/// # Errors
/// The file can't be opened.
pub(super) fn start(target: Option<&Path>) -> io::Result<(Events, JoinHandle<()>)> {
    let mut output: Box<dyn Write + Send> = match target {
        None => Box::new(io::sink()),
        Some(path) if path == Path::new("-") => Box::new(io::stdout()),
        Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
    };
    let (lines, receiver): (_, Receiver<String>) = sync_channel(BACKLOG);
    let writer = std::thread::Builder::new()
        .name("events".to_owned())
        .spawn(move || {
            for line in receiver {
                // A reader that has gone away is no reason to stop judging packets.
                if writeln!(output, "{line}")
                    .and_then(|()| output.flush())
                    .is_err()
                {
                    output = Box::new(io::sink());
                }
            }
        })?;
    Ok((Events { lines }, writer))
}
