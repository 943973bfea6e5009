//! Which of Skype's and of Teams' own names inside hosts were last seen to ask for: it tells apart
//! media that both speak alike.

use std::ops::Range;

use skype_ips_common::layout::Address;

use super::Recent;
use crate::detect::Evidence;
use crate::detect::asked::Asked;
use crate::detect::names::Owner;

/// How long a name tells what its host does, nanoseconds.
pub const SEEN_LIFE: u64 = 600 * 1_000_000_000;

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
    pub fn of(asked: Asked, at: u64) -> Self {
        Self::new(at, asked.packet, asked.bytes, &asked.name, asked.how)
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

/// Zone and inside address.
type Host = (u16, Address);

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

    /// Remembers a name; one that both use says nothing.
    pub fn saw(&mut self, zone: u16, inside: &Address, owner: Owner, sighting: Sighting) {
        if owner == Owner::Shared {
            return;
        }
        let host = (zone, *inside);
        let now = sighting.at;
        if self.hosts.get(&host).is_none() {
            if self.hosts.len() >= self.most {
                self.hosts.pop_oldest();
            }
            self.hosts.insert(host, Last::default(), now);
        }
        if let Some(last) = self.hosts.touch(&host, now) {
            let place = match owner {
                Owner::Skype => &mut last.skype,
                Owner::Teams | Owner::Shared => &mut last.teams,
            };
            *place = Some(sighting);
        }
    }

    /// What the names that a host asked for in the last ten minutes say.
    pub fn told(&self, zone: u16, inside: &Address, now: u64) -> Told<'_> {
        let Some(last) = self.hosts.get(&(zone, *inside)) else {
            return Told::Nothing;
        };
        let lately = |sighting: &&Sighting| now.saturating_sub(sighting.at) <= SEEN_LIFE;
        let skype = last.skype.as_ref().filter(lately);
        match (skype, last.teams.as_ref().filter(lately)) {
            (None, None) => Told::Nothing,
            (Some(skype), None) => Told::Skype(skype),
            (None, Some(teams)) => Told::Teams(teams),
            (Some(skype), Some(teams)) => Told::Both(skype, teams),
        }
    }

    /// Forgets what tells nothing any more.
    pub fn expire(&mut self, now: u64) {
        let before = now.saturating_sub(SEEN_LIFE);
        while self.hosts.pop_older_than(before).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Address = [7; 16];

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
        names.saw(0, &HOST, Owner::Shared, at(1));
        assert_eq!(names.told(0, &HOST, 1), Told::Nothing);
        names.saw(0, &HOST, Owner::Skype, at(1));
        names.saw(0, &HOST, Owner::Teams, at(5));
        assert_eq!(names.told(0, &HOST, 6), Told::Both(&at(1), &at(5)));
        assert_eq!(names.told(1, &HOST, 6), Told::Nothing);
        let later = SEEN_LIFE + 3;
        names.expire(later);
        assert_eq!(names.told(0, &HOST, later), Told::Teams(&at(5)));
        names.saw(0, &HOST, Owner::Skype, at(later));
        let later = SEEN_LIFE + 6;
        assert_eq!(names.told(0, &HOST, later), Told::Skype(&at(SEEN_LIFE + 3)));
    }

    #[test]
    fn who_asked_longest_ago_makes_room() {
        let mut names = NamesSeen::new(2);
        for (host, time) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
            names.saw(0, &[host; 16], Owner::Skype, at(time));
        }
        assert_eq!(names.told(0, &[2; 16], 4), Told::Nothing);
        assert_eq!(names.told(0, &[1; 16], 4), Told::Skype(&at(3)));
    }
}
