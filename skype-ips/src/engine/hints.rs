//! What a host does around its Skype lifts evidence that falls short of proof. It never decides
//! alone: each piece of evidence lifted here has at least 16 bits of its own.

use skype_ips_common::layout::{EndpointKey, UDP};
use skype_ips_common::prefilter::PORT_MAPPING_PORT;

use super::{Engine, Evidence, Packet};
use crate::detect::flow::PROOF;
use crate::detect::mapping;
use crate::detect::stream::Head;
use crate::detect::tcp;
use crate::hosts::endpoints::Host;
use crate::hosts::hints::PORT_MAPPING;

/// Names of what supports other evidence.
pub(super) const SUPPORT: [&str; 4] = [
    PORT_MAPPING,
    "bootstrap-host",
    "fallback-ladder",
    "known-host",
];
/// What it counts that a host's Skype is known: of 10^5 connections a day of such hosts hardly one
/// has a first segment of 51 or 52 bytes that isn't Skype's, and of those one in 2^16 fits.
const KNOWN_HOST: u32 = 16;
/// Bits that a key exchange has to have of its own: two relations.
const OWN: u32 = 16;

impl Engine {
    /// Takes in what an inside host sends, for what it says of the host.
    pub(super) fn note(&mut self, packet: &Packet<'_>, is_message: bool) {
        let (now, key) = (packet.now, &packet.key);
        if !packet.outbound {
            return;
        }
        let host = self.host_of(key.zone, &key.inside);
        let to = (key.outside, key.outside_port);
        if key.protocol != UDP {
            self.hints.opens(host, now, to, packet.number);
        } else if is_message {
            let bootstrap = self.knowledge.bootstrap.contains(&to);
            self.hints.probes(host, now, to, bootstrap, packet.number);
        } else if key.outside_port == PORT_MAPPING_PORT
            && let Some(request) = mapping::read(packet.payload, packet.payload_len)
        {
            self.hints.maps(host, now, request, packet.number);
        }
    }

    /// What speaks for a connection of a host's besides its bytes: what the host did, and that its
    /// Skype sent something in the last five minutes (`known-host`).
    pub(super) fn connection_hints(&self, host: Host, now: u64) -> Vec<Evidence> {
        let spoken = self.endpoints.spoken(host.0, &host.1);
        let spoken = spoken.and_then(|generator| generator.spoke_lately(now));
        let known = spoken.map(|packet| {
            let says = "sent by this host's Skype, which is known";
            Evidence::new("known-host", KNOWN_HOST).citing(packet, 3..7, says)
        });
        let support = self.hints.support(host, now);
        known.into_iter().chain(support).collect()
    }

    /// What speaks for an endpoint besides what it sent.
    pub(super) fn endpoint_hints(&self, endpoint: &EndpointKey, now: u64) -> Vec<Evidence> {
        let host = self.host_of(endpoint.zone, &endpoint.inside);
        let support = self.hints.support(host, now);
        let mapped = self.hints.mapped(host, endpoint, now);
        mapped.into_iter().chain(support).collect()
    }
}

/// `tcp-key-exchange` with too little padding for proof, lifted by what else the host did.
pub(super) fn lifted(heads: &[Head; 2], support: &[Evidence]) -> Option<Evidence> {
    let padding = [0, 1].map(|end| tcp::key_exchange(heads[end].bytes(), heads[end].first_len()));
    let bits = tcp::key_exchange_bits(padding[0], padding[1]);
    let mut exchange = Evidence::new("tcp-key-exchange", bits);
    for (head, padding) in heads.iter().zip(padding) {
        if padding.relations > 0 {
            let end = tcp::KEY_LEN + 1 + padding.relations as usize;
            let says = "padding behind a key, as far as there is any";
            exchange = exchange.citing_stream(head, tcp::KEY_LEN..end, says);
        }
    }
    let supporting = support.iter().map(|one| one.bits).sum::<u32>();
    let enough = exchange.bits >= OWN && exchange.bits + supporting >= PROOF;
    enough.then_some(exchange)
}

#[cfg(test)]
mod tests {
    use super::super::client;
    use super::*;
    use crate::policy::{Class, Confidence};

    #[test]
    fn what_is_lifted_is_strong_at_most() {
        for (own, support, confidence) in [
            (
                ("tcp-key-exchange", 24),
                ("known-host", 16),
                Confidence::Strong,
            ),
            (("udp-generator", 30), (PORT_MAPPING, 8), Confidence::Strong),
            (
                ("udp-nack-address", 48),
                (PORT_MAPPING, 8),
                Confidence::Exact,
            ),
        ] {
            let evidence = [own, support].map(|(name, bits)| Evidence::new(name, bits));
            let finding = client(Class::Signaling, &evidence).expect("enough bits");
            assert_eq!(finding.confidence, confidence, "{own:?}");
        }
    }
}
