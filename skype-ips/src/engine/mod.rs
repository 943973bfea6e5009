//! Judges the packets that the gate sends up. No I/O, and time is an argument, so that live
//! traffic, captures, tests and fuzzing decide alike.
//!
//! One engine per shard of inside hosts; nothing here is shared between shards.

use std::net::IpAddr;

use skype_ips_common::layout::{EndpointKey, FlowKey};

use crate::policy::{Class, Confidence, Role};

/// What the engine is told at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses under which inside hosts are seen outside (the gateway's NAT addresses).
    pub public_addresses: Vec<IpAddr>,
    /// Most flows remembered; the longest silent goes first.
    pub max_flows: usize,
    /// Most endpoints remembered; unproved and longest silent go first.
    pub max_endpoints: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_addresses: Vec::new(),
            max_flows: 65_536,
            max_endpoints: 65_536,
        }
    }
}

/// A packet that the gate chose.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Nanoseconds of a clock that doesn't go backwards.
    pub now: u64,
    /// The flow.
    pub key: FlowKey,
    /// Whether the inside host sent it.
    pub outbound: bool,
    /// TCP sequence number of the payload's first byte; 0 for UDP.
    pub tcp_seq: u32,
    /// The payload, perhaps cut off.
    pub payload: &'a [u8],
    /// The payload's length on the wire.
    pub payload_len: u32,
}

/// A named piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its name in reports, such as `udp-generator`.
    pub name: &'static str,
    /// Odds of chance: one in 2^bits.
    pub bits: u32,
}

/// What a flow or an endpoint was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind of traffic.
    pub class: Class,
    /// What the inside host is.
    pub role: Role,
    /// How sure.
    pub confidence: Confidence,
}

/// What a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One flow.
    Flow(FlowKey),
    /// All UDP flows of an inside endpoint, past and to come.
    Endpoint(EndpointKey),
}

/// Something that the engine found out.
#[derive(Clone, Debug)]
pub enum Event {
    /// A flow or endpoint is Skype.
    Found {
        /// When, on the engine's clock.
        at: u64,
        /// What it is about.
        subject: Subject,
        /// The flow whose packet completed the evidence.
        flow: FlowKey,
        /// What it was found to be.
        finding: Finding,
        /// Why.
        evidence: Vec<Evidence>,
    },
    /// An endpoint has been silent for so long that it may be somebody else's now.
    Forgotten(EndpointKey),
}

/// What to do with the packet just judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What its flow is known to be by now, if anything.
    pub finding: Option<Finding>,
    /// Payload packets of this flow wanted next, whatever the pre-filter says; at most 16.
    pub more: u8,
}
