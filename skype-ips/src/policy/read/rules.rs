//! Reads the keys that say what is done.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::ops::Range;

use skype_ips_common::layout::BUDGETS_PER_ACTION;
use toml::de::{DeTable, DeValue};

use super::super::rule::{Rule, RuleKey, Rules};
use super::super::vocabulary::{Action, Class, Restriction, Role};
use super::budgets::Budgets;
use super::language::{
    ACTION, ACTION_TABLE, AMBIGUOUS, DEFAULT, DSCP, LISTENING_PORT, LISTENING_PORT_TABLE, MARK,
    MARK_MASK, MARK_TABLE, ONLY_VIA, ONLY_VIA_TABLE, PORTS, PROXIES, ROLE_TABLE, THROTTLE, UDP,
    VALUE, of_class, of_role,
};
use crate::toml_file::{Key, Reader, Value, quoted};

/// Where each key's value stands.
pub(super) type RuleSpans = BTreeMap<RuleKey, Range<usize>>;

/// What actions are read with.
#[derive(Debug)]
pub(super) struct RuleReader<'a> {
    pub(super) budgets: &'a Budgets,
    /// Places of the budgets that some action names.
    pub(super) used: &'a mut HashSet<u16>,
    /// The gateway's own bits of the mark.
    pub(super) mark_mask: u32,
}

