//! An explanation as a person reads it.

use std::fmt;

use super::{BudgetTold, Covering, Exempt, Explanation, Told, WindowState};
use crate::policy::vocabulary::{Class, Restriction, Role};
use crate::toml_file::listed;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        if self.vlan != 0 {
            write!(f, " in VLAN {}", self.vlan)?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " at interface {interface}")?;
        }
        let Some(policy) = &self.policy else {
            return match &self.exempt {
                Some(exempt) => exempt.fmt(f),
                None => write!(f, " is under no policy: it is let alone"),
            };
        };
        writeln!(f, "{policy}")?;
        for (key, value, place) in [
            (
                "default",
                policy.default.value.word(),
                policy.default.place(),
            ),
            (
                "ambiguous",
                policy.ambiguous.value.word(),
                policy.ambiguous.place(),
            ),
            ("mode", policy.mode.value.word(), policy.mode.place()),
            (
                "confidence",
                policy.confidence.value.word(),
                policy.confidence.place(),
            ),
            (
                "gateway's mode",
                self.gateway_mode.value.word(),
                self.gateway_mode.place(),
            ),
        ] {
            writeln!(f, "  {key:<15} {value:<10} {place}")?;
        }
        self.windows(f, policy)?;
        policy.specific(f)?;
        policy.outcomes(f)
    }
}

impl fmt::Display for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " is exempt by {}", self.prefix)?;
        match &self.group {
            Some((group, held)) => {
                write!(f, " of group `{group}` ({held}), named in {}", self.place)?;
            }
            None => write!(f, " ({})", self.place)?,
        }
        if let Some(policy) = &self.policy {
            write!(f, " from policy `{policy}`")?;
        }
        write!(f, ": it is let alone")
    }
}

/// Which policy it is, and by which prefix.
impl fmt::Display for Covering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            header,
            prefix,
            prefix_place,
            ..
        } = self;
        write!(f, " is under policy `{name}` ({header}) by {prefix}")?;
        match &self.group {
            Some((group, held)) => {
                write!(f, " of group `{group}` ({held}), named in {prefix_place}")
            }
            None => write!(f, " ({prefix_place})"),
        }
    }
}

impl Explanation {
    fn windows(&self, f: &mut fmt::Formatter<'_>, policy: &Covering) -> fmt::Result {
        if policy.windows.is_empty() {
            return Ok(());
        }
        let now = self.at.to_zoned(policy.zone.clone());
        writeln!(f, "windows, on {}:", now.strftime("%a %Y-%m-%d %H:%M %Z"))?;
        for window in &policy.windows {
            let changes = window.changes_at.map_or_else(
                || "for long".to_owned(),
                |at| {
                    at.to_zoned(policy.zone.clone())
                        .strftime("until %a %H:%M")
                        .to_string()
                },
            );
            let state = if window.open { "open" } else { "closed" };
            writeln!(f, "  {state:<6} {changes:<16} {window}, {}", window.place)?;
        }
        Ok(())
    }
}

/// When it is open.
impl fmt::Display for WindowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = self.days.iter().map(|day| day.word()).collect();
        let days = match days.len() {
            7 => "every day".to_owned(),
            _ => days.join(" "),
        };
        write!(f, "{days} from {} to {}", self.from, self.to)
    }
}

impl Covering {
    /// What is said by role and class; those of which the same is said by the same keys share a line.
    fn specific(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what is said of Skype now, by role and class:")?;
        self.lines(f, None)?;
        for restriction in Restriction::ALL {
            if self
                .rules
                .iter()
                .any(|told| told.restriction == Some(*restriction))
            {
                writeln!(f, "{}:", self.title(*restriction))?;
                self.lines(f, Some(*restriction))?;
            }
        }
        let mut budgets: Vec<&BudgetTold> = Vec::new();
        for budget in self.rules.iter().flat_map(|told| &told.budgets) {
            if !budgets.contains(&budget) {
                budgets.push(budget);
            }
        }
        if !budgets.is_empty() {
            writeln!(f, "budgets:")?;
        }
        for budget in budgets {
            writeln!(f, "  {} ({})", budget.words, budget.place)?;
        }
        Ok(())
    }

