//! TCP ports on which Skype has answered, other than that of the number of its UDP port: 80 and 443,
//! which it takes when they are free, and any of a client that uses no UDP. In bounded memory.

use skype_ips_common::layout::{Address, EndpointKey};

use super::endpoints::PROVED_LIFE;
use crate::recent::Recent;

/// Ports that are remembered.
const MOST: usize = 4096;
/// What has answered so long ago answers no more, nanoseconds.
const LIFE: u64 = PROVED_LIFE;

/// A port.
#[derive(Debug, Default)]
struct Port {
    /// When Skype has answered there last.
    skype: Option<u64>,
    /// When something else was asked for there last.
    other: Option<u64>,
    /// Who was answered last, and whether somebody else was before.
    outside: Option<Address>,
    several: bool,
    /// Whether what the host itself said there proves that it was Skype.
    sure: bool,
    /// Since when Skype is said to listen there.
    since: Option<u64>,
}

impl Port {
    fn listens(&self, now: u64) -> bool {
        let lately = |at: Option<u64>| at.is_some_and(|at| now.saturating_sub(at) <= LIFE);
        lately(self.skype) && (self.sure || self.several) && !lately(self.other)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Listeners {
    ports: Recent<EndpointKey, Port>,
}

impl Listeners {
    /// A connection from `outside` to this TCP port is Skype's, and was answered; `sure` says that the
    /// answer itself proves it. What strangers send alone proves nothing, so two have to be answered.
    pub fn answered(&mut self, key: &EndpointKey, now: u64, outside: &Address, sure: bool) {
        let port = self.ports.entry_or(key, now, MOST, Port::default);
        port.skype = Some(now);
        port.sure |= sure;
        port.several |= port.outside.is_some_and(|other| other != *outside);
        port.outside = Some(*outside);
    }

    /// Something else than Skype is asked for at this TCP port.
    pub fn other(&mut self, key: &EndpointKey, now: u64) {
        let port = self.ports.entry_or(key, now, MOST, Port::default);
        port.other = Some(now);
    }

    /// On which ports Skype listens now and didn't before, and on which no longer.
    pub fn tick(&mut self, now: u64) -> Vec<(EndpointKey, bool)> {
        let changed = self.ports.iter().filter_map(|(key, port)| {
            let listens = port.listens(now);
            (listens != port.since.is_some()).then_some((*key, listens))
        });
        let mut changed: Vec<_> = changed.collect();
        changed.sort_unstable();
        for (key, listens) in &changed {
            if let Some(port) = self.ports.get_mut(key) {
                port.since = listens.then_some(now);
            }
        }
        let before = now.saturating_sub(LIFE + LIFE / 10);
        while self.ports.pop_older_than(before).is_some() {}
        changed
    }

    /// Ports on which Skype listens, since when.
    pub fn listening(&self) -> impl Iterator<Item = (&EndpointKey, u64)> {
        let ports = self.ports.iter();
        ports.filter_map(|(key, port)| Some((key, port.since?)))
    }

    /// Forgets such ports; on which of them Skype listened.
    pub fn forget_where(&mut self, gone: impl Fn(&EndpointKey) -> bool) -> Vec<EndpointKey> {
        let listening = self.listening().map(|(key, _)| *key);
        let listening = listening.filter(|key| gone(key)).collect();
        self.ports.remove_where(gone);
        listening
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const PORT: EndpointKey = EndpointKey {
        zone: 0,
        port: 443,
        protocol: skype_ips_common::layout::TCP,
        reserved: [0; 3],
        inside: [1; 16],
    };

    #[test]
    fn one_stranger_proves_nothing_and_two_that_are_answered_do() {
        let mut listeners = Listeners::default();
        listeners.answered(&PORT, 0, &[1; 16], false);
        listeners.answered(&PORT, SECOND, &[1; 16], false);
        assert_eq!(listeners.tick(SECOND), []);
        listeners.answered(&PORT, 2 * SECOND, &[2; 16], false);
        assert_eq!(listeners.tick(2 * SECOND), [(PORT, true)]);
        assert_eq!(listeners.tick(3 * SECOND), []);
    }

    #[test]
    fn what_else_is_asked_for_keeps_a_port_for_twenty_minutes() {
        let mut listeners = Listeners::default();
        listeners.answered(&PORT, 0, &[1; 16], true);
        assert_eq!(listeners.tick(1), [(PORT, true)]);
        listeners.other(&PORT, SECOND);
        assert_eq!(listeners.tick(SECOND), [(PORT, false)]);
        listeners.answered(&PORT, LIFE, &[1; 16], true);
        assert_eq!(listeners.tick(LIFE + SECOND), []);
        assert_eq!(listeners.tick(LIFE + 2 * SECOND), [(PORT, true)]);
    }

    #[test]
    fn a_port_that_answers_no_more_is_given_back() {
        let mut listeners = Listeners::default();
        listeners.answered(&PORT, 0, &[1; 16], true);
        assert_eq!(listeners.tick(1), [(PORT, true)]);
        assert_eq!(listeners.tick(LIFE), []);
        assert_eq!(listeners.tick(LIFE + 1), [(PORT, false)]);
    }
}
