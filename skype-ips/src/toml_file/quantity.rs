//! Quantities with a unit, as people write them: `4 KB/s`, `10 ms`, `2 MB`, `95 %`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::place::quoted;

/// What is wrong with a text, and what to write instead.
pub(crate) type Wrong = (String, String);

/// What can be read from a quantity.
pub(crate) trait Quantity: PartialOrd + Sized {
    /// What it is, in a sentence.
    const WHAT: &'static str;
    /// The units, and how much of the value one of each is.
    const UNITS: &'static [(&'static str, f64)];
    /// The most that can be written.
    const MOST: (f64, &'static str);

    /// The value of so much.
    fn of(amount: f64) -> Self;
}

/// Bits in a second; 1 KB is 1000 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rate(pub(crate) u64);

impl Quantity for Rate {
    const WHAT: &'static str = "a rate";
    const UNITS: &'static [(&'static str, f64)] = &[
        ("KB/s", 8e3),
        ("MB/s", 8e6),
        ("B/s", 8.0),
        ("bit/s", 1.0),
        ("kbit/s", 1e3),
        ("Mbit/s", 1e6),
        ("Gbit/s", 1e9),
    ];
    const MOST: (f64, &'static str) = (1e11, "100 Gbit/s");

    fn of(amount: f64) -> Self {
        Self(amount.round() as u64)
    }
}

/// Bytes; 1 KB is 1000 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl Quantity for Size {
    const WHAT: &'static str = "a size";
    const UNITS: &'static [(&'static str, f64)] =
        &[("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("B", 1.0)];
    const MOST: (f64, &'static str) = (1e12, "1000 GB");

    fn of(amount: f64) -> Self {
        Self(amount.round() as u64)
    }
}

impl Quantity for Duration {
    const WHAT: &'static str = "a time";
    const UNITS: &'static [(&'static str, f64)] = &[
        ("ms", 1e-3),
        ("s", 1.0),
        ("min", 60.0),
        ("h", 3600.0),
        ("us", 1e-6),
    ];
    const MOST: (f64, &'static str) = (86_400.0, "24 h");

    fn of(amount: f64) -> Self {
        Self::from_nanos((amount * 1e9).round() as u64)
    }
}

/// A part of the whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Share(pub(crate) f64);

impl Quantity for Share {
    const WHAT: &'static str = "a share";
    const UNITS: &'static [(&'static str, f64)] = &[("%", 1.0)];
    const MOST: (f64, &'static str) = (100.0, "100 %");

    fn of(amount: f64) -> Self {
        // Not times 0.01: 95 % is what 95 of 100 is.
        Self(amount / 100.0)
    }
}

/// The quantity that `text` says.
pub(crate) fn quantity<Q: Quantity>(text: &str) -> Result<Q, Wrong> {
    let units = || Q::UNITS.iter().map(|(unit, _)| *unit);
    let example = || format!("write {} such as \"5 {}\"", Q::WHAT, Q::UNITS[0].0);
    let wrong = |reason: &str, help: String| Err((format!("{} {reason}", quoted(text)), help));
    let text = text.trim();
    if text.starts_with('-') {
        return wrong("is below zero", example());
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let Ok(number) = number.parse::<f64>() else {
        return wrong(&format!("is not {}", Q::WHAT), example());
    };
    let unit = unit.trim();
    let Some((_, factor)) = Q::UNITS.iter().find(|(known, _)| *known == unit) else {
        let known: Vec<_> = units().collect();
        let close = units().find(|known| known.eq_ignore_ascii_case(unit));
        let help = match close {
            Some(close) => format!("write \"{number} {close}\""),
            None => format!("write one of {} behind the number", known.join(", ")),
        };
        let reason = match unit {
            "" => "has no unit".to_owned(),
            unit => format!("has {} for a unit", quoted(unit)),
        };
        return wrong(&reason, help);
    };
    let amount = number * factor;
    let (most, in_words) = Q::MOST;
    if amount > most {
        return wrong("is too much", format!("write at most \"{in_words}\""));
    }
    Ok(Q::of(amount))
}

/// A time as it is written.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// A quantity, or two with `..` between them.
pub(crate) fn range<Q: Quantity + Copy>(text: &str) -> Result<RangeInclusive<Q>, Wrong> {
    let Some((least, most)) = text.split_once("..") else {
        return quantity(text).map(|one| one..=one);
    };
    let (least, most) = (quantity::<Q>(least)?, quantity::<Q>(most)?);
    if most < least {
        let message = format!("{} ends before it begins", quoted(text));
        return Err((message, "write the smaller one first".into()));
    }
    Ok(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(quantity("4 KB/s"), Ok(Rate(32_000)));
        assert_eq!(quantity("512kbit/s"), Ok(Rate(512_000)));
        assert_eq!(quantity(" 1.5 Mbit/s "), Ok(Rate(1_500_000)));
        assert_eq!(quantity("2 MB"), Ok(Size(2_000_000)));
        assert_eq!(quantity("1.05 s"), Ok(Duration::from_millis(1050)));
        assert_eq!(quantity("2 min"), Ok(Duration::from_secs(120)));
        assert_eq!(quantity("95 %"), Ok(Share(95.0 / 100.0)));
        assert_eq!(
            range("10 ms .. 40 ms"),
            Ok(Duration::from_millis(10)..=Duration::from_millis(40))
        );
        assert_eq!(
            range("7 ms"),
            range("7 ms .. 7 ms").map(|r: RangeInclusive<Duration>| r)
        );
    }

    #[test]
    fn each_mistake_has_its_remedy() {
        for (text, message, help) in [
            ("-1 s", "below zero", "\"5 ms\""),
            ("soon", "is not a time", "\"5 ms\""),
            ("", "is not a time", "\"5 ms\""),
            ("1.2.3 s", "is not a time", "\"5 ms\""),
            ("5", "has no unit", "ms, s, min"),
            ("5 S", "has `S` for a unit", "\"5 s\""),
            ("5 weeks", "has `weeks` for a unit", "ms, s, min"),
            ("25 h", "too much", "\"24 h\""),
            ("10 ms .. 5", "has no unit", "ms, s, min"),
            (
                "10 ms .. 5 ms",
                "ends before it begins",
                "smaller one first",
            ),
        ] {
            let (said, remedy) = range::<Duration>(text).expect_err(text);
            assert!(said.contains(message), "{text}: {said}");
            assert!(remedy.contains(help), "{text}: {remedy}");
        }
        assert!(quantity::<Share>("101 %").is_err());
    }
}
