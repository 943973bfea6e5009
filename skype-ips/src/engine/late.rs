//! Late Skype where bytes alone can't tell it from Teams, and its UDP: findings are about the flow,
//! and rest on what the inside host itself sends.

use super::{Answer, Engine, Event, Packet};
use crate::detect::asked::Asked;
use crate::detect::client_hello::Hello;
use crate::detect::names::Owner;
use crate::detect::stun::Attribute;
use crate::detect::{Evidence, dns, quic, stun};
use crate::hosts::names::{Sighting, Told};
use crate::policy::Class;

/// Where names are asked for.
const DNS_PORT: u16 = 53;
/// `name-of-both`, as bits: surely Microsoft's, for Skype or Teams.
const NAME_OF_BOTH_BITS: u32 = 16;
/// `name-seen`, as bits: that a host runs Skype and media is of Teams all the same is rare, not
/// impossible.
const NAME_BITS: u32 = 4;

/// What a client's media most likely is, by the ports that Microsoft documents for it (as nDPI has
/// them): audio 50000 to 50019 or a relay's 3478 and 3479, video 50020 to 50039 or 3480.
const fn media_class(inside_port: u16, outside_port: u16) -> Class {
    match (inside_port, outside_port) {
        (50_020..=50_039, _) | (_, 3480) => Class::Video,
        (50_000..=50_019, _) | (_, 3478 | 3479) => Class::Voice,
        _ => Class::Other,
    }
}

impl Engine {
    /// Judges a datagram of an endpoint that is not known.
    pub(super) fn late(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) -> Answer {
        let key = &packet.key;
        if let Some(finding) = self.late.seen(key, packet.now) {
            return Answer {
                finding: Some(finding),
                ..Answer::default()
            };
        }
        if !packet.outbound {
            return self.undecided(packet);
        }
        if key.outside_port == DNS_PORT {
            if let Some((name, bytes)) = dns::question(packet.payload) {
                self.sees(packet, &name, bytes, "a DNS question");
            }
            return Answer::default();
        }
        if quic::is_initial(packet.payload) {
            return self.quic(packet, events);
        }
        match stun::attributes(packet.payload, packet.payload_len) {
            Some(attributes) => self.media(packet, &attributes, events),
            None => self.undecided(packet),
        }
    }

    pub(super) fn undecided(&self, packet: &Packet<'_>) -> Answer {
        Answer {
            ambiguous: self.late.is_ambiguous(&packet.key),
            ..Answer::default()
        }
    }

    /// Remembers a name that the host asks for, if a pack knows whose it is; says whose.
    fn sees(
        &mut self,
        packet: &Packet<'_>,
        name: &str,
        bytes: std::ops::Range<u32>,
        asked: &'static str,
    ) -> Option<(u32, Owner)> {
        let (domain, owner) = self.knowledge.names.owner(name)?;
        let sighting = Sighting::new(packet.now, packet.number, bytes, name, asked);
        let key = &packet.key;
        let host = self.host_of(key.zone, &key.inside);
        self.names.saw(host, owner, sighting);
        Some((domain.len() as u32, owner))
    }

    /// `quic-server-name`: as `tls-server-name`, in a packet whose keys follow from its head.
    fn quic(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) -> Answer {
        let (now, key) = (packet.now, &packet.key);
        let name = match self.late.opening(key, now).datagram(packet.payload) {
            Hello::Name(name) => name,
            Hello::Nameless => {
                self.late.close(key);
                return Answer::default();
            }
            Hello::No | Hello::Short => return Answer::default(),
        };
        self.late.close(key);
        let bytes = 0..packet.payload.len() as u32;
        let asked = "the server that a QUIC hello asks for";
        match self.sees(packet, &name, bytes.clone(), asked) {
            Some((domain, Owner::Skype)) => {
                let says = format!("an Initial packet, whose keys are public: it asks for {name}");
                let evidence = Evidence::new("quic-server-name", 8 * domain);
                let evidence = vec![evidence.citing(packet.number, bytes, says)];
                self.is_skype(packet, Class::Other, evidence, events)
            }
            Some((_, Owner::Either)) => {
                let asked = Asked {
                    owner: Owner::Either,
                    name,
                    packet: packet.number,
                    bytes,
                    how: asked,
                };
                self.of_both(packet, &asked, events)
            }
            _ => Answer::default(),
        }
    }

