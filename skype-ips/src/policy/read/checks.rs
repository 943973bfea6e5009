//! What can be wrong with policies that are each written well.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use skype_ips_common::layout::{ANYWHERE, BUDGETS_PER_ACTION, EXEMPT, path};

use super::super::model::{Open, Policy, PolicySet, to_mapped};
use super::super::rule::{Rule, RuleKey, Rules};
use super::super::vocabulary::{Class, Mode, Restriction, Role};
use super::super::window::Window;
use super::budgets::Budgets;
use super::rules::RuleSpans;
use super::windows::ReadWindow;
use crate::toml_file::{Excerpt, Problem, Reader, Severity, quoted};

/// Everything that rules say together: of each role, class and path, and of what is ambiguous.
fn everything(rules: &[&Rules]) -> Vec<Rule> {
    let mut said = vec![Rules::ambiguous_together(rules)];
    for (role, class, on) in cases() {
        said.push(Rules::together(rules, role, class, on));
    }
    said
}

fn cases() -> impl Iterator<Item = (Role, Class, u8)> {
    Role::ALL.iter().flat_map(|role| {
        let classes = Class::ALL.iter();
        classes.flat_map(|class| (0..path::COUNT).map(|on| (*role, *class, on)))
    })
}

/// Refuses a policy under which a packet could have to pay more budgets than an entry of the tables
/// names.
pub(super) fn too_many_budgets(
    reader: &mut Reader<'_>,
    policy: &Policy,
    spans: &RuleSpans,
    windows: &[ReadWindow],
    budgets: &Budgets,
) {
    let all: Vec<_> = std::iter::once((&policy.rules, spans))
        .chain(windows.iter().map(|one| (&one.window.rules, &one.spans)))
        .collect();
    let named = all.iter().flat_map(|(rules, spans)| {
        let keys = spans.keys();
        keys.filter_map(|key| rules.get(*key))
            .flat_map(|rule| &rule.budgets)
    });
    if named.collect::<BTreeSet<_>>().len() <= BUDGETS_PER_ACTION {
        return;
    }
    for open in Window::open_sets(&policy.windows) {
        let layers = policy.layers(&open);
        for (role, class, on) in cases() {
            let rule = Rules::together(&layers, role, class, on);
            if rule.budgets.len() <= BUDGETS_PER_ACTION {
                continue;
            }
            let last = rule.budgets.last().copied().unwrap_or_default();
            let naming = all.iter().rev().find_map(|(rules, spans)| {
                let names = |key: &RuleKey| {
                    rules
                        .get(*key)
                        .is_some_and(|rule| rule.budgets.contains(&last))
                };
                spans
                    .iter()
                    .find(|(key, _)| names(key))
                    .map(|(_, span)| span.clone())
            });
            let names = rule
                .budgets
                .iter()
                .map(|place| quoted(&budgets.list[usize::from(*place)].name));
            let names: Vec<_> = names.collect();
            let by = match on {
                0 => String::new(),
                on => {
                    let met = Restriction::ALL.iter().filter(|one| on & one.path() != 0);
                    let met: Vec<_> = met.map(|one| format!("`{one}`")).collect();
                    format!(" that meets {}", met.join(" and "))
                }
            };
            let message = format!(
                "{role} {class}{by} would have to obey {} budgets at once: {}",
                names.len(),
                names.join(", ")
            );
            let help = format!(
                "at most {BUDGETS_PER_ACTION} can be obeyed together, those of restrictions and \
                 open windows included: name fewer"
            );
            reader.error(naming.unwrap_or_default(), message, help);
            return;
        }
    }
}

/// Warns of a window's keys that are never stricter than what the policy says anyway.
pub(super) fn idle_windows(reader: &mut Reader<'_>, policy: &Policy, windows: &[ReadWindow]) {
    for ReadWindow { window, spans, .. } in windows {
        let with = everything(&[&policy.rules, &window.rules]);
        for (key, span) in spans {
            let mut without = window.rules.clone();
            *without.get_mut(*key) = None;
            let of_places = !window.rules.ports.is_empty() || !window.rules.proxies.is_empty();
            let matters = matches!(key, RuleKey::Restriction(_)) && of_places
                || everything(&[&policy.rules, &without]) != with;
            if !matters {
                let message = format!("`{key}` of this window changes nothing");
                let help = "a window can only make it stricter than what the policy says anyway: \
                            write a stricter action here, or a milder one there";
                reader.warning(span.clone(), message, help);
            }
        }
    }
}

