//! The sites that a client knows, and the way there.

use std::net::SocketAddrV4;

use super::Site;
use super::dns::{LookUp, Stub};
use super::tally::Tally;
use crate::simulator::net::program::{Datagram, Host};

/// Tokens of timers above this are the sites'.
pub(super) const LOOK_UPS: u64 = 1 << 32;

/// What came of looking for a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The way is known to the site of that number.
    Here(usize),
    /// Its name has no answer, or a wrong one.
    Nowhere,
}

/// The sites.
#[derive(Debug)]
pub(super) struct Sites {
    sites: Vec<Site>,
    resolver: Option<SocketAddrV4>,
    stub: Stub,
    /// The question for a name that is waited for, and whose it is.
    looking: Option<(u64, usize)>,
}

impl Sites {
    /// These, which are looked up if there is a resolver.
    pub(super) fn new(sites: Vec<Site>, resolver: Option<SocketAddrV4>) -> Self {
        Self {
            sites,
            resolver,
            stub: Stub::numbered_from(LOOK_UPS),
            looking: None,
        }
    }

    /// Whether one is looked for.
    pub(super) fn looking(&self) -> bool {
        self.looking.is_some()
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Site] {
        &self.sites
    }

    /// The site of that number.
    pub(super) fn site(&self, number: usize) -> &Site {
        &self.sites[number]
    }

    /// Looks for one of them. Without a resolver it is found at once.
    pub(super) fn look(&mut self, host: &mut dyn Host, tally: &mut Tally) -> Option<Found> {
        let number = host.rng().usize(..self.sites.len());
        let Some(resolver) = self.resolver else {
            return Some(Found::Here(number));
        };
        let Site { name, address } = &self.sites[number];
        let expected = Some(*address.ip());
        let question = self.stub.ask(host, tally, resolver, name, expected);
        self.looking = Some((question, number));
        None
    }

    fn answered(&mut self, answer: Option<LookUp>) -> Option<Found> {
        let (number, found) = match answer? {
            LookUp::Done(number) => (number, true),
            LookUp::Failed(number) => (number, false),
        };
        let (_, site) = self.looking.take_if(|(question, _)| *question == number)?;
        Some(match found {
            true => Found::Here(site),
            false => Found::Nowhere,
        })
    }

    /// A datagram has come, which may be an answer.
    pub(super) fn datagram(&mut self, tally: &mut Tally, datagram: Datagram<'_>) -> Option<Found> {
        let answer = self.stub.datagram(tally, datagram);
        self.answered(answer)
    }

    /// A timer of the sites' has run out.
    pub(super) fn timer(&mut self, host: &mut dyn Host, token: u64) -> Option<Found> {
        let answer = self.stub.timer(host, token);
        self.answered(answer)
    }
}
