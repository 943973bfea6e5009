//! Hosts that are let alone for a while, at the administrator's word. They hold through a reload, and
//! end by themselves.

use ipnet::IpNet;

/// Most of them at once: a mistake of a script shall not fill the policy table.
pub(super) const MOST: usize = 1024;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exemption {
    pub(super) net: IpNet,
    /// When it ends, nanoseconds since the Unix epoch.
    pub(super) until: u64,
    pub(super) reason: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Exemptions {
    list: Vec<Exemption>,
}

impl Exemptions {
    /// Adds one, or gives the one of the same hosts a new end; false if there are too many.
    pub(super) fn add(&mut self, exemption: Exemption) -> bool {
        self.remove(exemption.net);
        let room = self.list.len() < MOST;
        if room {
            self.list.push(exemption);
        }
        room
    }

    /// Ends one; `None` if there is none of exactly these hosts.
    pub(super) fn remove(&mut self, net: IpNet) -> Option<Exemption> {
        let place = self.list.iter().position(|one| one.net == net)?;
        Some(self.list.remove(place))
    }

    /// Takes out those that have ended.
    pub(super) fn ended(&mut self, now: u64) -> Vec<Exemption> {
        self.list.extract_if(.., |one| one.until <= now).collect()
    }

    pub(super) fn nets(&self) -> Vec<IpNet> {
        self.list.iter().map(|one| one.net).collect()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Exemption> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemption(net: &str, until: u64) -> Exemption {
        Exemption {
            net: net.parse().expect("a prefix"),
            until,
            reason: None,
        }
    }

    #[test]
    fn an_exemption_ends_at_its_time_and_a_second_one_of_the_same_hosts_moves_it() {
        let mut exemptions = Exemptions::default();
        assert!(exemptions.add(exemption("10.0.0.1/32", 5)));
        assert!(exemptions.add(exemption("10.0.0.2/32", 5)));
        assert!(exemptions.add(exemption("10.0.0.1/32", 9)));
        assert_eq!(exemptions.ended(4), []);
        assert_eq!(exemptions.ended(5), [exemption("10.0.0.2/32", 5)]);
        assert_eq!(exemptions.nets(), [exemption("10.0.0.1/32", 9).net]);
    }

    #[test]
    fn there_are_never_more_than_the_most() {
        let mut exemptions = Exemptions::default();
        for number in 0..MOST as u32 {
            let host = std::net::Ipv4Addr::from_bits(number);
            assert!(exemptions.add(exemption(&format!("{host}/32"), 1)));
        }
        assert!(!exemptions.add(exemption("10.0.0.1/32", 1)));
        assert!(exemptions.add(exemption("0.0.0.1/32", 2)), "it is there");
    }
}
