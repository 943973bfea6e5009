//! What one host is, and when what was learned of it ends.

use std::time::Duration;

use ipnet::IpNet;
use skype_ips_common::layout::{Address, host_of, policy_flag};

use super::model::{MAPPED, from_mapped, mapped_prefix};

/// Bits of an IPv6 address.
pub(super) const HOST_BITS: u8 = 128;
/// Bits of the network that every link of IPv6 has (RFC 4291, section 2.5.1).
pub(super) const NETWORK_BITS: u8 = 64;

/// The file-level keys `host-prefix-v6` and `host-timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRule {
    /// Leading bits of an IPv6 address that say which host it is of: 128, or 64.
    pub prefix_v6: u8,
    /// How long a host may show nothing of Skype before all that was learned of it is forgotten; if not
    /// said, everything has an age of its own.
    pub timeout: Option<Duration>,
}

impl Default for HostRule {
    fn default() -> Self {
        Self {
            prefix_v6: HOST_BITS,
            timeout: None,
        }
    }
}

impl HostRule {
    /// The address under which the host of an address is known.
    pub fn of(&self, address: &Address) -> Address {
        if self.prefix_v6 == NETWORK_BITS && from_mapped(address).is_ipv6() {
            host_of(address, policy_flag::NETWORKS)
        } else {
            *address
        }
    }

    /// What the policy table says of it with a prefix: [`policy_flag`]s.
    pub(super) fn flags(&self, net: &IpNet) -> u16 {
        if self.prefix_v6 == NETWORK_BITS && !MAPPED.contains(&mapped_prefix(*net)) {
            policy_flag::NETWORKS
        } else {
            0
        }
    }

    /// The network that is one host, if this address is of one.
    pub fn network(&self, address: &Address) -> Option<IpNet> {
        let host = from_mapped(&self.of(address));
        let of_many = self.prefix_v6 == NETWORK_BITS && host.is_ipv6();
        of_many.then(|| IpNet::new(host, self.prefix_v6).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::to_mapped;

    #[test]
    fn of_ipv6_alone_a_network_can_be_one_host() {
        let network = HostRule {
            prefix_v6: NETWORK_BITS,
            ..HostRule::default()
        };
        let mapped = |text: &str| to_mapped(text.parse().expect("an address"));
        for (address, host, shown) in [
            (
                "2001:db8:1:2:3:4:5:6",
                "2001:db8:1:2::",
                Some("2001:db8:1:2::/64"),
            ),
            ("::1:2:3:4:5", "0:0:0:1::", Some("0:0:0:1::/64")),
            ("10.1.2.3", "10.1.2.3", None),
        ] {
            assert_eq!(network.of(&mapped(address)), mapped(host), "{address}");
            let told = network.network(&mapped(address)).map(|net| net.to_string());
            assert_eq!(told.as_deref(), shown, "{address}");
            assert_eq!(HostRule::default().of(&mapped(address)), mapped(address));
            assert_eq!(HostRule::default().network(&mapped(address)), None);
        }
    }
}
