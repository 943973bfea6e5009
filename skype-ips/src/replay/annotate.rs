//! Comments for the packets that prove and decide, to be read beside their bytes.

use rustc_hash::FxHashMap;

use super::driver::{Driver, Step};
use super::explain::{chance, place};
use super::proof::Proof;
use super::report::Report;
use crate::capture::{Comments, Record};
use crate::engine::Evidence;
use crate::policy::Action;

/// Comments on one packet; what comes beyond is counted.
const MOST: usize = 32;

/// Notes during a replay what was done at the packets that decide.
#[derive(Clone, Debug, Default)]
pub struct Annotator {
    /// Conversations whose deciding packet was dropped.
    stopped: FxHashMap<usize, Action>,
}

impl Annotator {
    /// Takes in what the driver did with a packet.
    pub fn packet(&mut self, record: &Record, step: &Step, driver: &Driver) {
        let outer = step.conversation.map(|index| (index, step.action));
        let within = step.within.iter().flatten();
        let within = within.filter_map(|within| Some((within.conversation?, within.action)));
        for (index, action) in outer.into_iter().chain(within) {
            let found = driver.conversations().get(index).detection.as_ref();
            let decides = found.is_some_and(|found| found.frame == Some(record.number));
            if decides && action.stops() {
                self.stopped.insert(index, action);
            }
        }
    }

    /// The comments, by packet: on each cited one what its bytes are, on each deciding one what
    /// follows.
    pub fn comments(&self, report: &Report) -> Comments {
        let mut comments = Comments::new();
        for proof in &report.proofs {
            cite(&mut comments, &proof.evidence, &about(proof, report));
        }
        for (index, conversation) in report.conversations.iter().enumerate() {
            if let Some(doubt) = &conversation.ambiguous {
                cite(
                    &mut comments,
                    &doubt.evidence,
                    &format!("of {conversation}"),
                );
                let text = format!(
                    "skype-ips: {conversation} may be Skype's or Teams'; action: {}",
                    conversation.action()
                );
                comments
                    .entry(doubt.frame.unwrap_or(0))
                    .or_default()
                    .push(text);
            }
            let found = conversation.detection.as_ref();
            let Some((found, frame)) = found.and_then(|found| Some((found, found.frame?))) else {
                continue;
            };
            let Some(proof) = found.proof.and_then(|proof| report.proofs.get(proof)) else {
                continue;
            };
            let finding = found.finding;
            let mut text = format!(
                "skype-ips: {conversation} is Skype from this packet on: {}, {}, {}; {}; action: {}",
                finding.class,
                finding.role,
                finding.confidence,
                strength(proof),
                match self.stopped.get(&index) {
                    Some(action) => *action,
                    None if conversation.action().stops() => Action::Alert,
                    None => conversation.action(),
                }
            );
            if let Some(endpoint) = proof.endpoint.as_ref() {
                let endpoint = std::net::SocketAddr::new(endpoint.ip, endpoint.port);
                text += &match proof.frame == frame {
                    true => format!("; proves {endpoint}: all its UDP is Skype"),
                    false => format!("; {endpoint} was proved by frame {}", proof.frame),
                };
            }
            comments.entry(frame).or_default().push(text);
        }
        for texts in comments.values_mut().filter(|texts| texts.len() > MOST) {
            let more = texts.len() - MOST;
            texts.truncate(MOST);
            texts.push(format!("skype-ips: and {more} more"));
        }
        comments
    }
}

/// Evidence by name, and the odds of all of it.
fn strength(proof: &Proof) -> String {
    let bits = proof.evidence.iter().map(|evidence| evidence.bits).sum();
    let names: Vec<_> = proof.evidence.iter().map(|one| one.name).collect();
    format!("{}, {}", names.join(", "), chance(bits))
}

/// Whose the evidence is.
fn about(proof: &Proof, report: &Report) -> String {
    match (proof.conversation, &proof.endpoint) {
        (_, Some(endpoint)) => {
            format!(
                "of {}",
                std::net::SocketAddr::new(endpoint.ip, endpoint.port)
            )
        }
        (Some(index), None) => format!("of {}", report.conversations.get(index)),
        (None, None) => String::new(),
    }
}

fn cite(comments: &mut Comments, evidence: &[Evidence], about: &str) {
    for evidence in evidence {
        for cited in &evidence.cited {
            let text = format!(
                "skype-ips: {} {about} ({}){}: {}",
                evidence.name,
                chance(evidence.bits),
                place(cited.offset, cited.len),
                cited.says
            );
            let texts = comments.entry(cited.packet).or_default();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
}
