//! Reads a file of bounded size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read, bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// The file's bytes, or what is wrong with it and what to do.
pub(crate) fn read_limited(path: &Path) -> Result<Vec<u8>, (String, &'static str)> {
    let unreadable = |error: io::Error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "name a file that is there",
            io::ErrorKind::PermissionDenied => "run this as a user who may read it",
            _ => "name a readable TOML file",
        };
        (format!("can't be read: {error}"), help)
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    if read.map_err(unreadable)? as u64 > MAX_FILE {
        let message = format!("is larger than {MAX_FILE} bytes (1 MiB), the most that is read");
        return Err((message, "split it and `include` the parts"));
    }
    Ok(bytes)
}
