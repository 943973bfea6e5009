//! Reads detection packs: files with a `[pack]` table. One of a built-in pack's name replaces it.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use skype_ips_common::prefilter;
use toml::de::DeTable;

use super::language::{
    ATTRIBUTES, BOOTSTRAP, BOOTSTRAP_HOSTS, BOOTSTRAP_TABLE, EITHER, LANGUAGE, NAMES, NAMES_TABLE,
    PACK, PACK_FILE, PACK_NAME, PACK_TABLE, PREDICATES, REVISION, SHARED, SKYPE, STUN, STUN_TABLE,
    TEAMS,
};
use crate::detect::knowledge::Knowledge;
use crate::detect::names::{Owner, normal};
use crate::policy::to_mapped;
use crate::toml_file::{Document, Reader, Source, counted, nearest, quoted};

/// The packs that come with the program.
const BUILT_IN: [(&str, &str); 2] = [
    (
        "classic",
        include_str!("../../../../rules/detection/classic.toml"),
    ),
    (
        "late",
        include_str!("../../../../rules/detection/late.toml"),
    ),
];

/// What a pack calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// A number that grows with each change.
    pub revision: u32,
    /// Predicates that it chooses.
    pub predicates: usize,
    /// Domains that it knows.
    pub names: usize,
    /// Bootstrap hosts that it knows.
    pub bootstrap_hosts: usize,
    /// STUN attributes that it calls Microsoft's.
    pub attributes: usize,
}

impl std::fmt::Display for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "detection pack {}, revision {}: {}, {}",
            self.name,
            self.revision,
            counted(self.predicates, "predicate"),
            counted(self.names, "name")
        )?;
        if self.bootstrap_hosts > 0 {
            write!(f, ", {}", counted(self.bootstrap_hosts, "bootstrap host"))?;
        }
        match self.attributes {
            0 => Ok(()),
            some => write!(f, ", {}", counted(some, "STUN attribute")),
        }
    }
}

/// The packs among the files.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) list: Vec<(Pack, Knowledge)>,
}

impl Loaded {
    /// Adds the pack of a file; `at` is where its `[pack]` stands.
    pub(super) fn read<'s>(
        &mut self,
        document: &Document<'s>,
        reader: &mut Reader<'s>,
        at: Range<usize>,
    ) -> Option<Pack> {
        let (pack, knowledge) = read(document, reader);
        let pack = pack?;
        if self.list.iter().any(|(other, _)| other.name == pack.name) {
            let message = format!("two packs are called {}", quoted(&pack.name));
            let help = "leave one out, or give it another name";
            reader.error(at, message, help);
        }
        self.list.push((pack.clone(), knowledge));
        Some(pack)
    }
}

/// What one file says, as far as it can be read.
fn read<'s>(document: &Document<'s>, reader: &mut Reader<'s>) -> (Option<Pack>, Knowledge) {
    let mut knowledge = Knowledge::default();
    let root = &document.root;
    reader.keys(root, &PACK_FILE);
    let pack = header(reader, root, &mut knowledge);
    let domains = names(reader, root, &mut knowledge);
    let hosts = bootstrap(reader, root, &mut knowledge);
    attributes(reader, root, &mut knowledge);
    let pack = pack.map(|pack| Pack {
        names: domains,
        bootstrap_hosts: hosts,
        attributes: knowledge.stun_marks.len(),
        ..pack
    });
    (pack, knowledge)
}

/// `[names]`; how many.
fn names<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>, knowledge: &mut Knowledge) -> usize {
    let Some((table, _)) = reader.table(root, &NAMES) else {
        return 0;
    };
    reader.keys(table, &NAMES_TABLE);
    let mut names = 0;
    for (key, owner) in [
        (&SKYPE, Owner::Skype),
        (&TEAMS, Owner::Teams),
        (&EITHER, Owner::Either),
        (&SHARED, Owner::Shared),
    ] {
        for item in reader.strings(table, key).unwrap_or_default() {
            match normal(item.get_ref()) {
                Some(name) if name == *item.get_ref() && name.contains('.') => {
                    names += 1;
                    knowledge.names.add(&name, owner);
                }
                _ => {
                    let message = format!("{} is no domain", quoted(item.get_ref()));
                    let help = "write small letters, digits, `-` and at least one dot, as in \
                                \"skype.com\"; everything that ends with it is meant";
                    reader.error(item.span(), message, help);
                }
            }
        }
    }
    names
}

