//! Builds a plan out of namespaces and cables.
//!
//! ```text
//!  alice ── switch ── gw-in  gateway  gw-out ── internet ── server
//!  bob   ──   (a bridge for each                        ── router-home ── carol
//!              inside network)
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use super::super::LabError;
use super::super::nat::{Masquerade, masquerade};
use super::super::netns::Netns;
use super::super::signals::interrupted;
use super::super::tools::{ip, sysctl, text};
use super::plan::{
    GATEWAY, Home, HomeNat, INTERNET, INTERNET_ADDRESS, Place, Plan, PlannedParty, SWITCH,
};
use super::shape::Shaping;

/// The gateway's interface to the Internet.
pub(in crate::lab) const GATEWAY_OUTSIDE: &str = "gw-out";
/// Every party's interface.
const PARTY: &str = "eth0";
/// A home router's interfaces.
const WAN: &str = "wan";
const LAN: &str = "lan";
/// How long links may take to come up.
const LINK_LIMIT: Duration = Duration::from_secs(10);

/// The gateway's interface to an inside network, by the network's number.
pub(in crate::lab) fn gateway_inside(number: usize) -> String {
    match number {
        0 => "gw-in".to_owned(),
        number => format!("gw-in{}", number + 1),
    }
}

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    /// By name.
    pub(super) namespaces: BTreeMap<String, Netns>,
    /// What became of the links' properties.
    pub(super) shaping: Shaping,
}

/// Builds it. What was built so far is gone if that fails.
pub(super) fn build(plan: &Plan) -> Result<Built, LabError> {
    let mut namespaces = BTreeMap::new();
    for name in plan.namespaces() {
        let netns = Netns::new().map_err(LabError::namespace)?;
        let routes = [GATEWAY, INTERNET].contains(&name.as_str())
            || plan.homes.iter().any(|home| Plan::router(home) == name);
        netns
            .run(|| prepare(routes))
            .map_err(|error| LabError::failed("setting up a namespace", error))?;
        namespaces.insert(name, netns);
        stop_if_interrupted()?;
    }
    let mut shaping = Shaping::probe(&namespaces[GATEWAY])?;
    shaping.not_applied.extend(plan.not_built.iter().cloned());
    let mut building = Building {
        plan,
        built: Built {
            namespaces,
            shaping,
        },
        cables: 0,
    };
    building.core()?;
    for home in &plan.homes {
        building.home(home)?;
    }
    for (number, party) in plan.parties.iter().enumerate() {
        building.party(number, party)?;
        stop_if_interrupted()?;
    }
    wait_for_links(&building.built.namespaces)?;
    Ok(building.built)
}

fn stop_if_interrupted() -> Result<(), LabError> {
    if interrupted() {
        return Err(LabError::Interrupted);
    }
    Ok(())
}

/// Kernel parameters of a namespace. IPv6 is off: scenarios are of IPv4.
fn prepare(routes: bool) -> io::Result<()> {
    if std::path::Path::new("/proc/sys/net/ipv6").exists() {
        sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
    }
    if routes {
        sysctl("net/ipv4/ip_forward", "1")?;
        for interface in ["all", "default"] {
            sysctl(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
            sysctl(&format!("net/ipv4/conf/{interface}/send_redirects"), "0")?;
        }
    }
    // Pings without a right of their own, for everybody who may be in here.
    sysctl("net/ipv4/ping_group_range", "0 0")
}

struct Building<'a> {
    plan: &'a Plan,
    built: Built,
    cables: u32,
}

/// One end of a cable: namespace and interface.
type End<'a> = (&'a str, &'a str);

