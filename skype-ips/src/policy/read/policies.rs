//! Reads `[[policy]]`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ipnet::IpNet;
use skype_ips_common::layout::MAX_POLICIES;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::model::{MAX_PREFIXES, Policy, mapped_prefixes};
use super::super::places::PolicyPlaces;
use super::super::vocabulary::{Confidence, InterfaceSide, Mode};
use super::budgets::Budgets;
use super::checks;
use super::groups::Groups;
use super::language::{
    CONFIDENCE, INTERFACES, NAME, POLICY, POLICY_EXEMPT, POLICY_MODE, POLICY_TABLE, SUBNETS, VLANS,
};
use super::prefixes::{self, Listed};
use super::rules::RuleReader;
use super::windows;
use crate::toml_file::{Excerpt, Key, NAME_HELP, Reader, Value, is_name, listed, nearest, quoted};

/// What policies are read with.
#[derive(Debug)]
pub(super) struct Known<'g> {
    pub(super) groups: &'g Groups,
    pub(super) budgets: &'g Budgets,
    /// The gateway's own bits of the mark.
    pub(super) mark_mask: u32,
    /// The gateway's interfaces, and which way each faces if that was said; `None` where no file
    /// has a gateway.
    pub(super) interfaces: Option<Vec<(String, Option<InterfaceSide>)>>,
}

/// The policies of all files, and what they have taken.
#[derive(Debug)]
pub(super) struct Policies<'g> {
    pub(super) known: Known<'g>,
    pub(super) list: Vec<(Policy, PolicyPlaces)>,
    /// Where each one begins.
    pub(super) headers: Vec<Excerpt>,
    /// Places of the budgets that some action names.
    pub(super) used: HashSet<u16>,
    names: HashMap<String, Excerpt>,
    prefixes: HashMap<(Place, IpNet), Taken>,
    /// How much of the prefix table they need.
    pub(super) size: usize,
    seen: usize,
}

/// Where hosts of a policy are met.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Anywhere,
    Vlan(u16),
    Interface(String),
}

/// Who has a prefix: which policy, by its number, and where it says so.
#[derive(Debug)]
struct Taken {
    policy: usize,
    name: String,
    at: Excerpt,
}

/// What a policy is for, with its places in the file.
#[derive(Debug, Default)]
struct Hosts {
    subnets: Vec<Listed>,
    vlans: Vec<u16>,
    interfaces: Vec<String>,
    exempt: Vec<Listed>,
}

impl<'g> Policies<'g> {
    pub(super) fn new(known: Known<'g>) -> Self {
        Self {
            known,
            list: Vec::new(),
            headers: Vec::new(),
            used: HashSet::new(),
            names: HashMap::new(),
            prefixes: HashMap::new(),
            size: 0,
            seen: 0,
        }
    }

