//! What an inside host does before and around its Skype, in bounded memory: ports that it has
//! mapped, bootstrap hosts that it asks, hosts that it tries on one port after the other.
//!
//! None of it is evidence by itself.

use std::ops::Range;

use skype_ips_common::layout::{Address, EndpointKey};

use super::endpoints::Host;
use crate::detect::Evidence;
use crate::detect::mapping::Request;
use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// A host that does nothing of the kind for so long is forgotten, nanoseconds.
const LIFE: u64 = 2 * 3600 * SECOND;
/// What a host did so long ago supports nothing any more, nanoseconds.
const SUPPORTS: u64 = 600 * SECOND;
/// From a probe to the connection that follows it, nanoseconds: the client waits for 5 seconds,
/// then tries two more ports for 6 at the most (Baset and Schulzrinne, 2004).
const RUNG: u64 = 20 * SECOND;
/// A day: longer is not believed.
const LONGEST_LIFETIME: u32 = 86_400;
/// Most of each that are remembered of a host; the oldest goes first.
const MAPPINGS: usize = 4;
const PROBES: usize = 8;
const RUNGS: usize = 4;
const BOOTSTRAP: usize = 8;

/// Name of the evidence that an endpoint's port is mapped.
pub const PORT_MAPPING: &str = "port-mapping";

/// What a mapped port counts for the endpoint there, bits. Of the 64,511 ports that a program can
/// send from hardly one in 256 of a host's is mapped; but programs that talk to peers map theirs,
/// so it is no more than this.
const MAPPED_BITS: u32 = 8;
/// What bootstrap hosts count: the first, and each more. That a host sends something shaped like
/// Skype to one of seven addresses at one port doesn't happen by chance, but anybody can do it.
const BOOTSTRAP_BITS: (u32, u32) = (8, 4);
/// What hosts that are tried on one port after the other count: two that are unrelated, each more.
const LADDER_BITS: (u32, u32) = (8, 4);
/// The most that all of it counts.
const MOST_BITS: u32 = 16;

/// A mapped port.
#[derive(Clone, Debug)]
struct Mapping {
    request: Request,
    until: u64,
    packet: u64,
}

/// An outside host that something was sent to, and the packet.
#[derive(Clone, Copy, Debug)]
struct Contact {
    outside: Address,
    port: u16,
    at: u64,
    packet: u64,
}

/// A connection that followed a probe to the same host.
#[derive(Clone, Copy, Debug)]
struct Rung {
    probe: Contact,
    /// Port and packet of the connection.
    port: u16,
    packet: u64,
}

#[derive(Clone, Debug, Default)]
struct Hints {
    mappings: Vec<Mapping>,
    bootstrap: Vec<Contact>,
    probes: Vec<Contact>,
    rungs: Vec<Rung>,
}

/// The hints of all hosts; the longest silent goes first.
#[derive(Debug)]
pub struct HostHints {
    hosts: Recent<Host, Hints>,
    most: usize,
}

/// Puts in as the newest of at most `most`.
fn push<T>(list: &mut Vec<T>, most: usize, item: T) {
    if list.len() == most {
        list.remove(0);
    }
    list.push(item);
}

/// The network that an address is taken to belong to: 16 bits of IPv4, 32 of IPv6.
fn network(address: &Address) -> [u8; 4] {
    match std::net::Ipv6Addr::from(*address).to_ipv4_mapped() {
        Some(v4) => {
            let [a, b, ..] = v4.octets();
            [0, 0, a, b]
        }
        None => [address[0], address[1], address[2], address[3]],
    }
}

