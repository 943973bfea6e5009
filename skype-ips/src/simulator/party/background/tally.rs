//! How many exchanges were begun, and how many came through.

use crate::simulator::party::{Exchanges, Figures};

/// Exchanges by kind, in the order in which the kinds were met.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Vec<Exchanges>);

impl Tally {
    fn of(&mut self, what: &'static str) -> &mut Exchanges {
        let place = self.0.iter().position(|kind| kind.what == what);
        let place = place.unwrap_or_else(|| {
            let (begun, done) = (0, 0);
            self.0.push(Exchanges { what, begun, done });
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    /// So many more are under way.
    pub(super) fn begun(&mut self, what: &'static str, count: u64) {
        self.of(what).begun += count;
    }

    /// So many more came through.
    pub(super) fn done(&mut self, what: &'static str, count: u64) {
        self.of(what).done += count;
    }

    /// Begun and done at once: what one end sends and the other only acknowledges by going on.
    pub(super) fn arrived(&mut self, what: &'static str, unchanged: bool) {
        self.begun(what, 1);
        self.done(what, u64::from(unchanged));
    }

    /// As a party's figures.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            exchanges: self.0.clone(),
            ..Figures::default()
        }
    }
}
