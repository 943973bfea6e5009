//! Skype's programs: clients, super nodes, the service's servers, and proxies on the way.
//!
//! What they say inside the encryption is a language of our own ([`message`]) under a stand-in
//! ([`cipher`]) for the proprietary one: a program learns only what arrives on the wire.
//! [`endpoint`] carries messages in datagrams, [`stream`] in TCP connections, if need be
//! [`through`] a proxy.

pub mod cipher;
pub mod client;
pub mod endpoint;
#[cfg(test)]
pub(crate) mod fake;
pub mod login;
pub mod message;
pub mod proxy_server;
pub mod servers;
pub mod serving;
pub mod stream;
pub mod super_node;
pub mod through;
