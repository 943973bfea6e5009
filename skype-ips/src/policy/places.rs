//! Where each part of a configuration was said, beside the model that says what.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::rule::RuleKey;
use crate::toml_file::Place;

/// Where the parts of a configuration were said.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The gateway's `mode`; `None` where it is built in.
    pub gateway_mode: Option<Place>,
    /// One for each policy, in the set's order.
    pub policies: Vec<PolicyPlaces>,
    /// One for each budget, in the set's order.
    pub budgets: Vec<Place>,
    /// The hosts that are under no policy.
    pub exempt: Vec<SubnetPlace>,
}

/// Where the parts of a policy were said; `None` where a setting is built in.
#[derive(Clone, Debug)]
pub struct PolicyPlaces {
    /// Its header.
    pub header: Place,
    /// Its prefixes.
    pub subnets: Vec<SubnetPlace>,
    /// Its exempt hosts.
    pub exempt: Vec<SubnetPlace>,
    /// What it says while no window is open.
    pub rules: RulePlaces,
    /// Its windows.
    pub windows: Vec<WindowPlaces>,
    /// Its `mode`.
    pub mode: Option<Place>,
    /// Its `confidence`.
    pub confidence: Option<Place>,
}

/// Where the keys that say what is done were said.
pub type RulePlaces = BTreeMap<RuleKey, Place>;

/// Where the parts of a window were said.
#[derive(Clone, Debug)]
pub struct WindowPlaces {
    /// Its header.
    pub header: Place,
    /// What it says.
    pub rules: RulePlaces,
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