    /// Adds the policies of one file.
    pub(super) fn read<'s>(&mut self, reader: &mut Reader<'s>, root: &DeTable<'s>) {
        for (table, header) in reader.tables(root, &POLICY) {
            self.seen += 1;
            if self.seen > MAX_POLICIES as usize {
                if self.seen == MAX_POLICIES as usize + 1 {
                    let message = format!("more than {MAX_POLICIES} policies");
                    let help = "give hosts that are treated alike one policy";
                    reader.error(header, message, help);
                }
                continue;
            }
            reader.keys(table, &POLICY_TABLE);
            self.policy(reader, table, header);
        }
    }

    /// Adds a policy, with stand-ins for what was wrong: a configuration with errors isn't used.
    fn policy<'s>(&mut self, reader: &mut Reader<'s>, table: &DeTable<'s>, header: Range<usize>) {
        let name = self.name(reader, table, &header);
        let hosts = self.hosts(reader, table, &header, &name);
        let mode = reader.word::<Mode>(table, &POLICY_MODE);
        let confidence = reader.word::<Confidence>(table, &CONFIDENCE);
        let mut rules = RuleReader {
            budgets: self.known.budgets,
            used: &mut self.used,
            mark_mask: self.known.mark_mask,
        };
        let (said, spans) = rules.read(reader, table);
        let windows = windows::read(reader, table, &mut rules);
        let place = |span: Range<usize>| reader.at(span).place;
        let prefixes = |list: &[Listed]| list.iter().map(|one| one.place(reader)).collect();
        let places = PolicyPlaces {
            header: place(header.clone()),
            mode: mode.as_ref().map(|mode| place(mode.span())),
            confidence: confidence
                .as_ref()
                .map(|confidence| place(confidence.span())),
            subnets: prefixes(&hosts.subnets),
            exempt: prefixes(&hosts.exempt),
            rules: spans
                .iter()
                .map(|(key, span)| (*key, place(span.clone())))
                .collect(),
            windows: windows.iter().map(|window| window.places(reader)).collect(),
        };
        let nets = |list: &[Listed]| list.iter().map(|one| one.net).collect();
        let policy = Policy {
            name,
            subnets: nets(&hosts.subnets),
            vlans: hosts.vlans,
            interfaces: hosts.interfaces,
            exempt: nets(&hosts.exempt),
            rules: said,
            windows: windows.iter().map(|window| window.window.clone()).collect(),
            mode: mode.map_or(Mode::Enforce, Spanned::into_inner),
            confidence: confidence.map_or(Confidence::Strong, Spanned::into_inner),
        };
        checks::too_many_budgets(reader, &policy, &spans, &windows, self.known.budgets);
        checks::idle_windows(reader, &policy, &windows);
        self.headers.push(reader.at(header));
        self.list.push((policy, places));
    }

    fn name(
        &mut self,
        reader: &mut Reader<'_>,
        table: &DeTable<'_>,
        header: &Range<usize>,
    ) -> String {
        let Some(name) = reader.string(table, &NAME) else {
            if !table.contains_key(NAME.name) {
                reader.missing(header.clone(), "this policy has no name".into(), &NAME);
            }
            return String::new();
        };
        let (at, name) = (name.span(), name.into_inner());
        if !is_name(name) {
            let message = format!("{} can't be the name of a policy", quoted(name));
            reader.error(at, message, NAME_HELP);
        } else if let Some(first) = self.names.get(name) {
            let message = format!("there is a policy {} already", quoted(name));
            reader.conflict(
                at,
                message,
                "give it another name",
                first.clone(),
                "the first one",
            );
        } else {
            self.names.insert(name.into(), reader.at(at));
        }
        name.into()
    }

    /// What the policy is for.
    fn hosts(
        &mut self,
        reader: &mut Reader<'_>,
        table: &DeTable<'_>,
        header: &Range<usize>,
        name: &str,
    ) -> Hosts {
        let vlans = vlans(reader, table);
        let interfaces = self.interfaces(reader, table);
        let mut places: Vec<Place> = vlans.iter().map(|vlan| Place::Vlan(*vlan)).collect();
        places.extend(interfaces.iter().cloned().map(Place::Interface));
        if places.is_empty() {
            places.push(Place::Anywhere);
        }
        let by_place = [&VLANS, &INTERFACES]
            .into_iter()
            .find_map(|key| table.get(key.name));
        let listed = match (table.get(SUBNETS.name), by_place) {
            (Some(value), _) => self.subnets(reader, value, name),
            (None, Some(value)) => everyone(value),
            (None, None) => {
                let message = no_hosts(name);
                reader.missing(header.clone(), message, &SUBNETS);
                Vec::new()
            }
        };
        let subnets = self.take(reader, listed, &places, name);
        let exempt = match table.get(POLICY_EXEMPT.name) {
            Some(value) => self.exempt(reader, value, &subnets, name),
            None => Vec::new(),
        };
        let needs = |list: &[Listed]| -> usize {
            list.iter().map(|one| mapped_prefixes(one.net).len()).sum()
        };
        self.size += (needs(&subnets) + needs(&exempt)) * places.len();
        Hosts {
            subnets,
            vlans,
            interfaces,
            exempt,
        }
    }

    fn subnets(&self, reader: &mut Reader<'_>, value: &Value<'_>, name: &str) -> Vec<Listed> {
        if is_empty(value) {
            let help = format!("write it like {}", SUBNETS.example);
            reader.error(value.span(), no_hosts(name), help);
        }
        prefixes::read(reader, value, &SUBNETS, self.known.groups)
    }

    /// The prefixes that no other policy has at these places; of the others the first of a list
    /// is reported.
    fn take(
        &mut self,
        reader: &mut Reader<'_>,
        listed: Vec<Listed>,
        places: &[Place],
        name: &str,
    ) -> Vec<Listed> {
        let mut taken = Vec::new();
        let mut told: Option<Range<usize>> = None;
        // Beyond that there is no room anyway, which is said once.
        let room = MAX_PREFIXES.saturating_sub(self.size) / places.len().max(1);
        for one in listed.into_iter().take(room + 1) {
            let place = |place: &Place| (place.clone(), one.net);
            let clash = places.iter().find_map(|at| {
                let taken = self.prefixes.get(&place(at))?;
                Some((at, taken))
            });
            if let Some((at, other)) = clash {
                if told.as_ref() != Some(&one.span) {
                    let (message, help) = other.clash(one.net, at, self.seen);
                    let first = other.at.clone();
                    reader.conflict(one.span.clone(), message, help, first, "taken here");
                    told = Some(one.span.clone());
                }
                continue;
            }
            let at = reader.at(one.span.clone());
            for known in places {
                let taken = Taken {
                    policy: self.seen,
                    name: name.into(),
                    at: at.clone(),
                };
                self.prefixes.insert(place(known), taken);
            }
            taken.push(one);
        }
        taken
    }

    /// Hosts of a policy that are exempt: within its prefixes, and fewer than them.
    fn exempt(
        &self,
        reader: &mut Reader<'_>,
        value: &Value<'_>,
        subnets: &[Listed],
        name: &str,
    ) -> Vec<Listed> {
        let listed = prefixes::read(reader, value, &POLICY_EXEMPT, self.known.groups);
        let fits = |one: &Listed, reader: &mut Reader<'_>| {
            if let Some(whole) = subnets.iter().find(|subnet| subnet.net == one.net) {
                let message = format!("policy {} is for {} and exempts it", quoted(name), one.net);
                let help = "remove one of the two";
                let other = reader.at(whole.span.clone());
                reader.conflict(one.span.clone(), message, help, other, "the prefix");
                return false;
            }
            if subnets.is_empty() || subnets.iter().any(|subnet| subnet.net.contains(&one.net)) {
                return true;
            }
            let message = format!("policy {} isn't for {}", quoted(name), one.net);
            let help = "exempt hosts of its `subnets`, or use `exempt` at the top of the file";
            reader.error(one.span.clone(), message, help);
            false
        };
        listed.into_iter().filter(|one| fits(one, reader)).collect()
    }

    fn interfaces(&self, reader: &mut Reader<'_>, table: &DeTable<'_>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let Some(value) = table.get(INTERFACES.name) else {
            return names;
        };
        if is_empty(value) {
            reader.error(value.span(), "no interface is named", like(&INTERFACES));
        }
        for item in reader.strings_of(value, &INTERFACES).unwrap_or_default() {
            let name = *item.get_ref();
            if names.iter().any(|known| known == name) {
                let message = format!("interface {} is named twice", quoted(name));
                reader.warning(item.span(), message, "name it once");
                continue;
            }
            self.interface(reader, &item);
            names.push(name.to_owned());
        }
        names
    }

    /// Says what is wrong with an interface of a policy.
    fn interface(&self, reader: &mut Reader<'_>, item: &Spanned<&str>) {
        let name = *item.get_ref();
        let Some(known) = &self.known.interfaces else {
            let message = format!("no file here says what interface {} is", quoted(name));
            let help = "check it together with the gateway's file: else this is for no host";
            reader.note(item.span(), message, help);
            return;
        };
        let inside =
            |(_, side): &&(String, Option<InterfaceSide>)| *side != Some(InterfaceSide::Outside);
        let names = || known.iter().filter(inside).map(|(name, _)| name.as_str());
        match known.iter().find(|(known, _)| known == name) {
            Some((_, Some(InterfaceSide::Outside))) => {
                let message = format!("interface {} faces the outside", quoted(name));
                let help = "name the inside interface at which the hosts are met";
                reader.error(item.span(), message, help);
            }
            Some(_) => {}
            None => {
                let message = format!("the gateway has no interface {}", quoted(name));
                let help = match nearest(name, names()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None if names().next().is_none() => "add an [[interface]] of this name".into(),
                    None => {
                        let names = names().map(|name| format!("\"{name}\""));
                        format!("write {}", listed(names, "or"))
                    }
                };
                reader.error(item.span(), message, help);
            }
        }
    }
}

