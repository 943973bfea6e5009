//! Reads the gateway's own settings.

use std::net::IpAddr;
use std::ops::Range;

use skype_ips_common::mark::Field;
use toml::Spanned;
use toml::de::DeTable;

use super::super::gateway::{Failure, Gateway, Interface, Queues};
use super::super::vocabulary::{InterfaceSide, OnFailure};
use super::language::{
    CONNTRACK, COUNT, DAEMON_DOWN, FAILURE, FAILURE_TABLE, FIRST, HOOK, INTERFACE, INTERFACE_NAME,
    INTERFACE_TABLE, INTERNAL_ERROR, LENGTH, MANAGEMENT, MARKS, MARKS_TABLE, MASK, MESSAGE_LOST,
    MODE, PUBLIC_ADDRESSES, QUEUE_FULL, QUEUES, QUEUES_TABLE, SIDE, ZONE,
};
use crate::toml_file::{Excerpt, Key, Place, Reader, quoted};

/// Mark bits that other programs are known to use.
const OTHER_MARKS: &[(u32, &str)] = &[
    (0x0000_ff00, "mwan3"),
    (0x00ff_0000, "Tailscale"),
    (0x0000_c000, "Kubernetes"),
];

/// Longest name that the kernel gives an interface, bytes (IFNAMSIZ less the final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// What a file says about the gateway.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) gateway: Gateway,
    /// Where `mode` was said.
    pub(super) mode_at: Option<Place>,
    /// Where each address of `management` was said.
    pub(super) management: Vec<(IpAddr, Excerpt)>,
    /// The interfaces that are named, however much else of them is wrong.
    pub(super) interfaces: Vec<(String, Option<InterfaceSide>)>,
}

/// The settings of one file.
pub(super) fn read<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Settings {
    let defaults = Gateway::default();
    let mode = reader.word(root, &MODE);
    let mode_at = mode.as_ref().map(|mode| reader.at(mode.span()).place);
    let management = addresses(reader, root, &MANAGEMENT);
    let gateway = Gateway {
        mode: mode.map_or(defaults.mode, Spanned::into_inner),
        interfaces: interfaces(reader, root),
        hook: reader
            .word(root, &HOOK)
            .map_or(defaults.hook, Spanned::into_inner),
        queues: queues(reader, root),
        mark_mask: mark_mask(reader, root).unwrap_or(defaults.mark_mask),
        failure: failure(reader, root),
        conntrack: reader
            .word(root, &CONNTRACK)
            .map_or(defaults.conntrack, Spanned::into_inner),
        public_addresses: addresses(reader, root, &PUBLIC_ADDRESSES)
            .into_iter()
            .map(|(address, _)| address)
            .collect(),
        management: management.iter().map(|(address, _)| *address).collect(),
    };
    Settings {
        gateway,
        mode_at,
        management,
        interfaces: named_interfaces(root),
    }
}

/// The names and sides of interfaces, as far as they can be read.
fn named_interfaces(root: &DeTable<'_>) -> Vec<(String, Option<InterfaceSide>)> {
    let list = root
        .get(INTERFACE.name)
        .and_then(|value| value.get_ref().as_array());
    let tables = list.into_iter().flat_map(|list| list.iter());
    let tables = tables.filter_map(|item| item.get_ref().as_table());
    let named = tables.filter_map(|table| {
        let word = |key: &Key| table.get(key.name)?.get_ref().as_str();
        let side = word(&SIDE).and_then(InterfaceSide::from_word);
        Some((word(&INTERFACE_NAME)?.to_owned(), side))
    });
    named.collect()
}

fn interfaces<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut named: Vec<(String, Excerpt)> = Vec::new();
    for (table, span) in reader.tables(root, &INTERFACE) {
        reader.keys(table, &INTERFACE_TABLE);
        let name = interface_name(reader, table, &span, &mut named);
        let side = reader.word(table, &SIDE);
        if side.is_none() && !table.contains_key(SIDE.name) {
            let message = "this interface doesn't say which way it faces".into();
            reader.missing(span.clone(), message, &SIDE);
        }
        let zone = reader.integer(table, &ZONE, 0..=u16::MAX.into());
        if let (Some(name), Some(side)) = (name, side) {
            let span = table.get(INTERFACE_NAME.name).map_or(span, Spanned::span);
            interfaces.push(Interface {
                name,
                side: side.into_inner(),
                zone: zone.map_or(0, |zone| zone.into_inner() as u16),
                place: reader.at(span).place,
            });
        }
    }
    interfaces
}

fn interface_name(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    header: &Range<usize>,
    named: &mut Vec<(String, Excerpt)>,
) -> Option<String> {
    let Some(name) = reader.string(table, &INTERFACE_NAME) else {
        if !table.contains_key(INTERFACE_NAME.name) {
            reader.missing(
                header.clone(),
                "this interface has no name".into(),
                &INTERFACE_NAME,
            );
        }
        return None;
    };
    let (at, name) = (name.span(), *name.get_ref());
    let usable = !matches!(name, "" | "." | "..")
        && name.len() <= MAX_INTERFACE_NAME
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    if !usable {
        let message = format!("{} can't be the name of an interface", quoted(name));
        let help = "write its name as `ip link` shows it, at most 15 bytes";
        reader.error(at, message, help);
        return None;
    }
    if let Some((_, first)) = named.iter().find(|(known, _)| known == name) {
        let first = first.clone();
        let message = format!("interface {} is listed twice", quoted(name));
        reader.conflict(at, message, "list it once", first, "first listed here");
        return None;
    }
    named.push((name.to_owned(), reader.at(at)));
    Some(name.to_owned())
}

