//! Facts about windows: days, midnight, clocks that are put forward and back.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::book::any_window;
use super::*;

fn window(days: &[Day], from: u16, to: u16, default: Action) -> Window {
    Window {
        days: days.to_vec(),
        from,
        to,
        rules: Rules {
            default: Some(default.into()),
            ..Rules::default()
        },
    }
}

/// Whether a window is open in Berlin at a time with its offset.
fn is_open(window: &Window, time: &str) -> bool {
    let zoned: Zoned = format!("{time}[Europe/Berlin]").parse().expect("a time");
    window.is_open(zoned.datetime())
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_opens() {
    let friday_night = window(&[Day::Friday], 22 * 60, 6 * 60, Action::Drop);
    for (time, open) in [
        ("2026-11-27T21:59:59+01:00", false),
        ("2026-11-27T22:00:00+01:00", true),
        ("2026-11-28T00:00:00+01:00", true),
        ("2026-11-28T05:59:59+01:00", true),
        ("2026-11-28T06:00:00+01:00", false),
        ("2026-11-27T05:00:00+01:00", false),
        ("2026-11-28T22:00:00+01:00", false),
    ] {
        assert_eq!(is_open(&friday_night, time), open, "{time}");
    }
    let whole_sunday = window(&[Day::Sunday], 0, DAY, Action::Drop);
    assert!(is_open(&whole_sunday, "2026-11-29T00:00:00+01:00"));
    assert!(is_open(&whole_sunday, "2026-11-29T23:59:59+01:00"));
    assert!(!is_open(&whole_sunday, "2026-11-30T00:00:00+01:00"));
}

#[test]
fn a_window_follows_the_clock_when_it_is_put_forward_and_back() {
    let early = window(Day::ALL, 2 * 60 + 30, 4 * 60, Action::Drop);
    // 2026-03-29 in Berlin: after 01:59:59 comes 03:00:00.
    for (time, open) in [
        ("2026-03-29T01:59:59+01:00", false),
        ("2026-03-29T03:00:00+02:00", true),
        ("2026-03-29T04:00:00+02:00", false),
        // 2026-10-25: after 02:59:59 comes 02:00:00.
        ("2026-10-25T02:29:59+02:00", false),
        ("2026-10-25T02:30:00+02:00", true),
        ("2026-10-25T02:59:59+02:00", true),
        ("2026-10-25T02:00:00+01:00", false),
        ("2026-10-25T02:30:00+01:00", true),
        ("2026-10-25T04:00:00+01:00", false),
    ] {
        assert_eq!(is_open(&early, time), open, "{time}");
    }
    let zone = berlin();
    let changes = |from: &str, count: usize| -> Vec<String> {
        let from: Zoned = format!("{from}[Europe/Berlin]").parse().expect("a time");
        let next = |at: &Timestamp| early.next_change(*at, &zone);
        let times = std::iter::successors(next(&from.timestamp()), next);
        times
            .take(count)
            .map(|at| {
                at.to_zoned(zone.clone())
                    .strftime("%d %H:%M %Z")
                    .to_string()
            })
            .collect()
    };
    assert_eq!(
        changes("2026-03-28T12:00:00+01:00", 2),
        ["29 03:00 CEST", "29 04:00 CEST"]
    );
    assert_eq!(
        changes("2026-10-24T12:00:00+02:00", 4),
        [
            "25 02:30 CEST",
            "25 02:00 CET",
            "25 02:30 CET",
            "25 04:00 CET"
        ]
    );
}

fn berlin() -> TimeZone {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    bundled
        .get("Europe/Berlin")
        .expect("the zones are built in")
}

#[test]
fn a_files_time_zone_is_its_own_and_else_the_first() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str, zone: &str| {
        let text = format!(
            "version = 1\n{zone}\n[[policy]]\nname = \"{name}\"\nvlans = [{}]\n\
             [[policy.window]]\nfrom = \"08:00\"\nto = \"18:00\"\ndefault = \"drop\"\n",
            name.len()
        );
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("a file");
        path
    };
    let paths = [
        file("berlin", "timezone = \"Europe/Berlin\""),
        file("tokyo", "timezone = \"Asia/Tokyo\""),
        file("any", ""),
    ];
    let config = Config::load(&paths).unwrap_or_else(|problems| panic!("{problems}"));
    let open = |time: &str| {
        let at: Timestamp = time.parse().expect("a time");
        let open = config.policies.open(at).windows;
        open.iter().map(|windows| windows[0]).collect::<Vec<_>>()
    };
    assert_eq!(open("2026-11-24T08:00Z"), [true, true, true]);
    assert_eq!(open("2026-11-24T06:59Z"), [false, true, false]);
    assert_eq!(open("2026-11-24T16:59Z"), [true, false, true]);
    let after: Timestamp = "2026-11-24T06:00Z".parse().expect("a time");
    let next = config.policies.next_change(after).expect("a change");
    assert_eq!(next.to_string(), "2026-11-24T07:00:00Z");
}

proptest! {
    #[test]
    fn a_window_stays_as_it_is_until_its_next_change(
        window in any_window(),
        second in 1_750_000_000i64..1_850_000_000,
        part in 0.0..1.0f64,
    ) {
        let zone = berlin();
        let at = Timestamp::from_second(second).expect("a time");
        let open = |at: Timestamp| window.is_open(zone.to_datetime(at));
        let next = window.next_change(at, &zone).expect("it opens and closes each week");
        prop_assert!(next > at);
        prop_assert_ne!(open(next), open(at));
        let between = SignedDuration::from_secs_f64((next.as_second() - second) as f64 * part);
        let between = at.checked_add(between).expect("a time");
        prop_assert!(between >= next || open(between) == open(at), "{} {}", at, between);
        let before = next.checked_sub(SignedDuration::from_nanos(1)).expect("a time");
        prop_assert_eq!(open(before), open(at));
    }

    #[test]
    fn windows_are_open_together_only_as_foreseen(
        windows in proptest::collection::vec(any_window(), 0..4),
        second in 1_750_000_000i64..1_850_000_000,
    ) {
        let local = berlin().to_datetime(Timestamp::from_second(second).expect("a time"));
        let open: Vec<bool> = windows.iter().map(|window| window.is_open(local)).collect();
        prop_assert!(Window::open_sets(&windows).contains(&open));
    }
}
