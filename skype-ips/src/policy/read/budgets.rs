//! Reads `[[budget]]`: how much passes, shared by all files of a configuration.

use std::collections::HashMap;
use std::ops::Range;

use skype_ips_common::layout::MAX_BUDGETS;
use toml::Spanned;
use toml::de::DeTable;

use super::super::budget::{Budget, MTU};
use super::super::vocabulary::{Direction, Scope};
use super::language::{BUDGET, BUDGET_NAME, BUDGET_TABLE, BURST, DIRECTION, RATE, SCOPE};
use crate::toml_file::{
    Excerpt, NAME_HELP, Rate, Reader, Size, is_name, nearest, quantity, quoted,
};

/// The smallest rate, bits a second: a byte a second.
const LEAST_RATE: u64 = 8;

/// The rate, bits a second, under which a full packet waits longer than a minute.
const CRAWLING: u64 = MTU * 8 / 60;

/// How many seconds of its rate a burst may hold before it is probably a slip.
const LONG_BURST: u64 = 300;

/// The budgets of all files.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    pub(super) list: Vec<Budget>,
    /// Where each one's name stands, or its header.
    pub(super) at: Vec<Excerpt>,
    places: HashMap<String, u16>,
    ids: HashMap<u32, u16>,
    seen: usize,
}

impl Budgets {
    /// Adds the budgets of one file.
    pub(super) fn read<'s>(&mut self, reader: &mut Reader<'s>, root: &DeTable<'s>) {
        for (table, header) in reader.tables(root, &BUDGET) {
            self.seen += 1;
            if self.seen > MAX_BUDGETS as usize {
                if self.seen == MAX_BUDGETS as usize + 1 {
                    let message = format!("more than {MAX_BUDGETS} budgets");
                    let help = "let several policies name the same budget";
                    reader.error(header, message, help);
                }
                continue;
            }
            reader.keys(table, &BUDGET_TABLE);
            self.budget(reader, table, header);
        }
    }

    /// The place of a budget in the list; what is wrong with its name otherwise.
    pub(super) fn find(&self, reader: &mut Reader<'_>, name: &Spanned<&str>) -> Option<u16> {
        let known = self.places.get(*name.get_ref()).copied();
        if known.is_none() {
            let message = format!("there is no budget {}", quoted(name.get_ref()));
            let help = match nearest(name.get_ref(), self.places.keys().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "add [[budget]] with name = \"{}\" and {}",
                    name.get_ref().escape_default(),
                    RATE.example
                ),
            };
            reader.error(name.span(), message, help);
        }
        known
    }

    /// Adds a budget, with stand-ins for what was wrong.
    fn budget(&mut self, reader: &mut Reader<'_>, table: &DeTable<'_>, header: Range<usize>) {
        let name = reader.string(table, &BUDGET_NAME);
        if name.is_none() && !table.contains_key(BUDGET_NAME.name) {
            reader.missing(
                header.clone(),
                "this budget has no name".into(),
                &BUDGET_NAME,
            );
        }
        let rate = reader.parsed(table, &RATE, quantity::<Rate>);
        if rate.is_none() && !table.contains_key(RATE.name) {
            reader.missing(header.clone(), "this budget has no rate".into(), &RATE);
        }
        let rate = rate.and_then(|rate| checked_rate(reader, &rate));
        let burst = reader.parsed(table, &BURST, quantity::<Size>);
        let burst = burst.and_then(|burst| checked_burst(reader, &burst, rate));
        let scope = reader.word(table, &SCOPE);
        let direction = reader.word(table, &DIRECTION);
        // A budget whose name is usable can be named, whatever else is wrong with it.
        let Some(name) = name.filter(|name| self.is_usable(reader, name)) else {
            return;
        };
        let place = self.list.len() as u16;
        let rate = rate.unwrap_or(LEAST_RATE);
        let budget = Budget {
            name: name.get_ref().to_string(),
            rate,
            burst: burst.unwrap_or(Budget::usual_burst(rate)),
            scope: scope.map_or(Scope::Host, Spanned::into_inner),
            direction: direction.map_or(Direction::Each, Spanned::into_inner),
        };
        self.places.insert(budget.name.clone(), place);
        self.ids.insert(Budget::id_of(&budget.name), place);
        self.at.push(reader.at(name.span()));
        self.list.push(budget);
    }

    /// Whether a budget may have this name.
    fn is_usable(&self, reader: &mut Reader<'_>, name: &Spanned<&str>) -> bool {
        let (at, name) = (name.span(), *name.get_ref());
        if !is_name(name) {
            let message = format!("{} can't be the name of a budget", quoted(name));
            reader.error(at, message, NAME_HELP);
            return false;
        }
        if let Some(first) = self.places.get(name) {
            let first = self.at[usize::from(*first)].clone();
            let message = format!("there is a budget {} already", quoted(name));
            let help = "give it another name";
            reader.conflict(at, message, help, first, "the first one");
            return false;
        }
        // The tables tell budgets apart by a number made of the name.
        if let Some(other) = self.ids.get(&Budget::id_of(name)) {
            let first = self.at[usize::from(*other)].clone();
            let message = format!(
                "the tables can't tell the name {} from another",
                quoted(name)
            );
            let help = "give one of the two another name, however little it differs";
            reader.conflict(at, message, help, first, "the other one");
            return false;
        }
        true
    }
}

/// A rate in bits a second.
fn checked_rate(reader: &mut Reader<'_>, rate: &Spanned<Rate>) -> Option<u64> {
    let (at, rate) = (rate.span(), rate.get_ref().0);
    if rate < LEAST_RATE {
        let message = "this rate lets nothing pass";
        let help = "write \"drop\" where nothing may pass, or at least \"8 bit/s\"";
        reader.error(at, message, help);
        return None;
    }
    if rate < CRAWLING {
        let message = "at this rate a full packet waits longer than a minute";
        let help = "write \"drop\" where nothing is to pass, or a rate such as \"3 KB/s\"";
        reader.warning(at, message, help);
    }
    Some(rate)
}

/// A burst in bytes.
fn checked_burst(reader: &mut Reader<'_>, burst: &Spanned<Size>, rate: Option<u64>) -> Option<u64> {
    let (at, burst) = (burst.span(), burst.get_ref().0);
    if burst < MTU {
        let message = format!("a burst of {burst} bytes never has room for a packet of {MTU}");
        let help = format!("write at least \"{MTU} B\", or leave it out");
        reader.error(at, message, help);
        return None;
    }
    if let Some(rate) = rate.filter(|rate| burst.saturating_mul(8) / rate > LONG_BURST) {
        let seconds = burst.saturating_mul(8) / rate;
        let message = format!("this burst lets {seconds} seconds of the rate pass at once");
        let help = "write a smaller one, or leave it out for the usual one";
        reader.warning(at, message, help);
    }
    Some(burst)
}
