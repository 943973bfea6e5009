//! UDP of classic Skype: findings are about the inside endpoint.
//!
//! Forgery: what condemns an endpoint is what it sent itself, or an answer to what it sent that
//! matches in every field.

use std::net::{IpAddr, Ipv4Addr};

use skype_ips_common::layout::{INBOUND, OUTBOUND};

use super::{Answer, Engine, Event, Packet, Subject, client, listening};
use crate::detect::Evidence;
use crate::detect::generator::Trial;
use crate::detect::udp::{self, Message};
use crate::hosts::hints::PORT_MAPPING;
use crate::policy::{Class, from_mapped};

/// ID 16 bits, address 32 bits.
const NAMED_ADDRESS_BITS: u32 = 48;

impl Engine {
    pub(super) fn udp(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) -> Answer {
        let endpoint = packet.key.endpoint();
        let message = Message::read(packet.payload, packet.payload_len);
        self.note(packet, matches!(message, Some(Message::Payload(_))));
        if let Some(message) = message {
            if self.endpoints.finding(&endpoint).is_some() {
                self.serve(packet, &message);
                self.begins(packet, &message);
            }
            let evidence = self.examine(packet, message, events);
            if self.endpoints.finding(&endpoint).is_some() {
                if evidence.is_some() {
                    self.endpoints.hit(&endpoint, packet.now);
                }
            } else if let Some(mut evidence) = evidence
                && let Some(finding) = client(Class::Signaling, &evidence)
            {
                if !evidence.iter().any(|one| one.name == PORT_MAPPING) {
                    let host = self.host_of(endpoint.zone, &endpoint.inside);
                    evidence.extend(self.hints.mapped(host, &endpoint, packet.now));
                }
                self.endpoints.prove(&endpoint, finding, packet.now);
                events.push(Event::Found {
                    at: packet.now,
                    subject: Subject::Endpoint(endpoint),
                    flow: packet.key,
                    finding,
                    session: 0,
                    evidence,
                });
                listening::found(&endpoint, packet, finding, events);
            }
        }
        self.skypeout(packet, events);
        let answer = match self.endpoints.finding(&endpoint) {
            None => self.late(packet, events),
            Some(_) => Answer::default(),
        };
        Answer {
            finding: self.finding(&packet.key),
            ..answer
        }
    }

