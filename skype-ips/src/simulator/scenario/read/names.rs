//! The names of parties: each stands for one, or for all members of a group.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use crate::toml_file::{Excerpt, Reader, nearest, quoted};

/// Names, and the numbers of the parties that they stand for.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: BTreeMap<String, Entry>,
    next: usize,
}

#[derive(Debug)]
struct Entry {
    numbers: Range<usize>,
    /// Where it is said first.
    at: Excerpt,
}

impl Names {
    /// Notes the name of the next `count` parties, which have names with numbers of their own if
    /// they are a group.
    pub(super) fn add(
        &mut self,
        reader: &mut Reader<'_>,
        name: &str,
        at: Range<usize>,
        count: u32,
        is_group: bool,
    ) {
        let numbers = self.nameless(count);
        let here = reader.at(at.clone());
        let members = numbers.clone().zip(1..);
        let members = members
            .filter(|_| is_group)
            .map(|(number, member)| (format!("{name}-{member}"), number..number + 1));
        let all = std::iter::once((name.to_owned(), numbers)).chain(members);
        for (name, numbers) in all {
            if let Some(first) = self.numbers.get(&name) {
                let message = format!("there is a party {} already", quoted(&name));
                let help =
                    "give each party and group another name; members are called NAME-1, NAME-2, …";
                reader.conflict(at, message, help, first.at.clone(), "the first one");
                return;
            }
            let at = here.clone();
            self.numbers.insert(name, Entry { numbers, at });
        }
    }

    /// Counts parties whose name isn't known.
    pub(super) fn nameless(&mut self, count: u32) -> Range<usize> {
        let first = self.next;
        self.next += count as usize;
        first..self.next
    }

    /// A name like this one that nobody has.
    pub(super) fn free(&self, like: &str) -> String {
        let numbered = (2..).map(|number| format!("{like}-{number}"));
        std::iter::once(like.to_owned())
            .chain(numbered)
            .find(|name| !self.numbers.contains_key(name))
            .expect("numbers don't end before the names do")
    }

    /// Whom a name stands for; nobody if there is no such party, which is reported.
    pub(super) fn find(&self, reader: &mut Reader<'_>, name: &Spanned<&str>) -> Range<usize> {
        if let Some(entry) = self.numbers.get(*name.get_ref()) {
            return entry.numbers.clone();
        }
        let help = match nearest(name.get_ref(), self.numbers.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "name a party of a [[party]] table, or one that `services` adds".into(),
        };
        let message = format!("there is no party {}", quoted(name.get_ref()));
        reader.error(name.span(), message, help);
        0..0
    }

    /// As [`Names::find`], of a name that must stand for one party.
    pub(super) fn one(&self, reader: &mut Reader<'_>, name: &Spanned<&str>) -> Option<usize> {
        let mut found = self.find(reader, name);
        if found.len() > 1 {
            let message = format!("{} is a group", quoted(name.get_ref()));
            let help = format!("name one of it, such as \"{}-1\"", name.get_ref());
            reader.error(name.span(), message, help);
            return None;
        }
        found.next()
    }

    /// As [`Names::find`], of several names.
    pub(super) fn all(&self, reader: &mut Reader<'_>, names: &[Spanned<&str>]) -> Vec<usize> {
        let found = names.iter().flat_map(|name| self.find(reader, name));
        found.collect()
    }
}
