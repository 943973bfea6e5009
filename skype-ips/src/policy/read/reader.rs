//! Takes typed values out of one file's TOML and collects what is wrong with them.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::place::{Excerpt, Source, quoted};
use super::super::problems::{Problem, Severity};
use super::super::vocabulary::Word;
use super::language::{Grammar, Key, listed, nearest, not_yet};

/// A value and where it stands.
pub(super) type Value<'s> = Spanned<DeValue<'s>>;

/// A file's TOML.
#[derive(Debug)]
pub(super) struct Document<'s> {
    pub(super) source: &'s Source,
    pub(super) root: DeTable<'s>,
    pub(super) syntax: Vec<Problem>,
}

impl<'s> Document<'s> {
    /// Parses a file, past its syntax errors as far as that goes.
    pub(super) fn parse(source: &'s Source) -> Self {
        let (root, mut errors) = DeTable::parse_recoverable(&source.text);
        // What follows from an error in its own line is not an error of its own.
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        errors.dedup_by_key(|error| source.line(error.span().unwrap_or_default().start));
        let syntax = errors
            .iter()
            .map(|error| {
                let at = source.excerpt(error.span().unwrap_or_default());
                let message = format!("this is not TOML: {}", error.message());
                Problem::error(at, message, syntax_help(error.message()))
            })
            .collect();
        Self {
            source,
            root: root.into_inner(),
            syntax,
        }
    }
}

fn syntax_help(message: &str) -> &'static str {
    if message.starts_with("duplicate key") {
        "say it once; a list of tables is written with two brackets, as in `[[policy]]`"
    } else if message.contains("quoted") || message.contains("float") {
        "write words and addresses in double quotes, as in \"drop\" or \"10.0.0.0/8\""
    } else if message.contains("array") {
        "write a list as [\"a\", \"b\"]: commas between, one closing bracket"
    } else if message.contains("boolean") {
        "write true or false"
    } else {
        "write each setting as key = value in a line of its own"
    }
}

