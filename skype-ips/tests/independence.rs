//! The simulated network knows nothing of what finds it: else a mistake about the wire made once
//! would be made twice, and no test of the one by the other would show it.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of the detecting side.
const FORBIDDEN: [&str; 7] = [
    "crate::detect",
    "crate::engine",
    "crate::gateway",
    "crate::hosts",
    "crate::kernel",
    "crate::replay",
    "skype_ips_common::",
];
/// The generator's arithmetic, whose constants follow from an open capture, is the exception.
const SHARED: &str = "skype_ips_common::lcg";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_simulator_imports_nothing_that_detects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator");
    let mut found = Vec::new();
    sources(&folder, &mut found);
    assert!(found.len() > 20, "only {} files", found.len());
    for path in found {
        let text = fs::read_to_string(&path).expect("readable");
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split("//").next().unwrap_or_default();
            let line = line.replace(SHARED, "");
            for room in FORBIDDEN {
                assert!(
                    !line.contains(room),
                    "{}:{number} uses {room}",
                    path.display()
                );
            }
        }
    }
}
