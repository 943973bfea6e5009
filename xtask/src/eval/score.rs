//! What detectors said, against what is so.

use std::collections::{BTreeMap, HashSet};
use std::ops::AddAssign;

use serde::Serialize;

use super::corpus::Conversation;
use super::labels::Truth;
use super::ndpi::Calls;
use super::replay::Finding;

/// What a detector says of a conversation.
#[derive(Debug)]
enum Said<'a> {
    No,
    /// It could be Skype, or its twin.
    Ambiguous,
    Skype(Kind<'a>),
}

/// What kind of Skype.
#[derive(Debug)]
enum Kind<'a> {
    Ours(&'a Finding),
    Ndpi { protocol: &'a str, lumped: bool },
}

/// How a detector did, in conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// All of them.
    pub(super) flows: u64,
    /// Labelled Skype.
    pub(super) skype: u64,
    /// Of those, found.
    pub(super) right: u64,
    /// Of those right, found while they lasted; 0 of nDPI, which doesn't say.
    pub(super) right_live: u64,
    /// Of those right, found after their last packet; 0 of nDPI.
    pub(super) right_retrospective: u64,
    /// Of those right, only called by a word for Skype and Teams together.
    pub(super) right_lumped: u64,
    /// Labelled Skype, and not found.
    pub(super) missed: u64,
    /// Known to be no Skype; Teams among them.
    pub(super) other: u64,
    /// Of those, called Skype.
    pub(super) accused: u64,
    /// Of those accused, found while they lasted; 0 of nDPI.
    pub(super) accused_live: u64,
    /// Of those accused, only called by a word for Skype and Teams together.
    pub(super) accused_lumped: u64,
    /// Known to be Teams.
    pub(super) teams: u64,
    /// Of those, called Skype.
    pub(super) accused_teams: u64,
    /// Called ambiguous, by what they are; none of them counts as found.
    pub(super) ambiguous: Ambiguous,
    /// Not scored, for their label says so.
    pub(super) unscored: u64,
    /// Not scored, for nobody has labelled them.
    pub(super) unlabelled: u64,
    /// Of those without a label, called Skype.
    pub(super) unlabelled_found: u64,
    /// Called Skype by nDPI, and no conversation of replay's (such as those within a tunnel).
    pub(super) unmatched: u64,
    /// By how sure the detector is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) by_confidence: BTreeMap<String, Found>,
    /// By kind of traffic.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) by_class: BTreeMap<String, Found>,
    /// By the detector's own word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) by_protocol: BTreeMap<String, Found>,
}

/// Conversations called Skype.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    /// They are.
    pub(super) right: u64,
    /// They are not.
    pub(super) accused: u64,
}

/// Conversations called ambiguous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Ambiguous {
    /// Labelled Skype.
    pub(super) skype: u64,
    /// Known to be Teams.
    pub(super) teams: u64,
    /// Known to be neither.
    pub(super) other: u64,
    /// Not scored.
    pub(super) unscored: u64,
}

impl Ambiguous {
    /// All of them.
    pub(super) const fn all(&self) -> u64 {
        self.skype + self.teams + self.other + self.unscored
    }
}

impl Tally {
    /// How skype-ips did on a capture.
    pub(super) fn ours(conversations: &[Conversation]) -> Self {
        let mut tally = Self::default();
        for one in conversations {
            let said = match one.flow.as_ref().map(|flow| &flow.skype) {
                Some(finding) if finding.detected => Said::Skype(Kind::Ours(finding)),
                Some(finding) if finding.ambiguous => Said::Ambiguous,
                _ => Said::No,
            };
            tally.take(one.truth, &said);
        }
        tally
    }

    /// How nDPI did on a capture.
    pub(super) fn ndpi(conversations: &[Conversation], calls: &Calls) -> Self {
        let mut tally = Self::default();
        for one in conversations {
            let said = calls.get(&one.ends).map_or(Said::No, |call| {
                Said::Skype(Kind::Ndpi {
                    protocol: &call.protocol,
                    lumped: call.lumped,
                })
            });
            tally.take(one.truth, &said);
        }
        let known: HashSet<_> = conversations.iter().map(|one| &one.ends).collect();
        tally.unmatched = calls.keys().filter(|ends| !known.contains(ends)).count() as u64;
        tally
    }

