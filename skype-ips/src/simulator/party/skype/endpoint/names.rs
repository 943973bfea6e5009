use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Peers of which it is kept that they see another address than the rest of the world.
const MOST: usize = 256;

/// What others say a program's own address is.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    public: Option<Ipv4Addr>,
    /// Peers that see another one: those on this side of a translator.
    otherwise: BTreeMap<Ipv4Addr, Ipv4Addr>,
}

impl Names {
    pub(super) fn new(public: Option<Ipv4Addr>) -> Self {
        Self {
            public,
            ..Self::default()
        }
    }

    pub(super) fn public(&self) -> Option<Ipv4Addr> {
        self.public
    }

    /// As `peer` sees it; unspecified while nobody has told.
    pub(super) fn seen_by(&self, peer: Ipv4Addr) -> Ipv4Addr {
        let public = || self.public.unwrap_or(Ipv4Addr::UNSPECIFIED);
        self.otherwise.get(&peer).copied().unwrap_or_else(public)
    }

    /// `peer` sees `address`: whether that is what the world sees from now on. A private address
    /// doesn't take the place of a public one.
    pub(super) fn learn(&mut self, peer: Ipv4Addr, address: Ipv4Addr) -> bool {
        let better = self
            .public
            .is_none_or(|known| known.is_private() || !address.is_private());
        if self.public == Some(address) {
            self.otherwise.remove(&peer);
        } else if better {
            self.public = Some(address);
            self.otherwise.remove(&peer);
            return true;
        } else if self.otherwise.len() < MOST {
            self.otherwise.insert(peer, address);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_does_not_change_what_the_world_sees() {
        let [far, near] = [Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(192, 168, 0, 3)];
        let [public, private] = [
            Ipv4Addr::new(198, 51, 100, 2),
            Ipv4Addr::new(192, 168, 0, 2),
        ];
        let mut names = Names::default();
        assert_eq!(names.seen_by(far), Ipv4Addr::UNSPECIFIED);
        assert!(names.learn(near, private) && names.learn(far, public));
        assert!(!names.learn(far, public) && !names.learn(near, private));
        assert_eq!(names.seen_by(near), private);
        assert_eq!(names.seen_by(far), public);
        assert_eq!(names.public(), Some(public));
    }
}
