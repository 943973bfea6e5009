//! Where each part of a configuration was said, beside the model that says what.

use ipnet::IpNet;

use crate::toml_file::Place;

/// Where the parts of a configuration were said.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The gateway's `mode`; `None` where it is built in.
    pub gateway_mode: Option<Place>,
    /// One for each policy, in the set's order.
    pub policies: Vec<PolicyPlaces>,
}

/// Where the parts of a policy were said; `None` where a setting is built in.
#[derive(Clone, Debug)]
pub struct PolicyPlaces {
    /// Its header.
    pub header: Place,
    /// Its prefixes.
    pub subnets: Vec<SubnetPlace>,
    /// Its `default`.
    pub default: Option<Place>,
    /// Its `ambiguous`.
    pub ambiguous: Option<Place>,
    /// Its `mode`.
    pub mode: Option<Place>,
    /// Its `confidence`.
    pub confidence: Option<Place>,
}

/// Where a policy's prefix was said.
#[derive(Clone, Debug)]
pub struct SubnetPlace {
    /// The prefix.
    pub net: IpNet,
    /// Where the policy names it, or the group that holds it.
    pub place: Place,
    /// The group that holds it, and where.
    pub group: Option<(String, Place)>,
}