    /// The evidence that a message completes; of a proved endpoint, whether it is still the same.
    fn examine(
        &mut self,
        packet: &Packet<'_>,
        message: Message,
        events: &mut Vec<Event>,
    ) -> Option<Vec<Evidence>> {
        let (now, number) = (packet.now, packet.number);
        let direction = if packet.outbound { OUTBOUND } else { INBOUND };
        let exchanges = self.flows.exchanges(&packet.key, now);
        match message {
            Message::Payload(sent) => {
                let companion = exchanges.message(now, direction, sent, number);
                if !packet.outbound {
                    return None;
                }
                let endpoint = packet.key.endpoint();
                if let Some(generator) = self.endpoints.proved_generator(&endpoint) {
                    let fits = generator.observe(now, sent, companion, number) == Trial::Fits;
                    return fits.then(Vec::new);
                }
                let hints = self.endpoint_hints(&endpoint, now);
                let support = hints.iter().map(|one| one.bits).sum();
                let (candidate, forgotten) = self.endpoints.candidate(&endpoint, now);
                if let Some(forgotten) = forgotten {
                    listening::forgotten(forgotten, events);
                }
                candidate.generator.observe(now, sent, companion, number);
                let proof = candidate.generator.supported_proof(support);
                Some([proof?, hints].concat())
            }
            Message::Answer(answer) => {
                let asked = exchanges.answer(now, direction, &answer, number)?;
                let (name, kind) = if answer.nack {
                    ("udp-nack-address", "NACK")
                } else {
                    ("udp-ack-address", "ACK")
                };
                let seconding = self.names_the_asker(packet, &answer, events)?;
                let (id, named) = (answer.id, answer.named);
                let evidence = Evidence::new(name, NAMED_ADDRESS_BITS)
                    .citing(asked.packet, 0..3, format!("message {id:04x} of type 2"))
                    .citing(number, 0..3, format!("its {kind}: the same ID"))
                    .citing(number, 3..7, format!("the asker's address, {named}"));
                Some(vec![match seconding {
                    Seconding::Peer(packet) => {
                        evidence.citing(packet, 3..7, "the same address, named by another peer")
                    }
                    Seconding::Unneeded => evidence,
                }])
            }
            Message::Resend(resend) if packet.outbound => {
                let destination = ipv4(packet, packet.outbound);
                let resent = exchanges.resend(now, direction, &resend, destination)?;
                let id = resend.id;
                let evidence = Evidence::new("udp-resend", resent.bits)
                    .citing(resent.message, 0..3, format!("message {id:04x} of type 2"))
                    .citing(resent.message, 7..11, "its CRC")
                    .citing(resent.nack, 7..11, "the challenge of its NACK")
                    .citing(number, 0..4, "the message again: same ID, type 3, then 01")
                    .citing(number, 4..8, "the challenge")
                    .citing(number, 12..16, "the CRC of the first try");
                Some(vec![match destination {
                    Some(to) => evidence.citing(number, 8..12, format!("where it is sent, {to}")),
                    None => evidence,
                }])
            }
            Message::Fragment(fragment) => {
                let set = exchanges.fragment(direction, fragment, number)?;
                if !packet.outbound && !exchanges.asked_for(direction, &fragment) {
                    return None;
                }
                let evidence = Evidence::new("udp-fragments", set.bits);
                Some(vec![set.packets.into_iter().fold(
                    evidence,
                    |cited, part| {
                        cited
                            .citing(
                                part,
                                0..6,
                                "IDs of the set and of its request, type f, index",
                            )
                            .citing(
                                part,
                                7..11,
                                "IV, two steps a part after that of the part before",
                            )
                    },
                )])
            }
            Message::Resend(_) => None,
        }
    }

    /// Whether, and who else says so, an ACK or NACK names the address of the end that it is sent
    /// to, as the gateway knows it.
    fn names_the_asker(
        &mut self,
        packet: &Packet<'_>,
        answer: &udp::Answer,
        events: &mut Vec<Event>,
    ) -> Option<Seconding> {
        let asker = ipv4(packet, packet.outbound)?;
        if packet.outbound {
            return (answer.named == asker).then_some(Seconding::Unneeded);
        }
        let known = [&self.public_addresses, &self.own_addresses];
        if answer.named == asker || known.iter().any(|some| some.contains(&answer.named)) {
            return Some(Seconding::Unneeded);
        }
        let endpoint = packet.key.endpoint();
        if !self.public_addresses.is_empty()
            || !is_private(asker)
            || is_private(answer.named)
            || answer.named.is_unspecified()
            || self.endpoints.finding(&endpoint).is_some()
        {
            return None;
        }
        // Behind a NAT whose address is not configured: two peers that agree on it know it.
        let (candidate, forgotten) = self.endpoints.candidate(&endpoint, packet.now);
        if let Some(forgotten) = forgotten {
            listening::forgotten(forgotten, events);
        }
        candidate
            .named(&packet.key.outside, answer.named, packet.number)
            .map(Seconding::Peer)
    }
}

/// Who besides the answer says what the asker's address is.
enum Seconding {
    /// The gateway knows it.
    Unneeded,
    /// Another peer, by the packet of this number.
    Peer(u64),
}

/// The IPv4 address of the flow's outside end, or of its inside one.
fn ipv4(packet: &Packet<'_>, outside: bool) -> Option<Ipv4Addr> {
    let end = if outside {
        &packet.key.outside
    } else {
        &packet.key.inside
    };
    match from_mapped(end) {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// Whether a NAT must stand between this address and the public network (RFC 1918, RFC 6598).
fn is_private(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || (first == 100 && second & 0xc0 == 64)
}