/// `[bootstrap]`; how many hosts.
fn bootstrap<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>, knowledge: &mut Knowledge) -> usize {
    let Some((table, _)) = reader.table(root, &BOOTSTRAP) else {
        return 0;
    };
    reader.keys(table, &BOOTSTRAP_TABLE);
    let items = reader.strings(table, &BOOTSTRAP_HOSTS).unwrap_or_default();
    let mut hosts = 0;
    for item in items {
        match item.get_ref().parse::<SocketAddr>() {
            Ok(end) if end.port() != 0 && !end.ip().is_unspecified() => {
                hosts += 1;
                let host = (to_mapped(end.ip()), end.port());
                knowledge.bootstrap.insert(host);
            }
            _ => {
                let message = format!("{} is no address with a port", quoted(item.get_ref()));
                let help = "write it as in \"66.235.180.9:33033\" or \"[2001:db8::1]:33033\"; \
                            names are not looked up";
                reader.error(item.span(), message, help);
            }
        }
    }
    hosts
}

/// Whether everybody's STUN and TURN have an attribute (IANA's registry of STUN attributes).
const fn is_registered(attribute: u32) -> bool {
    matches!(attribute, 0x0001..=0x0030 | 0x8000..=0x8004 | 0x8020..=0x8030)
}

/// `[stun]`.
fn attributes<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>, knowledge: &mut Knowledge) {
    let Some((table, _)) = reader.table(root, &STUN) else {
        return;
    };
    reader.keys(table, &STUN_TABLE);
    let numbers = reader.integers(table, &ATTRIBUTES, 1..=u32::from(u16::MAX));
    for number in numbers.unwrap_or_default() {
        let attribute = *number.get_ref();
        if is_registered(attribute) {
            let message = format!("everybody's STUN has the attribute {attribute:#06x}");
            let help = "list attributes that only Microsoft's dialect has, such as 0x8070";
            reader.error(number.span(), message, help);
        } else {
            knowledge.stun_marks.insert(attribute as u16);
        }
    }
}

fn header<'s>(
    reader: &mut Reader<'s>,
    root: &DeTable<'s>,
    knowledge: &mut Knowledge,
) -> Option<Pack> {
    let (table, span) = reader.table(root, &PACK)?;
    reader.keys(table, &PACK_TABLE);
    let predicates = predicates(reader, table, knowledge);
    let name = reader.string(table, &PACK_NAME);
    let revision = reader.integer(table, &REVISION, 1..=u32::MAX);
    for key in [&PACK_NAME, &REVISION] {
        if !table.contains_key(key.name) {
            let message = format!("this pack has no `{}`", key.name);
            reader.missing(span.clone(), message, key);
        }
    }
    Some(Pack {
        name: (*name?.get_ref()).to_owned(),
        revision: revision?.into_inner(),
        predicates,
        names: 0,
        bootstrap_hosts: 0,
        attributes: 0,
    })
}

fn predicates(reader: &mut Reader<'_>, table: &DeTable<'_>, knowledge: &mut Knowledge) -> usize {
    let words = reader.strings(table, &PREDICATES).unwrap_or_default();
    let mut known = 0;
    for word in words {
        let found = prefilter::WORDS
            .iter()
            .find(|(_, name)| name == word.get_ref());
        if let Some((bit, _)) = found {
            knowledge.predicates |= bit;
            known += 1;
            continue;
        }
        let message = format!("there is no predicate {}", quoted(word.get_ref()));
        let names = || prefilter::WORDS.iter().map(|(_, name)| *name);
        let help = match nearest(word.get_ref(), names()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write some of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        reader.error(word.span(), message, help);
    }
    known
}

/// What the loaded packs say, together with the built-in ones that none of them replaces.
pub(super) fn together(loaded: Vec<(Pack, Knowledge)>) -> Knowledge {
    let mut all = Knowledge::default();
    for (name, text) in BUILT_IN {
        if loaded.iter().any(|(pack, _)| pack.name == name) {
            continue;
        }
        let source = Source::new(Path::new(name), text, true);
        let document = Document::parse(&source, &LANGUAGE);
        // A test holds that these texts have no problem.
        all.add(read(&document, &mut Reader::new(&document)).1);
    }
    for (_, knowledge) in loaded {
        all.add(knowledge);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_packs_are_right_and_called_by_their_files() {
        for (name, text) in BUILT_IN {
            let source = Source::new(Path::new(name), text, true);
            let document = Document::parse(&source, &LANGUAGE);
            let mut reader = Reader::new(&document);
            let (pack, _) = read(&document, &mut reader);
            assert_eq!(pack.map(|pack| pack.name).as_deref(), Some(name));
            assert!(document.syntax.is_empty() && reader.finish().is_empty());
        }
    }
}
