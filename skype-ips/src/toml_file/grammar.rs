//! What a language of ours consists of, and what was probably meant by a word that it hasn't.

use super::place::quoted;

/// A set of words that a key can take.
pub(crate) trait Word: Copy + 'static {
    /// Every value.
    const WORDS: &'static [Self];

    /// The value's word.
    fn as_word(self) -> &'static str;
}

/// A key, with an example of how to write it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) example: &'static str,
    /// Of keys that a generated reference describes.
    pub(crate) about: Option<About>,
}

/// What a reference says of a key.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) values: Values,
    /// What holds without it.
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

/// What can be written behind a key.
#[derive(Debug)]
pub(crate) enum Values {
    /// In a sentence: ranges, units, forms.
    Text(&'static str),
    /// One word of a set.
    Words(fn() -> Vec<&'static str>),
}

impl Values {
    /// The words of a set.
    pub(crate) const fn of<T: Word>() -> Self {
        Self::Words(|| T::WORDS.iter().map(|word| word.as_word()).collect())
    }
}

/// A table: its keys, and the words that belong in it but are refused for now.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// How its header is written; empty for the file itself.
    pub(crate) header: &'static str,
    pub(crate) keys: &'static [&'static Key],
    pub(crate) later: &'static [&'static str],
}

/// A language: all of its tables, and what its mistakes are explained with.
#[derive(Debug)]
pub(crate) struct Language {
    /// What the language describes: "policy".
    pub(crate) name: &'static str,
    pub(crate) tables: &'static [&'static Grammar],
    /// A header of a list of tables.
    pub(crate) list: &'static str,
    /// Two values that need quotes.
    pub(crate) strings: &'static str,
}

/// Declares keys: each with its name, an example, and what a reference says of it, if one does.
macro_rules! keys {
    (@about) => { None };
    (@about $values:expr, $default:literal, $meaning:literal) => {
        Some($crate::toml_file::About { values: $values, default: $default, meaning: $meaning })
    };
    ($($constant:ident = $name:literal, $example:literal
        $(, $values:expr, $default:literal, $meaning:literal)?;)+) => {
        $(pub(super) const $constant: $crate::toml_file::Key = $crate::toml_file::Key {
            name: $name,
            example: $example,
            about: $crate::toml_file::keys!(@about $($values, $default, $meaning)?),
        };)+
    };
}
pub(crate) use keys;

/// Declares an enum whose variants have a word in files and reports.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in files and reports.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl $crate::toml_file::Word for $name {
            const WORDS: &'static [Self] = Self::ALL;

            fn as_word(self) -> &'static str {
                self.word()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

/// What every file begins with.
pub(crate) const VERSION: Key = Key {
    name: "version",
    example: "version = 1",
    about: Some(About {
        values: Values::Text("`1`"),
        default: "required, first",
        meaning: "version of this language",
    }),
};

impl Key {
    /// Whether its value is a table with keys of its own.
    #[cfg(test)]
    pub(crate) fn is_table(&self) -> bool {
        self.example.starts_with('[')
    }
}

impl Grammar {
    /// The table in a sentence.
    pub(crate) fn named(&self) -> String {
        if self.header.is_empty() {
            "the file itself".into()
        } else {
            format!("`{}`", self.header)
        }
    }

    /// What to write instead of a key that this table doesn't have.
    pub(crate) fn instead_of(&self, key: &str, language: &Language) -> String {
        if let Some(near) = nearest(key, self.keys.iter().map(|key| key.name)) {
            return format!("did you mean `{near}`?");
        }
        let elsewhere = language
            .tables
            .iter()
            .filter(|table| table.header != self.header)
            .find(|table| table.keys.iter().any(|known| known.name == key));
        match elsewhere {
            Some(table) if table.header.is_empty() => format!(
                "{} belongs at the top of the file, before the first `[` header",
                quoted(key)
            ),
            Some(table) => format!("{} belongs in {}", quoted(key), table.named()),
            None => {
                let keys = listed(self.keys.iter().map(|key| format!("`{}`", key.name)), "and");
                format!("the keys of {} are {keys}", self.named())
            }
        }
    }
}

impl Language {
    /// That a word is part of the language and not enforced yet.
    pub(crate) fn not_yet(&self, word: &str) -> String {
        format!(
            "{} is part of the {} language, but this version doesn't enforce it yet",
            quoted(word),
            self.name
        )
    }
}

/// The nearest of `known` to `word`, if it is near enough to be what was meant.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let word = word.trim().to_lowercase().replace(['_', ' '], "-");
    known
        .map(|known| (strsim::osa_distance(&word, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The items as a list, with `and` or `or` before the last.
pub(crate) fn listed(items: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let mut items: Vec<_> = items.into_iter().collect();
    match items.pop() {
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} {conjunction} {last}", items.join(", ")),
        None => String::new(),
    }
}

/// What names are made of.
pub(crate) const NAME_HELP: &str = "write 1 to 64 small letters, digits and `-`";

/// Whether `name` is made of `[a-z0-9-]`.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_find_none() {
        let known = || ["daemon-down", "queue-full", "mode", "hook"].into_iter();
        assert_eq!(nearest("daemon_down", known()), Some("daemon-down"));
        assert_eq!(nearest("Mode", known()), Some("mode"));
        assert_eq!(nearest("queu-fulll", known()), Some("queue-full"));
        assert_eq!(nearest("colour", known()), None);
        assert_eq!(nearest(&"m".repeat(1 << 20), known()), None);
    }
}
