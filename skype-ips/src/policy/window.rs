//! Times at which a policy says something else.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::{SignedDuration, Span, Zoned};

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
        let today = self.opens_on(local.date().weekday());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        let yesterday = self.opens_on(local.date().weekday().wrapping_sub(1));
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }

    /// When it closes, of a window that is open at `now`; `None` if it never does.
    pub fn closes(&self, now: Zoned) -> Option<Zoned> {
        // It can close where it ends, on one of the next days.
        let end = Time::midnight() + SignedDuration::from_mins(i64::from(self.to % DAY));
        let first = now.date();
        (0..=8).find_map(|days| {
            let date = first.checked_add(Span::new().days(days)).ok()?;
            let at = date
                .to_datetime(end)
                .to_zoned(now.time_zone().clone())
                .ok()?;
            (at > now && !self.is_open(at.datetime())).then_some(at)
        })
    }

    fn opens_on(&self, day: Weekday) -> bool {
        self.days.iter().any(|one| one.weekday() == day)
    }
}

impl Day {
    const fn weekday(self) -> Weekday {
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
