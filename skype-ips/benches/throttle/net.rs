//! Inside hosts, gateway, outside host, each side in a namespace without a name, linked to nothing
//! else. All inside hosts are addresses of one namespace.

use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use skype_ips::lab::netns::Netns;

use crate::case::Case;

/// The gateway's interface towards the inside.
pub(crate) const INSIDE: &str = "in0";
/// The gateway's interface towards the outside.
pub(crate) const OUTSIDE: &str = "out0";
/// Where everybody sends to.
pub(crate) const OUTSIDE_HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The three namespaces.
pub(crate) struct Net {
    /// Where the hosts are.
    pub(crate) inside: Netns,
    /// Where packets are forwarded, and held to budgets.
    pub(crate) gateway: Netns,
    /// Where they arrive.
    pub(crate) outside: Netns,
}

impl Net {
    /// Builds it for the hosts of these cases.
    pub(crate) fn build(cases: &[Case]) -> io::Result<Self> {
        let net = Self {
            inside: Netns::new()?,
            gateway: Netns::new()?,
            outside: Netns::new()?,
        };
        let mut gateway = String::from("link set lo up\n");
        for (near, far) in [(INSIDE, &net.inside), (OUTSIDE, &net.outside)] {
            gateway += &format!(
                "link add {near} type veth peer name eth0 netns {}\nlink set {near} up\n",
                far.path().display()
            );
        }
        gateway += &format!(
            "address add 10.9.1.1/24 dev {INSIDE}\naddress add 203.0.113.1/24 dev {OUTSIDE}\n"
        );
        input(&net.gateway, "ip", &["-batch", "-"], &gateway)?;
        let mut inside = String::from(
            "link set eth0 up\naddress add 10.9.1.2/24 dev eth0\n\
             route add default via 10.9.1.1\n",
        );
        let mut routes = String::new();
        for case in cases {
            for host in 0..case.hosts {
                inside += &format!("address add {}/32 dev eth0\n", case.host(host));
            }
            routes += &format!("route add {} via 10.9.1.2 dev {INSIDE}\n", case.subnet());
        }
        input(&net.inside, "ip", &["-batch", "-"], &inside)?;
        let outside = format!(
            "link set eth0 up\naddress add {OUTSIDE_HOST}/24 dev eth0\n\
             route add default via 203.0.113.1\n"
        );
        input(&net.outside, "ip", &["-batch", "-"], &outside)?;
        input(&net.gateway, "ip", &["-batch", "-"], &routes)?;
        net.gateway
            .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        Ok(net)
    }
}

/// Runs a program in a namespace with this as its input.
pub(crate) fn input(
    namespace: &Netns,
    program: &str,
    arguments: &[&str],
    text: &str,
) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    namespace.place(&mut command);
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{program}: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(text.as_bytes()).map_err(failed)?;
    drop(stdin);
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program}: {}", said.trim())))
}
