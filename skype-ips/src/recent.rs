//! A map that knows which of its entries was longest left alone.

use std::collections::HashMap;
use std::hash::Hash;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    touched: u64,
    newer: u32,
    older: u32,
}

/// A map in order of last use: a hash index over a doubly linked list in a slab. Every operation
/// takes constant time. Its hashing is keyed, because the keys come from strangers' packets.
#[derive(Debug)]
pub struct Recent<K, V> {
    index: HashMap<K, u32>,
    nodes: Vec<Option<Node<K, V>>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

impl<K: Copy + Eq + Hash, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            index: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// The entry that was longest left alone.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        let node = self.node(self.oldest)?;
        Some((&node.key, &node.value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let nodes = self.nodes.iter().flatten();
        nodes.map(|node| (&node.key, &node.value))
    }

    /// An entry, left in its place.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = *self.index.get(key)?;
        Some(&self.node(at)?.value)
    }

    /// An entry to change, left in its place.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        Some(&mut self.node_mut(at)?.value)
    }

    /// An entry to change, which becomes the newest as of `now`.
    pub fn touch(&mut self, key: &K, now: u64) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
        let node = self.node_mut(at)?;
        node.touched = now;
        Some(&mut node.value)
    }

    /// Puts in an entry as the newest, in the place of one with this key.
    pub fn insert(&mut self, key: K, value: V, now: u64) {
        self.remove(&key);
        let node = Node {
            key,
            value,
            touched: now,
            newer: NONE,
            older: NONE,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = Some(node);
                at
            }
            None => {
                self.nodes.push(Some(node));
                (self.nodes.len() - 1) as u32
            }
        };
        self.link(at);
        self.index.insert(key, at);
    }

    /// An entry to change, put in if it isn't there, as the newest of at most `most`; the longest
    /// left alone makes room.
    pub fn entry_or(
        &mut self,
        key: &K,
        now: u64,
        most: usize,
        fresh: impl FnOnce() -> V,
    ) -> &mut V {
        if !self.index.contains_key(key) {
            if self.len() >= most {
                self.pop_oldest();
            }
            self.insert(*key, fresh(), now);
        }
        self.touch(key, now)
            .expect("it was there, or was inserted just now")
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.index.remove(key)?;
        self.unlink(at);
        self.free.push(at);
        self.nodes[at as usize].take().map(|node| node.value)
    }

    /// Takes out the entries of such keys; which those were, in no order.
    pub fn remove_where(&mut self, gone: impl Fn(&K) -> bool) -> Vec<K> {
        let keys = self.index.keys().filter(|key| gone(key)).copied();
        let keys: Vec<K> = keys.collect();
        for key in &keys {
            self.remove(key);
        }
        keys
    }

    /// Takes out the entry that was longest left alone.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        let key = self.node(self.oldest)?.key;
        self.remove(&key).map(|value| (key, value))
    }

    /// Takes out the entry that was longest left alone, if that is since before `time`.
    pub fn pop_older_than(&mut self, time: u64) -> Option<(K, V)> {
        if self.node(self.oldest)?.touched < time {
            self.pop_oldest()
        } else {
            None
        }
    }

    fn node(&self, at: u32) -> Option<&Node<K, V>> {
        self.nodes.get(at as usize)?.as_ref()
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node<K, V>> {
        self.nodes.get_mut(at as usize)?.as_mut()
    }

    fn link(&mut self, at: u32) {
        let second = std::mem::replace(&mut self.newest, at);
        if let Some(node) = self.node_mut(at) {
            (node.newer, node.older) = (NONE, second);
        }
        match self.node_mut(second) {
            Some(node) => node.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(node) = self.node(at) else {
            return;
        };
        let (newer, older) = (node.newer, node.older);
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_left_alone_goes_first() {
        let mut map = Recent::default();
        for key in 0..4_u32 {
            map.insert(key, "", u64::from(key));
        }
        assert!(map.touch(&0, 10).is_some());
        assert_eq!(map.remove(&2), Some(""));
        assert_eq!(map.pop_older_than(1), None);
        assert_eq!(map.pop_oldest(), Some((1, "")));
        assert_eq!(map.pop_older_than(10), Some((3, "")));
        assert_eq!(map.pop_older_than(10), None);
        assert_eq!(map.pop_oldest(), Some((0, "")));
        assert_eq!(map.pop_oldest(), None);
        assert!(map.is_empty());
    }

    #[test]
    fn places_are_used_again() {
        let mut map = Recent::default();
        for round in 0..1000_u64 {
            map.insert(round, round, round);
            if map.len() > 3 {
                map.pop_oldest();
            }
        }
        assert!(map.nodes.len() <= 4);
        assert_eq!(map.get(&999), Some(&999));
        assert_eq!(map.get(&990), None);
    }

    proptest::proptest! {
        #[test]
        fn behaves_like_a_list(steps in proptest::collection::vec((0u8..4, 0u8..8), 0..200)) {
            let mut map = Recent::default();
            let mut list: Vec<u8> = Vec::new();
            for (now, (what, key)) in steps.into_iter().enumerate() {
                let known = list.contains(&key);
                list.retain(|one| *one != key || what == 3);
                match what {
                    0 => { map.insert(key, (), now as u64); list.push(key); }
                    1 => { map.touch(&key, now as u64); if known { list.push(key); } }
                    2 => { map.remove(&key); }
                    _ => {
                        let oldest = (!list.is_empty()).then(|| list.remove(0));
                        proptest::prop_assert_eq!(map.pop_oldest().map(|(key, ())| key), oldest);
                    }
                }
                proptest::prop_assert_eq!(map.len(), list.len());
            }
            while let Some((key, ())) = map.pop_oldest() {
                proptest::prop_assert_eq!(key, list.remove(0));
            }
        }
    }
}