impl RuleReader<'_> {
    /// The keys of a policy or a window that say what is done.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        table: &DeTable<'_>,
    ) -> (Rules, RuleSpans) {
        let (mut rules, mut spans) = (Rules::default(), RuleSpans::new());
        let mut say = |key: RuleKey, value: &Value<'_>, rule: Option<Rule>| {
            if let Some(rule) = rule {
                *rules.get_mut(key) = Some(rule);
                spans.insert(key, value.span());
            }
        };
        let mut plain = vec![
            (RuleKey::Default, &DEFAULT),
            (RuleKey::Ambiguous, &AMBIGUOUS),
            (RuleKey::Restriction(Restriction::Udp), &UDP),
        ];
        plain.extend(
            Class::ALL
                .iter()
                .map(|class| (RuleKey::Class(*class), of_class(*class))),
        );
        for (key, known) in plain {
            if let Some(value) = table.get(known.name) {
                say(key, value, self.rule(reader, value, known, key));
            }
        }
        for role in Role::ALL {
            let known = of_role(*role);
            match table.get(known.name) {
                Some(value) if !is_joined(value) => {
                    let key = RuleKey::Role(*role);
                    say(key, value, self.rule(reader, value, known, key));
                }
                Some(value) => self.of_role(reader, value, *role, &mut say),
                None => {}
            }
        }
        let mut ports = Vec::new();
        if let Some(value) = table.get(LISTENING_PORT.name) {
            let key = RuleKey::Restriction(Restriction::ListeningPort);
            say(
                key,
                value,
                self.listening_port(reader, value, key, &mut ports),
            );
        }
        let mut proxies = Vec::new();
        if let Some(value) = table.get(ONLY_VIA.name) {
            let key = RuleKey::Restriction(Restriction::OnlyVia);
            say(key, value, self.only_via(reader, value, key, &mut proxies));
        }
        rules.ports = ports;
        rules.proxies = proxies;
        (rules, spans)
    }

    /// What is said of the classes of a role.
    fn of_role(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        role: Role,
        say: &mut dyn FnMut(RuleKey, &Value<'_>, Option<Rule>),
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            return; // `is_joined` says that it is one
        };
        reader.keys(table, &ROLE_TABLE);
        if table.is_empty() {
            let message = format!("the table of `{role}` is empty");
            let help = "write an action such as \"drop\", or classes with actions";
            reader.error(value.span(), message, help);
        }
        if let Some(value) = table.get(DEFAULT.name) {
            let key = RuleKey::Role(role);
            say(key, value, self.rule(reader, value, &DEFAULT, key));
        }
        for class in Class::ALL {
            let known = of_class(*class);
            let Some(value) = table.get(known.name) else {
                continue;
            };
            let key = RuleKey::Both(role, *class);
            say(key, value, self.rule(reader, value, known, key));
            let media = matches!(class, Class::Voice | Class::Video | Class::FileTransfer);
            if role == Role::SuperNode && media {
                let message = format!("a super node carries no {class}: this never applies");
                let help = format!("write it under `relay`, or `{class}` for every role");
                reader.warning(value.span(), message, help);
            }
        }
    }

    /// An action, alone or in a table with what accompanies it.
    fn rule(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        known: &Key,
        key: RuleKey,
    ) -> Option<Rule> {
        let rule = match value.get_ref() {
            DeValue::Table(table) => {
                reader.keys(table, &ACTION_TABLE);
                self.table(reader, value, table, None)?
            }
            _ => self.word(reader, value, known, key)?.into(),
        };
        fits(reader, value, &rule, key).then_some(rule)
    }

    /// An action as a word.
    fn word(
        &self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        known: &Key,
        key: RuleKey,
    ) -> Option<Action> {
        let action = reader.word_of::<Action>(value, known)?.into_inner();
        if action == Action::Throttle {
            if !fits(reader, value, &action.into(), key) {
                return None;
            }
            let message = "this throttle names no budget";
            let help = format!("write {{ {} }}", THROTTLE.example);
            reader.error(value.span(), message, help);
            return None;
        }
        Some(action)
    }

    /// An action as a table, whose keys have been checked; `usual` is done where no action is named.
    fn table(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        table: &DeTable<'_>,
        usual: Option<Action>,
    ) -> Option<Rule> {
        let action = reader.word::<Action>(table, &ACTION);
        let budgets = self.budgets(reader, table);
        let mark = self.mark(reader, table);
        let dscp = reader.integer(table, &DSCP, 0..=63);
        let wrong = |known: &Key, read: bool| !read && table.contains_key(known.name);
        if wrong(&ACTION, action.is_some())
            || wrong(&THROTTLE, budgets.is_some())
            || wrong(&MARK, mark.is_some())
            || wrong(&DSCP, dscp.is_some())
        {
            return None; // said already
        }
        let action = match (action, &budgets) {
            (Some(action), None) if *action.get_ref() == Action::Throttle => {
                let message = "this throttle names no budget";
                reader.error(
                    action.span(),
                    message,
                    format!("write {}", THROTTLE.example),
                );
                return None;
            }
            (Some(action), Some(_)) if *action.get_ref() != Action::Throttle => {
                let message = format!("this is both throttled and \"{}\"", action.get_ref());
                let help = "write one of the two: budgets are for what passes";
                reader.error(action.span(), message, help);
                return None;
            }
            (Some(action), _) => action.into_inner(),
            (None, Some(_)) => Action::Throttle,
            (None, None) => match usual {
                Some(usual) => usual,
                None if table.is_empty() || known_keys_only(table) => {
                    let message = "this says not what is done";
                    let help = format!("add {}", ACTION.example);
                    reader.error(value.span(), message, help);
                    return None;
                }
                None => return None, // said already
            },
        };
        Some(Rule {
            action,
            budgets: budgets.unwrap_or_default(),
            mark,
            dscp: dscp.map(|code| code.into_inner() as u8),
        })
    }

    /// The places of the budgets that a throttle names; `None` if there is none or it is wrong.
    fn budgets(&mut self, reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Vec<u16>> {
        let names = reader.one_or_more(table, &THROTTLE)?;
        let value = table.get(THROTTLE.name)?;
        if names.is_empty() {
            let message = "this throttle names no budget";
            reader.error(value.span(), message, format!("write {}", THROTTLE.example));
            return None;
        }
        if names.len() > BUDGETS_PER_ACTION {
            let message = format!("{} budgets in one throttle", names.len());
            let help = format!("name at most {BUDGETS_PER_ACTION}: each packet pays all of them");
            reader.error(value.span(), message, help);
            return None;
        }
        let mut places = Vec::new();
        let mut right = true;
        for name in names {
            let Some(place) = self.budgets.find(reader, &name) else {
                right = false;
                continue;
            };
            self.used.insert(place);
            if places.contains(&place) {
                let message = format!("this throttle names {} twice", quoted(name.get_ref()));
                reader.error(name.span(), message, "name it once: it is paid once");
                right = false;
            }
            places.push(place);
        }
        right.then_some(places)
    }

    /// Value and mask of a `mark`.
    fn mark(&self, reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<(u32, u32)> {
        let value = table.get(MARK.name)?;
        let (bits, mask) = match value.get_ref() {
            DeValue::Table(table) => {
                reader.keys(table, &MARK_TABLE);
                for known in [&VALUE, &MARK_MASK] {
                    if !table.contains_key(known.name) {
                        let message = format!("this mark has no `{}`", known.name);
                        reader.missing(value.span(), message, known);
                    }
                }
                let bits = reader.integer(table, &VALUE, 0..=u32::MAX);
                let mask = reader.integer(table, &MARK_MASK, 1..=u32::MAX);
                (bits?.into_inner(), mask?.into_inner())
            }
            _ => {
                let bits = reader.integer_of(value, &MARK, 1..=u32::MAX)?.into_inner();
                (bits, bits)
            }
        };
        if bits & !mask != 0 {
            let message = format!("{bits:#x} has bits outside the mask {mask:#x}");
            let help = format!("write mask = {:#x}, or a smaller value", mask | bits);
            reader.error(value.span(), message, help);
            return None;
        }
        let own = self.mark_mask;
        if mask & own != 0 {
            let message = format!("{mask:#x} overlaps {own:#010x}, the gateway's own bits");
            let help = "write other bits, or give the gateway others with `mask` in `[marks]`";
            reader.error(value.span(), message, help);
            return None;
        }
        Some((bits, mask))
    }

    fn listening_port(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        key: RuleKey,
        ports: &mut Vec<u16>,
    ) -> Option<Rule> {
        let DeValue::Table(table) = value.get_ref() else {
            return self.rule(reader, value, &LISTENING_PORT, key);
        };
        if let Some(span) = table
            .get_key_value(THROTTLE.name)
            .map(|(key, _)| key.span())
        {
            let message = "`listening-port` can't be throttled: connections are stopped at the SYN";
            let help = "write \"drop\", \"reject\" or \"alert\"";
            reader.error(span, message, help);
            return None;
        }
        reader.keys(table, &LISTENING_PORT_TABLE);
        let named = reader.integers(table, &PORTS, 1..=u16::MAX.into());
        ports.extend(
            named
                .unwrap_or_default()
                .iter()
                .map(|port| *port.get_ref() as u16),
        );
        let rule = self.table(reader, value, table, Some(Action::Drop))?;
        fits(reader, value, &rule, key).then_some(rule)
    }

    fn only_via(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        key: RuleKey,
        proxies: &mut Vec<SocketAddr>,
    ) -> Option<Rule> {
        let (listed, rule) = match value.get_ref() {
            DeValue::Array(_) => (value, Some(Action::Drop.into())),
            DeValue::Table(table) => {
                reader.keys(table, &ONLY_VIA_TABLE);
                let Some(listed) = table.get(PROXIES.name) else {
                    let message = "`only-via` names no proxy: it would stop all Skype";
                    let help = format!("add {}, or write default = \"drop\"", PROXIES.example);
                    reader.error(value.span(), message, help);
                    return None;
                };
                (listed, self.table(reader, value, table, Some(Action::Drop)))
            }
            _ => return reader.wrong_type(value, &ONLY_VIA, "a list of proxies"),
        };
        let items = reader.strings_of(listed, &PROXIES)?;
        if items.is_empty() {
            let message = "`only-via` names no proxy: it would stop all Skype";
            let help = format!("write {}, or default = \"drop\"", ONLY_VIA.example);
            reader.error(listed.span(), message, help);
            return None;
        }
        for item in items {
            let text = *item.get_ref();
            match text
                .parse::<SocketAddr>()
                .ok()
                .filter(|proxy| proxy.port() != 0)
            {
                Some(proxy) => {
                    let proxy = SocketAddr::new(proxy.ip().to_canonical(), proxy.port());
                    if proxies.contains(&proxy) {
                        let message = format!("`only-via` names {proxy} twice");
                        reader.warning(item.span(), message, "name it once");
                        continue;
                    }
                    proxies.push(proxy);
                }
                None => {
                    let message = format!("{} is no address with a port", quoted(text));
                    let help = "write \"10.9.0.1:1080\" or \"[2001:db8::1]:1080\": names are not looked up";
                    reader.error(item.span(), message, help);
                }
            }
        }
        let rule = rule?;
        fits(reader, value, &rule, key).then_some(rule)
    }
}

/// Whether a table has only keys that an action's table has.
fn known_keys_only(table: &DeTable<'_>) -> bool {
    let known = |name: &str| ACTION_TABLE.keys.iter().any(|key| key.name == name);
    table.iter().all(|(key, _)| known(key.get_ref()))
}

/// Whether a role's value has classes of its own rather than an action.
fn is_joined(value: &Value<'_>) -> bool {
    let DeValue::Table(table) = value.get_ref() else {
        return false;
    };
    !ACTION_TABLE
        .keys
        .iter()
        .any(|key| table.contains_key(key.name))
}

/// Whether a key can have this action, and what accompanies it.
fn fits(reader: &mut Reader<'_>, value: &Value<'_>, rule: &Rule, key: RuleKey) -> bool {
    let refused = match (key, rule.action) {
        (RuleKey::Ambiguous, Action::Throttle) => Some((
            "`ambiguous` can't be throttled: what may be Teams' must not use up Skype's budgets",
            "write \"allow\", \"alert\" or \"drop\"",
        )),
        (RuleKey::Ambiguous, Action::Reject) => Some((
            "`ambiguous` can't be rejected: what may be Teams' isn't answered",
            "write \"allow\", \"alert\" or \"drop\"",
        )),
        (RuleKey::Restriction(Restriction::ListeningPort), Action::Throttle) => Some((
            "`listening-port` can't be throttled: connections are stopped at the SYN",
            "write \"drop\", \"reject\" or \"alert\"",
        )),
        (_, action) if action.stops() && (rule.mark.is_some() || rule.dscp.is_some()) => Some((
            "`mark` and `dscp` are for packets that pass, and this stops them",
            "remove them, or let the packets pass",
        )),
        _ => None,
    };
    if let Some((message, help)) = refused {
        reader.error(value.span(), message, help);
        return false;
    }
    if matches!(key, RuleKey::Restriction(_)) && rule.is_plain_allow() {
        let message = format!("`{key}` can only make it stricter: \"allow\" changes nothing");
        reader.warning(
            value.span(),
            message,
            "remove it, or write a stricter action",
        );
    }
    true
}