impl HostHints {
    /// Room for `most` hosts, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            hosts: Recent::default(),
            most: most.max(1),
        }
    }

    /// Forgets a host.
    pub fn forget(&mut self, host: &Host) {
        self.hosts.remove(host);
    }

    fn host(&mut self, host: Host, now: u64) -> &mut Hints {
        self.hosts.entry_or(&host, now, self.most, Hints::default)
    }

    /// The host asks a NAT to map a port of its own.
    pub fn maps(&mut self, host: Host, now: u64, request: Request, packet: u64) {
        let mappings = &mut self.host(host, now).mappings;
        let same = |one: &Mapping| {
            (one.request.protocol, one.request.port) == (request.protocol, request.port)
        };
        mappings.retain(|one| !same(one));
        if request.lifetime > 0 {
            let lifetime = u64::from(request.lifetime.min(LONGEST_LIFETIME)) * SECOND;
            let mapping = Mapping {
                request,
                until: now.saturating_add(lifetime),
                packet,
            };
            push(mappings, MAPPINGS, mapping);
        }
    }

    /// The host sends a datagram shaped like Skype's; `bootstrap` says whether a pack knows the
    /// receiver as a bootstrap host.
    pub fn probes(
        &mut self,
        host: Host,
        now: u64,
        (outside, port): (Address, u16),
        bootstrap: bool,
        packet: u64,
    ) {
        let contact = Contact {
            outside,
            port,
            at: now,
            packet,
        };
        let hints = self.host(host, now);
        let same = |one: &Contact| (one.outside, one.port) == (outside, port);
        if bootstrap {
            hints.bootstrap.retain(|one| !same(one));
            push(&mut hints.bootstrap, BOOTSTRAP, contact);
        }
        hints.probes.retain(|one| !same(one));
        push(&mut hints.probes, PROBES, contact);
    }

    /// The host opens a connection with something shaped like Skype's.
    pub fn opens(&mut self, host: Host, now: u64, (outside, port): (Address, u16), packet: u64) {
        let Some(hints) = self.hosts.get_mut(&host) else {
            return;
        };
        let follows = |probe: &&Contact| {
            probe.outside == outside
                && (probe.port == port || port == 443 || port == 80)
                && now.saturating_sub(probe.at) <= RUNG
        };
        let Some(probe) = hints.probes.iter().find(follows).copied() else {
            return;
        };
        let same = |rung: &Rung| {
            (rung.probe.outside, rung.probe.packet, rung.port) == (outside, probe.packet, port)
        };
        if hints.rungs.iter().any(same) {
            return;
        }
        let known = network(&outside);
        hints
            .rungs
            .retain(|rung| network(&rung.probe.outside) != known);
        let rung = Rung {
            probe,
            port,
            packet,
        };
        push(&mut hints.rungs, RUNGS, rung);
    }

    /// `port-mapping`: the host has mapped the port of this endpoint.
    pub fn mapped(&self, host: Host, endpoint: &EndpointKey, now: u64) -> Option<Evidence> {
        let hints = self.hosts.get(&host)?;
        let fits = |one: &&Mapping| {
            (one.request.protocol, one.request.port) == (endpoint.protocol, endpoint.port)
                && one.until >= now
        };
        let mapping = hints.mappings.iter().find(fits)?;
        let (language, port) = (mapping.request.language, mapping.request.port);
        let place: Range<u32> = mapping.request.place.clone();
        let says = format!("listening: the host asked by {language} to map its port {port}");
        Some(Evidence::new(PORT_MAPPING, MAPPED_BITS).citing(mapping.packet, place, says))
    }

    /// `bootstrap-host`, `fallback-ladder`: what else the host has done lately that fits Skype.
    pub fn support(&self, host: Host, now: u64) -> Vec<Evidence> {
        let Some(hints) = self.hosts.get(&host) else {
            return Vec::new();
        };
        let lately = |at: u64| now.saturating_sub(at) <= SUPPORTS;
        let mut support = Vec::new();
        let asked: Vec<_> = hints
            .bootstrap
            .iter()
            .filter(|one| lately(one.at))
            .collect();
        if !asked.is_empty() {
            let bits = BOOTSTRAP_BITS.0 + BOOTSTRAP_BITS.1 * (asked.len() as u32 - 1);
            let evidence = Evidence::new("bootstrap-host", bits.min(MOST_BITS));
            support.push(asked.iter().fold(evidence, |evidence, one| {
                let to = crate::policy::from_mapped(&one.outside);
                let says = format!("sent to {to} port {}, a bootstrap host", one.port);
                evidence.citing(one.packet, 0..3, says)
            }));
        }
        let rungs = hints.rungs.iter().filter(|rung| lately(rung.probe.at));
        let rungs: Vec<_> = rungs.collect();
        let spent = support.first().map_or(0, |evidence| evidence.bits);
        if rungs.len() >= 2 && spent < MOST_BITS {
            let bits = LADDER_BITS.0 + LADDER_BITS.1 * (rungs.len() as u32 - 2);
            let evidence = Evidence::new("fallback-ladder", bits.min(MOST_BITS - spent));
            support.push(rungs.iter().fold(evidence, |evidence, rung| {
                let to = crate::policy::from_mapped(&rung.probe.outside);
                evidence
                    .citing(
                        rung.probe.packet,
                        0..3,
                        format!("a probe to {to} port {}", rung.probe.port),
                    )
                    .citing(
                        rung.packet,
                        0..0,
                        format!("then a connection to the same host, port {}", rung.port),
                    )
            }));
        }
        support
    }

    /// Forgets what was silent for too long, `longest` nanoseconds at the most.
    pub fn expire(&mut self, now: u64, longest: u64) {
        let before = now.saturating_sub(LIFE.min(longest));
        while self.hosts.pop_older_than(before).is_some() {}
    }
}

#[cfg(test)]
mod tests;
