//! Where Skype listens on TCP: on the port of its UDP port's number, and where it has answered.

use skype_ips_common::layout::{EndpointKey, FlowKey};

use super::{Engine, Event, Evidence, Finding, Packet, Role, datagrams_of};
use crate::policy::{Class, Confidence};

/// Where web servers listen too.
const WEB: [u16; 2] = [80, 443];

/// A UDP endpoint is Skype's, so its client listens on the TCP port of the same number.
pub(super) fn found(
    endpoint: &EndpointKey,
    packet: &Packet<'_>,
    finding: Finding,
    events: &mut Vec<Event>,
) {
    if let Some(listener) = endpoint.listener() {
        let says = format!("the datagrams of UDP port {} are Skype's", endpoint.port);
        events.push(Event::Listening {
            at: packet.now,
            endpoint: listener,
            finding,
            evidence: vec![Evidence::new("listening-port", 0).citing(packet.number, 0..0, says)],
        });
    }
}

/// A UDP endpoint is not known to be Skype's any more.
pub(super) fn forgotten(endpoint: EndpointKey, events: &mut Vec<Event>) {
    events.push(Event::Forgotten(endpoint));
    events.extend(endpoint.listener().map(Event::NotListening));
}

/// Whether a client of a web server begins so: with a request, or a ClientHello in one record.
fn is_for_the_web(payload: &[u8]) -> bool {
    let requests: [&[u8]; 3] = [b"GET ", b"POST ", b"HEAD "];
    requests.iter().any(|request| payload.starts_with(request))
        || matches!(payload, [0x16, 3, _, _, _, 1, ..])
}

impl Engine {
    /// A payload from outside to a port where web servers listen too may be for one.
    pub(super) fn asks_for_the_web(&mut self, packet: &Packet<'_>) {
        let key = &packet.key;
        if !packet.outbound && WEB.contains(&key.inside_port) && is_for_the_web(packet.payload) {
            self.listeners.other(&key.endpoint(), packet.now);
        }
    }

    /// What the endpoint is that listens on the port of this connection, beside its datagrams.
    fn listens_beside(&self, key: &FlowKey) -> Option<Finding> {
        let udp = datagrams_of(key);
        udp.listener()?;
        self.endpoints.finding(&udp)
    }

    /// A connection that says nothing for or against it is Skype's if the outside end opened it to the
    /// port on which the host's Skype listens. The gate takes it for that already; here it is for
    /// whoever asks what it carries.
    pub(super) fn by_its_port(
        &mut self,
        packet: &Packet<'_>,
        events: &mut Vec<Event>,
    ) -> Option<Finding> {
        let key = &packet.key;
        let listens = self.listens_beside(key).filter(|_| packet.called)?;
        let finding = Finding {
            class: Class::Signaling,
            role: self.role_of(key),
            ..listens
        };
        self.flows.found(key, finding, packet.now);
        let says = "opened from outside to the port on which the host's Skype listens".to_owned();
        let evidence = Evidence::new("listening-port", 0).citing(packet.number, 0..0, says);
        events.push(Event::found(packet.now, *key, finding, 0, vec![evidence]));
        Some(finding)
    }

    /// The outside end has opened this connection, which is Skype's. `sure` says that what the
    /// inside host said in it proves that by itself.
    pub(super) fn answered(&mut self, now: u64, key: &FlowKey, sure: bool) {
        let known = self.listens_beside(key).is_some();
        let spoken = self
            .endpoints
            .speaking(&self.host_of(key.zone, &key.inside));
        if !known && (sure || spoken.is_some()) {
            self.listeners
                .answered(&key.endpoint(), now, &key.outside, sure);
        }
    }

    /// Looks where Skype has begun to listen, and where no longer.
    pub(super) fn listen_around(&mut self, now: u64, events: &mut Vec<Event>) {
        for (endpoint, listens) in self.listeners.tick(now) {
            if !listens {
                events.push(Event::NotListening(endpoint));
                continue;
            }
            let host = self.host_of(endpoint.zone, &endpoint.inside);
            let speaking = self.endpoints.speaking(&host);
            let known = speaking.and_then(|udp| self.endpoints.finding(&udp));
            let says = format!(
                "connections to TCP port {} were answered as Skype answers",
                endpoint.port
            );
            events.push(Event::Listening {
                at: now,
                endpoint,
                finding: known.unwrap_or(Finding {
                    class: Class::Signaling,
                    role: Role::Client,
                    confidence: Confidence::Strong,
                }),
                evidence: vec![Evidence::new("listening-port", 0).citing(0, 0..0, says)],
            });
        }
    }
}
