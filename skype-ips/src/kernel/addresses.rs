//! This machine's own addresses.

use std::net::IpAddr;

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Whether it is for this machine alone.
    pub loopback: bool,
}

/// All of them; none, with a word in the log, if the kernel doesn't say.
pub fn read() -> Vec<Own> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces
            .into_iter()
            .map(|interface| Own {
                address: interface.addr.ip(),
                loopback: interface.is_loopback(),
                interface: interface.name,
            })
            .collect(),
        Err(error) => {
            tracing::error!("cannot read this machine's addresses: {error}");
            Vec::new()
        }
    }
}
