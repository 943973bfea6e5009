//! Whose a host name is: Skype's, that of Microsoft Teams, or one that both use.

use rustc_hash::FxHashMap;
use skype_ips_common::prefilter::dns_tail;

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Only Skype asks for it.
    Skype,
    /// Only Teams asks for it.
    Teams,
    /// Those two do, and nobody else: what the same host asked for otherwise may tell.
    Either,
    /// Others do as well, so it says nothing.
    Shared,
}

/// Domains and whose they are. A name belongs to the longest domain that it ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    domains: FxHashMap<String, Owner>,
}

impl Names {
    /// Adds a domain in lower case without dots at its ends; the last word on one holds.
    pub fn add(&mut self, domain: &str, owner: Owner) {
        self.domains.insert(domain.to_owned(), owner);
    }

    /// Adds all domains of `other`; its word holds.
    pub fn extend(&mut self, other: Self) {
        self.domains.extend(other.domains);
    }

    /// The ends of Skype's and Teams' own names in questions of DNS, as the gate looks for them.
    pub fn dns_tails(&self) -> [u64; 2] {
        let mut tails = [0; 2];
        let own = self
            .domains
            .iter()
            .filter(|(_, owner)| matches!(owner, Owner::Skype | Owner::Teams));
        for (domain, _) in own {
            let labels = domain.split('.');
            let wire: Vec<u8> = labels
                .flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat())
                .collect();
            let Some(tail) = wire.last_chunk::<8>() else {
                // Too short to tell by: every question is worth a look.
                return [u64::MAX; 2];
            };
            let tail = u64::from_be_bytes(*tail);
            let bits = dns_tail((tail >> 32) as u32, tail as u32);
            for (tails, bit) in tails.iter_mut().zip(bits) {
                *tails |= 1 << bit;
            }
        }
        tails
    }

    /// The longest domain that `name` (in lower case) is or lies in, and whose it is. A leading
    /// `*.` of a certificate's name stands for any name in the domain.
    pub fn owner(&self, name: &str) -> Option<(&str, Owner)> {
        let mut rest = name.strip_prefix("*.").unwrap_or(name);
        loop {
            if let Some((domain, owner)) = self.domains.get_key_value(rest) {
                return Some((domain, *owner));
            }
            rest = rest.split_once('.')?.1;
        }
    }
}

/// A DNS name in the form that [`Names`] compares: lower case, no dot at the end. `None` if it is
/// longer than 253 bytes (RFC 1035, section 2.3.4), has an empty label or one over 63 bytes,
/// or other characters than letters, digits, `-` and `_`.
pub fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (name.len() <= 253 && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use skype_ips_common::parse::Slice;
    use skype_ips_common::prefilter;

    use super::*;
    use crate::simulator::speech::dns;

    #[test]
    fn the_longest_domain_decides_at_label_boundaries() {
        let mut names = Names::default();
        names.add("skype.com", Owner::Skype);
        names.add("asm.skype.com", Owner::Shared);
        let owner = |name| names.owner(name).map(|(_, owner)| owner);
        assert_eq!(owner("skype.com"), Some(Owner::Skype));
        assert_eq!(owner("apps.skype.com"), Some(Owner::Skype));
        assert_eq!(owner("*.skype.com"), Some(Owner::Skype));
        assert_eq!(owner("eu-api.asm.skype.com"), Some(Owner::Shared));
        assert_eq!(owner("notskype.com"), None);
        assert_eq!(owner("skype.com.example.org"), None);
        assert_eq!(owner("com"), None);
    }

    #[test]
    fn the_gate_sends_up_questions_for_known_names_and_few_others() {
        let mut names = Names::default();
        for (domain, owner) in [
            ("skype.com", Owner::Skype),
            ("lync.com", Owner::Skype),
            ("teams.live.com", Owner::Teams),
            ("trouter.io", Owner::Shared),
        ] {
            names.add(domain, owner);
        }
        let sent_up = |name: &str, options: &[u8], names: &Names| {
            let mut question = dns::query(0x0102, name);
            question[11] = u8::from(!options.is_empty());
            question.extend(options);
            let len = question.len() as u32;
            let slice = Slice::new(&question);
            let all = prefilter::udp(&slice, 0, len, 53, &names.dns_tails());
            // On another port it is no question.
            assert_eq!(prefilter::udp(&slice, 0, len, 54, &names.dns_tails()), 0);
            all == prefilter::UDP_DNS
        };
        let plain = [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0];
        let cookie = [&plain[..10], &[12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        for name in [
            "skype.com",
            "A.CONFIG.sKyPe.CoM",
            "lync.com",
            "x.teams.live.com",
        ] {
            for options in [&[][..], &plain, &cookie] {
                assert!(sent_up(name, options, &names), "{name} {options:?}");
            }
        }
        let others =
            (0..1000).filter(|at| sent_up(&format!("host{at}.example{at}.com"), &[], &names));
        assert!(others.count() < 30);
        // What stands behind the usual options is not waited for.
        assert!(sent_up("www.example.org", &cookie, &names));
        names.add("sky.pe", Owner::Skype);
        assert!(sent_up("www.example.org", &plain, &names));
    }

    #[test]
    fn only_host_names_are_names() {
        assert_eq!(normal("Apps.Skype.COM."), Some("apps.skype.com".into()));
        for wrong in ["", ".", "a..b", "a b", "skype.com/", &"a".repeat(64)] {
            assert_eq!(normal(wrong), None, "{wrong:?}");
        }
        assert_eq!(normal(&vec!["a".repeat(60); 5].join(".")), None);
    }
}
