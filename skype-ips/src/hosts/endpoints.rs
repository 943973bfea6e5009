//! The UDP endpoints of inside hosts: a client sends and receives everything on one port.

use std::net::Ipv4Addr;

use skype_ips_common::layout::{Address, EndpointKey};

use crate::detect::generator::{FAR, Generator};
use crate::policy::HostRule;
use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// A proved endpoint without a hit for this long may be somebody else's now, nanoseconds.
pub const PROVED_LIFE: u64 = 20 * 60 * SECOND;
/// An unproved one is forgotten when nothing that it sent could be compared any more.
pub const CANDIDATE_LIFE: u64 = FAR;
/// Peers whose opinion of the host's address is remembered.
const OPINIONS: usize = 4;

/// What is known of an endpoint that is not proved.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// The states that it sent.
    pub generator: Generator,
    opinions: Vec<Opinion>,
}

/// Under which address a peer sees the endpoint.
#[derive(Clone, Copy, Debug)]
struct Opinion {
    peer: Address,
    named: Ipv4Addr,
    /// Number of the packet that said so.
    packet: u64,
}

impl Candidate {
    /// Takes in that `peer` sees the endpoint under `named`, by packet number `packet`; the number
    /// of the packet by which another peer said the same, if one did.
    pub fn named(&mut self, peer: &Address, named: Ipv4Addr, packet: u64) -> Option<u64> {
        let mut same = self.opinions.iter().filter(|other| other.named == named);
        if let Some(seconding) = same.clone().find(|other| other.peer != *peer) {
            return Some(seconding.packet);
        }
        if same.next().is_none() {
            if self.opinions.len() == OPINIONS {
                self.opinions.remove(0);
            }
            self.opinions.push(Opinion {
                peer: *peer,
                named,
                packet,
            });
        }
        None
    }
}

#[derive(Clone, Debug)]
struct Proved<F> {
    finding: F,
    generator: Generator,
}

/// Endpoints in bounded memory: unproved ones make room first, then the longest silent.
/// `F` is what a proved one was found to be.
#[derive(Debug)]
pub struct Endpoints<F> {
    candidates: Recent<EndpointKey, Candidate>,
    proved: Recent<EndpointKey, Proved<F>>,
    /// The endpoint of each host that was proved or passed a test last.
    speaking: Recent<Host, EndpointKey>,
    rule: HostRule,
    most: usize,
}

/// A host: zone and inside address.
pub type Host = (u16, Address);