/// Warns of budgets that no action names.
pub(super) fn unused(budgets: &Budgets, is_used: impl Fn(u16) -> bool) -> Vec<Problem> {
    let places = (0u16..).zip(budgets.list.iter().zip(&budgets.at));
    let unused = places.filter(|(place, _)| !is_used(*place));
    let problems = unused.map(|(_, (budget, at))| {
        let message = format!("no action names the budget {}", quoted(&budget.name));
        let help = format!(
            "write {{ throttle = \"{}\" }} somewhere, or remove it",
            budget.name
        );
        Problem::new(Severity::Warning, at.clone(), message, help)
    });
    problems.collect()
}

/// Whether a prefix covers all of these. Where all were refused there are none.
fn is_within(net: &IpNet, subnets: &[IpNet]) -> bool {
    !subnets.is_empty() && subnets.iter().all(|subnet| net.contains(subnet))
}

/// Refuses exempt prefixes that some policy has: one of the two is a slip.
pub(super) fn exempt_policies(
    set: &PolicySet,
    headers: &[Excerpt],
    exempt: &[(IpNet, Excerpt)],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (net, at) in exempt {
        for (policy, header) in set.policies.iter().zip(headers) {
            let name = quoted(&policy.name);
            if policy.subnets.contains(net) {
                let message = format!("policy {name} is for {net}, which is exempt");
                let help = "remove one of the two";
                let problem = Problem::error(at.clone(), message, help);
                problems.push(problem.related(header.clone(), "the policy"));
            } else if is_within(net, &policy.subnets) {
                let message = format!("all hosts of policy {name} are exempt");
                let help = "exempt fewer hosts, or remove the policy";
                let problem = Problem::new(Severity::Warning, at.clone(), message, help);
                problems.push(problem.related(header.clone(), "the policy"));
            }
        }
    }
    problems
}

/// Refuses policies that could stop Skype of hosts from which the gateway is managed.
pub(super) fn management(
    set: &PolicySet,
    headers: &[Excerpt],
    management: &[(IpAddr, Excerpt)],
) -> Vec<Problem> {
    if management.is_empty() {
        return Vec::new();
    }
    let compiled = set.compile(Mode::Enforce, &Open::default(), &[]);
    let mut places: Vec<u32> = compiled.places().collect();
    if !places.contains(&ANYWHERE) {
        places.push(ANYWHERE);
    }
    places.sort_unstable();
    let mut problems = Vec::new();
    for (address, at) in management {
        let mut told = BTreeSet::new();
        for place in &places {
            let entry = compiled.policy(*place, &to_mapped(*address));
            let Some(index) = entry
                .map(|entry| entry.index)
                .filter(|index| *index != EXEMPT)
            else {
                continue;
            };
            let policy = &set.policies[usize::from(index)];
            if policy.mode == Mode::Enforce && enforces(policy) && told.insert(index) {
                let message = format!(
                    "policy {} could stop packets of {address}, from which the gateway is managed",
                    quoted(&policy.name)
                );
                let help = format!(
                    "add exempt = [\"{address}\"] to the policy or at the top of the file, or let it \
                     alert only"
                );
                let header = headers[usize::from(index)].clone();
                let problem = Problem::error(at.clone(), message, help);
                problems.push(problem.related(header, "the policy"));
            }
        }
    }
    problems
}

/// Whether a policy says of anything, at any time, that packets may be lost.
fn enforces(policy: &Policy) -> bool {
    let windows = policy.windows.iter().map(|window| &window.rules);
    let all = std::iter::once(&policy.rules).chain(windows);
    all.into_iter().any(|rules| {
        everything(&[rules])
            .iter()
            .any(|rule| rule.action.is_enforced())
    })
}
