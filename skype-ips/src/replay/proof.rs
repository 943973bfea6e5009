//! What was proved, and what that leans on.

use std::net::SocketAddr;

use crate::detect::login::CLIENT_BLANK;
use crate::detect::path::MediaPath;
use crate::engine::{Evidence, Finding};
use crate::telemetry::passage::ProvedEndpoint;

/// What was proved of a flow or an endpoint, and by what.
#[derive(Clone, Debug)]
pub struct Proof {
    /// When, nanoseconds of the driver's clock.
    pub at: u64,
    /// The packet of the capture that completed the evidence, from 1.
    pub frame: u64,
    /// The conversation that it belongs to.
    pub conversation: Option<usize>,
    /// The inside end that it is about.
    pub inside: SocketAddr,
    /// Class, role and confidence.
    pub finding: Finding,
    /// How the flow's media came about, if it has any and that is known by then.
    pub path: Option<MediaPath>,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// The endpoint, if it holds for all of one's UDP.
    pub endpoint: Option<ProvedEndpoint>,
}

/// What has to be known before evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaning {
    /// That the host's datagrams are Skype's.
    OnDatagrams,
    /// That another connection of the same two hosts is.
    OnConnection,
}

impl Proof {
    /// The names of its evidence, after `endpoint` where it was known of the endpoint.
    pub(super) fn names(&self, known: bool) -> Vec<&'static str> {
        let own = self.evidence.iter().map(|evidence| evidence.name);
        known.then_some("endpoint").into_iter().chain(own).collect()
    }

    /// What else has to be known, if anything.
    pub(super) fn leaning(&self) -> Option<Leaning> {
        let is_blank = |evidence: &Evidence| {
            let len: u32 = evidence.cited.iter().map(|cited| cited.len).sum();
            len as usize == CLIENT_BLANK.len()
        };
        let named = |name: &str| self.evidence.iter().any(|one| one.name == name);
        // What a flow carries is told in addition; a call to the telephone network alone isn't.
        let call = named("skypeout") && !named("media-statistics");
        if named("tcp-udp-generator") || named("known-host") || call {
            return Some(Leaning::OnDatagrams);
        }
        let blank = |one: &Evidence| one.name == "login-handshake" && is_blank(one);
        self.evidence
            .iter()
            .any(blank)
            .then_some(Leaning::OnConnection)
    }
}
