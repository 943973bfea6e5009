//! From the daemon's alerts to what each conversation was known to be, and since when.

use std::net::SocketAddr;
use std::sync::Mutex;

use rustc_hash::FxHashMap;
use skype_ips_common::layout::UDP;

use super::alert::Alert;
use super::exchange::Fate;
use crate::engine::Evidence;
use crate::policy::Action;
use crate::replay::{Conversation, Detection, Doubt};

/// When a packet was sent, as its conversation's decision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before it, or there is none.
    Before,
    /// It completed the evidence.
    Deciding,
    /// After it.
    After,
}

impl Moment {
    /// `at` is when the packet was sent, `next` when the one after it, microseconds.
    pub(super) fn of(at: u64, next: Option<u64>, alert: &Alert) -> Self {
        if at > alert.at {
            Self::After
        } else if next.is_none_or(|next| next > alert.at) {
            Self::Deciding
        } else {
            Self::Before
        }
    }
}

/// What breaks the promise: under `drop`, Skype stops with the packet that decides; all else
/// arrives. `decision` is the alert, where the mode is to enforce.
pub(super) fn complaint(
    fate: Fate,
    moment: Moment,
    decision: Option<&Alert>,
) -> Option<&'static str> {
    let drops = decision.is_some_and(|alert| alert.action == Action::Drop);
    match (fate, moment) {
        (Fate::Delivered, Moment::After) if drops => Some("arrived after its flow was decided"),
        (Fate::Dropped, Moment::Deciding | Moment::After) if drops => None,
        (Fate::Dropped, _) => Some("was dropped, and nothing had said that it is Skype"),
        (Fate::Lost, _) => Some("was lost"),
        (Fate::Delivered, _) => None,
    }
}

/// The first alert that decides each flow.
pub(super) struct Decisions<'a> {
    flows: FxHashMap<(u8, SocketAddr, SocketAddr), &'a Alert>,
    endpoints: FxHashMap<SocketAddr, &'a Alert>,
}

impl<'a> Decisions<'a> {
    pub(super) fn new(alerts: &'a [Alert]) -> Self {
        let mut all = Self {
            flows: FxHashMap::default(),
            endpoints: FxHashMap::default(),
        };
        // That it is ambiguous decides only where it is all there is, or where it stops the flow.
        let rank = |alert: &Alert| {
            let open = alert.finding.is_none() && alert.action != Action::Drop;
            (open, alert.at)
        };
        let earlier = |known: &mut &'a Alert, alert: &'a Alert| {
            if rank(alert) < rank(known) {
                *known = alert;
            }
        };
        for alert in alerts {
            let flow = (alert.protocol, alert.inside, alert.outside);
            earlier(all.flows.entry(flow).or_insert(alert), alert);
            if alert.of_endpoint {
                earlier(all.endpoints.entry(alert.inside).or_insert(alert), alert);
            }
        }
        all
    }

    pub(super) fn of(&self, conversation: &Conversation) -> Option<&'a Alert> {
        let Conversation {
            src,
            dest,
            protocol,
            ..
        } = conversation;
        let flow = [(*src, *dest), (*dest, *src)]
            .into_iter()
            .filter_map(|(inside, outside)| self.flows.get(&(*protocol, inside, outside)));
        let endpoint = [src, dest]
            .into_iter()
            .filter(|_| *protocol == UDP)
            .filter_map(|end| self.endpoints.get(end));
        flow.chain(endpoint).min_by_key(|alert| alert.at).copied()
    }
}

/// A decided conversation, packet by packet.
pub(super) struct Course<'a> {
    pub(super) alert: &'a Alert,
    before: u64,
    after: u64,
}

impl<'a> Course<'a> {
    pub(super) fn new(alert: &'a Alert) -> Self {
        Self {
            alert,
            before: 0,
            after: 0,
        }
    }

    pub(super) fn step(&mut self, after: bool) {
        if after {
            self.after += 1;
        } else {
            self.before += 1;
        }
    }

    /// What the conversation was found to be; `None` if it is ambiguous.
    pub(super) fn detection(&self, conversation: &Conversation) -> Option<Detection> {
        let Alert {
            inside, outside, ..
        } = self.alert;
        let own = [
            (conversation.src, conversation.dest),
            (conversation.dest, conversation.src),
        ]
        .contains(&(*inside, *outside));
        let decided_at_packet = match (own, self.before, self.after) {
            // Its own packet completed the evidence: the last one sent before the alert.
            (true, before @ 1.., _) => Some(before),
            // Another flow of its endpoint did: it is decided with its next packet.
            (_, before, 1..) => Some(before + 1),
            (_, _, 0) => None,
        };
        let evidence = match own {
            true => self.evidence().collect(),
            false => vec!["endpoint"],
        };
        Some(Detection {
            finding: self.alert.finding?,
            path: None,
            evidence,
            decided_at_packet,
            frame: None,
            proof: None,
        })
    }

    /// Why it is ambiguous, if it is.
    pub(super) fn ambiguous(&self) -> Option<Doubt> {
        let evidence = self.evidence().map(|name| Evidence::new(name, 0));
        self.alert.finding.is_none().then(|| Doubt {
            inside: self.alert.inside,
            frame: None,
            evidence: evidence.collect(),
        })
    }

    fn evidence(&self) -> impl Iterator<Item = &'static str> {
        self.alert.evidence.iter().map(|name| interned(name))
    }
}

/// A test's name for the records, which hold static ones: the few that there are are kept for
/// good, each once.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    match names.iter().find(|known| **known == name) {
        Some(known) => known,
        None => {
            names.push(name.to_owned().leak());
            names[names.len() - 1]
        }
    }
}
