//! Takes typed values out of one file's TOML and collects what is wrong with them.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::grammar::{Grammar, Key, Language, VERSION, Word, listed, nearest};
use super::place::{Excerpt, Source, quoted};
use super::problems::{Problem, Severity};
use super::quantity::Wrong;

/// A value and where it stands.
pub(crate) type Value<'s> = Spanned<DeValue<'s>>;

/// A file's TOML.
#[derive(Debug)]
pub(crate) struct Document<'s> {
    pub(crate) source: &'s Source,
    language: &'static Language,
    pub(crate) root: DeTable<'s>,
    pub(crate) syntax: Vec<Problem>,
}

impl<'s> Document<'s> {
    /// Parses a file, past its syntax errors as far as that goes.
    pub(crate) fn parse(source: &'s Source, language: &'static Language) -> Self {
        let (root, mut errors) = DeTable::parse_recoverable(&source.text);
        // What follows from an error in its own line is not an error of its own.
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        errors.dedup_by_key(|error| source.line(error.span().unwrap_or_default().start));
        let syntax = errors
            .iter()
            .map(|error| {
                let at = source.excerpt(error.span().unwrap_or_default());
                let message = format!("this is not TOML: {}", error.message());
                Problem::error(at, message, syntax_help(error.message(), language))
            })
            .collect();
        Self {
            source,
            language,
            root: root.into_inner(),
            syntax,
        }
    }
}

fn syntax_help(message: &str, language: &Language) -> String {
    let Language { list, strings, .. } = language;
    if message.starts_with("duplicate key") {
        format!("say it once; a list of tables is written with two brackets, as in `{list}`")
    } else if message.contains("quoted") || message.contains("float") {
        format!("write words and addresses in double quotes, as in {strings}")
    } else if message.contains("array") {
        "write a list as [\"a\", \"b\"]: commas between, one closing bracket".into()
    } else if message.contains("boolean") {
        "write true or false".into()
    } else {
        "write each setting as key = value in a line of its own".into()
    }
}

