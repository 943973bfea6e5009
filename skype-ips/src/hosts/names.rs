//! Which of Skype's and of Teams' own names inside hosts were last seen to ask for: it tells apart
//! media that both speak alike.

use std::ops::Range;

use super::endpoints::Host;
use crate::detect::Evidence;
use crate::detect::asked::Asked;
use crate::detect::names::Owner;
use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// How long a name tells what its host does, nanoseconds.
pub const SEEN_LIFE: u64 = 600 * SECOND;
/// How long a name of Teams speaks against Skype, nanoseconds: Teams' connections last for hours,
/// in which it need not ask for a name again, and blocking Skype must not touch it.
pub const TEAMS_LIFE: u64 = 12 * 3600 * SECOND;

/// A name that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When, on the engine's clock.
    pub at: u64,
    /// Number of the packet.
    pub packet: u64,
    /// Where in its payload the name stands.
    pub bytes: Range<u32>,
    /// The end of the name.
    pub name: Box<str>,
    /// What asked for it, in words.
    pub asked: &'static str,
}

/// Most bytes that are kept of a name: its end says whose it is.
const KEPT: usize = 64;

impl Sighting {
    /// A name in `bytes` of a packet's payload; `asked` says in words what asked for it.
    pub fn new(at: u64, packet: u64, bytes: Range<u32>, name: &str, asked: &'static str) -> Self {
        // Names in lower case are letters, digits and dots, of a byte each.
        let end = name.get(name.len().saturating_sub(KEPT)..);
        Self {
            at,
            packet,
            bytes,
            name: end.unwrap_or(name).into(),
            asked,
        }
    }

    /// A name on a TCP connection.
    pub fn of(asked: &Asked, at: u64) -> Self {
        let bytes = asked.bytes.clone();
        Self::new(at, asked.packet, bytes, &asked.name, asked.how)
    }

    /// The evidence with the name beside it, of `whose` client.
    #[must_use]
    pub fn beside(&self, evidence: Evidence, whose: &str) -> Evidence {
        let says = format!("{}, {}: of {whose}'s own", self.asked, self.name);
        evidence.citing(self.packet, self.bytes.clone(), says)
    }
}

/// The last names of a host.
#[derive(Clone, Debug, Default)]
struct Last {
    skype: Option<Sighting>,
    teams: Option<Sighting>,
}

/// What the names that a host asked for lately say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// Neither Skype's nor Teams' own were among them.
    Nothing,
    /// Only Skype's.
    Skype(&'a Sighting),
    /// Only Teams'.
    Teams(&'a Sighting),
    /// Both.
    Both(&'a Sighting, &'a Sighting),
}

/// Hosts in bounded memory: who was seen asking longest ago goes first.
#[derive(Debug)]
pub struct NamesSeen {
    hosts: Recent<Host, Last>,
    most: usize,
}

impl NamesSeen {
    /// Room for `most` hosts, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            hosts: Recent::default(),
            most: most.max(1),
        }
    }

    /// Remembers a name; one that both or others use says nothing.
    pub fn saw(&mut self, host: Host, owner: Owner, sighting: Sighting) {
        if !matches!(owner, Owner::Skype | Owner::Teams) {
            return;
        }
        let hosts = &mut self.hosts;
        let last = hosts.entry_or(&host, sighting.at, self.most, Last::default);
        let place = if owner == Owner::Skype {
            &mut last.skype
        } else {
            &mut last.teams
        };
        *place = Some(sighting);
    }

    /// What the names that a host asked for in the last ten minutes say; against Skype those of
    /// Teams in the last twelve hours do.
    pub fn told(&self, host: Host, now: u64) -> Told<'_> {
        let Some(last) = self.hosts.get(&host) else {
            return Told::Nothing;
        };
        let age = |sighting: &Sighting| now.saturating_sub(sighting.at);
        let skype = last.skype.as_ref().filter(|one| age(one) <= SEEN_LIFE);
        let teams = last.teams.as_ref().filter(|one| age(one) <= TEAMS_LIFE);
        match (skype, teams) {
            (Some(skype), None) => Told::Skype(skype),
            (Some(skype), Some(teams)) => Told::Both(skype, teams),
            (None, Some(teams)) if age(teams) <= SEEN_LIFE => Told::Teams(teams),
            (None, _) => Told::Nothing,
        }
    }

    /// Forgets a host.
    pub fn forget(&mut self, host: &Host) {
        self.hosts.remove(host);
    }

    /// Forgets what tells nothing any more, and names that are older than `longest`, nanoseconds.
    pub fn expire(&mut self, now: u64, longest: u64) {
        let before = now.saturating_sub(TEAMS_LIFE.min(longest));
        while self.hosts.pop_older_than(before).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: skype_ips_common::layout::Address = [7; 16];

    fn at(at: u64) -> Sighting {
        Sighting {
            at,
            packet: at,
            bytes: 0..1,
            name: "a.example".into(),
            asked: "a question",
        }
    }

    #[test]
    fn only_names_of_the_last_ten_minutes_tell() {
        let mut names = NamesSeen::new(9);
        names.saw((0, HOST), Owner::Shared, at(1));
        names.saw((0, HOST), Owner::Either, at(1));
        assert_eq!(names.told((0, HOST), 1), Told::Nothing);
        names.saw((0, HOST), Owner::Skype, at(1));
        assert_eq!(names.told((0, HOST), SEEN_LIFE + 1), Told::Skype(&at(1)));
        assert_eq!(names.told((1, HOST), SEEN_LIFE + 1), Told::Nothing);
        assert_eq!(names.told((0, HOST), SEEN_LIFE + 2), Told::Nothing);
    }

    #[test]
    fn a_name_of_teams_speaks_against_skype_for_hours() {
        let mut names = NamesSeen::new(9);
        names.saw((0, HOST), Owner::Teams, at(1));
        assert_eq!(names.told((0, HOST), SEEN_LIFE + 1), Told::Teams(&at(1)));
        assert_eq!(names.told((0, HOST), SEEN_LIFE + 2), Told::Nothing);
        let later = TEAMS_LIFE + 1;
        names.expire(later, u64::MAX);
        names.saw((0, HOST), Owner::Skype, at(later));
        assert_eq!(names.told((0, HOST), later), Told::Both(&at(later), &at(1)));
        assert_eq!(names.told((0, HOST), later + 1), Told::Skype(&at(later)));
    }

    #[test]
    fn who_asked_longest_ago_makes_room() {
        let mut names = NamesSeen::new(2);
        for (host, time) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
            names.saw((0, [host; 16]), Owner::Skype, at(time));
        }
        assert_eq!(names.told((0, [2; 16]), 4), Told::Nothing);
        assert_eq!(names.told((0, [1; 16]), 4), Told::Skype(&at(3)));
    }
}