    fn lines(&self, f: &mut fmt::Formatter<'_>, restriction: Option<Restriction>) -> fmt::Result {
        let of_roles = Role::ALL.iter().map(|role| self.alike(*role, restriction));
        let of_roles: Vec<_> = of_roles.collect();
        let alike = |one: &Vec<Vec<&Told>>| match (&one[..], &of_roles[0][..]) {
            ([one], [first]) => one[0].says_as(first[0]),
            _ => false,
        };
        if of_roles.iter().all(alike) {
            return writeln!(f, "  everything: {}", of_roles[0][0][0]);
        }
        for (role, groups) in Role::ALL.iter().zip(of_roles) {
            for group in groups {
                writeln!(f, "  {role}, {}: {}", classes(&group), group[0])?;
            }
        }
        Ok(())
    }

    fn title(&self, restriction: Restriction) -> String {
        match restriction {
            Restriction::Udp => "of Skype by UDP (`udp`)".into(),
            Restriction::OnlyVia => {
                let proxies = listed(self.proxies.iter().cloned(), "or");
                match proxies.is_empty() {
                    true => "of all Skype, for no proxy is left (`only-via`)".into(),
                    false => format!("of Skype that doesn't go to {proxies} (`only-via`)"),
                }
            }
            Restriction::ListeningPort => {
                let ports = self.ports.iter().map(ToString::to_string);
                let ports = listed(ports, "and");
                match ports.is_empty() {
                    true => "of TCP to ports where Skype listens (`listening-port`)".into(),
                    false => format!(
                        "of TCP to ports where Skype listens, and to {ports} (`listening-port`)"
                    ),
                }
            }
        }
    }

    /// What is said of a role's classes, in groups of which the same is said by the same keys.
    fn alike(&self, role: Role, restriction: Option<Restriction>) -> Vec<Vec<&Told>> {
        let mut groups: Vec<Vec<&Told>> = Vec::new();
        let of_role = |told: &&Told| told.role == role && told.restriction == restriction;
        for told in self.rules.iter().filter(of_role) {
            let same = |group: &&mut Vec<&Told>| group[0].says_as(told);
            match groups.iter_mut().find(same) {
                Some(group) => group.push(told),
                None => groups.push(vec![told]),
            }
        }
        groups
    }

    /// What is really done, and why it isn't what is said.
    fn outcomes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sure = &self.confidence;
        writeln!(
            f,
            "anything stricter than an alert needs a finding that is {} ({})",
            sure.value,
            sure.place()
        )?;
        write!(
            f,
            "what is done with Skype of which nothing more specific is said, by how sure the finding is:"
        )?;
        for outcome in &self.outcomes {
            let (confidence, action) = (outcome.confidence.word(), outcome.action.word());
            write!(f, "\n  {confidence:<15} {action:<10}")?;
            if let Some(reason) = &outcome.held_because {
                let said = self.general();
                write!(f, " {said} held to {action} because {reason}")?;
            }
        }
        let held = &self.ambiguous_outcome;
        write!(
            f,
            "\nwhat is done with what may be Skype's or Teams': {}",
            held.action
        )?;
        if let Some(reason) = &held.held_because {
            let said = self.ambiguous.value;
            write!(f, ", {said} held to {} because {reason}", held.action)?;
        }
        Ok(())
    }
}

fn classes(group: &[&Told]) -> String {
    match group.len() == Class::ALL.len() {
        true => "everything".into(),
        false => listed(group.iter().map(|told| told.class.to_string()), "and"),
    }
}

impl Told {
    /// Whether the same is said by the same keys, of whatever it is.
    fn says_as(&self, other: &Self) -> bool {
        let of_other = Self {
            role: other.role,
            class: other.class,
            ..self.clone()
        };
        of_other == *other
    }
}

/// What is said, what accompanies it, and who says so.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        if !self.budgets.is_empty() {
            let budgets = self.budgets.iter().map(|one| format!("`{}`", one.name));
            write!(f, " to {}", listed(budgets, "and"))?;
        }
        if let Some((value, mask)) = self.mark {
            write!(f, ", mark {value:#x}/{mask:#x}")?;
        }
        if let Some(dscp) = self.dscp {
            write!(f, ", dscp {dscp}")?;
        }
        if self.done != self.action {
            write!(f, ", held to {}", self.done)?;
        }
        let said = self.said_by.iter().map(|said| {
            let window = if said.window { " of a window" } else { "" };
            format!("`{}`{window} in {}", said.key, said.place)
        });
        match self.said_by.is_empty() {
            true => write!(f, " (built in)"),
            false => write!(f, " (by {})", listed(said, "and")),
        }
    }
}
