//! What the engine knows, for those who ask.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::policy::{Class, Confidence, Role};

/// What is known of an inside host. Times are nanoseconds of the engine's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// Its zone.
    pub zone: u16,
    /// Its address.
    pub host: IpAddr,
    /// What it is to others; a client where it is nothing else.
    pub roles: Vec<RoleView>,
    /// Its UDP endpoints that are known to be Skype's.
    pub endpoints: Vec<EndpointView>,
    /// TCP ports on which Skype listens.
    pub listening: Vec<ListeningView>,
    /// Flows of Skype that were seen lately, by role and class.
    pub flows: Vec<FlowsView>,
    /// Bytes of those flows as IP packets: sent, received.
    pub bytes: [u64; 2],
}

/// A role of a host, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleView {
    /// The role.
    pub role: Role,
    /// Since when.
    pub since: u64,
    /// Why, in words.
    pub evidence: Vec<EvidenceView>,
}

/// A piece of evidence in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceView {
    /// Its name in the catalogue.
    pub name: &'static str,
    /// What it rests on.
    pub says: Vec<String>,
}

/// A UDP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointView {
    /// Its port.
    pub port: u16,
    /// What it was found to be.
    pub role: Role,
    /// How sure that is.
    pub confidence: Confidence,
    /// When it passed a test last.
    pub seen: u64,
}

/// A TCP port on which Skype listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListeningView {
    /// The port.
    pub port: u16,
    /// Since when.
    pub since: u64,
}

/// How many flows of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowsView {
    /// What the host is in them.
    pub role: Role,
    /// What they carry.
    pub class: Class,
    /// How many.
    pub count: usize,
}

/// What is known of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowView {
    /// Its zone.
    pub zone: u16,
    /// `TCP` or `UDP`.
    pub proto: &'static str,
    /// Its inside end.
    pub inside: SocketAddr,
    /// Its outside end.
    pub outside: SocketAddr,
    /// What it carries.
    pub class: Class,
    /// What the inside host is in it.
    pub role: Role,
    /// How sure it is that it is Skype.
    pub confidence: Confidence,
    /// Number of its session, 0 where it is one by itself.
    pub session: u32,
    /// Whether the outside end opened it.
    pub called: bool,
    /// Packets sent and received, as the gate counted them last.
    pub packets: [u64; 2],
    /// Bytes of IP packets sent and received, likewise.
    pub bytes: [u64; 2],
    /// When it was first watched.
    pub since: u64,
    /// When its last packet came.
    pub seen: u64,
}
