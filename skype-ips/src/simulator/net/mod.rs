//! A network of hosts on simulated or real time: links, translators (NAT), TCP, and the programs
//! that run on the hosts.
//!
//! The [`World`] is told the time and says when it wants to be told next. What crosses the gateway
//! leaves it at [`World::take_crossing`] and comes back at [`World::arrived`]: in between is the
//! driver's gateway, real or simulated. Everything else, the Internet beyond and the links of all
//! hosts, is the world's.

mod account;
mod host;
mod ledger;
mod link;
mod nat;
mod packet;
pub mod program;
mod spec;
mod tcp;
#[cfg(test)]
mod tests;
mod world;

pub use account::{Accounts, Count, Crossed, Rates};
pub use ledger::{Conversation, Ledger, Passage};
pub use link::LinkSpec;
pub(crate) use nat::Nat;
pub use nat::NatKind;
pub(crate) use packet::hop;
pub use packet::{Header, MAX_PAYLOAD, MTU, Protocol};
pub use spec::{
    Blocked, Crossing, HostId, HostSpec, NetworkId, NetworkSpec, ProgramId, Side, WorldSpec,
};
pub use world::World;
