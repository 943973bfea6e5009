//! A checked scenario.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::vocabulary::{
    Application, Blocked, Generation, IfDropped, Kind, NatKind, Path, ProxyKind, Side,
};
use crate::toml_file::Problems;

/// A scenario in which everything that is named exists.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence or two; may be empty.
    pub about: String,
    /// How long it takes.
    pub duration: Duration,
    /// The networks.
    pub networks: Vec<Network>,
    /// The links that networks and parties name.
    pub links: Vec<Link>,
    /// The parties, each member of a group by itself, in the order of the file; at the end those
    /// that were added.
    pub parties: Vec<Party>,
    /// What they are told to do, in the order of the file, for each party by itself.
    pub actions: Vec<Action>,
    /// What they are expected to achieve.
    pub expectations: Vec<Expectation>,
    /// What is odd about the file.
    pub warnings: Problems,
}

impl Scenario {
    /// The inside networks.
    pub fn inside(&self) -> impl Iterator<Item = &Network> {
        self.networks
            .iter()
            .filter(|network| network.side == Side::Inside)
    }

    /// Whether somebody sits at a party who calls, sends and asks.
    pub fn is_user(&self, party: usize) -> bool {
        match &self.parties[party].settings {
            Settings::Client(_) => true,
            Settings::SuperNode(node) => node.user.is_some(),
            Settings::None => false,
        }
    }

    /// Whether a party is inside.
    pub fn is_inside(&self, party: usize) -> bool {
        self.networks[self.parties[party].network].side == Side::Inside
    }
}

/// A network: hosts of one subnet behind one router.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub side: Side,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// Whether others see its hosts under another address than their own.
    pub nat: Nat,
    /// What a firewall between the gateway and the outside drops of its traffic.
    pub blocked: Vec<Blocked>,
}

/// Whether and how a network's router translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// It doesn't.
    None,
    /// The gateway does: an inside network.
    Gateway,
    /// A home router does: an outside network.
    Home {
        /// The router's own address.
        address: Ipv4Addr,
        /// How it does.
        kind: NatKind,
    },
}

/// What a party's line to its network is like; ranges are drawn from for each party. The line has
/// each property once in each direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Bits a second from the party.
    pub up: RangeInclusive<u64>,
    /// Bits a second to the party.
    pub down: RangeInclusive<u64>,
    /// How long a packet takes, beside the time that its bits take.
    pub delay: RangeInclusive<Duration>,
    /// Standard deviation of how much longer than that a packet takes; order is kept.
    pub jitter: RangeInclusive<Duration>,
    /// Share of the packets that get lost, 0 to 1.
    pub loss: RangeInclusive<f64>,
    /// Share of the packets that are overtaken by the next, 0 to 1.
    pub reorder: RangeInclusive<f64>,
}

impl Link {
    /// What a party has that names no link: a cable in an office.
    pub fn cable() -> Self {
        Self {
            name: "cable".into(),
            up: 100_000_000..=100_000_000,
            down: 100_000_000..=100_000_000,
            delay: Duration::from_micros(500)..=Duration::from_micros(500),
            jitter: Duration::ZERO..=Duration::ZERO,
            loss: 0.0..=0.0,
            reorder: 0.0..=0.0,
        }
    }

    /// Whether packets get lost on it.
    pub fn loses(&self) -> bool {
        *self.loss.end() > 0.0
    }
}

/// A host and what runs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    /// Its name, unique.
    pub name: String,
    /// The name of the group that it is a member of.
    pub group: Option<String>,
    /// Its network, by its number.
    pub network: usize,
    /// Its link, by its number; `None`: a cable.
    pub link: Option<usize>,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it is.
    pub kind: Kind,
    /// What its kind takes.
    pub settings: Settings,
    /// Everyday traffic that it begins.
    pub runs: Vec<Application>,
    /// Everyday traffic that the hosts of the internet begin with it.
    pub serves: Vec<Application>,
}

/// What a kind of party takes beside what all do.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings {
    /// Nothing.
    None,
    /// A client.
    Client(Client),
    /// A super node, or a bootstrap node.
    SuperNode(SuperNode),
}

/// A client's settings. Parties are numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Which generation.
    pub generation: Generation,
    /// The listening port; 0: drawn.
    pub port: u16,
    /// Whether it uses UDP.
    pub udp: bool,
    /// The proxy that it goes through.
    pub proxy: Option<(ProxyKind, usize)>,
    /// Super nodes that it knows from earlier runs.
    pub host_cache: Vec<usize>,
    /// The super nodes that it knows from the start.
    pub bootstrap: Vec<usize>,
}

/// A super node's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct SuperNode {
    /// Which generation.
    pub generation: Generation,
    /// The listening port; 0: drawn.
    pub port: u16,
    /// Whether it takes clients and answers their questions.
    pub directory: bool,
    /// Whether it carries calls and files.
    pub relay: bool,
    /// The client of its own user, if that does anything.
    pub user: Option<Box<Client>>,
}

/// What a party does, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Since the start.
    pub at: Duration,
    /// Up to so much later, drawn for each party.
    pub spread: Duration,
    /// Who.
    pub party: usize,
    /// What.
    pub what: What,
}

/// What a party does. Parties are numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Starts Skype and signs in.
    SignIn,
    /// Ends Skype.
    SignOut,
    /// Calls.
    Call {
        /// Whom.
        with: usize,
        /// How long.
        lasting: Duration,
        /// Bits a second of video from both ends; `None`: voice alone.
        video: Option<u64>,
    },
    /// Sends a file.
    SendFile {
        /// To whom.
        to: usize,
        /// Its length.
        bytes: u64,
    },
    /// Asks the directory.
    Search {
        /// How many times.
        count: u32,
        /// Evenly over so long.
        over: Duration,
    },
    /// Talks in writing.
    Chat {
        /// With whom.
        with: usize,
        /// How long.
        lasting: Duration,
    },
    /// Everyday traffic.
    Run {
        /// How long.
        lasting: Duration,
    },
}

/// What a party is expected to achieve.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Who.
    pub party: usize,
    /// What.
    pub goal: Wanted,
    /// What becomes of it under a policy that drops Skype.
    pub if_dropped: IfDropped,
}

/// A goal.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// It is signed in, or isn't.
    SignedIn(bool),
    /// At least so much of each direction of its calls arrives, 0 to 1.
    Delivered(f64),
    /// No call has a longer gap.
    LongestGap(Duration),
    /// All its calls and files take one of these ways.
    Path(Vec<Path>),
    /// Its files are whole.
    Files,
    /// At least so many bytes are carried for others.
    Relayed(u64),
    /// At least so many of its questions are answered, 0 to 1.
    SearchesAnswered(f64),
    /// At least so many questions of others are answered.
    Served(u64),
    /// At least so much of its everyday traffic gets through, 0 to 1.
    Background(f64),
}

impl Wanted {
    /// Whether it is Skype that achieves it.
    pub const fn is_skypes(&self) -> bool {
        !matches!(self, Self::Background(_))
    }
}
