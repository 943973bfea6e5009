//! What is said of each role and class, and by which keys.

use skype_ips_common::layout::path;

use super::{BudgetTold, Said, Told};
use crate::policy::budget::Budget;
use crate::policy::config::Config;
use crate::policy::places::RulePlaces;
use crate::policy::rule::{Rule, RuleKey, Rules};
use crate::policy::vocabulary::{Class, Mode, Restriction, Role};

/// The proxies that every layer which names some names.
pub(super) fn proxies(layers: &[&Rules]) -> Vec<String> {
    let naming: Vec<_> = layers
        .iter()
        .filter(|rules| rules.only_via.is_some())
        .collect();
    let first = naming.first().map_or(&[][..], |rules| &rules.proxies);
    let of_all = first
        .iter()
        .filter(|proxy| naming.iter().all(|one| one.proxies.contains(proxy)));
    of_all.map(ToString::to_string).collect()
}

/// What is said of every role and class, and of what meets one of the restrictions in force.
pub(super) fn told(config: &Config, index: usize, open: &[bool], mode: Mode) -> Vec<Told> {
    let policy = &config.policies.policies[index];
    let places = &config.places.policies[index];
    let layers = policy.layers(open);
    let windows = places.windows.iter().zip(open).filter(|(_, open)| **open);
    let mut of_layers = vec![(&policy.rules, &places.rules, false)];
    let of_windows = windows.map(|(window, _)| &window.rules);
    of_layers.extend(
        layers[1..]
            .iter()
            .zip(of_windows)
            .map(|(rules, at)| (*rules, at, true)),
    );
    let restrictions = Restriction::ALL.iter().copied().filter(|one| {
        let key = RuleKey::Restriction(*one);
        layers.iter().any(|rules| rules.get(key).is_some())
    });
    let restrictions: Vec<_> = std::iter::once(None)
        .chain(restrictions.map(Some))
        .collect();
    let mut list = Vec::new();
    for restriction in &restrictions {
        for role in Role::ALL {
            for class in Class::ALL {
                let on = restriction.map_or(0, Restriction::path);
                let rule = Rules::together(&layers, *role, *class, on);
                let said_by = said_by(&of_layers, &rule, *role, *class, on);
                let done = match mode {
                    Mode::Enforce => rule.action,
                    Mode::Monitor => rule.monitored().action,
                };
                list.push(Told {
                    role: *role,
                    class: *class,
                    restriction: *restriction,
                    action: rule.action,
                    done,
                    budgets: rule
                        .budgets
                        .iter()
                        .map(|one| budget(config, *one))
                        .collect(),
                    mark: rule.mark,
                    dscp: rule.dscp,
                    said_by,
                });
            }
        }
    }
    list
}

/// The keys that speak of a class in a role on a [`path`], and are as strict as all of them together.
fn said_by(
    layers: &[(&Rules, &RulePlaces, bool)],
    rule: &Rule,
    role: Role,
    class: Class,
    on: u8,
) -> Vec<Said> {
    debug_assert!(on < path::COUNT);
    let mut said = Vec::new();
    for (rules, places, window) in layers {
        let met = Restriction::ALL.iter().filter(|one| on & one.path() != 0);
        let keys = met.map(|one| RuleKey::Restriction(*one));
        for key in rules.key_of(role, class).into_iter().chain(keys) {
            let counts = rules.get(key).is_some_and(|one| {
                let accompanies = one.mark.is_some() && one.mark == rule.mark
                    || one.dscp.is_some() && one.dscp == rule.dscp;
                one.action == rule.action || accompanies
            });
            if let Some(place) = places.get(&key).filter(|_| counts) {
                said.push(Said {
                    key: key.to_string(),
                    place: place.clone(),
                    window: *window,
                });
            }
        }
    }
    said
}

fn budget(config: &Config, place: u16) -> BudgetTold {
    let place = usize::from(place);
    let Budget {
        name,
        rate,
        burst,
        scope,
        direction,
    } = config.policies.budgets[place].clone();
    BudgetTold {
        words: config.policies.budgets[place].to_string(),
        place: config.places.budgets[place].clone(),
        name,
        rate,
        burst,
        scope,
        direction,
    }
}
