//! Whose a host name is: Skype's, that of Microsoft Teams, or one that both use.

use rustc_hash::FxHashMap;

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Only Skype asks for it.
    Skype,
    /// Only Teams asks for it.
    Teams,
    /// Both do, so it says nothing.
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
    use super::*;

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
    fn only_host_names_are_names() {
        assert_eq!(normal("Apps.Skype.COM."), Some("apps.skype.com".into()));
        for wrong in ["", ".", "a..b", "a b", "skype.com/", &"a".repeat(64)] {
            assert_eq!(normal(wrong), None, "{wrong:?}");
        }
        assert_eq!(normal(&vec!["a".repeat(60); 5].join(".")), None);
    }
}