impl<F: Copy> Endpoints<F> {
    /// Room for `most` endpoints, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            candidates: Recent::default(),
            proved: Recent::default(),
            speaking: Recent::default(),
            rule: HostRule::default(),
            most: most.max(1),
        }
    }

    /// What a proved endpoint was found to be.
    pub fn finding(&self, key: &EndpointKey) -> Option<F> {
        self.proved.get(key).map(|proved| proved.finding)
    }

    /// Changes what a proved endpoint was found to be.
    pub fn finding_mut(&mut self, key: &EndpointKey) -> Option<&mut F> {
        self.proved.get_mut(key).map(|proved| &mut proved.finding)
    }

    /// All proved ones.
    pub fn proved(&self) -> impl Iterator<Item = (&EndpointKey, F)> {
        let proved = self.proved.iter();
        proved.map(|(key, proved)| (key, proved.finding))
    }

    /// The endpoint of a host's Skype that was proved or passed a test last.
    pub fn speaking(&self, host: &Host) -> Option<EndpointKey> {
        let key = self.speaking.get(host)?;
        self.proved.get(key).map(|_| *key)
    }

    /// Forgets such endpoints; which of them were proved.
    pub fn forget_where(&mut self, gone: impl Fn(&EndpointKey) -> bool) -> Vec<EndpointKey> {
        self.candidates.remove_where(&gone);
        self.proved.remove_where(gone)
    }

    /// Says what one host is.
    pub fn set_rule(&mut self, rule: HostRule) {
        self.rule = rule;
    }

    /// The states that a proved endpoint sent.
    pub fn proved_generator(&mut self, key: &EndpointKey) -> Option<&mut Generator> {
        self.proved.get_mut(key).map(|proved| &mut proved.generator)
    }

    /// Notes that a proved endpoint passed a test again.
    pub fn hit(&mut self, key: &EndpointKey, now: u64) {
        if self.proved.touch(key, now).is_some() {
            self.speaks(key, now);
        }
    }

    fn speaks(&mut self, key: &EndpointKey, now: u64) {
        let host = (key.zone, self.rule.of(&key.inside));
        *self.speaking.entry_or(&host, now, self.most, || *key) = *key;
    }

    /// The states that a host's Skype sent last, on whatever port.
    pub fn spoken(&self, zone: u16, inside: &Address) -> Option<&Generator> {
        let key = self.speaking.get(&(zone, self.rule.of(inside)))?;
        Some(&self.proved.get(key)?.generator)
    }

    /// What is known of an unproved endpoint, remembered from now on. Says who had to go for it
    /// if that one was proved.
    pub fn candidate(
        &mut self,
        key: &EndpointKey,
        now: u64,
    ) -> (&mut Candidate, Option<EndpointKey>) {
        let mut forgotten = None;
        if self.candidates.get(key).is_none() {
            if self.candidates.len() + self.proved.len() >= self.most
                && self.candidates.pop_oldest().is_none()
            {
                forgotten = self.proved.pop_oldest().map(|(key, _)| key);
            }
            let generator = self.spoken(key.zone, &key.inside).map(Generator::heir);
            let candidate = Candidate {
                generator: generator.unwrap_or_default(),
                ..Candidate::default()
            };
            self.candidates.insert(*key, candidate, now);
        }
        let candidate = self
            .candidates
            .touch(key, now)
            .expect("it was there, or was inserted just now");
        (candidate, forgotten)
    }

    /// Makes an endpoint a proved one.
    pub fn prove(&mut self, key: &EndpointKey, finding: F, now: u64) {
        let generator = self
            .candidates
            .remove(key)
            .map(|candidate| candidate.generator)
            .unwrap_or_default();
        self.proved.insert(*key, Proved { finding, generator }, now);
        self.speaks(key, now);
    }

    /// Forgets what was silent for too long, a proved one after `life` nanoseconds; gives the next of
    /// those, until `None`.
    pub fn expire(&mut self, now: u64, life: u64) -> Option<EndpointKey> {
        let before = now.saturating_sub(CANDIDATE_LIFE);
        while self.candidates.pop_older_than(before).is_some() {}
        let before = now.saturating_sub(life);
        while self.speaking.pop_older_than(before).is_some() {}
        self.proved.pop_older_than(before).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> EndpointKey {
        EndpointKey {
            port,
            ..EndpointKey::default()
        }
    }

    #[test]
    fn proved_endpoints_outlive_unproved_ones() {
        let mut endpoints = Endpoints::new(2);
        endpoints.candidate(&key(1), 1);
        endpoints.prove(&key(1), (), 1);
        endpoints.candidate(&key(2), 2);
        let (_, forgotten) = endpoints.candidate(&key(3), 3);
        assert_eq!(forgotten, None);
        assert_eq!(endpoints.finding(&key(1)), Some(()));
        assert!(endpoints.candidates.get(&key(2)).is_none());
        endpoints.prove(&key(3), (), 4);
        let (_, forgotten) = endpoints.candidate(&key(4), 5);
        assert_eq!(forgotten, Some(key(1)));
    }

    #[test]
    fn silence_ends_a_proof() {
        let mut endpoints = Endpoints::new(9);
        endpoints.prove(&key(1), (), 0);
        endpoints.hit(&key(1), 5);
        assert_eq!(endpoints.expire(PROVED_LIFE + 5, PROVED_LIFE), None);
        assert_eq!(endpoints.expire(PROVED_LIFE + 6, PROVED_LIFE), Some(key(1)));
        assert_eq!(endpoints.finding(&key(1)), None);
    }

    #[test]
    fn two_different_peers_have_to_agree() {
        let mut candidate = Candidate::default();
        let (address, other) = (Ipv4Addr::new(86, 128, 245, 115), Ipv4Addr::new(1, 2, 3, 4));
        assert_eq!(candidate.named(&[1; 16], address, 1), None);
        assert_eq!(candidate.named(&[1; 16], address, 2), None);
        assert_eq!(candidate.named(&[2; 16], other, 3), None);
        assert_eq!(candidate.named(&[2; 16], address, 4), Some(1));
    }
}
