//! The second pass: the cited bytes, and what became of the conversation's packets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;
use skype_ips_common::parse::{Fragment, Headers, Slice, headers};

use super::{LookedAt, Seen};
use crate::capture::Record;
use crate::detect::Citation;
use crate::policy::{Action, from_mapped};
use crate::replay::Report;
use crate::replay::driver::{Step, payload};
use crate::replay::tunnels::layers;

/// Numbers of packets that are told one by one.
const TOLD: usize = 100;

/// Packets of the capture, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frames {
    /// How many.
    pub packets: u64,
    /// The first of them, at most 100.
    pub frames: Vec<u64>,
}

impl Frames {
    fn add(&mut self, frame: u64) {
        self.packets += 1;
        if self.frames.len() < TOLD {
            self.frames.push(frame);
        }
    }
}

/// What names cited bytes: packet, offset and length.
type Place = (u64, u32, u32);

/// Watches one conversation while its capture is replayed again.
#[derive(Clone, Debug)]
pub struct Witness {
    conversation: usize,
    /// For each cited place, whose conversation or host it is, and what was there.
    cited: BTreeMap<Place, (Owner, Option<Seen>)>,
    start: Option<u64>,
    first_frame: u64,
    last_frame: u64,
    dropped: Frames,
    alerted: Frames,
    looked_at: LookedAt,
}

/// Whose the cited bytes are, so that of a packet in a tunnel the right layer is read.
#[derive(Clone, Copy, Debug)]
struct Owner {
    conversation: Option<usize>,
    host: IpAddr,
}

impl Witness {
    /// For the conversation with this index in `report`, which the first pass gave.
    pub fn new(report: &Report, conversation: usize) -> Self {
        let mut cited = BTreeMap::new();
        for proof in report.proofs_of(conversation) {
            for one in std::iter::once(proof).chain(report.basis(proof)) {
                let owner = Owner {
                    conversation: one.conversation,
                    host: one.inside.ip(),
                };
                for citation in one.evidence.iter().flat_map(|evidence| &evidence.cited) {
                    cited.entry(place(citation)).or_insert((owner, None));
                }
            }
        }
        let one = report.conversations.get(conversation);
        if let Some(doubt) = &one.ambiguous {
            let owner = Owner {
                conversation: Some(conversation),
                host: doubt.inside.ip(),
            };
            for citation in doubt.evidence.iter().flat_map(|evidence| &evidence.cited) {
                cited.entry(place(citation)).or_insert((owner, None));
            }
        }
        Self {
            conversation,
            cited,
            start: None,
            first_frame: 0,
            last_frame: 0,
            dropped: Frames::default(),
            alerted: Frames::default(),
            looked_at: LookedAt {
                packets: 0,
                payloads: 0,
                queued: 0,
                cut_off: 0,
                later_fragments: 0,
                opening_seen: None,
            },
        }
    }

    /// Takes in the next packet of the capture, and what the driver did with it.
    pub fn packet(&mut self, record: &Record, step: &Step) {
        self.start.get_or_insert(record.timestamp);
        let of_this = |conversation: Option<usize>| conversation == Some(self.conversation);
        let is_cited = self
            .cited
            .range((record.number, 0, 0)..=(record.number, u32::MAX, u32::MAX))
            .next()
            .is_some();
        let within = step.within.iter().flatten();
        if !is_cited
            && !of_this(step.conversation)
            && !within.clone().any(|within| of_this(within.conversation))
        {
            return;
        }
        let outer = (step.conversation, step.action);
        let judged =
            std::iter::once(outer).chain(within.map(|within| (within.conversation, within.action)));
        for ((conversation, action), layer) in judged.zip(layers(record)) {
            let slice = Slice::with_wire_len(&layer.data, layer.wire_len);
            let Ok(headers) = headers(&slice, layer.link) else {
                continue;
            };
            let payload = payload(&layer, &headers);
            if conversation == Some(self.conversation) {
                self.own(record.number, action, &headers, payload);
            }
            if is_cited {
                self.cite(record, conversation, &headers, payload);
            }
        }
    }

    /// A packet of the conversation.
    fn own(&mut self, frame: u64, action: Action, headers: &Headers, payload: &[u8]) {
        if self.first_frame == 0 {
            self.first_frame = frame;
        }
        self.last_frame = frame;
        match action {
            Action::Reject | Action::Drop => self.dropped.add(frame),
            Action::Alert | Action::Throttle => self.alerted.add(frame),
            Action::Allow => {}
        }
        let looked_at = &mut self.looked_at;
        if matches!(headers.fragment, Fragment::Later(_)) {
            looked_at.later_fragments += 1;
            return;
        }
        looked_at.payloads += u64::from(headers.payload_len > 0);
        looked_at.cut_off += u64::from(payload.len() < headers.payload_len as usize);
    }

    /// A layer of a cited packet.
    fn cite(
        &mut self,
        record: &Record,
        conversation: Option<usize>,
        headers: &Headers,
        payload: &[u8],
    ) {
        let time = self.seconds(record.timestamp);
        let number = record.number;
        let (source, destination) = (
            from_mapped(&headers.source),
            from_mapped(&headers.destination),
        );
        let places = self
            .cited
            .range_mut((number, 0, 0)..=(number, u32::MAX, u32::MAX));
        for ((_, offset, len), (owner, seen)) in places {
            let owned = conversation.is_some() && conversation == owner.conversation;
            let of_host = seen.is_none() && (source == owner.host || destination == owner.host);
            if !owned && !of_host {
                continue;
            }
            let bytes = payload.get(*offset as usize..).unwrap_or_default();
            let bytes = &bytes[..bytes.len().min(*len as usize)];
            *seen = Some(Seen {
                time,
                src_ip: source,
                src_port: headers.source_port,
                dest_ip: destination,
                dest_port: headers.destination_port,
                bytes: hex(bytes),
            });
        }
    }

    /// The conversation's index in the report.
    pub fn conversation(&self) -> usize {
        self.conversation
    }

    /// A time (nanoseconds since the Unix epoch) in seconds after the capture's first packet.
    pub(super) fn seconds(&self, time: u64) -> f64 {
        let start = self.start.unwrap_or(time);
        (i128::from(time) - i128::from(start)) as f64 / 1_000_000_000.0
    }

    pub(super) fn first_frame(&self) -> u64 {
        self.first_frame
    }

    pub(super) fn last_frame(&self) -> u64 {
        self.last_frame
    }

    pub(super) fn dropped(&self) -> &Frames {
        &self.dropped
    }

    pub(super) fn alerted(&self) -> &Frames {
        &self.alerted
    }

    pub(super) fn looked_at(&self) -> LookedAt {
        self.looked_at
    }

    /// A cited packet, if it was met.
    pub(super) fn seen(&self, cited: &Citation) -> Option<Seen> {
        self.cited
            .get(&place(cited))
            .and_then(|(_, seen)| seen.clone())
    }
}

fn place(citation: &Citation) -> Place {
    (citation.packet, citation.offset, citation.len)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
