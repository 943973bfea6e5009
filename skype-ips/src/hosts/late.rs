//! UDP flows of late Skype: findings are about the flow, for its ports serve other programs too.

use std::ops::Range;

use skype_ips_common::layout::FlowKey;

use super::flows::OPEN_LIFE;
use crate::detect::Evidence;
use crate::detect::quic;
use crate::recent::Recent;

/// What is known of a flow that shows the engine nothing for this long is forgotten, nanoseconds. The
/// drivers remember it for as long as it lives, and show it anew if they have forgotten it too.
pub const LATE_LIFE: u64 = 600 * 1_000_000_000;
/// QUIC connections whose hello is still incomplete: 8 MiB at most. Nearly all hellos come within
/// milliseconds.
const OPENINGS: usize = 512;
/// Different marks that a flow needs to show at most.
const MARKS: usize = 2;
/// Odds of one mark and of two, as bits. A number that nobody has registered can also be somebody
/// else's, so the second adds little.
const MARK_BITS: [u32; MARKS + 1] = [0, 16, 20];

/// What a flow has shown of Microsoft's dialect of STUN.
#[derive(Clone, Debug, Default)]
pub struct Media {
    marks: Vec<Mark>,
    /// Whether it was called ambiguous.
    pub ambiguous: bool,
}

#[derive(Clone, Debug)]
struct Mark {
    kind: u16,
    packet: u64,
    bytes: Range<u32>,
}

impl Media {
    /// Takes in an attribute that only this dialect has.
    pub fn mark(&mut self, kind: u16, packet: u64, bytes: Range<u32>) {
        if self.marks.len() < MARKS && self.marks.iter().all(|mark| mark.kind != kind) {
            self.marks.push(Mark {
                kind,
                packet,
                bytes,
            });
        }
    }

    /// How many different marks it has shown, up to two.
    pub fn marks(&self) -> usize {
        self.marks.len()
    }

    /// `stun-microsoft`: the marks.
    pub fn evidence(&self) -> Evidence {
        let evidence = Evidence::new("stun-microsoft", MARK_BITS[self.marks()]);
        self.marks.iter().fold(evidence, |evidence, mark| {
            let says = format!(
                "STUN attribute {:#06x}, which only Microsoft's dialect has",
                mark.kind
            );
            evidence.citing(mark.packet, mark.bytes.clone(), says)
        })
    }
}

/// Flows in bounded memory: the longest silent goes first. `F` is what a flow was found to be.
#[derive(Debug)]
pub struct LateFlows<F> {
    found: Recent<FlowKey, F>,
    openings: Recent<FlowKey, quic::Opening>,
    media: Recent<FlowKey, Media>,
    most: usize,
}

impl<F: Copy> LateFlows<F> {
    /// Room for `most` flows of each kind, at least one.
    pub fn new(most: usize) -> Self {
        Self {
            found: Recent::default(),
            openings: Recent::default(),
            media: Recent::default(),
            most: most.max(1),
        }
    }

    /// What a flow was found to be.
    pub fn finding(&self, key: &FlowKey) -> Option<F> {
        self.found.get(key).copied()
    }

    /// The same, and that it is still there.
    pub fn seen(&mut self, key: &FlowKey, now: u64) -> Option<F> {
        self.found.touch(key, now).copied()
    }

    /// Remembers what a flow was found to be.
    pub fn found(&mut self, key: &FlowKey, finding: F, now: u64) {
        self.openings.remove(key);
        self.media.remove(key);
        *self.found.entry_or(key, now, self.most, || finding) = finding;
    }

    /// Whether a flow was called ambiguous, and nothing has told since.
    pub fn is_ambiguous(&self, key: &FlowKey) -> bool {
        self.media.get(key).is_some_and(|media| media.ambiguous)
    }

    /// Whether a flow has shown a mark.
    pub fn has_marks(&self, key: &FlowKey) -> bool {
        self.media.get(key).is_some()
    }

    /// What a flow has shown of Microsoft's dialect, remembered from now on.
    pub fn media(&mut self, key: &FlowKey, now: u64) -> &mut Media {
        self.media.entry_or(key, now, self.most, Media::default)
    }

    /// Forgets a flow's media: it is somebody else's.
    pub fn forget_media(&mut self, key: &FlowKey) {
        self.media.remove(key);
    }

    /// The opening of a QUIC flow, remembered from now on.
    pub fn opening(&mut self, key: &FlowKey, now: u64) -> &mut quic::Opening {
        self.openings
            .entry_or(key, now, OPENINGS, quic::Opening::default)
    }

    /// Forgets the opening of a QUIC flow: it has said all.
    pub fn close(&mut self, key: &FlowKey) {
        self.openings.remove(key);
    }

    /// Forgets such flows; of which something was known.
    pub fn forget_where(&mut self, gone: impl Fn(&FlowKey) -> bool) -> Vec<FlowKey> {
        self.openings.remove_where(&gone);
        let mut known = self.media.remove_where(&gone);
        known.extend(self.found.remove_where(gone));
        known
    }

    /// Forgets what was silent for too long.
    pub fn expire(&mut self, now: u64) {
        let before = now.saturating_sub(OPEN_LIFE);
        while self.openings.pop_older_than(before).is_some() {}
        let before = now.saturating_sub(LATE_LIFE);
        while self.found.pop_older_than(before).is_some() {}
        while self.media.pop_older_than(before).is_some() {}
    }
}
