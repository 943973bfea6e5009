//! What a policy says of Skype, by role, class and path.

use std::net::SocketAddr;

use super::vocabulary::{Action, Class, Role};

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
}
