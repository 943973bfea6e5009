//! Times at which a policy says something else.

use std::collections::BTreeSet;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::rule::Rules;
use super::vocabulary::Day;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;

/// One `[[policy.window]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The days on which it opens, in order.
    pub days: Vec<Day>,
    /// Minute of the day at which it opens, under [`DAY`].
    pub from: u16,
    /// Minute of the day before which it closes, from 1 to [`DAY`]: on the next day if it is not
    /// after `from`.
    pub to: u16,
    /// What the policy says beside what it says always, while it is open.
    pub rules: Rules,
}

impl Window {
    /// Whether it is open at a local time. Clocks that are put back meet the same minutes twice, and
    /// those that are put forward leave some out: the window follows what the clock shows.
    pub fn is_open(&self, local: DateTime) -> bool {
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        self.is_open_on(local.date().weekday(), minute)
    }

    fn is_open_on(&self, day: Weekday, minute: u16) -> bool {
        let today = self.opens_on(day);
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        let yesterday = self.opens_on(day.wrapping_sub(1));
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }

    /// Every set of a policy's windows that can be open together, each once.
    pub fn open_sets(windows: &[Self]) -> BTreeSet<Vec<bool>> {
        let mut minutes: BTreeSet<u16> = [0].into();
        minutes.extend(windows.iter().flat_map(|one| [one.from, one.to % DAY]));
        let days = Day::ALL.iter().map(|day| day.weekday());
        let times = days.flat_map(|day| minutes.iter().map(move |minute| (day, *minute)));
        let open = times.map(|(day, minute)| {
            let windows = windows.iter();
            windows.map(|one| one.is_open_on(day, minute)).collect()
        });
        open.collect()
    }

    /// When it opens, if it is closed, or closes, if it is open, after a time; `None` if it doesn't
    /// within two weeks.
    pub fn next_change(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let is_open = |at: Timestamp| self.is_open(zone.to_datetime(at));
        let now = is_open(after);
        let today = zone.to_datetime(after).date();
        // What the clock shows changes at these minutes, and where the zone's offset does.
        let days = (0..=14).filter_map(|day: i32| today.checked_add(day.days()).ok());
        let minutes = days.flat_map(|day| {
            [self.from, self.to % DAY].map(|minute| {
                let (hour, minute) = (minute / 60, minute % 60);
                day.at(hour as i8, minute as i8, 0, 0)
            })
        });
        let shown = minutes.flat_map(|local| {
            let zoned = zone.to_ambiguous_timestamp(local);
            [zoned.earlier(), zoned.later()].into_iter().flatten()
        });
        let end = after
            .checked_add(SignedDuration::from_hours(14 * 24))
            .ok()?;
        let shifts = zone.following(after).map(|shift| shift.timestamp());
        let shifts = shifts.take_while(|at| *at <= end);
        let times = shown
            .chain(shifts)
            .filter(|at| *at > after && is_open(*at) != now);
        times.min()
    }

    fn opens_on(&self, day: Weekday) -> bool {
        self.days.iter().any(|one| one.weekday() == day)
    }
}

impl Day {
    /// The day as calendars know it.
    pub(super) const fn weekday(self) -> Weekday {
        match self {
            Self::Monday => Weekday::Monday,
            Self::Tuesday => Weekday::Tuesday,
            Self::Wednesday => Weekday::Wednesday,
            Self::Thursday => Weekday::Thursday,
            Self::Friday => Weekday::Friday,
            Self::Saturday => Weekday::Saturday,
            Self::Sunday => Weekday::Sunday,
        }
    }
}
