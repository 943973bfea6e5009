//! Reads `[[policy]]`.

use std::collections::HashMap;
use std::ops::Range;

use ipnet::IpNet;
use skype_ips_common::layout::MAX_POLICIES;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::model::Policy;
use super::super::places::{PolicyPlaces, SubnetPlace};
use super::super::rule::Rules;
use super::super::vocabulary::{Action, Confidence, Mode};
use super::groups::Groups;
use super::language::{
    AMBIGUOUS, CONFIDENCE, DEFAULT, LANGUAGE, LATER_ACTIONS, NAME, POLICY, POLICY_MODE,
    POLICY_TABLE, SUBNETS,
};
use super::subnet;
use crate::toml_file::{Excerpt, Key, NAME_HELP, Reader, is_name, nearest, quoted};

/// The policies of all files, and what they have taken.
#[derive(Debug)]
pub(super) struct Policies<'g> {
    groups: &'g Groups,
    pub(super) list: Vec<(Policy, PolicyPlaces)>,
    names: HashMap<String, Excerpt>,
    prefixes: HashMap<IpNet, Taken>,
    seen: usize,
}

/// Who has a prefix: which policy, by its number, and where it says so.
#[derive(Debug)]
struct Taken {
    policy: usize,
    name: String,
    at: Excerpt,
}

impl<'g> Policies<'g> {
    pub(super) fn new(groups: &'g Groups) -> Self {
        Self {
            groups,
            list: Vec::new(),
            names: HashMap::new(),
            prefixes: HashMap::new(),
            seen: 0,
        }
    }

