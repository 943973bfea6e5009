//! What a policy says of Skype, by role, class and path.

use std::fmt;
use std::net::SocketAddr;

use skype_ips_common::layout::path;

use super::vocabulary::{Action, Class, Restriction, Role};

/// An action with what accompanies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is done.
    pub action: Action,
    /// Of a throttle: places of its budgets in [`super::PolicySet::budgets`], all of which are obeyed.
    pub budgets: Vec<u16>,
    /// Bits to write into the mark of packets that pass: value and mask.
    pub mark: Option<(u32, u32)>,
    /// The code point to write into packets that pass, 0 to 63.
    pub dscp: Option<u8>,
}

impl From<Action> for Rule {
    fn from(action: Action) -> Self {
        Self {
            action,
            budgets: Vec::new(),
            mark: None,
            dscp: None,
        }
    }
}

impl Rule {
    /// The stricter of two rules; of two throttles all budgets. What accompanies the stricter action
    /// goes before what accompanies the other.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let (strict, mild) = if other.action > self.action {
            (other, self)
        } else {
            (self, other)
        };
        let mut both = strict.clone();
        if mild.action == strict.action {
            for budget in &mild.budgets {
                if !both.budgets.contains(budget) {
                    both.budgets.push(*budget);
                }
            }
        }
        both.mark = both.mark.or(mild.mark);
        both.dscp = both.dscp.or(mild.dscp);
        both
    }

    /// Whether it says nothing but that packets pass.
    pub const fn is_plain_allow(&self) -> bool {
        matches!(self.action, Action::Allow) && self.mark.is_none() && self.dscp.is_none()
    }

    /// The rule where nothing is enforced: an alert at most.
    #[must_use]
    pub fn monitored(&self) -> Self {
        self.action.min(Action::Alert).into()
    }
}

/// The keys of a policy or of a window; `None` where it doesn't say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Where nothing more specific is said.
    pub default: Option<Rule>,
    /// Of what may be Skype's or Teams': `default` is not for it.
    pub ambiguous: Option<Rule>,
    /// By role.
    pub roles: [Option<Rule>; Role::ALL.len()],
    /// By class.
    pub classes: [Option<Rule>; Class::ALL.len()],
    /// By role, then class.
    pub both: [[Option<Rule>; Class::ALL.len()]; Role::ALL.len()],
    /// Of TCP that the outside opens to where Skype listens.
    pub listening_port: Option<Rule>,
    /// TCP ports on which Skype listens besides those that are learned.
    pub ports: Vec<u16>,
    /// Of Skype by UDP.
    pub udp: Option<Rule>,
    /// Of Skype that doesn't go through one of `proxies`.
    pub only_via: Option<Rule>,
    /// The proxies of `only_via`.
    pub proxies: Vec<SocketAddr>,
}

impl Rules {
    /// What is said of a class in a role, the most specific first: role and class, role, class,
    /// default.
    pub fn of(&self, role: Role, class: Class) -> Option<&Rule> {
        let (role, class) = (role as usize, class as usize);
        self.both[role][class]
            .as_ref()
            .or(self.roles[role].as_ref())
            .or(self.classes[class].as_ref())
            .or(self.default.as_ref())
    }

    /// What a key says.
    pub const fn get(&self, key: RuleKey) -> Option<&Rule> {
        match key {
            RuleKey::Default => self.default.as_ref(),
            RuleKey::Ambiguous => self.ambiguous.as_ref(),
            RuleKey::Role(role) => self.roles[role as usize].as_ref(),
            RuleKey::Class(class) => self.classes[class as usize].as_ref(),
            RuleKey::Both(role, class) => self.both[role as usize][class as usize].as_ref(),
            RuleKey::Restriction(Restriction::ListeningPort) => self.listening_port.as_ref(),
            RuleKey::Restriction(Restriction::Udp) => self.udp.as_ref(),
            RuleKey::Restriction(Restriction::OnlyVia) => self.only_via.as_ref(),
        }
    }

    /// Where a key's rule is kept.
    pub const fn get_mut(&mut self, key: RuleKey) -> &mut Option<Rule> {
        match key {
            RuleKey::Default => &mut self.default,
            RuleKey::Ambiguous => &mut self.ambiguous,
            RuleKey::Role(role) => &mut self.roles[role as usize],
            RuleKey::Class(class) => &mut self.classes[class as usize],
            RuleKey::Both(role, class) => &mut self.both[role as usize][class as usize],
            RuleKey::Restriction(Restriction::ListeningPort) => &mut self.listening_port,
            RuleKey::Restriction(Restriction::Udp) => &mut self.udp,
            RuleKey::Restriction(Restriction::OnlyVia) => &mut self.only_via,
        }
    }

    /// The most specific key that says something of a class in a role.
    pub fn key_of(&self, role: Role, class: Class) -> Option<RuleKey> {
        let keys = [
            RuleKey::Both(role, class),
            RuleKey::Role(role),
            RuleKey::Class(class),
            RuleKey::Default,
        ];
        keys.into_iter().find(|key| self.get(*key).is_some())
    }

    /// What several say together of a class in a role that goes on a [`path`]: the strictest of what
    /// each says, and of the restrictions that the path meets.
    pub fn together(several: &[&Self], role: Role, class: Class, on: u8) -> Rule {
        let said = several.iter().filter_map(|rules| rules.of(role, class));
        let restrictions = several.iter().flat_map(|rules| {
            let met = Restriction::ALL.iter().filter(|one| on & one.path() != 0);
            met.filter_map(|one| rules.get(RuleKey::Restriction(*one)))
        });
        strictest(said.chain(restrictions))
    }

    /// What several say together of what may be Skype's or Teams'.
    pub fn ambiguous_together(several: &[&Self]) -> Rule {
        strictest(several.iter().filter_map(|rules| rules.ambiguous.as_ref()))
    }
}

/// The strictest of rules, with what accompanies it or else the next stricter; what is not spoken of
/// is allowed.
fn strictest<'r>(rules: impl Iterator<Item = &'r Rule>) -> Rule {
    let mut rules: Vec<_> = rules.collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.action));
    let strictest = rules.first().copied().cloned();
    let strictest = strictest.unwrap_or_else(|| Action::Allow.into());
    rules
        .into_iter()
        .fold(strictest, |one, other| one.stricter(other))
}

impl Restriction {
    /// The [`path`] that it is about.
    pub const fn path(self) -> u8 {
        match self {
            Self::ListeningPort => path::CALLED,
            Self::Udp => path::UDP,
            Self::OnlyVia => path::DIRECT,
        }
    }
}

/// A key of a policy or a window that says what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKey {
    /// `default`.
    Default,
    /// `ambiguous`.
    Ambiguous,
    /// A role's, or the `default` in its table.
    Role(Role),
    /// A class's.
    Class(Class),
    /// A class's in a role's table.
    Both(Role, Class),
    /// A restriction's.
    Restriction(Restriction),
}

/// As the file has it, `relay.file-transfer` for a key in a role's table.
impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Ambiguous => f.write_str("ambiguous"),
            Self::Role(role) => role.fmt(f),
            Self::Class(class) => class.fmt(f),
            Self::Both(role, class) => write!(f, "{role}.{class}"),
            Self::Restriction(restriction) => restriction.fmt(f),
        }
    }
}
