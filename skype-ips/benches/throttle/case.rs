//! What is measured: who sends how, under which budget.

use std::net::Ipv4Addr;

use skype_ips::policy::Budget;

/// How a case's hosts send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Datagrams from an endpoint that has spoken Skype, half as much again as the budget (or the
    /// host's share of it).
    Udp,
    /// A connection that opens as Skype's do and then sends what the kernel lets it.
    Tcp,
}

/// Hosts under one budget.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its number, which its addresses and ports follow from.
    pub(crate) number: u8,
    /// Its name, which its policy and its budget have too.
    pub(crate) name: String,
    /// How its hosts send.
    pub(crate) transport: Transport,
    /// Bytes a second.
    pub(crate) rate: u64,
    /// How many hosts share it.
    pub(crate) hosts: u8,
}

impl Case {
    /// So many hosts that share a rate, bytes a second.
    pub(crate) fn new(number: u8, transport: Transport, rate: u64, hosts: u8) -> Self {
        let word = match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        let name = match hosts {
            1 => format!("{word}-{}", rate_word(rate)),
            _ => format!("{word}-{hosts}-hosts-{}", rate_word(rate)),
        };
        Self {
            number,
            name,
            transport,
            rate,
            hosts,
        }
    }

    /// Bytes that may pass at once, as a budget has them that names no burst.
    pub(crate) const fn burst(&self) -> u64 {
        Budget::usual_burst(self.rate * 8)
    }

    /// One of its hosts, from 0.
    pub(crate) const fn host(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 10 + self.number, 0, host + 1)
    }

    /// The network of its hosts.
    pub(crate) fn subnet(&self) -> String {
        format!("10.{}.0.0/16", 10 + self.number)
    }

    /// Which case and which of its hosts an address is.
    pub(crate) fn of(address: Ipv4Addr) -> Option<(u8, u8)> {
        match address.octets() {
            [10, case, 0, host] => Some((case.checked_sub(10)?, host.checked_sub(1)?)),
            _ => None,
        }
    }

    /// The outside port that its hosts send to.
    pub(crate) const fn port(&self) -> u16 {
        9000 + self.number as u16
    }

    /// Bytes of its datagrams with their IP header.
    pub(crate) const fn packet(&self) -> usize {
        if self.rate > 100_000 { 1400 } else { 500 }
    }
}

fn rate_word(rate: u64) -> String {
    match rate {
        1_000_000.. => format!("{}-mb-s", rate / 1_000_000),
        _ => format!("{}-kb-s", rate / 1000),
    }
}