/// Reads one document.
#[derive(Debug)]
pub(super) struct Reader<'s> {
    source: &'s Source,
    /// Lines with a syntax error: what their values say is not to be judged.
    broken: HashSet<u32>,
    problems: Vec<Problem>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(document: &Document<'s>) -> Self {
        let broken = document.syntax.iter().map(|p| p.at.place.line).collect();
        Self {
            source: document.source,
            broken,
            problems: Vec::new(),
        }
    }

    /// What was found wrong beyond the syntax.
    pub(super) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn at(&self, span: Range<usize>) -> Excerpt {
        self.source.excerpt(span)
    }

    pub(super) fn report(&mut self, problem: Problem) {
        if !self.broken.contains(&problem.at.place.line) {
            self.problems.push(problem);
        }
    }

    pub(super) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.at(span);
        self.report(Problem::error(at, message, help));
    }

    pub(super) fn note(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.at(span);
        self.report(Problem::new(Severity::Note, at, message, help));
    }

    /// An error that is about two places.
    pub(super) fn conflict(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
        other: Excerpt,
        label: impl Into<String>,
    ) {
        let at = self.at(span);
        self.report(Problem::error(at, message, help).related(other, label));
    }

    /// That a key is missing from the table at `span`, unless it may have been lost to a syntax
    /// error.
    pub(super) fn missing(&mut self, span: Range<usize>, message: String, key: &Key) {
        if self.broken.is_empty() {
            self.error(span, message, format!("add {}", key.example));
        }
    }

    /// Reports the keys of `table` that the grammar doesn't have.
    pub(super) fn keys(&mut self, table: &DeTable<'_>, grammar: &Grammar) {
        for (key, _) in table {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if grammar.keys.iter().any(|known| known.name == name) {
                continue;
            }
            if grammar.later.contains(&name) {
                self.error(span, not_yet(name), "remove it");
            } else {
                let message = format!("unknown key {} in {}", quoted(name), grammar.named());
                self.error(span, message, grammar.instead_of(name));
            }
        }
    }

    /// A string.
    pub(super) fn string<'v>(
        &mut self,
        table: &'v DeTable<'_>,
        key: &Key,
    ) -> Option<Spanned<&'v str>> {
        let value = table.get(key.name)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Spanned::new(value.span(), text)),
            _ => self.wrong_type(value, key, "a string in quotes"),
        }
    }

    /// One word of a fixed set.
    pub(super) fn word<T: Word>(&mut self, table: &DeTable<'_>, key: &Key) -> Option<Spanned<T>> {
        let value = table.get(key.name)?;
        let words: Vec<_> = T::WORDS.iter().map(|word| word.as_word()).collect();
        let DeValue::String(text) = value.get_ref() else {
            let expected = format!("one of {}, in quotes", quoted_words(&words));
            return self.wrong_type(value, key, &expected);
        };
        match T::WORDS.iter().find(|word| word.as_word() == *text) {
            Some(word) => Some(Spanned::new(value.span(), *word)),
            None => {
                let message = format!("{} is no value of `{}`", quoted(text), key.name);
                let help = match nearest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("write {}", quoted_words(&words)),
                };
                self.error(value.span(), message, help);
                None
            }
        }
    }

    /// A whole number in `range`.
    pub(super) fn integer(
        &mut self,
        table: &DeTable<'_>,
        key: &Key,
        range: RangeInclusive<u32>,
    ) -> Option<Spanned<u32>> {
        let value = table.get(key.name)?;
        self.integer_of(value, key, range)
    }

    /// A list of whole numbers in `range`; what isn't one is reported and left out.
    pub(super) fn integers(
        &mut self,
        table: &DeTable<'_>,
        key: &Key,
        range: RangeInclusive<u32>,
    ) -> Option<Vec<Spanned<u32>>> {
        let value = table.get(key.name)?;
        let DeValue::Array(list) = value.get_ref() else {
            return self.wrong_type(value, key, "a list in brackets");
        };
        let items = list.iter();
        let items = items.filter_map(|item| self.integer_of(item, key, range.clone()));
        Some(items.collect())
    }

    fn integer_of(
        &mut self,
        value: &Value<'_>,
        key: &Key,
        range: RangeInclusive<u32>,
    ) -> Option<Spanned<u32>> {
        let DeValue::Integer(integer) = value.get_ref() else {
            return self.wrong_type(value, key, "a whole number without quotes");
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!(
                "{} is out of range for `{}`",
                quoted(&integer.to_string()),
                key.name
            );
            let help = format!("write a number from {} to {}", range.start(), range.end());
            self.error(value.span(), message, help);
        }
        Some(Spanned::new(value.span(), number?))
    }

    /// A list of strings; what isn't a string is reported and left out.
    pub(super) fn strings<'v>(
        &mut self,
        table: &'v DeTable<'_>,
        key: &Key,
    ) -> Option<Vec<Spanned<&'v str>>> {
        let value = table.get(key.name)?;
        self.strings_of(value, key)
    }

    /// As [`Reader::strings`], of the value itself.
    pub(super) fn strings_of<'v>(
        &mut self,
        value: &'v Value<'_>,
        key: &Key,
    ) -> Option<Vec<Spanned<&'v str>>> {
        let DeValue::Array(list) = value.get_ref() else {
            return self.wrong_type(value, key, "a list in brackets");
        };
        let mut strings = Vec::new();
        for item in list {
            match item.get_ref() {
                DeValue::String(text) => strings.push(Spanned::new(item.span(), &**text)),
                _ => {
                    self.wrong_type::<()>(item, key, "a list of strings in quotes");
                }
            }
        }
        Some(strings)
    }

    /// A table, such as `[queues]`.
    pub(super) fn table<'v>(
        &mut self,
        table: &'v DeTable<'s>,
        key: &Key,
    ) -> Option<(&'v DeTable<'s>, Range<usize>)> {
        let value = table.get(key.name)?;
        match value.get_ref() {
            DeValue::Table(inner) => Some((inner, value.span())),
            _ => self.wrong_type(value, key, "a table"),
        }
    }

    /// A list of tables, such as `[[policy]]`.
    pub(super) fn tables<'v>(
        &mut self,
        table: &'v DeTable<'s>,
        key: &Key,
    ) -> Vec<(&'v DeTable<'s>, Range<usize>)> {
        let expected = "a list of tables, with two brackets";
        let Some(value) = table.get(key.name) else {
            return Vec::new();
        };
        let DeValue::Array(list) = value.get_ref() else {
            self.wrong_type::<()>(value, key, expected);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in list {
            match item.get_ref() {
                DeValue::Table(inner) => tables.push((inner, item.span())),
                _ => {
                    self.wrong_type::<()>(item, key, expected);
                }
            }
        }
        tables
    }

    /// That `value` has the wrong type. Always `None`.
    pub(super) fn wrong_type<T>(
        &mut self,
        value: &Value<'_>,
        key: &Key,
        expected: &str,
    ) -> Option<T> {
        let found = match value.get_ref().type_str() {
            "integer" => "an integer",
            "array" => "a list",
            "string" => "a string",
            "float" => "a fraction",
            "boolean" => "a boolean",
            "datetime" => "a date",
            _ => "a table",
        };
        let message = format!("`{}` must be {expected}, not {found}", key.name);
        self.error(
            value.span(),
            message,
            format!("write it like {}", key.example),
        );
        None
    }
}

/// The words in double quotes, as they stand in a file.
fn quoted_words(words: &[&str]) -> String {
    listed(words.iter().map(|word| format!("\"{word}\"")), "or")
}
