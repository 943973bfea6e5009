//! From a scenario and a seed to settings of every host and program: all that is drawn is drawn
//! here.

mod background;
mod skype;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

use super::model::{Link, Scenario, What};
use crate::simulator::net::LinkSpec;
use crate::simulator::net::program::Instant;
use crate::simulator::party::{self, Order, User};

/// Everyday traffic that no action begins begins within so long after the start.
const FIRST_RUN: Duration = Duration::from_secs(1);
/// It begins nothing more when there is less time than this, so that what was begun ends.
const LAST_RUN: Duration = Duration::from_secs(8);

/// Hosts, programs and orders, everything drawn.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One host for each party of the scenario, in its order.
    pub hosts: Vec<HostPlan>,
    /// What programs are told, in the order of the scenario.
    pub orders: Vec<PlannedOrder>,
}

/// A host.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// From the host to its network.
    pub up: LinkSpec,
    /// From the network to the host.
    pub down: LinkSpec,
    /// What runs on it.
    pub programs: Vec<ProgramPlan>,
}

/// A program.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// The party whose doing it is, by its number: that of the host, but for the visitors of a
    /// look-alike.
    pub party: usize,
    /// What.
    pub program: Program,
}

/// What a program is set up with.
#[derive(Clone, Debug)]
pub enum Program {
    /// A user's Skype.
    Client(Box<party::Client>),
    /// A super node.
    SuperNode(party::SuperNode),
    /// A super node, and its user's client.
    Serving(party::SuperNode, Box<party::Client>),
    /// A server of the service.
    Server(party::Server),
    /// A proxy of every language.
    Proxy {
        /// Whether clients must have a password, where its language has them.
        password: bool,
        /// The addresses of all that is Skype.
        skype: BTreeSet<Ipv4Addr>,
    },
    /// A resolver of these names.
    Resolver(Vec<(String, Ipv4Addr)>),
    /// A client of everyday traffic.
    Background(background::Background),
    /// A server of everyday traffic.
    BackgroundServer(party::background::Kind),
    /// What must not be taken for a relay.
    LookAlike(background::LookAlike),
}

/// An order, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedOrder {
    /// When.
    pub at: Instant,
    /// The host, by its number.
    pub host: usize,
    /// The program, by its number on the host.
    pub program: usize,
    /// What.
    pub order: Order,
}

/// Draws everything that the scenario leaves open. The same seed draws the same.
pub fn plan(scenario: &Scenario, seed: u64) -> Plan {
    let mut all = Rng::with_seed(seed);
    // A source for each party, so that what one draws doesn't depend on the others.
    let mut sources: Vec<_> = scenario.parties.iter().map(|_| all.fork()).collect();
    let mut hosts: Vec<_> = scenario
        .parties
        .iter()
        .zip(&mut sources)
        .map(|(party, rng)| {
            let cable = Link::cable();
            let link = party.link.map_or(&cable, |number| &scenario.links[number]);
            let (up, down) = line(link, rng);
            HostPlan {
                up,
                down,
                programs: Vec::new(),
            }
        })
        .collect();
    skype::add(scenario, &mut sources, &mut hosts);
    background::add(scenario, &mut hosts);
    let mut orders = Vec::new();
    for action in &scenario.actions {
        let rng = &mut sources[action.party];
        let at = action.at + action.spread.mul_f64(rng.f64());
        let order = order(scenario, &action.what);
        for (host, program) in told(&hosts, action.party, &action.what) {
            let order = order.clone();
            orders.push(PlannedOrder {
                at,
                host,
                program,
                order,
            });
        }
    }
    orders.extend(unasked(scenario, &mut sources, &hosts));
    Plan { hosts, orders }
}

/// The line of one party, its two directions.
fn line(link: &Link, rng: &mut Rng) -> (LinkSpec, LinkSpec) {
    let shared = LinkSpec {
        rate: None,
        delay: time(&link.delay, rng),
        jitter: time(&link.jitter, rng),
        loss: share(&link.loss, rng),
        reorder: share(&link.reorder, rng),
    };
    let [up, down] = [&link.up, &link.down].map(|rate| LinkSpec {
        rate: Some(rng.u64(rate.clone()) / 8),
        ..shared
    });
    (up, down)
}

fn time(range: &RangeInclusive<Duration>, rng: &mut Rng) -> Duration {
    *range.start() + (*range.end() - *range.start()).mul_f64(rng.f64())
}

fn share(range: &RangeInclusive<f64>, rng: &mut Rng) -> f64 {
    range.start() + (range.end() - range.start()) * rng.f64()
}

/// A party as a user: numbers begin with 1.
fn user(scenario: &Scenario, party: usize) -> User {
    User {
        number: u32::try_from(party + 1).expect("a scenario has few parties: it was checked"),
        name: scenario.parties[party].name.clone(),
    }
}

fn order(scenario: &Scenario, what: &What) -> Order {
    match *what {
        What::SignIn => Order::SignIn,
        What::SignOut => Order::SignOut,
        What::Call {
            with,
            lasting,
            video,
        } => Order::Call {
            with: user(scenario, with),
            lasting,
            video,
        },
        What::SendFile { to, bytes } => Order::SendFile {
            to: user(scenario, to),
            bytes,
        },
        What::Search { count, over } => Order::Search { count, over },
        What::Chat { with, lasting } => Order::Chat {
            with: user(scenario, with),
            lasting,
        },
        What::Run { lasting } => Order::Run { lasting },
    }
}

/// Which programs an action is for: a party's Skype, or all its everyday traffic.
fn told(hosts: &[HostPlan], party: usize, what: &What) -> Vec<(usize, usize)> {
    let wanted = |program: &ProgramPlan| {
        program.party == party
            && match what {
                What::Run { .. } => program.program.runs(),
                _ => matches!(program.program, Program::Client(_) | Program::Serving(..)),
            }
    };
    let numbered = hosts.iter().enumerate().flat_map(|(host, plan)| {
        let programs = plan.programs.iter().enumerate();
        programs.map(move |(number, program)| ((host, number), program))
    });
    numbered
        .filter(|(_, program)| wanted(program))
        .map(|(at, _)| at)
        .collect()
}

/// Orders for the everyday traffic that no action is about.
fn unasked(scenario: &Scenario, sources: &mut [Rng], hosts: &[HostPlan]) -> Vec<PlannedOrder> {
    let end = scenario.duration - LAST_RUN.min(scenario.duration / 3);
    let asked = |party| {
        let mut actions = scenario.actions.iter();
        actions.any(|action| action.party == party && matches!(action.what, What::Run { .. }))
    };
    let mut orders = Vec::new();
    for party in (0..scenario.parties.len()).filter(|party| !asked(*party)) {
        let lasting = end.saturating_sub(FIRST_RUN);
        for (host, program) in told(hosts, party, &What::Run { lasting }) {
            let at = FIRST_RUN.min(end).mul_f64(sources[party].f64());
            orders.push(PlannedOrder {
                at,
                host,
                program,
                order: Order::Run { lasting: end - at },
            });
        }
    }
    orders
}

impl Program {
    /// Whether it begins with [`Order::Run`].
    const fn runs(&self) -> bool {
        matches!(self, Self::Background(_) | Self::LookAlike(_))
    }
}
