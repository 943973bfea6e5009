//! Where Skype listens on TCP.

use skype_ips_common::layout::EndpointKey;

use super::{Event, Evidence, Finding, Packet};

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
