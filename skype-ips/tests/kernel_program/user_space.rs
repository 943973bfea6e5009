//! What user space does with the packets that the programs send up.

use skype_ips::capture::Record;
use skype_ips::engine::{Engine, Event, Packet, Settings};
use skype_ips_common::layout::{FlowKey, INBOUND, OUTBOUND, Verdict};
use skype_ips_common::parse::Headers;

use crate::twins::Twins;

/// An engine, and how often it asked for more of a flow.
pub(crate) struct UserSpace {
    engine: Engine,
    events: Vec<Event>,
    request: u8,
}

impl UserSpace {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            engine: Engine::new(settings),
            events: Vec::new(),
            request: 0,
        }
    }

    /// Shows the engine a packet, and tells the tables what it says.
    pub(crate) fn answer(
        &mut self,
        twins: &mut Twins,
        record: &Record,
        headers: &Headers,
        key: FlowKey,
        outbound: bool,
    ) {
        let payload = record.data.get(headers.payload_offset as usize..);
        let payload = payload.unwrap_or_default();
        let direction = if outbound { OUTBOUND } else { INBOUND };
        let flow = twins.kernel.flow(&key);
        let packet = Packet {
            number: record.number,
            now: record.timestamp,
            key,
            outbound,
            called: flow.is_some_and(|flow| flow.called != 0),
            tcp_seq: headers.tcp_seq,
            tcp_base: flow.and_then(|flow| flow.tcp_base(direction)),
            payload: &payload[..payload.len().min(headers.payload_len as usize)],
            payload_len: headers.payload_len,
        };
        let answer = self.engine.packet(&packet, &mut self.events);
        for event in self.events.drain(..) {
            twins.know(&event);
        }
        if answer.finding.is_none() && answer.more > 0 {
            self.request = self.request.wrapping_add(1).max(1);
            let more = Verdict {
                more: answer.more,
                more_request: self.request,
                ..Verdict::default()
            };
            twins.set_verdict(&key, more);
        }
    }
}