    /// `name-of-both` and `name-seen`: a connection to a server that Skype and Teams both use, and
    /// whose the names say that it is.
    pub(super) fn of_both(
        &mut self,
        packet: &Packet<'_>,
        asked: &Asked,
        events: &mut Vec<Event>,
    ) -> Answer {
        let (now, key) = (packet.now, &packet.key);
        let says = format!("{}, {}: Skype's or Teams'", asked.how, asked.name);
        let shown = Evidence::new("name-of-both", NAME_OF_BOTH_BITS).citing(
            asked.packet,
            asked.bytes.clone(),
            says,
        );
        match self.names.told(self.host_of(key.zone, &key.inside), now) {
            Told::Skype(name) => {
                let seen = name.beside(Evidence::new("name-seen", NAME_BITS), "Skype");
                self.is_skype(packet, Class::Other, vec![shown, seen], events)
            }
            Told::Teams(_) => Answer::default(),
            told => {
                let evidence = doubt(shown, told);
                self.late.media(key, now).ambiguous = true;
                self.is_ambiguous(packet, evidence, events)
            }
        }
    }

    /// `stun-microsoft` and `name-seen`: Microsoft's media, and whose the names say that it is.
    fn media(
        &mut self,
        packet: &Packet<'_>,
        attributes: &[Attribute],
        events: &mut Vec<Event>,
    ) -> Answer {
        let (now, key) = (packet.now, &packet.key);
        let known = &self.knowledge.stun_marks;
        let marks: Vec<_> = attributes
            .iter()
            .filter(|attribute| known.contains(&attribute.kind))
            .collect();
        // What never shows a mark takes no memory.
        if marks.is_empty() && !self.late.has_marks(key) {
            return Answer::default();
        }
        let host = self.host_of(key.zone, &key.inside);
        let media = self.late.media(key, now);
        for mark in marks {
            media.mark(mark.kind, packet.number, mark.place.clone());
        }
        let shown = media.evidence();
        let evidence = match (self.names.told(host, now), media.marks()) {
            (_, 0) | (Told::Nothing, 1) => return Answer::default(),
            (Told::Skype(name), _) => {
                let seen = name.beside(Evidence::new("name-seen", NAME_BITS), "Skype");
                let evidence = vec![shown, seen];
                let class = media_class(key.inside_port, key.outside_port);
                return self.is_skype(packet, class, evidence, events);
            }
            (Told::Teams(_), _) => {
                if media.ambiguous {
                    self.late.forget_media(key);
                    events.push(Event::Cleared(*key));
                }
                return Answer::default();
            }
            (told, _) => doubt(shown, told),
        };
        if media.ambiguous {
            return self.undecided(packet);
        }
        media.ambiguous = true;
        self.is_ambiguous(packet, evidence, events)
    }

    fn is_ambiguous(
        &self,
        packet: &Packet<'_>,
        evidence: Vec<Evidence>,
        events: &mut Vec<Event>,
    ) -> Answer {
        events.push(Event::Ambiguous {
            at: packet.now,
            flow: packet.key,
            evidence,
        });
        self.undecided(packet)
    }
}

/// Evidence of what is ambiguous, with the names that speak for either.
fn doubt(shown: Evidence, told: Told<'_>) -> Vec<Evidence> {
    match told {
        Told::Both(skype, teams) => {
            let seen = skype.beside(Evidence::new("name-seen", NAME_BITS), "Skype");
            vec![shown, teams.beside(seen, "Teams")]
        }
        Told::Nothing | Told::Skype(_) | Told::Teams(_) => vec![shown],
    }
}
