//! What the engine found out decides conversations, and what the gate says of later packets.

use std::net::SocketAddr;

use skype_ips_common::gate::Side;
use skype_ips_common::layout::{EndpointKey, FlowKey, TCP, UDP, Verdict, kind};

use super::Driver;
use crate::detect::path::MediaPath;
use crate::detect::udp::Message;
use crate::engine::{Event, Evidence, Finding, Subject};
use crate::kernel::VerdictTables as _;
use crate::policy::{Role, from_mapped};
use crate::replay::conversations::{Detection, Doubt};
use crate::replay::proof::Proof;
use crate::telemetry::passage::ProvedEndpoint;

impl Driver {
    /// What the engine found out with the frame at hand, or over time (frame 0).
    pub(super) fn take_events(&mut self, frame: u64, conversation: Option<usize>) {
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Found {
                    at,
                    subject,
                    flow,
                    finding,
                    session,
                    evidence,
                } => {
                    let (frame, conversation) = match frame {
                        0 => self.over_time(&flow, &evidence),
                        _ => (frame, conversation),
                    };
                    let endpoint = self.know(subject, conversation, (finding, session), &evidence);
                    let index = self.proofs.len();
                    self.proofs.push(Proof {
                        at,
                        frame,
                        conversation,
                        inside: SocketAddr::new(from_mapped(&flow.inside), flow.inside_port),
                        finding,
                        path: self.engine.path(&flow),
                        evidence,
                        endpoint,
                    });
                    self.decide(frame, conversation, index, false);
                }
                Event::Listening {
                    at,
                    endpoint,
                    finding,
                    evidence,
                } => self.listens(at, endpoint, finding, evidence),
                Event::NotListening(key) => {
                    self.known.remove(&key);
                    let Ok(()) = self.tables.remove_endpoint(&key);
                }
                Event::Unknown(flow) => {
                    let Ok(()) = self.tables.remove_verdict(&flow);
                }
                Event::Ambiguous { flow, evidence, .. } => {
                    let Ok(()) = self.tables.set_verdict(&flow, Verdict::AMBIGUOUS);
                    let doubt = Doubt {
                        inside: SocketAddr::new(from_mapped(&flow.inside), flow.inside_port),
                        frame: Some(frame),
                        evidence,
                    };
                    self.doubt(conversation, Some(doubt));
                }
                Event::Cleared(flow) => {
                    let other = Verdict {
                        kind: kind::OTHER,
                        ..Verdict::default()
                    };
                    let Ok(()) = self.tables.set_verdict(&flow, other);
                    self.doubt(conversation, None);
                }
                Event::Forgotten(key) => self.forget(&key),
                // Each of their flows is told of by itself.
                Event::HostsForgotten(_) => {}
            }
        }
    }

    /// The frame and the conversation of what was found over time: the newest frame that it cites,
    /// and the flow's newest conversation.
    fn over_time(&self, flow: &FlowKey, evidence: &[Evidence]) -> (u64, Option<usize>) {
        (newest_frame(evidence), self.of_flows.get(flow).copied())
    }

    /// Skype listens on a TCP port.
    fn listens(&mut self, at: u64, key: EndpointKey, finding: Finding, evidence: Vec<Evidence>) {
        let udp = EndpointKey {
            protocol: UDP,
            ..key
        };
        let proof = self.known.get(&udp).copied().unwrap_or_else(|| {
            self.proofs.push(Proof {
                at,
                frame: newest_frame(&evidence),
                conversation: None,
                inside: SocketAddr::new(from_mapped(&key.inside), key.port),
                finding,
                path: None,
                evidence,
                endpoint: None,
            });
            self.proofs.len() - 1
        });
        self.known.insert(key, proof);
        let Ok(()) = self.tables.set_endpoint(&key, finding.verdict());
    }

    /// The gate is told of a proof that is about to be the newest; for an endpoint, with what it
    /// had to show.
    fn know(
        &mut self,
        subject: Subject,
        conversation: Option<usize>,
        (finding, session): (Finding, u32),
        evidence: &[Evidence],
    ) -> Option<ProvedEndpoint> {
        let verdict = finding.verdict_in(session);
        match subject {
            Subject::Flow(key) => {
                let path = self.engine.path(&key);
                self.reclassify(conversation, finding, path, evidence);
                if key.protocol == UDP {
                    self.own.entry(key.endpoint()).or_default().insert(key);
                }
                let Ok(()) = self.tables.set_verdict(&key, verdict);
                // Where the other end is inside too, its policy is asked as well.
                if key.protocol == TCP && self.is_inside(&key.outside) {
                    let Ok(()) = self.tables.set_verdict(&mirrored(&key), verdict);
                }
                None
            }
            Subject::Endpoint(key) => {
                let before = self.known.get(&key).map(|proof| &self.proofs[*proof]);
                let endpoint = match before.and_then(|proof| proof.endpoint) {
                    // What it had to show was told when it was proved; this is its role.
                    Some(endpoint) => endpoint,
                    None => self.proved_endpoint(&key),
                };
                let index = self.proofs.len();
                self.known.insert(key, index);
                self.of_endpoints.entry(key).or_default().push(index);
                let Ok(()) = self.tables.set_endpoint(&key, verdict);
                Some(endpoint)
            }
        }
    }

    /// The endpoint may be somebody else's now.
    fn forget(&mut self, key: &EndpointKey) {
        self.known.remove(key);
        for flow in self.own.remove(key).unwrap_or_default() {
            let Ok(()) = self.tables.remove_verdict(&flow);
        }
        let Ok(()) = self.tables.remove_endpoint(key);
    }

    /// A UDP packet of a known endpoint decides its conversation. So does a connection that was opened
    /// to the port of one; `called` says that the outside end opened it.
    pub(super) fn know_endpoint(
        &mut self,
        frame: u64,
        key: &FlowKey,
        called: bool,
        conversation: Option<usize>,
    ) {
        if key.protocol != UDP && !called {
            return;
        }
        if let Some(proof) = self.known.get(&key.endpoint()).copied() {
            self.decide(frame, conversation, proof, true);
            let found = conversation.map(|index| self.conversations.get_mut(index));
            // A super node is its user's client where it opens flows itself.
            if let Some(found) = found.and_then(|found| found.detection.as_mut())
                && found.frame == Some(frame)
                && found.finding.role == Role::SuperNode
                && !called
            {
                found.finding.role = Role::Client;
            }
        }
    }

    /// What a known conversation carries is what was found last.
    fn reclassify(
        &mut self,
        conversation: Option<usize>,
        finding: Finding,
        path: Option<MediaPath>,
        proof: &[Evidence],
    ) {
        let known = conversation.map(|index| self.conversations.get_mut(index));
        let Some(known) = known.and_then(|known| known.detection.as_mut()) else {
            return;
        };
        known.finding.class = finding.class;
        known.path = path;
        // That a host carried others' traffic stays true when it ends.
        if finding.role != Role::Client {
            known.finding.role = finding.role;
        }
        for evidence in proof {
            if !known.evidence.contains(&evidence.name) {
                known.evidence.push(evidence.name);
            }
        }
    }

    /// The conversation at hand may be Skype's or Teams', or no longer.
    fn doubt(&mut self, conversation: Option<usize>, doubt: Option<Doubt>) {
        if let Some(index) = conversation {
            let conversation = self.conversations.get_mut(index);
            if conversation.detection.is_none() {
                conversation.ambiguous = doubt;
            }
        }
    }

    /// The packet at hand decides its conversation, unless an earlier one did. `known` says that
    /// the proof was there before.
    fn decide(&mut self, frame: u64, conversation: Option<usize>, proof: usize, known: bool) {
        let Some(index) = conversation else {
            return;
        };
        let conversation = self.conversations.get_mut(index);
        if conversation.detection.is_some() {
            return;
        }
        conversation.ambiguous = None;
        conversation.passage.decide();
        conversation.endpoint = self.proofs[proof].endpoint;
        conversation.detection = Some(Detection {
            finding: self.proofs[proof].finding,
            path: None,
            evidence: self.proofs[proof].names(known),
            decided_at_packet: Some(conversation.total_packets()),
            frame: Some(frame),
            proof: Some(proof),
        });
    }

    /// Counts what an endpoint that is not proved yet had to show.
    pub(super) fn count_type2(&mut self, key: &FlowKey, side: Side, payload: &[u8], len: u32) {
        let endpoint = key.endpoint();
        let type2 = || matches!(Message::read(payload, len), Some(Message::Payload(_)));
        if key.protocol == UDP && !self.known.contains_key(&endpoint) && type2() {
            let direction = usize::from(side != Side::InsideIngress);
            self.type2.entry(endpoint).or_default()[direction] += 1;
        }
    }

    /// An endpoint that is proved now.
    fn proved_endpoint(&mut self, key: &EndpointKey) -> ProvedEndpoint {
        let [sent, received] = self.type2.remove(key).unwrap_or_default();
        ProvedEndpoint {
            ip: from_mapped(&key.inside),
            port: key.port,
            sent,
            received,
        }
    }
}

/// The same flow as the other end's.
const fn mirrored(key: &FlowKey) -> FlowKey {
    FlowKey {
        inside: key.outside,
        inside_port: key.outside_port,
        outside: key.inside,
        outside_port: key.inside_port,
        ..*key
    }
}

/// The newest frame that evidence cites; 0 if it cites none.
fn newest_frame(evidence: &[Evidence]) -> u64 {
    let cited = evidence.iter().flat_map(|one| &one.cited);
    cited.map(|one| one.packet).max().unwrap_or(0)
}