/// Reads one document.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    source: &'s Source,
    language: &'static Language,
    /// Lines with a syntax error: what their values say is not to be judged.
    broken: HashSet<u32>,
    problems: Vec<Problem>,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(document: &Document<'s>) -> Self {
        let broken = document.syntax.iter().map(|p| p.at.place.line).collect();
        Self {
            source: document.source,
            language: document.language,
            broken,
            problems: Vec::new(),
        }
    }

    /// What was found wrong beyond the syntax.
    pub(crate) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    pub(crate) fn at(&self, span: Range<usize>) -> Excerpt {
        self.source.excerpt(span)
    }

    pub(crate) fn report(&mut self, problem: Problem) {
        if !self.broken.contains(&problem.at.place.line) {
            self.problems.push(problem);
        }
    }

    pub(crate) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.at(span);
        self.report(Problem::error(at, message, help));
    }

    pub(crate) fn warning(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.at(span);
        self.report(Problem::new(Severity::Warning, at, message, help));
    }

    pub(crate) fn note(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = self.at(span);
        self.report(Problem::new(Severity::Note, at, message, help));
    }

    /// An error that is about two places.
    pub(crate) fn conflict(
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
    pub(crate) fn missing(&mut self, span: Range<usize>, message: String, key: &Key) {
        if self.broken.is_empty() {
            self.error(span, message, format!("add {}", key.example));
        }
    }

    /// Checks `version`; whether the rest of the file can be judged.
    pub(crate) fn version(&mut self, document: &Document<'_>) -> bool {
        let Some((key, value)) = document.root.get_key_value(VERSION.name) else {
            let message = "the file doesn't say which version of the language it is in".into();
            self.missing(0..0, message, &VERSION);
            return true;
        };
        let DeValue::Integer(number) = value.get_ref() else {
            return self
                .wrong_type(value, &VERSION, "the number 1")
                .unwrap_or(true);
        };
        if number.as_str() != "1" {
            let message = format!(
                "version {} of the language isn't known",
                quoted(number.as_str())
            );
            self.error(value.span(), message, "write version = 1");
            return false;
        }
        let others = document.root.iter().filter(|(other, _)| *other != key);
        let first = others.min_by_key(|(other, _)| other.span().start);
        if let Some((other, _)) = first.filter(|(other, _)| other.span().start < key.span().start) {
            let before = self.at(other.span());
            let message = "`version` must come first";
            self.conflict(
                key.span(),
                message,
                "move it to the top of the file",
                before,
                "before it",
            );
        }
        true
    }

    /// Reports the keys of `table` that the grammar doesn't have.
    pub(crate) fn keys(&mut self, table: &DeTable<'_>, grammar: &Grammar) {
        for (key, _) in table {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            if grammar.keys.iter().any(|known| known.name == name) {
                continue;
            }
            if grammar.later.contains(&name) {
                self.error(span, self.language.not_yet(name), "remove it");
            } else {
                let message = format!("unknown key {} in {}", quoted(name), grammar.named());
                self.error(span, message, grammar.instead_of(name, self.language));
            }
        }
    }

    /// A string.
    pub(crate) fn string<'v>(
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

    /// What `parse` makes of a string, which says what is wrong with it otherwise.
    pub(crate) fn parsed<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let text = self.string(table, key)?;
        match parse(text.get_ref()) {
            Ok(value) => Some(Spanned::new(text.span(), value)),
            Err((message, help)) => {
                self.error(text.span(), message, help);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, table: &DeTable<'_>, key: &Key) -> Option<Spanned<bool>> {
        let value = table.get(key.name)?;
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(Spanned::new(value.span(), *truth)),
            _ => self.wrong_type(value, key, "true or false"),
        }
    }

    /// One word of a fixed set.
    pub(crate) fn word<T: Word>(&mut self, table: &DeTable<'_>, key: &Key) -> Option<Spanned<T>> {
        let value = table.get(key.name)?;
        self.word_of(value, key)
    }

    /// A list of words of a fixed set; what isn't one is reported and left out.
    pub(crate) fn words<T: Word>(
        &mut self,
        table: &DeTable<'_>,
        key: &Key,
    ) -> Option<Vec<Spanned<T>>> {
        let value = table.get(key.name)?;
        let DeValue::Array(list) = value.get_ref() else {
            return self.wrong_type(value, key, "a list in brackets");
        };
        let words = list.iter().filter_map(|item| self.word_of(item, key));
        Some(words.collect())
    }

    /// As [`Reader::word`], of the value itself.
    pub(crate) fn word_of<T: Word>(&mut self, value: &Value<'_>, key: &Key) -> Option<Spanned<T>> {
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
    pub(crate) fn integer(
        &mut self,
        table: &DeTable<'_>,
        key: &Key,
        range: RangeInclusive<u32>,
    ) -> Option<Spanned<u32>> {
        let value = table.get(key.name)?;
        self.integer_of(value, key, range)
    }

    /// A list of whole numbers in `range`; what isn't one is reported and left out.
    pub(crate) fn integers(
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

    /// As [`Reader::integer`], of the value itself.
    pub(crate) fn integer_of(
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
    pub(crate) fn strings<'v>(
        &mut self,
        table: &'v DeTable<'_>,
        key: &Key,
    ) -> Option<Vec<Spanned<&'v str>>> {
        let value = table.get(key.name)?;
        self.strings_of(value, key)
    }

    /// As [`Reader::strings`], of the value itself.
    pub(crate) fn strings_of<'v>(
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

    /// A string, or a list of them.
    pub(crate) fn one_or_more<'v>(
        &mut self,
        table: &'v DeTable<'_>,
        key: &Key,
    ) -> Option<Vec<Spanned<&'v str>>> {
        match table.get(key.name)?.get_ref() {
            DeValue::String(_) => Some(vec![self.string(table, key)?]),
            _ => self.strings(table, key),
        }
    }

    /// A table, such as `[queues]`.
    pub(crate) fn table<'v>(
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
    pub(crate) fn tables<'v>(
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
    pub(crate) fn wrong_type<T>(
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
pub(crate) fn quoted_words(words: &[&str]) -> String {
    listed(words.iter().map(|word| format!("\"{word}\"")), "or")
}
