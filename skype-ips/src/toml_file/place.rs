//! Where in a configuration something was said.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as it was named, or what stands for one (an option of the command line).
    #[serde(rename = "path", serialize_with = "path_in_words")]
    pub file: Arc<Path>,
    /// Line from 1; 0 where the whole file is meant.
    pub line: u32,
    /// Column in characters from 1; 0 where the whole file is meant.
    pub column: u32,
}

impl Place {
    /// The whole of a file, or something that isn't a file, such as `--interface`.
    pub fn whole(file: impl AsRef<Path>) -> Self {
        Self {
            file: file.as_ref().into(),
            line: 0,
            column: 0,
        }
    }
}

/// `file:line`, or the file alone where the whole of it is meant.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.file))?;
        match self.line {
            0 => Ok(()),
            line => write!(f, ":{line}"),
        }
    }
}

/// A place and the line that stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The line, without its end; empty where the whole file is meant, and only the part meant
    /// where the line is longer than [`LONG_LINE`].
    pub text: String,
    /// The part meant, in bytes of `text`; `None` where `text` isn't the whole line.
    #[serde(skip)]
    pub(crate) span: Option<Range<usize>>,
}

impl Excerpt {
    /// The whole of a file.
    pub(crate) fn whole(file: impl AsRef<Path>) -> Self {
        Self {
            place: Place::whole(file),
            text: String::new(),
            span: None,
        }
    }
}

/// Lines longer than this many bytes are shown in part.
pub const LONG_LINE: usize = 4096;

/// A file's text, and where its lines begin.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file as it was named.
    pub(crate) path: Arc<Path>,
    /// Its text, without a byte order mark.
    pub(crate) text: String,
    /// Whether another file includes it.
    pub(crate) included: bool,
    lines: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: &Path, text: &str, included: bool) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.into(),
            text,
            included,
            lines,
        }
    }

    /// The line, from 1, in which the byte `offset` stands.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        self.lines.partition_point(|start| *start <= offset) as u32
    }

    /// What stands at `span`; of a span over several lines, its first line.
    pub(crate) fn excerpt(&self, span: Range<usize>) -> Excerpt {
        let line = self.line(span.start);
        let start = self.lines[line as usize - 1];
        let text = self.text[start..].lines().next().unwrap_or_default();
        let from = (span.start - start).min(text.len());
        let to = (span.end - start).clamp(from, text.len());
        let column = text[..from].chars().count() as u32 + 1;
        let (text, span) = if text.len() > LONG_LINE {
            (clip(&text[from..to]), None)
        } else {
            (text.to_owned(), Some(from..to))
        };
        Excerpt {
            place: Place {
                file: self.path.clone(),
                line,
                column,
            },
            text,
            span,
        }
    }
}

/// The text between backquotes, safe to print: control characters escaped, and cut off after 60
/// characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", clip(text))
}

/// The path, safe to print.
pub(crate) fn printable(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text),
    }
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

fn path_in_words<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_the_byte_order_mark_is_none() {
        let source = Source::new(Path::new("a.toml"), "\u{feff}x\r\né = 'y'\r\n", false);
        let at = source.text.find("'y'").unwrap();
        let excerpt = source.excerpt(at..at + 3);
        assert_eq!((excerpt.place.line, excerpt.place.column), (2, 5));
        assert_eq!(excerpt.text, "é = 'y'");
        assert_eq!(excerpt.place.to_string(), "a.toml:2");
    }

    #[test]
    fn the_end_of_the_file_is_a_place() {
        for text in ["", "a = 1", "a = 1\n"] {
            let source = Source::new(Path::new("a.toml"), text, false);
            let excerpt = source.excerpt(text.len()..text.len());
            assert_eq!(excerpt.place.line as usize, text.matches('\n').count() + 1);
        }
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("a = \"{}\"", "é".repeat(LONG_LINE));
        let source = Source::new(Path::new("a.toml"), &text, false);
        let excerpt = source.excerpt(4..text.len());
        assert_eq!(excerpt.place.column, 5);
        assert_eq!(excerpt.text.chars().count(), 61);
    }

    #[test]
    fn what_is_printed_holds_no_control_characters() {
        assert_eq!(quoted("a\x1b[31m\n"), "`a\\u{1b}[31m\\n`");
    }
}
