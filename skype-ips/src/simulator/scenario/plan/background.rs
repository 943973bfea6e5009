//! Everyday traffic, its servers, and what must not be taken for a relay.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::super::model::Scenario;
use super::super::vocabulary::{Application, Kind};
use super::skype::resolver;
use super::{HostPlan, Program, ProgramPlan};
use crate::simulator::party::background::{self, Site};

/// The name of the version check's server.
const VERSION_CHECK: &str = "ui.skype.com";

/// A client of everyday traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Background {
    /// What it does.
    pub kind: background::Kind,
    /// Where.
    pub sites: Vec<Site>,
    /// Whom it asks for their names.
    pub resolver: Option<SocketAddrV4>,
}

/// What must not be taken for a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// Which.
    pub which: background::LookAlike,
    /// Whom it goes on to.
    pub peers: Vec<Site>,
}

/// Adds them, and the resolvers of all names.
pub(super) fn add(scenario: &Scenario, hosts: &mut [HostPlan]) {
    let mut adder = Adder {
        scenario,
        internet: numbers(scenario, Kind::InternetHost),
        hosts,
        served: Vec::new(),
    };
    for number in 0..scenario.parties.len() {
        adder.runs(number);
        adder.serves(number);
        adder.look_alike(number);
    }
    adder.servers();
    let names = names(scenario);
    for number in numbers(scenario, Kind::Resolver) {
        let program = Program::Resolver(names.clone());
        hosts[number].programs.push(ProgramPlan {
            party: number,
            program,
        });
    }
}

fn numbers(scenario: &Scenario, kind: Kind) -> Vec<usize> {
    let parties = scenario.parties.iter().enumerate();
    let wanted = parties.filter(|(_, party)| party.kind == kind);
    wanted.map(|(number, _)| number).collect()
}

/// The name of a party in the names' own world (RFC 2606).
fn name(scenario: &Scenario, party: usize) -> String {
    format!("{}.example.net", scenario.parties[party].name)
}

fn names(scenario: &Scenario) -> Vec<(String, Ipv4Addr)> {
    let parties = scenario.parties.iter().enumerate();
    let named = parties.filter_map(|(number, party)| match party.kind {
        Kind::WebServer => Some((VERSION_CHECK.to_owned(), party.address)),
        kind if kind == Kind::InternetHost || kind.is_look_alike() || !party.serves.is_empty() => {
            Some((name(scenario, number), party.address))
        }
        _ => None,
    });
    named.collect()
}

struct Adder<'a> {
    scenario: &'a Scenario,
    /// The hosts of the internet.
    internet: Vec<usize>,
    hosts: &'a mut [HostPlan],
    /// What these have to answer.
    served: Vec<background::Kind>,
}

impl Adder<'_> {
    fn site(&self, party: usize, kind: background::Kind) -> Site {
        Site {
            name: name(self.scenario, party),
            address: SocketAddrV4::new(self.scenario.parties[party].address, kind.port()),
        }
    }

    fn sites(&self, parties: &[usize], kind: background::Kind) -> Vec<Site> {
        parties
            .iter()
            .map(|party| self.site(*party, kind))
            .collect()
    }

    fn serve(&mut self, kind: background::Kind) {
        if !self.served.contains(&kind) {
            self.served.push(kind);
        }
    }

    fn push(&mut self, host: usize, party: usize, program: Program) {
        self.hosts[host]
            .programs
            .push(ProgramPlan { party, program });
    }

    /// A client program on `host` that is `party`'s doing.
    fn client(&mut self, host: usize, party: usize, kind: background::Kind, sites: Vec<Site>) {
        let program = Program::Background(Background {
            kind,
            sites,
            resolver: resolver(self.scenario),
        });
        self.push(host, party, program);
    }

    /// What a party runs.
    fn runs(&mut self, party: usize) {
        for application in &self.scenario.parties[party].runs {
            let kind = background::Kind::from(*application);
            let internet = self.internet.clone();
            let sites = match (application, &internet[..], resolver(self.scenario)) {
                (Application::Dns, _, Some(address)) => vec![Site {
                    name: "resolver".into(),
                    address,
                }],
                (Application::Turn, [server, peers @ ..], _) => {
                    self.serve(background::Kind::WebRtc);
                    self.serve(kind);
                    let server = self.site(*server, kind);
                    let peers = self.sites(peers, background::Kind::WebRtc);
                    std::iter::once(server).chain(peers).collect()
                }
                (_, internet, _) => {
                    self.serve(kind);
                    self.sites(internet, kind)
                }
            };
            self.client(party, party, kind, sites);
        }
    }

    /// The servers of a party's own, and those who come to them.
    fn serves(&mut self, party: usize) {
        for application in &self.scenario.parties[party].serves {
            let kind = background::Kind::from(*application);
            // It is up before the party's Skype, which gives way where it would listen on the port too.
            let program = Program::BackgroundServer(kind);
            self.hosts[party]
                .programs
                .insert(0, ProgramPlan { party, program });
            for host in self.internet.clone() {
                self.client(host, party, kind, vec![self.site(party, kind)]);
            }
        }
    }

    /// What a party is taken for, with those that come to it and those that it goes on to.
    fn look_alike(&mut self, party: usize) {
        let word = self.scenario.parties[party].kind.word();
        let Some(which) = background::LookAlike::named(word) else {
            return;
        };
        let internet = self.internet.clone();
        let visitor = which.visitors();
        // Who comes isn't gone on to.
        let (visitors, peers) = match (visitor, which.peers()) {
            (None, _) => (&[][..], &internet[..]),
            (Some(_), None) => (&internet[..], &[][..]),
            (Some(_), Some(_)) => internet.split_at(1.min(internet.len())),
        };
        let peers = match which {
            background::LookAlike::TwoCalls => &peers[..peers.len().min(2)],
            _ => peers,
        };
        let peer_sites = match which.peers() {
            Some(kind) => {
                self.serve(kind);
                self.sites(peers, kind)
            }
            None => Vec::new(),
        };
        for host in visitors {
            let Some(kind) = visitor else { break };
            let mut sites = vec![self.site(party, kind)];
            if kind == background::Kind::Turn {
                sites.extend(peer_sites.iter().cloned());
            }
            self.client(*host, party, kind, sites);
        }
        let program = Program::LookAlike(LookAlike {
            which,
            peers: peer_sites,
        });
        self.push(party, party, program);
    }

    /// The servers of all that, on every host of the internet.
    fn servers(&mut self) {
        for host in self.internet.clone() {
            for kind in self.served.clone() {
                self.push(host, host, Program::BackgroundServer(kind));
            }
        }
    }
}
