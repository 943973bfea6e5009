//! Judges the packets that the gate sends up. No I/O, and time is an argument, so that live
//! traffic, captures, tests and fuzzing decide alike.
//!
//! One engine per shard of inside hosts; nothing here is shared between shards. What counts as
//! evidence is in [`crate::detect`], what is remembered in [`crate::hosts`].

mod forget;
mod hints;
mod late;
mod listening;
mod paths;
mod roles;
mod tcp;
mod traffic;
mod udp;
pub mod view;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustc_hash::FxHashSet;
use skype_ips_common::layout::{EndpointKey, FlowKey, TCP, UDP, Verdict, kind};

use crate::detect::knowledge::Knowledge;
pub use crate::detect::{Citation, Evidence};
use crate::hosts::endpoints::{Endpoints, Host};
use crate::hosts::flows::Flows;
use crate::hosts::hints::HostHints;
use crate::hosts::late::LateFlows;
use crate::hosts::listeners::Listeners;
use crate::hosts::names::NamesSeen;
use crate::hosts::paths::Openings;
use crate::hosts::relays::Relays;
use crate::hosts::services::Services;
use crate::hosts::traffic::Traffics;
use crate::hosts::watches::Watches;
use crate::policy::{Class, Confidence, HostRule, Role};
use crate::recent::Recent;

/// Looks at the counters of what is watched are this far apart, nanoseconds: about half a second, and no
/// multiple of the time between two packets of voice, or each look would find the same packet under
/// way.
pub const TICK: u64 = 507_000_000;

/// When the tick after the one that was due at `due` is, now that it is `now`. It keeps to its own beat
/// as long as it isn't late by a whole one: drivers tick when a packet comes, and ticks that were
/// counted from there would fall into step with the packets.
pub const fn next_tick(due: u64, now: u64) -> u64 {
    if now.saturating_sub(due) < TICK {
        due + TICK
    } else {
        now.saturating_add(TICK)
    }
}

/// What the engine is told at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses under which inside hosts are seen outside (the gateway's NAT addresses).
    pub public_addresses: Vec<IpAddr>,
    /// Most flows remembered; the longest silent goes first.
    pub max_flows: usize,
    /// Most endpoints remembered; unproved and longest silent go first.
    pub max_endpoints: usize,
    /// What the detection packs say.
    pub knowledge: Arc<Knowledge>,
    /// What one host is, and how long it may be silent.
    pub hosts: HostRule,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_addresses: Vec::new(),
            max_flows: 65_536,
            max_endpoints: 65_536,
            knowledge: Arc::default(),
            hosts: HostRule::default(),
        }
    }
}

/// A packet that the gate chose.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Number by which evidence cites it: of a capture's packets their place in the file, from 1.
    pub number: u64,
    /// Nanoseconds of a clock that doesn't go backwards.
    pub now: u64,
    /// The flow.
    pub key: FlowKey,
    /// Whether the inside host sent it.
    pub outbound: bool,
    /// Whether the outside end opened the flow, as far as the gate saw that. Asked of TCP alone.
    pub called: bool,
    /// TCP sequence number of the payload's first byte; 0 for UDP.
    pub tcp_seq: u32,
    /// TCP sequence number of its stream's first byte, if the SYN was seen. Without it the first
    /// segment that comes is taken for the start.
    pub tcp_base: Option<u32>,
    /// The payload, perhaps cut off.
    pub payload: &'a [u8],
    /// The payload's length on the wire.
    pub payload_len: u32,
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

impl Finding {
    /// The finding as the gate's tables hold it, of a flow that is a session by itself.
    pub const fn verdict(self) -> Verdict {
        self.verdict_in(0)
    }

