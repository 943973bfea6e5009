//! Where the captures are that tests read and the project doesn't hold.

use std::path::{Path, PathBuf};

/// The folder of the shared captures: beside the workspace, or where `SKYPE_IPS_CAPTURES` says.
/// `None`, with a word, where there is none.
pub(crate) fn shared_captures() -> Option<PathBuf> {
    let folder = match std::env::var_os("SKYPE_IPS_CAPTURES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
    };
    if folder.join("README.md").is_file() {
        return Some(folder);
    }
    println!(
        "SKIPPED: no captures at {} (set SKYPE_IPS_CAPTURES)",
        folder.display()
    );
    None
}