fn queues<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Queues {
    let mut queues = Queues::default();
    let Some((table, span)) = reader.table(root, &QUEUES) else {
        return queues;
    };
    reader.keys(table, &QUEUES_TABLE);
    let first = reader.integer(table, &FIRST, 0..=u16::MAX.into());
    if let Some(first) = &first {
        queues.first = *first.get_ref() as u16;
    }
    if let Some(count) = reader.integer(table, &COUNT, 1..=8) {
        if count.get_ref().is_power_of_two() {
            queues.count = *count.get_ref() as u8;
        } else {
            let message = format!(
                "{} queues can't be chosen by bits of an address",
                count.get_ref()
            );
            let help = "write 1, 2, 4 or 8: the low bits of the inside address pick the queue";
            reader.error(count.span(), message, help);
        }
    }
    if let Some(length) = reader.integer(table, &LENGTH, 1..=1 << 20) {
        queues.length = length.into_inner();
    }
    let last = u32::from(queues.first) + u32::from(queues.count) - 1;
    if last > u16::MAX.into() {
        let at = first.map_or(span, |first| first.span());
        let message = format!("the last queue would have the number {last}");
        let help = format!("write at most {}", 65_536 - u32::from(queues.count));
        reader.error(at, message, help);
    }
    queues
}

fn mark_mask<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Option<u32> {
    let (table, _) = reader.table(root, &MARKS)?;
    reader.keys(table, &MARKS_TABLE);
    let mask = reader.integer(table, &MASK, 0..=u32::MAX)?;
    let (at, mask) = (mask.span(), mask.into_inner());
    if Field::new(mask).is_none() {
        let message = format!("{mask:#010x} isn't four adjacent bits");
        let help = "write four bits side by side, as in 0xf0000000 or 0x00f00000";
        reader.error(at, message, help);
        return None;
    }
    let others: Vec<_> = OTHER_MARKS
        .iter()
        .filter(|(bits, _)| bits & mask != 0)
        .map(|(bits, who)| format!("{who} uses {bits:#010x}"))
        .collect();
    if !others.is_empty() {
        let message = format!(
            "{mask:#010x} overlaps marks of others: {}",
            others.join(", ")
        );
        let help = "if they run on this gateway, write a mask that they leave alone";
        reader.note(at, message, help);
    }
    Some(mask)
}

fn failure<'s>(reader: &mut Reader<'s>, root: &DeTable<'s>) -> Failure {
    let defaults = Failure::default();
    let Some((table, _)) = reader.table(root, &FAILURE) else {
        return defaults;
    };
    reader.keys(table, &FAILURE_TABLE);
    let mut cause = |key: &Key| reader.word::<OnFailure>(table, key);
    let daemon_down = cause(&DAEMON_DOWN);
    let queue_full = cause(&QUEUE_FULL);
    let message_lost = cause(&MESSAGE_LOST);
    let internal_error = cause(&INTERNAL_ERROR);
    let said = |word: &Option<Spanned<OnFailure>>| word.as_ref().map(|word| *word.get_ref());
    let failure = Failure {
        daemon_down: said(&daemon_down).unwrap_or(defaults.daemon_down),
        queue_full: said(&queue_full).unwrap_or(defaults.queue_full),
        message_lost: said(&message_lost).unwrap_or(defaults.message_lost),
        internal_error: said(&internal_error).unwrap_or(defaults.internal_error),
    };
    one_switch(reader, table, &failure, queue_full, message_lost);
    failure
}

/// Refuses different answers to a full queue and to a lost message.
fn one_switch(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    failure: &Failure,
    queue_full: Option<Spanned<OnFailure>>,
    message_lost: Option<Spanned<OnFailure>>,
) {
    // A wrong word has its own error; only an absent key has the default.
    let wrong = |key: &Key, word: &Option<_>| word.is_none() && table.contains_key(key.name);
    if failure.queue_full == failure.message_lost
        || wrong(&QUEUE_FULL, &queue_full)
        || wrong(&MESSAGE_LOST, &message_lost)
    {
        return;
    }
    let message = format!(
        "`queue-full` is \"{}\" and `message-lost` is \"{}\", but the kernel has one switch for both",
        failure.queue_full, failure.message_lost
    );
    let help = "write the same for both";
    match (queue_full, message_lost) {
        (Some(full), Some(lost)) => {
            let other = reader.at(full.span());
            reader.conflict(lost.span(), message, help, other, "the other one");
        }
        (Some(only), None) | (None, Some(only)) => reader.error(only.span(), message, help),
        (None, None) => {} // the defaults are equal
    }
}

/// Single addresses, and where each stands.
fn addresses(reader: &mut Reader<'_>, root: &DeTable<'_>, key: &Key) -> Vec<(IpAddr, Excerpt)> {
    let mut addresses = Vec::new();
    for item in reader.strings(root, key).unwrap_or_default() {
        match item.get_ref().parse::<IpAddr>() {
            Ok(address) => addresses.push((address.to_canonical(), reader.at(item.span()))),
            Err(_) => {
                let message = format!("{} is no address", quoted(item.get_ref()));
                let help = "write single addresses, such as \"203.0.113.7\" or \"2001:db8::7\"";
                reader.error(item.span(), message, help);
            }
        }
    }
    addresses
}