    /// The same for a leg of the session of that number.
    pub const fn verdict_in(self, session: u32) -> Verdict {
        Verdict {
            kind: kind::SKYPE,
            class: self.class.number(),
            role: self.role.number(),
            confidence: self.confidence.number(),
            more: 0,
            more_request: 0,
            reserved: 0,
            session,
            reserved2: 0,
        }
    }
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
        /// Number of the session that a flow is a leg of; 0 where it is one by itself.
        session: u32,
        /// Why.
        evidence: Vec<Evidence>,
    },
    /// Skype listens on a TCP port of an inside host: what is called there is its.
    Listening {
        /// When, on the engine's clock.
        at: u64,
        /// The port, of TCP.
        endpoint: EndpointKey,
        /// What calls there are.
        finding: Finding,
        /// Why.
        evidence: Vec<Evidence>,
    },
    /// A TCP port on which Skype listened may be somebody else's now.
    NotListening(EndpointKey),
    /// A flow is Skype's or Teams', and nothing tells which. It is looked at further.
    Ambiguous {
        /// When, on the engine's clock.
        at: u64,
        /// The flow.
        flow: FlowKey,
        /// Why.
        evidence: Vec<Evidence>,
    },
    /// A flow that was ambiguous is not Skype's.
    Cleared(FlowKey),
    /// What was known of a flow is not known any more: it is looked at anew.
    Unknown(FlowKey),
    /// An endpoint has been silent for so long that it may be somebody else's now.
    Forgotten(EndpointKey),
    /// Nothing of these hosts is known any more: what is written of their flows is void.
    HostsForgotten(FxHashSet<Host>),
}

impl Event {
    /// A flow is Skype, or known for more than before; `session` is the number of that it is a leg of, or 0.
    const fn found(
        at: u64,
        flow: FlowKey,
        finding: Finding,
        session: u32,
        evidence: Vec<Evidence>,
    ) -> Self {
        Self::Found {
            at,
            subject: Subject::Flow(flow),
            flow,
            finding,
            session,
            evidence,
        }
    }
}

/// What to do with the packet just judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What its flow is known to be by now, if anything.
    pub finding: Option<Finding>,
    /// Whether it is Skype's or Teams' and nothing tells which; then there is no finding.
    pub ambiguous: bool,
    /// Payload packets of this flow wanted next, whatever the pre-filter says; at most 16.
    pub more: u8,
}

