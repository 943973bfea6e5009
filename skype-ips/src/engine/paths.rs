//! How flows with media came about, of those that are known to be Skype.

use skype_ips_common::layout::{FlowKey, INBOUND, TCP, UDP};

use super::{Engine, Packet};
use crate::detect::Evidence;
use crate::detect::media::{Traffic, Window};
use crate::detect::path::{Circumstances, MediaPath, Opening};
use crate::detect::udp::Message;

impl Engine {
    /// A message of a known endpoint.
    pub(super) fn begins(&mut self, packet: &Packet<'_>, message: &Message) {
        let Packet { now, outbound, .. } = *packet;
        self.openings
            .observe(&packet.key, now, outbound, message, packet.number);
    }

    /// How a flow came about that `carries` that in this window, and why, as far as that can be told.
    pub(super) fn path_of(
        &self,
        packet: &Packet<'_>,
        carries: Traffic,
        window: &Window,
    ) -> Option<(MediaPath, Evidence)> {
        let (now, key) = (packet.now, &packet.key);
        if self.relays.get(key).is_some() {
            return None;
        }
        let opening = self.openings.get(key).filter(|_| key.protocol == UDP);
        let failed: Vec<_> = self
            .openings
            .failed(now, key.zone, &key.inside)
            .filter(|(other, _)| !self.was_heard(other))
            .collect();
        let to_it = |other: &FlowKey| other.outside == key.outside;
        let others = failed.iter().filter(|(other, tried)| {
            let same = opening.is_some_and(|opening| opening.is_of_one_search(tried));
            !to_it(other) && !same
        });
        let called = self.watches.get(key).is_some_and(|watched| watched.called);
        let circumstances = Circumstances {
            opening: opening.copied(),
            is_peer: match key.protocol {
                TCP => called || failed.iter().any(|(other, _)| to_it(other)),
                _ => opening.is_some_and(Opening::is_of_peer),
            },
            failed: others.map(|(_, opening)| opening.newest()).collect(),
            packet: packet.number,
        };
        if carries == Traffic::Quiet {
            return Some(circumstances.one_way());
        }
        circumstances.judge(carries, &window.counted, window.duration)
    }

    /// Whether anything came on a flow, as far as the gate's counters were looked at.
    fn was_heard(&self, key: &FlowKey) -> bool {
        let watched = self.watches.get(key);
        watched.is_some_and(|watched| watched.counters.packets[INBOUND] > 0)
    }

    /// How a flow with media came about; `None` if it has none, if that isn't known, or if the host itself
    /// relays it.
    pub fn path(&self, key: &FlowKey) -> Option<MediaPath> {
        match self.relays.get(key) {
            Some(_) => None,
            None => self.traffic.path(key),
        }
    }
}
