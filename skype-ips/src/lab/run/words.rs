//! Figures as people read them.

use std::time::Duration;

/// A number of bytes, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    scaled(count as f64, "B")
}

/// Bytes a second.
pub(super) fn rate(bytes: f64) -> String {
    scaled(bytes, "B/s")
}

/// Bits a second out of bytes a second.
pub fn bit_rate(bytes: f64) -> String {
    scaled(bytes * 8.0, "bit/s")
}

fn scaled(value: f64, unit: &str) -> String {
    match value {
        value if value >= 999_950.0 => format!("{:.1} M{unit}", value / 1e6),
        // The prefix of bits is a small letter; of bytes the policy language writes a large one.
        value if value >= 999.5 => {
            let kilo = if unit.starts_with('b') { "k" } else { "K" };
            format!("{:.1} {kilo}{unit}", value / 1e3)
        }
        value => format!("{value:.0} {unit}"),
    }
}

/// A time, to a tenth of a second from ten on, else to a hundredth.
pub(super) fn seconds(time: Duration) -> String {
    let time = time.as_secs_f64();
    let digits = if time < 9.995 { 2 } else { 1 };
    format!("{time:.digits$} s")
}

/// A share of 1; never 100 % unless it is.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        all if all >= 100.0 => "100 %".to_owned(),
        most => format!("{:.1} %", most.min(99.9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_unit_that_fits() {
        assert_eq!(
            [0, 999, 1000, 4100, 999_949, 1_200_000].map(bytes),
            ["0 B", "999 B", "1.0 KB", "4.1 KB", "999.9 KB", "1.2 MB"]
        );
        assert_eq!(bit_rate(125_000.0), "1.0 Mbit/s");
        assert_eq!(bit_rate(500.0), "4.0 kbit/s");
        assert_eq!(
            [40, 9_994, 9_996].map(|time| seconds(Duration::from_millis(time))),
            ["0.04 s", "9.99 s", "10.0 s"]
        );
    }

    #[test]
    fn what_is_not_all_is_never_said_to_be() {
        assert_eq!(
            [1.0, 0.9999, 0.5, 0.0].map(percent),
            ["100 %", "99.9 %", "50.0 %", "0.0 %"]
        );
    }
}
