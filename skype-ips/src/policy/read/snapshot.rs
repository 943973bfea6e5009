//! A configuration as it was read, to be read again when its files have become others.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::toml_file::Source;

/// The files of a configuration in the order in which they were read, with their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot {
    files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    /// As it was named; only for messages.
    path: String,
    text: String,
    included: bool,
}

impl Snapshot {
    pub(super) fn of(sources: &[Source]) -> Self {
        let file = |source: &Source| File {
            path: source.path.to_string_lossy().into_owned(),
            text: source.text.clone(),
            included: source.included,
        };
        Self {
            files: sources.iter().map(file).collect(),
        }
    }

    pub(super) fn sources(&self) -> Vec<Source> {
        let source = |file: &File| Source::new(Path::new(&file.path), &file.text, file.included);
        self.files.iter().map(source).collect()
    }
}
