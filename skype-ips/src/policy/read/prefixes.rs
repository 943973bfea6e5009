//! Reads lists of hosts: prefixes, single addresses, groups.

use std::ops::Range;

use ipnet::IpNet;
use toml::Spanned;

use super::super::places::SubnetPlace;
use super::groups::Groups;
use super::subnet;
use crate::toml_file::{Key, Place, Reader, Value, nearest, quoted};

/// A prefix of a list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) net: IpNet,
    /// Where the list has it, or the group that holds it.
    pub(super) span: Range<usize>,
    /// The group that holds it, and where.
    pub(super) group: Option<(String, Place)>,
}

impl Listed {
    pub(super) fn place(&self, reader: &Reader<'_>) -> SubnetPlace {
        SubnetPlace {
            net: self.net,
            place: reader.at(self.span.clone()).place,
            group: self.group.clone(),
        }
    }
}

/// What a list holds; what is wrong with it is reported and left out.
pub(super) fn read(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    key: &Key,
    groups: &Groups,
) -> Vec<Listed> {
    let mut listed = Vec::new();
    for item in reader.strings_of(value, key).unwrap_or_default() {
        let (span, text) = (item.span(), *item.get_ref());
        match text.strip_prefix('@') {
            Some(name) => group(reader, groups, &item, name, &mut listed),
            None => match subnet::parse(text) {
                Ok(net) => listed.push(Listed {
                    net,
                    span,
                    group: None,
                }),
                Err((message, help)) => reader.error(span, message, help),
            },
        }
    }
    listed
}

/// Adds the prefixes of a group.
fn group(
    reader: &mut Reader<'_>,
    groups: &Groups,
    item: &Spanned<&str>,
    name: &str,
    listed: &mut Vec<Listed>,
) {
    let span = item.span();
    let Some(group) = groups.get(name) else {
        let message = format!("there is no group {}", quoted(name));
        let help = match nearest(name, groups.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"@{near}\"?"),
            None => format!("list it under `[groups]`: {name} = [\"10.0.0.0/8\"]"),
        };
        reader.error(span, message, help);
        return;
    };
    if group.nets.is_empty() {
        let message = format!("group {} is empty", quoted(name));
        let help = "list prefixes in it, or don't name it here";
        reader.conflict(span.clone(), message, help, group.at.clone(), "the group");
    }
    listed.extend(group.nets.iter().map(|(net, held)| Listed {
        net: *net,
        span: span.clone(),
        group: Some((name.to_owned(), held.place.clone())),
    }));
}