    fn take(&mut self, truth: Truth, said: &Said<'_>) {
        self.flows += 1;
        match truth {
            Truth::Skype => self.skype += 1,
            Truth::Other | Truth::Teams => self.other += 1,
            Truth::Unscored => self.unscored += 1,
            Truth::Unlabelled => self.unlabelled += 1,
        }
        self.teams += u64::from(truth == Truth::Teams);
        match said {
            Said::Skype(kind) => self.found(truth, kind),
            Said::No => self.missed += u64::from(truth == Truth::Skype),
            Said::Ambiguous => {
                self.missed += u64::from(truth == Truth::Skype);
                *match truth {
                    Truth::Skype => &mut self.ambiguous.skype,
                    Truth::Teams => &mut self.ambiguous.teams,
                    Truth::Other => &mut self.ambiguous.other,
                    Truth::Unscored | Truth::Unlabelled => &mut self.ambiguous.unscored,
                } += 1;
            }
        }
    }

    fn found(&mut self, truth: Truth, kind: &Kind<'_>) {
        let right = match truth {
            Truth::Skype => true,
            Truth::Other | Truth::Teams => false,
            Truth::Unscored => return,
            Truth::Unlabelled => {
                self.unlabelled_found += 1;
                return;
            }
        };
        let (live, lumped) = match kind {
            Kind::Ours(finding) => (Some(!finding.retrospective), false),
            // It reports at the end, and not when it knew.
            Kind::Ndpi { lumped, .. } => (None, *lumped),
        };
        if right {
            self.right += 1;
            self.right_live += u64::from(live == Some(true));
            self.right_retrospective += u64::from(live == Some(false));
            self.right_lumped += u64::from(lumped);
        } else {
            self.accused += 1;
            self.accused_live += u64::from(live == Some(true));
            self.accused_lumped += u64::from(lumped);
            self.accused_teams += u64::from(truth == Truth::Teams);
        }
        let count = |map: &mut BTreeMap<String, Found>, word: &str| {
            let found = map.entry(word.to_owned()).or_default();
            found.right += u64::from(right);
            found.accused += u64::from(!right);
        };
        match kind {
            Kind::Ours(finding) => {
                let word = |word: &Option<String>| word.clone().unwrap_or("unknown".to_owned());
                count(&mut self.by_confidence, &word(&finding.confidence));
                count(&mut self.by_class, &word(&finding.class));
            }
            Kind::Ndpi { protocol, .. } => count(&mut self.by_protocol, protocol),
        }
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, more: &Self) {
        self.flows += more.flows;
        self.skype += more.skype;
        self.right += more.right;
        self.right_live += more.right_live;
        self.right_retrospective += more.right_retrospective;
        self.right_lumped += more.right_lumped;
        self.missed += more.missed;
        self.other += more.other;
        self.accused += more.accused;
        self.accused_live += more.accused_live;
        self.accused_lumped += more.accused_lumped;
        self.teams += more.teams;
        self.accused_teams += more.accused_teams;
        self.ambiguous.skype += more.ambiguous.skype;
        self.ambiguous.teams += more.ambiguous.teams;
        self.ambiguous.other += more.ambiguous.other;
        self.ambiguous.unscored += more.ambiguous.unscored;
        self.unscored += more.unscored;
        self.unlabelled += more.unlabelled;
        self.unlabelled_found += more.unlabelled_found;
        self.unmatched += more.unmatched;
        add(&mut self.by_confidence, &more.by_confidence);
        add(&mut self.by_class, &more.by_class);
        add(&mut self.by_protocol, &more.by_protocol);
    }
}

fn add(all: &mut BTreeMap<String, Found>, more: &BTreeMap<String, Found>) {
    for (word, found) in more {
        let sum = all.entry(word.clone()).or_default();
        sum.right += found.right;
        sum.accused += found.accused;
    }
}

#[cfg(test)]
mod tests;
