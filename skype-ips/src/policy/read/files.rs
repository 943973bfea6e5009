//! Reads the files of a configuration, and those that they include.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::language::{INCLUDE, LANGUAGE};
use crate::toml_file::{
    Document, Excerpt, Problem, Reader, Severity, Source, printable, quoted, read_limited,
};

/// Most files of one configuration.
const MAX_FILES: usize = 1024;

/// The files in the order in which they are read, each before those that it includes.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) sources: Vec<Source>,
    pub(super) problems: Vec<Problem>,
    read: HashSet<PathBuf>,
    including: Vec<PathBuf>,
}

impl Files {
    /// Files that were read before, with those that they include.
    pub(super) fn given(sources: Vec<Source>) -> Self {
        Self {
            sources,
            ..Self::default()
        }
    }

    /// Reads a file and what it includes; a file named twice is read once.
    pub(super) fn read(&mut self, path: &Path) {
        self.read_from(path, None);
    }

    /// Takes `text` as the content of `path`, and reads what it includes.
    pub(super) fn take(&mut self, path: &Path, text: &str, included: bool) {
        let source = Source::new(path, text, included);
        let patterns = self.includes(&source);
        self.sources.push(source);
        self.including.push(identity(path));
        let folder = path.parent().unwrap_or(Path::new(""));
        for (pattern, at) in patterns {
            self.include(folder, &pattern, &at);
        }
        self.including.pop();
    }

    fn read_from(&mut self, path: &Path, named_at: Option<&Excerpt>) {
        let at = || named_at.cloned().unwrap_or_else(|| Excerpt::whole(path));
        let identity = identity(path);
        if self.including.contains(&identity) {
            let message = format!("{} includes itself", printable(path));
            let help = "take it out of this `include`";
            self.problems.push(Problem::error(at(), message, help));
            return;
        }
        if !self.read.insert(identity) {
            return;
        }
        if self.sources.len() == MAX_FILES {
            let message = format!("more than {MAX_FILES} files");
            let help = "put several policies into one file";
            self.problems.push(Problem::error(at(), message, help));
            return;
        }
        let bytes = match read_limited(path) {
            Ok(bytes) => bytes,
            Err((message, help)) => {
                let message = format!("{} {message}", printable(path));
                self.problems.push(Problem::error(at(), message, help));
                return;
            }
        };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => self.take(path, text, named_at.is_some()),
            Err(error) => {
                let lossy = String::from_utf8_lossy(bytes);
                let at = error.valid_up_to();
                self.problems.push(Problem::error(
                    Source::new(path, &lossy, false).excerpt(at..at),
                    "this is not UTF-8 text",
                    "save the file as UTF-8",
                ));
            }
        }
    }

    /// What a file's `include` says, and where.
    fn includes(&mut self, source: &Source) -> Vec<(String, Excerpt)> {
        let document = Document::parse(source, &LANGUAGE);
        let mut reader = Reader::new(&document);
        let patterns = reader
            .strings(&document.root, &INCLUDE)
            .unwrap_or_default()
            .into_iter()
            .map(|item| (item.get_ref().to_string(), reader.at(Spanned::span(&item))))
            .collect();
        self.problems.extend(reader.finish());
        patterns
    }

    fn include(&mut self, folder: &Path, pattern: &str, at: &Excerpt) {
        let path = folder.join(pattern);
        let (parent, last) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(last)) if !pattern.is_empty() => (parent, last.to_string_lossy()),
            _ => {
                let message = format!("{} names no file", quoted(pattern));
                let help = "write a file or a pattern, such as \"policies/*.toml\"";
                self.problems
                    .push(Problem::error(at.clone(), message, help));
                return;
            }
        };
        if parent.to_string_lossy().contains('*') {
            let message = format!("`*` stands for folders in {}", quoted(pattern));
            let help = "write `*` in the file's name only, as in \"policies/*.toml\"";
            self.problems
                .push(Problem::error(at.clone(), message, help));
        } else if last.contains('*') {
            match matching(parent, &last) {
                Ok(paths) if paths.is_empty() => self.problems.push(Problem::new(
                    Severity::Warning,
                    at.clone(),
                    format!("no file matches {}", quoted(pattern)),
                    format!(
                        "put files there, or remove it; it was looked for in {}",
                        shown(parent)
                    ),
                )),
                Ok(paths) => paths.iter().for_each(|path| self.read_from(path, Some(at))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.problems.push(Problem::new(
                        Severity::Warning,
                        at.clone(),
                        format!("no file matches {}", quoted(pattern)),
                        format!("make the folder {}, or remove it", shown(parent)),
                    ));
                }
                Err(error) => {
                    let message = format!("can't list {}: {error}", shown(parent));
                    let help = "allow the daemon's user to read this folder";
                    self.problems
                        .push(Problem::error(at.clone(), message, help));
                }
            }
        } else {
            self.read_from(&path, Some(at));
        }
    }
}

/// What makes two names the same file.
fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn shown(folder: &Path) -> String {
    match folder.as_os_str().is_empty() {
        true => "this folder".into(),
        false => printable(folder),
    }
}

/// The files of `folder` whose names match `pattern`, by name; hidden files only where the
/// pattern begins with a dot.
fn matching(folder: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let listed = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(listed)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if fits(&text, pattern) && text.starts_with('.') == pattern.starts_with('.') {
            paths.push(folder.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether `name` matches a pattern in which `*` stands for any characters.
fn fits(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (name, pattern) in [
            ("a.toml", "*.toml"),
            (".toml", "*.toml"),
            ("a.toml", "a.toml"),
            ("10-office.toml", "1*-*.toml"),
            ("aXbXc", "a*b*c"),
            ("x", "*"),
            ("x", "**"),
        ] {
            assert!(fits(name, pattern), "{name} {pattern}");
        }
        for (name, pattern) in [
            ("a.toml~", "*.toml"),
            ("a.tom", "*.toml"),
            ("aba", "ab*ba"),
            ("b.toml", "a.toml"),
            ("a.toml.bak", "a.toml"),
        ] {
            assert!(!fits(name, pattern), "{name} {pattern}");
        }
    }
}