/// Judges the packets of one shard.
#[derive(Debug)]
pub struct Engine {
    /// The IPv4 ones: what acknowledgements can name.
    public_addresses: Vec<Ipv4Addr>,
    /// Likewise those of the gateway's interfaces.
    own_addresses: Vec<Ipv4Addr>,
    endpoints: Endpoints<Finding>,
    flows: Flows<Finding>,
    traffic: Traffics,
    openings: Openings,
    hints: HostHints,
    late: LateFlows<Finding>,
    names: NamesSeen,
    watches: Watches,
    relays: Relays<Finding>,
    services: Services,
    listeners: Listeners,
    /// Hosts that have sent something of Skype, if silence is to end what is known of them.
    sending: Recent<Host, ()>,
    most_hosts: usize,
    rule: HostRule,
    knowledge: Arc<Knowledge>,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let mut endpoints = Endpoints::new(settings.max_endpoints);
        endpoints.set_rule(settings.hosts);
        Self {
            public_addresses: ipv4(settings.public_addresses),
            own_addresses: Vec::new(),
            endpoints,
            flows: Flows::new(settings.max_flows),
            traffic: Traffics::new(settings.max_flows / 4),
            openings: Openings::default(),
            hints: HostHints::new(settings.max_endpoints / 8),
            late: LateFlows::new(settings.max_flows),
            names: NamesSeen::new(settings.max_endpoints),
            watches: Watches::default(),
            relays: Relays::default(),
            services: Services::default(),
            listeners: Listeners::default(),
            sending: Recent::default(),
            most_hosts: settings.max_endpoints.max(1),
            rule: settings.hosts,
            knowledge: settings.knowledge,
        }
    }

    /// Takes in a packet and says what its flow is known to be; what is new goes to `events`.
    pub fn packet(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) -> Answer {
        let answer = match packet.key.protocol {
            UDP => self.udp(packet, events),
            TCP => self.tcp(packet, events),
            _ => Answer::default(),
        };
        if answer.finding.is_some() {
            self.watches.came_up(&packet.key, packet.now, packet.number);
            self.is_heard(packet);
        }
        answer
    }

    /// Tells it the gateway's own addresses outside, under which inside hosts may be seen.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.own_addresses = ipv4(addresses);
    }

    /// Says what hosts do for others by now, and forgets what was silent for too long. To be called
    /// each [`TICK`], after [`Engine::counters`].
    pub fn tick(&mut self, now: u64, events: &mut Vec<Event>) {
        self.look_around(now, events);
        self.forget_silent(now, events);
        let life = self.endpoint_life();
        while let Some(endpoint) = self.endpoints.expire(now, life) {
            self.services.forget(&endpoint);
            listening::forgotten(endpoint, events);
        }
        self.flows.expire(now);
        self.traffic.expire(now);
        self.openings.expire(now);
        let longest = self.longest_life();
        self.hints.expire(now, longest);
        self.late.expire(now);
        self.names.expire(now, longest);
    }

    /// The flow of a packet is Skype, if the evidence suffices: remembers it where flows of its
    /// protocol are looked up.
    fn is_skype(
        &mut self,
        packet: &Packet<'_>,
        class: Class,
        evidence: Vec<Evidence>,
        events: &mut Vec<Event>,
    ) -> Answer {
        let role = self.role_of(&packet.key);
        let finding = client(class, &evidence).map(|finding| Finding { role, ..finding });
        if let Some(finding) = finding {
            match packet.key.protocol {
                TCP => self.flows.found(&packet.key, finding, packet.now),
                _ => self.late.found(&packet.key, finding, packet.now),
            }
            events.push(Event::found(packet.now, packet.key, finding, 0, evidence));
        }
        Answer {
            finding,
            ..Answer::default()
        }
    }

    /// What a flow is known to be by its UDP endpoint, else by itself.
    pub fn finding(&self, key: &FlowKey) -> Option<Finding> {
        if let Some(leg) = self.relays.get(key) {
            return Some(leg.finding);
        }
        match key.protocol {
            UDP => {
                let known = self.endpoints.finding(&key.endpoint());
                match known.or_else(|| self.late.finding(key)) {
                    Some(finding) => {
                        let class = traffic::class(self.traffic.carries(key), finding.class);
                        let role = traffic::role(finding.role, class);
                        Some(Finding {
                            class,
                            role,
                            ..finding
                        })
                    }
                    None => self.traffic.is_call(key).then_some(traffic::SKYPEOUT),
                }
            }
            _ => self.flows.finding(key),
        }
    }
}

/// The UDP endpoint on the inside port of a flow: one number serves both protocols.
fn datagrams_of(key: &FlowKey) -> EndpointKey {
    EndpointKey {
        protocol: UDP,
        ..key.endpoint()
    }
}

/// The IPv4 ones.
fn ipv4(addresses: Vec<IpAddr>) -> Vec<Ipv4Addr> {
    let addresses = addresses.into_iter();
    addresses
        .filter_map(|address| match address.to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .collect()
}

/// What evidence of so many bits makes of an inside host that runs a client.
fn client(class: Class, evidence: &[Evidence]) -> Option<Finding> {
    let (support, own): (Vec<_>, Vec<_>) = evidence
        .iter()
        .partition(|one| hints::SUPPORT.contains(&one.name));
    let bits = |some: &[&Evidence]| some.iter().map(|one| one.bits).sum::<u32>();
    let (support, own) = (bits(&support), bits(&own));
    let confidence = Confidence::from_bits(own + support)?;
    let sure = Confidence::from_bits(own) == Some(Confidence::Exact);
    Some(Finding {
        class,
        role: Role::Client,
        // What only habits lift above a threshold isn't as sure as arithmetic.
        confidence: if sure {
            confidence
        } else {
            confidence.min(Confidence::Strong)
        },
    })
}
