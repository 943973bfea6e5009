//! What known flows carry. That they are Skype is known otherwise, and as sure as before.

use skype_ips_common::layout::{FlowKey, TCP, UDP};
use skype_ips_common::prefilter::SKYPEOUT_PORT;

use super::{Engine, Event, Finding, Packet};
use crate::detect::Evidence;
use crate::detect::media::{Counters, Traffic};
use crate::detect::udp::Message;
use crate::policy::{Class, Confidence, Role, from_mapped};

/// A call to the telephone network from a host whose Skype is known on another port.
pub(super) const SKYPEOUT: Finding = Finding {
    class: Class::Voice,
    role: Role::Client,
    confidence: Confidence::Heuristic,
};

/// The class of a flow that carries this, where nothing of the kind is known it is `otherwise`.
pub(super) const fn class(traffic: Traffic, otherwise: Class) -> Class {
    match traffic {
        Traffic::Voice => Class::Voice,
        Traffic::Video => Class::Video,
        Traffic::File => Class::FileTransfer,
        Traffic::Quiet => otherwise,
    }
}

/// Bytes of IP and transport headers without options.
pub(super) fn headers_of(key: &FlowKey) -> u64 {
    let ip = if from_mapped(&key.inside).is_ipv4() {
        20
    } else {
        40
    };
    ip + if key.protocol == TCP { 20 } else { 8 }
}

/// What an inside host is in a flow with that class, by what it is otherwise. Strangers ask a super node
/// and go: whoever talks with it is its user's friend, whichever end sent first. (What it carries for
/// two others is a relay's.)
pub(super) const fn role(role: Role, class: Class) -> Role {
    match (role, class) {
        (Role::SuperNode, Class::Voice | Class::Video) => Role::Client,
        (role, _) => role,
    }
}

impl Engine {
    /// `skypeout`: a flow to or from port 12340 that is framed like a call to the telephone
    /// network, of a host whose Skype sent something in the last five minutes. Of other hosts it
    /// would be an accusation by a port and a constant.
    pub(super) fn skypeout(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) {
        let (now, key) = (packet.now, &packet.key);
        let at_gateway = [key.inside_port, key.outside_port].contains(&SKYPEOUT_PORT);
        if !at_gateway || !packet.outbound || self.finding(key).is_some() {
            return;
        }
        let spoken = self.endpoints.spoken(key.zone, &key.inside);
        let Some(spoken) = spoken.and_then(|generator| generator.spoke_lately(now)) else {
            return;
        };
        let call = self.traffic.call(key, now);
        call.framing.observe(packet.payload, packet.number);
        let Some(evidence) = call.framing.evidence() else {
            return;
        };
        call.found = true;
        let says = "this host's Skype, on another port";
        let evidence = evidence.citing(spoken, 3..7, says);
        events.push(Event::found(now, *key, SKYPEOUT, 0, vec![evidence]));
    }

    /// Takes in what the gate has counted of the flow of `packet`, which was just judged and is
    /// known to be Skype; says what it is known to be by now. To be called with every such packet:
    /// the gate sends them up when there is something to see.
    pub fn traffic(
        &mut self,
        packet: &Packet<'_>,
        finding: Finding,
        counters: Counters,
        events: &mut Vec<Event>,
    ) -> Finding {
        use Class::{FileTransfer, Signaling, Video, Voice};
        let (now, key) = (packet.now, &packet.key);
        // Logins and web services stay what they are, whatever they weigh.
        if !matches!(finding.class, Signaling | Voice | Video | FileTransfer) {
            return finding;
        }
        let carried = self.traffic.flow(key, now, counters);
        // Messages with clear fields are no media, nor is what is counted up to them.
        if key.protocol == UDP && Message::read(packet.payload, packet.payload_len).is_some() {
            return finding;
        }
        if key.protocol == UDP && packet.outbound {
            carried.framing.observe(packet.payload, packet.number);
        }
        let Some((window, changes)) = carried.look(now, counters, headers_of(key)) else {
            return finding;
        };
        let (carries, framing) = (carried.carries(), carried.framing.evidence());
        let lacks_path = carried.lacks_path(&window, changes);
        if key.protocol == UDP && carries != Traffic::Quiet {
            // A call goes on in one flow without a pause: nobody else has the port by now.
            self.endpoints.hit(&key.endpoint(), now);
        }
        let path = lacks_path.then(|| self.path_of(packet, carries, &window));
        let path = path.flatten().map(|(path, evidence)| {
            self.traffic.came_by(key, path);
            evidence
        });
        if !changes && path.is_none() {
            return finding;
        }
        let class = class(carries, Signaling);
        let finding = Finding {
            class,
            role: role(finding.role, class),
            ..finding
        };
        if key.protocol == TCP {
            self.flows.found(key, finding, now);
        }
        let session = self.relays.session(key);
        if let Some(leg) = self.relays.get_mut(key) {
            leg.finding = finding;
        }
        let statistics = Evidence::new("media-statistics", 0);
        let statistics = statistics.citing(packet.number, 0..0, window.words(carries));
        let out = framing.filter(|_| carries == Traffic::Voice);
        let evidence = std::iter::once(statistics).chain(out).chain(path);
        events.push(Event::found(
            now,
            *key,
            finding,
            session,
            evidence.collect(),
        ));
        finding
    }
}