impl Building<'_> {
    fn ip(&self, namespace: &str, lines: String) -> Result<(), LabError> {
        ip(&self.built.namespaces[namespace], lines)
    }

    /// Lays a cable, both ends up.
    fn cable(&mut self, near: End<'_>, far: End<'_>) -> Result<(), LabError> {
        let mut address = || {
            self.cables += 1;
            let [_, high, middle, low] = self.cables.to_be_bytes();
            text([2, 0, 0, high, middle, low])
        };
        let (own, peer) = (address(), address());
        let ((near_ns, near), (far_ns, far)) = (near, far);
        let path = self.built.namespaces[far_ns].path();
        let lines = format!(
            "link add {near} address {own} type veth peer name {far} address {peer} netns {}\n\
             link set {near} up\n",
            path.display()
        );
        self.ip(near_ns, lines)?;
        self.ip(far_ns, format!("link set {far} up\n"))
    }

    /// Switch, gateway and Internet.
    fn core(&mut self) -> Result<(), LabError> {
        let plan = self.plan;
        let internet = INTERNET_ADDRESS;
        for namespace in plan.namespaces() {
            self.ip(&namespace, "link set lo up\n".to_owned())?;
        }
        self.ip(INTERNET, format!("address add {internet}/32 dev lo\n"))?;
        for (number, network) in plan.networks.iter().enumerate() {
            self.ip(SWITCH, bridge(&bridge_name(number)))?;
            let (port, inside) = (format!("gw{number}"), gateway_inside(number));
            self.cable((SWITCH, &port), (GATEWAY, &inside))?;
            self.ip(SWITCH, plug(&port, &bridge_name(number)))?;
            let router = in_network(&inside, network.gateway, network.subnet);
            self.ip(GATEWAY, router)?;
        }
        self.cable((INTERNET, "gateway"), (GATEWAY, GATEWAY_OUTSIDE))?;
        self.uplink(GATEWAY, GATEWAY_OUTSIDE, "gateway", plan.gateway)?;
        let (translated, public): (Vec<_>, Vec<_>) =
            plan.networks.iter().partition(|network| network.nat);
        for network in public {
            let line = format!(
                "route add {} via {} dev gateway onlink\n",
                network.subnet, plan.gateway
            );
            self.ip(INTERNET, line)?;
        }
        let sources: Vec<_> = translated.iter().map(|network| network.subnet).collect();
        match &sources[..] {
            [] => Ok(()),
            sources => self.masquerade(GATEWAY, GATEWAY_OUTSIDE, sources, false),
        }
    }

    /// A public address on an interface of `namespace` whose other end is the Internet's `port`.
    fn uplink(
        &self,
        namespace: &str,
        interface: &str,
        port: &str,
        address: Ipv4Addr,
    ) -> Result<(), LabError> {
        let internet = INTERNET_ADDRESS;
        self.ip(
            namespace,
            format!(
                "address add {address}/32 dev {interface}\n\
                 route add {internet} dev {interface} scope link\n\
                 route add default via {internet} dev {interface}\n"
            ),
        )?;
        let route = format!("route add {address} dev {port} src {internet}\n");
        self.ip(INTERNET, route)
    }

    fn home(&mut self, home: &Home) -> Result<(), LabError> {
        let router = Plan::router(home);
        let port = self.port();
        self.cable((INTERNET, &port), (&router, WAN))?;
        self.uplink(&router, WAN, &port, home.public)?;
        let lan = bridge(LAN) + &in_network(LAN, home.router, home.subnet);
        self.ip(&router, lan)?;
        self.masquerade(&router, WAN, &[home.subnet], home.nat == HomeNat::Symmetric)?;
        if home.nat == HomeNat::FullCone {
            let lacking = &mut self.built.shaping.not_applied;
            lacking.insert("full-cone translation".to_owned());
        }
        Ok(())
    }

    fn party(&mut self, number: usize, party: &PlannedParty) -> Result<(), LabError> {
        let plan = self.plan;
        let name = party.name.as_str();
        let port = format!("p{number}");
        let (namespace, router, length, bridge) = match party.place {
            Place::Inside(network) => {
                let inside = &plan.networks[network];
                let length = inside.subnet.prefix_len();
                (
                    SWITCH.to_owned(),
                    inside.gateway,
                    length,
                    bridge_name(network),
                )
            }
            Place::Home(home) => {
                let home = &plan.homes[home];
                let length = home.subnet.prefix_len();
                (Plan::router(home), home.router, length, LAN.to_owned())
            }
            Place::Outside => {
                let port = self.port();
                self.cable((INTERNET, &port), (name, PARTY))?;
                self.uplink(name, PARTY, &port, party.address)?;
                return self.shape(party, INTERNET, &port);
            }
        };
        self.cable((&namespace, &port), (name, PARTY))?;
        self.ip(&namespace, plug(&port, &bridge))?;
        let address = party.address;
        self.ip(
            name,
            format!(
                "address add {address}/{length} dev {PARTY}\n\
                 route add default via {router} dev {PARTY} onlink\n"
            ),
        )?;
        self.shape(party, &namespace, &port)
    }

    fn shape(&mut self, party: &PlannedParty, namespace: &str, port: &str) -> Result<(), LabError> {
        let Built {
            namespaces,
            shaping,
        } = &mut self.built;
        shaping.apply(&namespaces[&party.name], PARTY, &party.up)?;
        shaping.apply(&namespaces[namespace], port, &party.down)
    }

    fn masquerade(
        &self,
        namespace: &str,
        interface: &str,
        sources: &[Ipv4Net],
        random: bool,
    ) -> Result<(), LabError> {
        let what = Masquerade {
            interface,
            sources,
            ipv6: false,
            random,
        };
        masquerade(&self.built.namespaces[namespace], what)
    }

    /// A name for one more of the Internet's interfaces.
    fn port(&self) -> String {
        format!("port{}", self.cables / 2)
    }
}

/// A router's address on an interface, and the network behind it.
fn in_network(interface: &str, address: Ipv4Addr, subnet: Ipv4Net) -> String {
    format!(
        "address add {address}/32 dev {interface}\n\
         route add {subnet} dev {interface} scope link src {address}\n"
    )
}

fn bridge_name(network: usize) -> String {
    format!("net{network}")
}

fn bridge(name: &str) -> String {
    // Nobody loops cables here: ports forward at once.
    format!("link add {name} type bridge forward_delay 0\nlink set {name} up\n")
}

fn plug(port: &str, bridge: &str) -> String {
    format!("link set {port} master {bridge}\n")
}

/// Waits until all links are up: the kernel attaches queues up to a second after that was asked
/// for, and drops what is sent before.
fn wait_for_links(namespaces: &BTreeMap<String, Netns>) -> Result<(), LabError> {
    let deadline = Instant::now() + LINK_LIMIT;
    let failed = |error| LabError::failed("waiting for the lab's links", error);
    for netns in namespaces.values() {
        while !netns.run(links_are_up).map_err(failed)? {
            stop_if_interrupted()?;
            if Instant::now() > deadline {
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Whether the links of the calling thread's network namespace are, that ought to be.
fn links_are_up() -> io::Result<bool> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the pointer is to a place for a pointer.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mut all, mut next) = (true, first);
    // SAFETY: the list ends with a null pointer, and is freed after it was read.
    unsafe {
        while let Some(interface) = next.as_ref() {
            // The kernel says "running" once the link's queues are at work.
            let wanted = [libc::IFF_UP, libc::IFF_RUNNING].map(|flag| flag as u32);
            let [up, running] = wanted.map(|flag| interface.ifa_flags & flag != 0);
            all &= !up || running;
            next = interface.ifa_next;
        }
        libc::freeifaddrs(first);
    }
    Ok(all)
}
