use std::collections::BTreeMap;

use crate::simulator::speech::udp::Part;

/// The parts of a big answer that have come so far, of either set: both hold the same, but for
/// what fills the last part up.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    data: BTreeMap<u8, Vec<u8>>,
    last: Option<u8>,
}

impl Parts {
    /// Takes a part, and gives the whole once there is one.
    pub(super) fn add(&mut self, part: Part, data: Vec<u8>) -> Option<Vec<u8>> {
        self.data.entry(part.index).or_insert(data);
        if part.last {
            self.last = Some(part.index);
        }
        let count = usize::from(self.last?) + 1;
        let whole = self.data.len() == count;
        whole.then(|| self.data.values().flatten().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_whole_with_its_last_part_and_all_before() {
        let mut parts = Parts::default();
        let mut add = |index, id| {
            let part = Part {
                id,
                request: 1,
                index,
                last: index == 2,
            };
            parts.add(part, vec![index])
        };
        assert_eq!(add(2, 7), None);
        assert_eq!(add(0, 7), None);
        assert_eq!(add(0, 8), None);
        // Lost in the first set, there in the second.
        assert_eq!(add(1, 8), Some(vec![0, 1, 2]));
    }
}