    /// Adds the policies of one file.
    pub(super) fn read<'s>(&mut self, reader: &mut Reader<'s>, root: &DeTable<'s>) {
        for (table, header) in reader.tables(root, &POLICY) {
            reader.keys(table, &POLICY_TABLE);
            self.seen += 1;
            if self.seen == MAX_POLICIES as usize + 1 {
                let message = format!("more than {MAX_POLICIES} policies");
                reader.error(
                    header.clone(),
                    message,
                    "give hosts that are treated alike one policy",
                );
            }
            self.policy(reader, table, header);
        }
    }

    /// Adds a policy, with stand-ins for what was wrong: a configuration with errors isn't used.
    fn policy(&mut self, reader: &mut Reader<'_>, table: &DeTable<'_>, header: Range<usize>) {
        let name = self.name(reader, table, &header);
        let subnets = self.subnets(reader, table, &header, &name);
        let default = action(reader, table, &DEFAULT);
        let ambiguous = action(reader, table, &AMBIGUOUS);
        let mode = reader.word::<Mode>(table, &POLICY_MODE);
        let confidence = reader.word::<Confidence>(table, &CONFIDENCE);
        let place = |span: Option<Range<usize>>| span.map(|span| reader.at(span).place);
        let places = PolicyPlaces {
            header: reader.at(header).place,
            default: place(default.as_ref().map(Spanned::span)),
            ambiguous: place(ambiguous.as_ref().map(Spanned::span)),
            mode: place(mode.as_ref().map(Spanned::span)),
            confidence: place(confidence.as_ref().map(Spanned::span)),
            subnets,
        };
        let policy = Policy {
            name,
            subnets: places.subnets.iter().map(|subnet| subnet.net).collect(),
            vlans: Vec::new(),
            interfaces: Vec::new(),
            exempt: Vec::new(),
            rules: Rules {
                default: default.map(|rule| rule.into_inner().into()),
                ambiguous: ambiguous.map(|rule| rule.into_inner().into()),
                ..Rules::default()
            },
            windows: Vec::new(),
            mode: mode.map_or(Mode::Enforce, Spanned::into_inner),
            confidence: confidence.map_or(Confidence::Strong, Spanned::into_inner),
        };
        self.list.push((policy, places));
    }

    fn name(
        &mut self,
        reader: &mut Reader<'_>,
        table: &DeTable<'_>,
        header: &Range<usize>,
    ) -> String {
        let Some(name) = reader.string(table, &NAME) else {
            if !table.contains_key(NAME.name) {
                reader.missing(header.clone(), "this policy has no name".into(), &NAME);
            }
            return String::new();
        };
        let (at, name) = (name.span(), name.into_inner());
        if !is_name(name) {
            let message = format!("{} can't be the name of a policy", quoted(name));
            reader.error(at, message, NAME_HELP);
        } else if let Some(first) = self.names.get(name) {
            let message = format!("there is a policy {} already", quoted(name));
            reader.conflict(
                at,
                message,
                "give it another name",
                first.clone(),
                "the first one",
            );
        } else {
            self.names.insert(name.into(), reader.at(at));
        }
        name.into()
    }

    fn subnets(
        &mut self,
        reader: &mut Reader<'_>,
        table: &DeTable<'_>,
        header: &Range<usize>,
        name: &str,
    ) -> Vec<SubnetPlace> {
        let Some(value) = table.get(SUBNETS.name) else {
            let message = format!(
                "policy {} has no subnets: it would be for no host",
                quoted(name)
            );
            reader.missing(header.clone(), message, &SUBNETS);
            return Vec::new();
        };
        let mut subnets = Vec::new();
        let Some(items) = reader.strings_of(value, &SUBNETS) else {
            return subnets;
        };
        if matches!(value.get_ref(), DeValue::Array(list) if list.is_empty()) {
            let message = format!(
                "policy {} has no subnets: it would be for no host",
                quoted(name)
            );
            reader.error(
                value.span(),
                message,
                format!("write it like {}", SUBNETS.example),
            );
        }
        for item in items {
            let (at, text) = (item.span(), *item.get_ref());
            let excerpt = reader.at(at.clone());
            let nets = match text.strip_prefix('@') {
                Some(group) => self.group(reader, at.clone(), group),
                None => match subnet::parse(text) {
                    Ok(net) => vec![(net, None)],
                    Err((message, help)) => {
                        reader.error(at.clone(), message, help);
                        continue;
                    }
                },
            };
            let mut clashes = 0;
            for (net, group) in nets {
                if let Some(taken) = self.prefixes.get(&net) {
                    clashes += 1;
                    if clashes == 1 {
                        let (message, help) = taken.clash(net, self.seen);
                        reader.conflict(at.clone(), message, help, taken.at.clone(), "taken here");
                    }
                    continue;
                }
                let taken = Taken {
                    policy: self.seen,
                    name: name.into(),
                    at: excerpt.clone(),
                };
                self.prefixes.insert(net, taken);
                subnets.push(SubnetPlace {
                    net,
                    place: excerpt.place.clone(),
                    group,
                });
            }
        }
        subnets
    }

    /// The prefixes of a group, each with the group's name and place.
    fn group(
        &self,
        reader: &mut Reader<'_>,
        at: Range<usize>,
        name: &str,
    ) -> Vec<(IpNet, Option<(String, crate::toml_file::Place)>)> {
        let Some(group) = self.groups.get(name) else {
            let message = format!("there is no group {}", quoted(name));
            let help = match nearest(name, self.groups.keys().map(String::as_str)) {
                Some(near) => format!("did you mean \"@{near}\"?"),
                None => format!("list it under `[groups]`: {name} = [\"10.0.0.0/8\"]"),
            };
            reader.error(at, message, help);
            return Vec::new();
        };
        if group.nets.is_empty() {
            let message = format!("group {} is empty", quoted(name));
            let help = "list prefixes in it, or don't name it here";
            reader.conflict(at, message, help, group.at.clone(), "the group");
        }
        group
            .nets
            .iter()
            .map(|(net, held)| (*net, Some((name.to_owned(), held.place.clone()))))
            .collect()
    }
}

impl Taken {
    /// What to say to policy number `asking`, which wants `net` too.
    fn clash(&self, net: IpNet, asking: usize) -> (String, &'static str) {
        if self.policy == asking {
            (format!("this policy has {net} already"), "say it once")
        } else {
            let message = format!("policy {} has {net} already", quoted(&self.name));
            (
                message,
                "a prefix belongs to one policy: write a longer prefix, or remove one",
            )
        }
    }
}

/// An action, with those that are refused for now told apart from unknown ones.
fn action(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &Key) -> Option<Spanned<Action>> {
    let value = table.get(key.name)?;
    let word = match value.get_ref() {
        DeValue::String(word) => Some(&**word),
        DeValue::Table(inner) => inner.iter().next().map(|(key, _)| &**key.get_ref()),
        _ => None,
    };
    match word.filter(|word| LATER_ACTIONS.contains(word)) {
        Some(word) => {
            reader.error(
                value.span(),
                LANGUAGE.not_yet(word),
                "write \"allow\", \"alert\" or \"drop\"",
            );
            None
        }
        None => reader.word(table, key),
    }
}
