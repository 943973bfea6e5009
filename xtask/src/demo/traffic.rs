//! What the demo sends: real captures where they are found, else made-up sessions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{process, workspace};

/// Real Skype, and calls of other programs that must not be taken for it.
const REAL: [&str; 3] = [
    "skype/ndpi_skype.pcap",
    "other/ndpi_signal.pcap",
    "other/ndpi_whatsapp_voice_and_message.pcap",
];

/// Captures to send, the first of them with Skype in it.
#[derive(Debug)]
pub(crate) struct Captures {
    /// Their files.
    pub(crate) files: Vec<PathBuf>,
    /// Holds the made-up one; goes with this.
    _made_up: Option<Folder>,
}

/// A folder that is removed in the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed is small, and lies where the system clears up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Finds the real captures, or has the program make one.
pub(crate) fn captures(program: &Path) -> Result<Captures> {
    let folder = workspace::captures();
    let files: Vec<_> = folder
        .iter()
        .flat_map(|folder| REAL.map(|name| folder.join(name)))
        .filter(|file| file.is_file())
        .collect();
    if files.first().is_some_and(|file| file.ends_with(REAL[0])) {
        println!("traffic: real captures");
        for file in &files {
            println!("  {}", file.display());
        }
        return Ok(Captures {
            files,
            _made_up: None,
        });
    }
    println!("traffic: made-up sessions, as no real captures were found");
    let folder = std::env::temp_dir().join(format!("skype-ips-demo-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = Folder(folder);
    let file = folder.0.join("made-up.pcap");
    process::run(
        Command::new(program)
            .args(["lab", "generate", "sign-in", "--write"])
            .arg(&file)
            .stdout(Stdio::null()),
    )?;
    Ok(Captures {
        files: vec![file],
        _made_up: Some(folder),
    })
}