fn vlans(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Vec<u16> {
    let mut vlans = Vec::new();
    let Some(value) = table.get(VLANS.name) else {
        return vlans;
    };
    if is_empty(value) {
        reader.error(value.span(), "no VLAN is named", like(&VLANS));
    }
    for vlan in reader.integers(table, &VLANS, 1..=4094).unwrap_or_default() {
        let number = *vlan.get_ref() as u16;
        if vlans.contains(&number) {
            let message = format!("VLAN {number} is named twice");
            reader.warning(vlan.span(), message, "name it once");
        } else {
            vlans.push(number);
        }
    }
    vlans
}

/// Every host, where `value` says at which places.
fn everyone(value: &Value<'_>) -> Vec<Listed> {
    let nets = [
        IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(ipnet::Ipv6Net::default()),
    ];
    let listed = nets.map(|net| Listed {
        net,
        span: value.span(),
        group: None,
    });
    listed.into()
}

fn no_hosts(name: &str) -> String {
    format!(
        "policy {} has no subnets: it would be for no host",
        quoted(name)
    )
}

fn like(key: &Key) -> String {
    format!("write it like {}", key.example)
}

fn is_empty(value: &Value<'_>) -> bool {
    matches!(value.get_ref(), DeValue::Array(list) if list.is_empty())
}

impl Taken {
    /// What to say to policy number `asking`, which wants `net` at `place` too.
    fn clash(&self, net: IpNet, place: &Place, asking: usize) -> (String, &'static str) {
        if self.policy == asking {
            return (format!("this policy has {net} already"), "say it once");
        }
        let at = match place {
            Place::Anywhere => String::new(),
            Place::Vlan(vlan) => format!(" in VLAN {vlan}"),
            Place::Interface(name) => format!(" at interface {}", quoted(name)),
        };
        let message = format!("policy {} has {net}{at} already", quoted(&self.name));
        let help = "a prefix belongs to one policy: write a longer prefix, or remove one";
        (message, help)
    }
}
