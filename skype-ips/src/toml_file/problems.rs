//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::path::Path;

use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::place::{Excerpt, printable};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Allowed, and probably not what was meant.
    Warning,
    /// The configuration can't be used.
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is: path, line, column and the line's text.
    #[serde(flatten)]
    pub at: Excerpt,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// The other place that it is about, if there is one.
    pub related: Option<Related>,
}

/// A second place that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Where.
    #[serde(flatten)]
    pub at: Excerpt,
    /// What is there.
    pub label: String,
}

impl Problem {
    pub(crate) fn new(
        severity: Severity,
        at: Excerpt,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            at,
            message: message.into(),
            help: help.into(),
            related: None,
        }
    }

    pub(crate) fn error(at: Excerpt, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Error, at, message, help)
    }

    /// That a file can't be used as a whole; `message` is about the path, which comes before.
    pub(crate) fn of_file(path: &Path, message: &str, help: impl Into<String>) -> Self {
        let message = format!("{} {message}", printable(path));
        Self::error(Excerpt::whole(path), message, help)
    }

    pub(crate) fn related(mut self, at: Excerpt, label: impl Into<String>) -> Self {
        self.related = Some(Related {
            at,
            label: label.into(),
        });
        self
    }

    /// The problem as the lines that a person reads.
    pub fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Note => Level::NOTE,
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let mut group = level
            .primary_title(self.message.as_str())
            .elements(self.shown());
        if !self.help.is_empty() {
            group = group.element(Level::HELP.message(self.help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The location, and the line with the part meant underlined.
    fn shown(&self) -> Vec<Element<'_>> {
        let Some(Related { at, label }) = &self.related else {
            return self.at.shown(AnnotationKind::Primary, None);
        };
        match (&self.at.span, &at.span) {
            (Some(here), Some(there)) if self.at.shares_line(at) => {
                let second = AnnotationKind::Context
                    .span(there.clone())
                    .label(label.as_str());
                let line = self.at.line(AnnotationKind::Primary.span(here.clone()));
                vec![line.annotation(second).into()]
            }
            _ => {
                let mut elements = self.at.shown(AnnotationKind::Primary, None);
                elements.extend(at.shown(AnnotationKind::Context, Some(label)));
                elements
            }
        }
    }
}

impl Excerpt {
    /// Whether both stand in one line.
    fn shares_line(&self, other: &Self) -> bool {
        let (here, there) = (&self.place, &other.place);
        (&here.file, here.line) == (&there.file, there.line)
    }

    fn shown<'a>(&'a self, kind: AnnotationKind, label: Option<&'a str>) -> Vec<Element<'a>> {
        if let Some(span) = self.span.clone() {
            return vec![self.line(kind.span(span).label(label)).into()];
        }
        let mut origin = Origin::path(printable(&self.place.file));
        if self.place.line > 0 {
            origin = origin
                .line(self.place.line as usize)
                .char_column(self.place.column as usize);
        }
        let note = [label.unwrap_or_default(), &self.text].join(" ");
        let note = note.trim().to_owned();
        let note = (!note.is_empty()).then(|| Level::NOTE.message(note).into());
        std::iter::once(origin.into()).chain(note).collect()
    }

    fn line<'a>(&'a self, annotation: Annotation<'a>) -> Snippet<'a, Annotation<'a>> {
        Snippet::source(&*self.text)
            .path(printable(&self.place.file))
            .line_start(self.place.line as usize)
            .annotation(annotation)
    }
}

/// Everything that is wrong with a configuration, in the order of the files and their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// All of them.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are of `severity`.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|p| p.severity == severity).count()
    }

    /// Whether the configuration can't be used.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many there are, in words: "2 errors, 1 warning".
    pub fn summary(&self) -> String {
        let parts: Vec<_> = [
            (Severity::Error, "error"),
            (Severity::Warning, "warning"),
            (Severity::Note, "note"),
        ]
        .into_iter()
        .map(|(severity, word)| (self.count(severity), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| counted(count, word))
        .collect();
        if parts.is_empty() {
            "no problems".into()
        } else {
            parts.join(", ")
        }
    }

    /// All of them as the lines that a person reads.
    pub fn render(&self, renderer: &Renderer) -> String {
        let rendered: Vec<_> = self.list.iter().map(|p| p.render(renderer)).collect();
        rendered.join("\n\n")
    }

    /// This one alone.
    pub(crate) fn of(problem: Problem) -> Self {
        Self {
            list: vec![problem],
        }
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.list.extend(problems);
    }

    /// Puts them in the order of `files`, and within a file in that of the lines.
    pub(crate) fn sort(&mut self, files: &[&Path]) {
        self.list.sort_by_key(|problem| {
            let place = &problem.at.place;
            let file = files.iter().position(|file| **file == *place.file);
            (file.unwrap_or(usize::MAX), place.line, place.column)
        });
    }
}

impl FromIterator<Problems> for Problems {
    fn from_iter<I: IntoIterator<Item = Self>>(several: I) -> Self {
        let list = several.into_iter().flat_map(|problems| problems.list);
        Self {
            list: list.collect(),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Problems {}

/// "1 policy", "2 policies", "0 errors".
pub(crate) fn counted(count: usize, word: &str) -> String {
    match (count, word.strip_suffix('y'), word.strip_suffix('x')) {
        (1, ..) => format!("1 {word}"),
        (_, Some(stem), _) => format!("{count} {stem}ies"),
        (_, _, Some(_)) => format!("{count} {word}es"),
        _ => format!("{count} {word}s"),
    }
}
