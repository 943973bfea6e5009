//! Which packets of a numbered stream have arrived.

use super::tally::Tally;

/// The numbers of a stream, as its receiver hears them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// The highest one that is known of, counted from 1.
    highest: u64,
    /// Which of those up to the highest have arrived, the highest last.
    window: u128,
}

impl Numbers {
    /// None was heard; the first will be 1.
    pub(super) const fn new() -> Self {
        Self {
            highest: 0,
            window: 0,
        }
    }

    /// What the low 16 bits of a number stand for.
    pub(super) const fn extended(&self, low: u16) -> u64 {
        let step = low.wrapping_sub(self.highest as u16) as i16;
        self.highest.saturating_add_signed(step as i64)
    }

    /// The other end has sent so many.
    pub(super) fn known(&mut self, tally: &mut Tally, what: &'static str, number: u64) {
        let new = number.saturating_sub(self.highest);
        if new > 0 {
            tally.begun(what, new);
            self.window = self.window.checked_shl(new as u32).unwrap_or(0);
            self.highest = number;
        }
    }

    /// This one has come, and unchanged or not. One that comes twice counts once.
    pub(super) fn heard(
        &mut self,
        tally: &mut Tally,
        what: &'static str,
        number: u64,
        unchanged: bool,
    ) {
        self.known(tally, what, number);
        let bit = u32::try_from(self.highest - number).ok();
        let bit = bit.and_then(|age| 1_u128.checked_shl(age)).unwrap_or(0);
        if unchanged && bit != 0 && self.window & bit == 0 {
            self.window |= bit;
            tally.done(what, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_begun_and_latecomers_done_once() {
        let (mut numbers, mut tally) = (Numbers::new(), Tally::default());
        for number in [1, 2, 5, 4, 4] {
            numbers.heard(&mut tally, "RTP", number, true);
        }
        numbers.heard(&mut tally, "RTP", 6, false);
        numbers.known(&mut tally, "RTP", 8);
        let figures = tally.figures().exchanges[0];
        assert_eq!((figures.begun, figures.done), (8, 4));
    }

    #[test]
    fn short_numbers_go_round() {
        let (mut numbers, mut tally) = (Numbers::new(), Tally::default());
        for number in (1..200_000_u64).step_by(20_000) {
            assert_eq!(numbers.extended(number as u16), number);
            numbers.heard(&mut tally, "RTP", number, true);
        }
    }
}
