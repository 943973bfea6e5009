//! What was learned of a host ends with its address, or with a long silence.

use std::time::Duration;

use rustc_hash::FxHashSet;
use skype_ips_common::layout::{Address, FlowKey, OUTBOUND};

use super::{Engine, Event, Packet, listening};
use crate::hosts::endpoints::{Host, PROVED_LIFE};
use crate::policy::HostRule;
use crate::recent::Recent;

/// Nanoseconds of a time that fits the clock.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Engine {
    /// Says what one host is, and how long it may be silent: to be told whenever it changes.
    pub fn set_host_rule(&mut self, rule: HostRule, now: u64) {
        if self.rule == rule {
            return;
        }
        let untimed = self.rule.timeout.is_none();
        self.rule = rule;
        self.endpoints.set_rule(rule);
        if rule.timeout.is_none() {
            self.sending = Recent::default();
        } else if untimed {
            // When they were heard last, nobody noted.
            for host in self.known_hosts() {
                self.sends(host, now);
            }
        }
    }

    /// The host of an address.
    pub(super) fn host_of(&self, zone: u16, inside: &Address) -> Host {
        (zone, self.rule.of(inside))
    }

    /// A packet that an inside host sent is Skype's.
    pub(super) fn is_heard(&mut self, packet: &Packet<'_>) {
        if packet.outbound {
            self.sends((packet.key.zone, packet.key.inside), packet.now);
        }
    }

    /// The gate has counted so many packets of an inside host's, in a flow that is Skype's.
    pub(super) fn is_counted(&mut self, now: u64, key: &FlowKey, sent: u64) {
        let before = self.watches.get(key);
        if before.is_some_and(|watched| watched.counters.packets[OUTBOUND] != sent) {
            self.sends((key.zone, key.inside), now);
        }
    }

    fn sends(&mut self, host: Host, now: u64) {
        if self.rule.timeout.is_some() {
            self.sending.entry_or(&host, now, self.most_hosts, || ());
        }
    }

    /// Forgets the hosts that have been silent for too long.
    pub(super) fn forget_silent(&mut self, now: u64, events: &mut Vec<Event>) {
        let Some(timeout) = self.rule.timeout else {
            return;
        };
        let before = now.saturating_sub(nanoseconds(timeout));
        let mut silent = FxHashSet::default();
        while let Some((host, ())) = self.sending.pop_older_than(before) {
            silent.insert(host);
        }
        self.forget_hosts(silent, events);
    }

    /// How long an endpoint stays known that shows nothing, nanoseconds. Of a host that sends, each may be
    /// silent for as long as ever.
    pub(super) fn endpoint_life(&self) -> u64 {
        self.rule.timeout.map_or(0, nanoseconds).max(PROVED_LIFE)
    }

    /// How long habits of a silent host are kept at the most, nanoseconds.
    pub(super) fn longest_life(&self) -> u64 {
        self.rule.timeout.map_or(u64::MAX, nanoseconds)
    }

    /// Forgets everything about a host, whose address may be somebody else's by now.
    pub fn forget(&mut self, zone: u16, host: &Address, events: &mut Vec<Event>) {
        self.forget_hosts(FxHashSet::from_iter([(zone, *host)]), events);
    }

    /// The hosts of which anything is known to be Skype's.
    fn known_hosts(&self) -> FxHashSet<Host> {
        let endpoints = self.endpoints.proved().map(|(key, _)| key);
        let ports = self.listeners.listening().map(|(key, _)| key);
        let ends = endpoints.chain(ports).map(|key| (key.zone, key.inside));
        let watched = self.watches.iter().map(|(key, _)| key);
        let found = self.flows.all_found().map(|(key, _)| key);
        let flows = watched.chain(found).map(|key| (key.zone, key.inside));
        ends.chain(flows).collect()
    }

    /// As [`Engine::forget`], of several, in one pass through all that is known.
    pub fn forget_hosts(&mut self, hosts: FxHashSet<Host>, events: &mut Vec<Event>) {
        if hosts.is_empty() {
            return;
        }
        let gone = |zone: u16, inside: &Address| hosts.contains(&(zone, *inside));
        let mut endpoints = self
            .endpoints
            .forget_where(|key| gone(key.zone, &key.inside));
        endpoints.sort_unstable();
        for endpoint in endpoints {
            self.services.forget(&endpoint);
            listening::forgotten(endpoint, events);
        }
        let mut ports = self
            .listeners
            .forget_where(|key| gone(key.zone, &key.inside));
        ports.sort_unstable();
        events.extend(ports.into_iter().map(Event::NotListening));
        let of_host = |key: &FlowKey| gone(key.zone, &key.inside);
        self.openings.forget_where(of_host);
        let watched = self.watches.iter().map(|(key, _)| *key);
        let legs = self.relays.iter().map(|(key, _)| *key);
        let mut flows: Vec<_> = watched.chain(legs).filter(|key| of_host(key)).collect();
        flows.extend(self.flows.forget_where(of_host));
        flows.extend(self.late.forget_where(of_host));
        flows.sort_unstable();
        flows.dedup();
        for flow in flows {
            self.watches.forget(&flow);
            self.relays.remove(&flow);
            self.traffic.forget(&flow);
            events.push(Event::Unknown(flow));
        }
        for host in &hosts {
            self.sending.remove(host);
            // What a network did, another of its addresses may have done.
            if self.host_of(host.0, &host.1) == *host {
                self.hints.forget(host);
                self.names.forget(host);
            }
        }
        events.push(Event::HostsForgotten(hosts));
    }
}
