//! What is to be built: networks, homes, parties, and their links.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::simulator::net::LinkSpec;
use crate::simulator::scenario::{self, Nat, NatKind, Scenario, Side};

/// Names that the lab gives to namespaces of its own.
pub(super) const GATEWAY: &str = "gateway";
pub(super) const INTERNET: &str = "internet";
pub(super) const SWITCH: &str = "switch";
/// Comes before a home's name for that of its router's namespace.
const ROUTER: &str = "router";

/// The networks and parties of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// The gateway's own outside address.
    pub gateway: Ipv4Addr,
    /// Networks behind the gateway.
    pub networks: Vec<InsideNetwork>,
    /// Networks outside that are behind a translator of their own.
    pub homes: Vec<Home>,
    /// Hosts.
    pub parties: Vec<PlannedParty>,
    /// What the scenario asks for of its networks and kernels' own network stacks aren't given.
    pub not_built: BTreeSet<String>,
}

/// A network behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsideNetwork {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The gateway's address in it.
    pub gateway: Ipv4Addr,
    /// Whether the gateway puts its own outside address before those of the hosts.
    pub nat: bool,
}

/// A network outside, behind a translator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The router's address in it.
    pub router: Ipv4Addr,
    /// The router's address outside.
    pub public: Ipv4Addr,
    /// What kind of translator the scenario asks for.
    pub nat: HomeNat,
}

/// Kinds of translators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HomeNat {
    /// Open to everybody once a port is used; kernels don't offer it: built as port-restricted.
    FullCone,
    /// Open to whom the host has sent something.
    PortRestricted,
    /// Another port for each destination.
    Symmetric,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedParty {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Where it stands.
    pub place: Place,
    /// From the host to its network.
    pub up: Shape,
    /// From the network to the host.
    pub down: Shape,
}

/// Where a host stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In an inside network, by number.
    Inside(usize),
    /// In a home, by number.
    Home(usize),
    /// On the Internet, with a public address.
    Outside,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Bytes a second; `None`: no limit.
    pub rate: Option<u64>,
    /// Milliseconds from end to end.
    pub delay: f64,
    /// Standard deviation of the delay, milliseconds.
    pub jitter: f64,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that are overtaken by later ones, 0 to 1.
    pub reorder: f64,
}

/// Links that a scenario leaves open are drawn as in a run with this seed.
const SEED: u64 = 1;

impl Plan {
    /// What a scenario's networks and parties are.
    pub fn of(scenario: &Scenario) -> Self {
        let mut networks = Vec::new();
        let mut homes = Vec::new();
        let mut places = Vec::new();
        for network in &scenario.networks {
            let name = network.name.clone();
            let subnet = network.subnet;
            // Where parties have all addresses the router does without one of the network's.
            let router = free_address(scenario, subnet).unwrap_or(ROUTER_ADDRESS);
            places.push(match (network.side, network.nat) {
                (Side::Inside, nat) => {
                    networks.push(InsideNetwork {
                        name,
                        subnet,
                        gateway: router,
                        nat: nat == Nat::Gateway,
                    });
                    Place::Inside(networks.len() - 1)
                }
                (Side::Outside, Nat::Home { address, kind }) => {
                    homes.push(Home {
                        name,
                        subnet,
                        router,
                        public: address,
                        nat: kind.into(),
                    });
                    Place::Home(homes.len() - 1)
                }
                (Side::Outside, Nat::None | Nat::Gateway) => Place::Outside,
            });
        }
        let drawn = scenario::plan(scenario, SEED).hosts;
        let parties = scenario.parties.iter().zip(drawn);
        let parties = parties.map(|(party, host)| PlannedParty {
            name: party.name.clone(),
            address: party.address,
            place: places[party.network].clone(),
            up: host.up.into(),
            down: host.down.into(),
        });
        Self {
            scenario: scenario.name.clone(),
            gateway: scenario::GATEWAY,
            parties: parties.collect(),
            networks,
            homes,
            not_built: scenario
                .networks
                .iter()
                .flat_map(|network| &network.blocked)
                .map(|blocked| format!("blocked {}", blocked.word()))
                .collect(),
        }
    }

    /// The name of a home's router among the namespaces.
    pub(super) fn router(home: &Home) -> String {
        format!("{ROUTER}-{}", home.name)
    }

    /// All namespaces' names: the gateway, the parties, then what is between them.
    pub(super) fn namespaces(&self) -> Vec<String> {
        let parties = self.parties.iter().map(|party| party.name.clone());
        let routers = self.homes.iter().map(Self::router);
        std::iter::once(GATEWAY.to_owned())
            .chain(parties)
            .chain([SWITCH.to_owned(), INTERNET.to_owned()])
            .chain(routers)
            .collect()
    }

    /// A party's name that namespaces of the lab have already, or that stands twice.
    pub(super) fn taken_name(&self) -> Option<String> {
        let mut names = BTreeSet::new();
        let taken = |name: &String| !names.insert(name.clone());
        self.namespaces().into_iter().find(taken)
    }
}

/// The address of a router whose network has none left for it, another one of those.
const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 253);
/// The address of the Internet's router, the last of those that are the lab's own.
pub(super) const INTERNET_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 19, 255, 254);

/// The first address of a network that no party has.
fn free_address(scenario: &Scenario, subnet: Ipv4Net) -> Option<Ipv4Addr> {
    let taken: BTreeSet<Ipv4Addr> = scenario
        .parties
        .iter()
        .filter(|party| scenario.networks[party.network].subnet == subnet)
        .map(|party| party.address)
        .collect();
    subnet.hosts().find(|address| !taken.contains(address))
}

impl From<NatKind> for HomeNat {
    fn from(kind: NatKind) -> Self {
        match kind {
            NatKind::FullCone => Self::FullCone,
            NatKind::PortRestricted => Self::PortRestricted,
            NatKind::Symmetric => Self::Symmetric,
        }
    }
}

impl From<LinkSpec> for Shape {
    fn from(link: LinkSpec) -> Self {
        Self {
            rate: link.rate,
            delay: link.delay.as_secs_f64() * 1e3,
            jitter: link.jitter.as_secs_f64() * 1e3,
            loss: link.loss,
            reorder: link.reorder,
        }
    }
}
