//! What `replay` is told: configuration, networks, labels.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use crate::cli::Failure;
use crate::engine::Settings;
use crate::policy::{Config, Mode, Policy, PolicySet};
use crate::replay::{Driver, Expectations, private_networks};

/// What a capture is judged by.
#[derive(Debug)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) mode: Mode,
    inside: Vec<IpNet>,
    public_addresses: Vec<IpAddr>,
}

impl World {
    /// That of a configuration file, or one that drops Skype of every inside host.
    pub(super) fn new(
        config: Option<&Path>,
        mode: Option<Mode>,
        inside: Vec<IpNet>,
        public_addresses: Vec<IpAddr>,
    ) -> Result<Self, Failure> {
        let config = configuration(config, &inside)?;
        let of_gateway = config.gateway.public_addresses.iter().copied();
        Ok(Self {
            mode: mode.unwrap_or(config.gateway.mode),
            inside: match inside.is_empty() {
                true => private_networks(),
                false => inside,
            },
            public_addresses: of_gateway.chain(public_addresses).collect(),
            config,
        })
    }

    /// A driver for one capture.
    pub(super) fn driver(&self) -> Driver {
        let settings = Settings {
            public_addresses: self.public_addresses.clone(),
            ..Settings::default()
        };
        Driver::new(&self.config, self.mode, settings, &self.inside)
    }
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(net), _) => Ok(net.trunc()),
        (_, Ok(address)) => Ok(address.into()),
        _ => Err("write an address or a network, such as 192.168.0.0/16".into()),
    }
}

pub(super) fn labels(path: &Path) -> Result<Expectations, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Expectations::parse(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The configuration of a file, else one that drops Skype of every inside host.
fn configuration(path: Option<&Path>, inside: &[IpNet]) -> Result<Config, Failure> {
    let Some(path) = path else {
        let mut config = Config::default_for_replay();
        if !inside.is_empty() {
            let policies = config.policies.policies().iter().map(|policy| Policy {
                subnets: inside.to_vec(),
                ..policy.clone()
            });
            config.policies = PolicySet::new(policies.collect()).into();
        }
        return Ok(config);
    };
    match Config::load(&[path.to_owned()]) {
        Ok(config) => {
            if !config.warnings.is_empty() {
                eprintln!("{}\n", config.warnings);
            }
            Ok(config)
        }
        Err(problems) => Err(Failure::usage(problems)),
    }
}
