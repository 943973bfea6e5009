//! Which flows have an entry in the verdict table, in bounded memory: a flood of flows that are
//! only asked about must not take the room of those that are decided.

use skype_ips_common::layout::FlowKey;

use crate::recent::Recent;

const SECOND: u64 = 1_000_000_000;
/// A request for more packets that was not met by now is void, nanoseconds: openings don't last.
pub(super) const ASKED_LIFE: u64 = 60 * SECOND;
/// What is known of a flow silent for this long is forgotten, nanoseconds: longer than any
/// time-out of a connection that could still be alive.
pub(super) const DECIDED_LIFE: u64 = 600 * SECOND;
/// Decided flows whose last packet is looked up at one upkeep: some tenths of a second at most.
const MOST_LOOKED_UP: usize = 20_000;

/// Flows with an entry in the verdict table.
#[derive(Debug)]
pub(super) struct Known {
    /// Those of which more packets were asked for, or whose arriving packets come unfiltered (NAT),
    /// with how many of these there were.
    asked: Recent<FlowKey, u8>,
    decided: Recent<FlowKey, ()>,
    most_asked: usize,
    most_decided: usize,
}

impl Known {
    /// Room for one of `queues` shards, which share the kernel's table of 262,144 entries.
    pub(super) fn of_one_in(queues: usize) -> Self {
        Self::with_room(32_768 / queues.max(1), 200_000 / queues.max(1))
    }

    fn with_room(asked: usize, decided: usize) -> Self {
        Self {
            asked: Recent::default(),
            decided: Recent::default(),
            most_asked: asked.max(1),
            most_decided: decided.max(1),
        }
    }

    /// Whether something was written about the flow.
    pub(super) fn contains(&self, key: &FlowKey) -> bool {
        self.asked.get(key).is_some() || self.decided.get(key).is_some()
    }

    /// More of a flow is asked for; gives the flow whose entry has to go for it.
    pub(super) fn ask(&mut self, key: &FlowKey, now: u64) -> Option<FlowKey> {
        if self.asked.touch(key, now).is_some() {
            return None;
        }
        let room = make_room(&mut self.asked, self.most_asked);
        self.asked.insert(*key, 0, now);
        room
    }

    /// Counts a packet of a flow that comes unfiltered; how many there were, and the flow whose
    /// entry has to go for it.
    pub(super) fn unfiltered(&mut self, key: &FlowKey, now: u64) -> (u8, Option<FlowKey>) {
        let room = self.ask(key, now);
        let count = self.asked.get_mut(key).map_or(u8::MAX, |count| {
            *count = count.saturating_add(1);
            *count
        });
        (count, room)
    }

    /// A flow is decided; gives the flow whose entry has to go for it.
    pub(super) fn decide(&mut self, key: &FlowKey, now: u64) -> Option<FlowKey> {
        self.asked.remove(key);
        if self.decided.touch(key, now).is_some() {
            return None;
        }
        let room = make_room(&mut self.decided, self.most_decided);
        self.decided.insert(*key, (), now);
        room
    }

    /// Nothing is known of a flow any more.
    pub(super) fn forget(&mut self, key: &FlowKey) {
        self.asked.remove(key);
        self.decided.remove(key);
    }

    /// Nothing is known of such flows any more; which had an entry.
    pub(super) fn forget_where(&mut self, gone: impl Fn(&FlowKey) -> bool) -> Vec<FlowKey> {
        let mut flows = self.asked.remove_where(&gone);
        flows.extend(self.decided.remove_where(gone));
        flows
    }

    /// The flows whose entries are of no use any more. `last_seen` says when a flow's last packet
    /// came, if the gate remembers.
    pub(super) fn expire(
        &mut self,
        now: u64,
        last_seen: impl Fn(&FlowKey) -> Option<u64>,
    ) -> Vec<FlowKey> {
        let mut gone = Vec::new();
        while let Some((key, _)) = self.asked.pop_older_than(now.saturating_sub(ASKED_LIFE)) {
            gone.push(key);
        }
        let before = now.saturating_sub(DECIDED_LIFE);
        for _ in 0..MOST_LOOKED_UP {
            let Some((key, ())) = self.decided.pop_older_than(before) else {
                break;
            };
            if last_seen(&key).is_some_and(|seen| seen >= before) {
                self.decided.insert(key, (), now);
            } else {
                gone.push(key);
            }
        }
        gone
    }
}

fn make_room<V>(flows: &mut Recent<FlowKey, V>, most: usize) -> Option<FlowKey> {
    if flows.len() < most {
        return None;
    }
    flows.pop_oldest().map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> FlowKey {
        FlowKey {
            inside_port: number,
            ..FlowKey::default()
        }
    }

    #[test]
    fn a_flood_of_questions_takes_no_room_from_decisions() {
        let mut known = Known::with_room(2, 2);
        assert_eq!(known.decide(&key(1), 1), None);
        let gone: Vec<_> = (10..14).filter_map(|one| known.ask(&key(one), 2)).collect();
        assert_eq!(gone, [key(10), key(11)]);
        assert!(known.contains(&key(1)));
        assert_eq!(known.decide(&key(13), 3), None);
        assert_eq!(known.ask(&key(14), 3), None);
        assert_eq!(known.decide(&key(2), 4), Some(key(1)));
    }

    #[test]
    fn a_question_ends_soon_and_a_decision_with_its_flow() {
        let mut known = Known::with_room(9, 9);
        known.ask(&key(1), 0);
        known.decide(&key(2), 0);
        known.decide(&key(3), 0);
        let alive = |flow: &FlowKey| (*flow == key(3)).then_some(DECIDED_LIFE);
        assert_eq!(known.expire(ASKED_LIFE, alive), []);
        assert_eq!(known.expire(ASKED_LIFE + 1, alive), [key(1)]);
        assert_eq!(known.expire(DECIDED_LIFE + 1, alive), [key(2)]);
        assert!(known.contains(&key(3)));
        let later = 2 * DECIDED_LIFE + 2;
        assert_eq!(known.expire(later, alive), [key(3)]);
    }

    #[test]
    fn unfiltered_packets_are_counted_by_flow() {
        let mut known = Known::with_room(1, 1);
        assert_eq!(known.unfiltered(&key(1), 0), (1, None));
        assert_eq!(known.unfiltered(&key(1), 1), (2, None));
        assert_eq!(known.unfiltered(&key(2), 2), (1, Some(key(1))));
    }
}
