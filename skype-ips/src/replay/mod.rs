//! The replay driver: gate, engine and policy over captures, without privileges. The capture's
//! time is the clock, and the same input gives the same output.

mod annotate;
mod conversations;
mod driver;
mod expect;
pub mod explain;
mod passage;
mod proof;
mod report;
mod select;
pub mod simulated;
mod tunnels;

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use annotate::Annotator;
pub use conversations::{
    Conversation, Conversations, Detection, Done, Doubt, TO_CLIENT, TO_SERVER,
};
pub use driver::{Driver, Judged, Step, Within};
pub use expect::{Expectations, LabelError, Mismatch, Score};
pub use passage::Passage;
pub use proof::Proof;
pub use report::Report;
pub use select::{Query, QueryError};

/// Networks whose hosts are inside where nothing else is said (RFC 1918, RFC 4193).
pub fn private_networks() -> Vec<IpNet> {
    vec![
        Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7).into(),
    ]
}
