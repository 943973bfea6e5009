//! Reads `[groups]`: names for lists of prefixes, shared by all files of a configuration.

use std::collections::HashMap;

use ipnet::IpNet;
use toml::de::DeTable;

use super::language::GROUPS;
use super::subnet;
use crate::toml_file::{Excerpt, Key, NAME_HELP, Reader, is_name, quoted};

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) at: Excerpt,
    pub(super) nets: Vec<(IpNet, Excerpt)>,
}

/// All groups by their names.
pub(super) type Groups = HashMap<String, Group>;

/// How the list of a group is written.
const LIST: Key = Key {
    name: "group",
    example: "office = [\"10.1.0.0/16\", \"10.2.0.0/16\"]",
    about: None,
};

/// Adds the groups of one file.
pub(super) fn read<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>, groups: &mut Groups) {
    let Some((table, _)) = reader.table(root, &GROUPS) else {
        return;
    };
    for (key, value) in table {
        let (name, span) = (key.get_ref(), key.span());
        if !is_name(name) {
            let message = format!("{} can't be the name of a group", quoted(name));
            reader.error(span, message, NAME_HELP);
            continue;
        }
        let nets = reader.strings_of(value, &LIST).unwrap_or_default();
        let nets = nets.iter().filter_map(|item| {
            let (at, text) = (item.span(), *item.get_ref());
            if text.starts_with('@') {
                let message = format!("group {} names another group", quoted(name));
                reader.error(
                    at,
                    message,
                    "write prefixes; a policy may name several groups",
                );
                return None;
            }
            match subnet::parse(text) {
                Ok(net) => Some((net, reader.at(at))),
                Err((message, help)) => {
                    reader.error(at, message, help);
                    None
                }
            }
        });
        let nets = nets.collect();
        let at = reader.at(span.clone());
        if let Some(first) = groups.get(&**name) {
            let first = first.at.clone();
            let message = format!("there is a group {} already", quoted(name));
            reader.conflict(
                span,
                message,
                "give it another name",
                first,
                "the first one",
            );
        } else {
            groups.insert(name.to_string(), Group { at, nets });
        }
    }
}
