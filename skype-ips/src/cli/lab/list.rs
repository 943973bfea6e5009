//! `skype-ips lab list`: ready scenarios, and what is up.

use std::path::PathBuf;

use serde_json::json;

use super::super::{Failure, print};
use super::{failure, scenario};
use crate::lab::hand::{self, Place, Shaper, State};

/// List ready scenarios, and the labs that are up
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Folder under which labs have theirs [default: /run/skype-ips; not root: $XDG_RUNTIME_DIR/skype-ips]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Print a JSON line for each scenario and for each lab
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let run_dir = args.run_dir.clone().unwrap_or_else(hand::default_run_dir);
    let up = hand::all_up(&run_dir).map_err(failure)?;
    let mut text = String::new();
    if args.json {
        for (name, about) in scenario::all_ready() {
            let line = json!({"event_type": "lab-scenario", "scenario": name, "about": about});
            text += &format!("{line}\n");
        }
        for state in &up {
            text += &json(state)?;
        }
        return print(&text);
    }
    text += "ready scenarios\n";
    let ready = scenario::all_ready();
    let width = ready.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in ready {
        text += &format!("  {name:<width$}  {about}\n");
    }
    if up.is_empty() {
        text += "\nno lab is up\n";
    }
    for state in &up {
        text += "\n";
        text += &table(state);
    }
    print(&text)
}

/// A lab as a JSON line.
pub(super) fn json(state: &State) -> Result<String, Failure> {
    let mut line = serde_json::to_value(state).map_err(Failure::failed)?;
    line["event_type"] = "lab-up".into();
    Ok(format!("{line}\n"))
}

/// A lab for people.
pub(super) fn table(state: &State) -> String {
    let plan = &state.plan;
    let (instance, scenario) = (&state.instance, &plan.scenario);
    let Some(links) = &state.links else {
        return format!("{instance}: {scenario} is being built\n");
    };
    let mut text = format!(
        "{instance}: {scenario} is up, held by process {}\n",
        state.holder
    );
    let by = match links.by {
        Shaper::Netem => "netem",
        Shaper::Tbf => "tbf, for the rate alone: this kernel has no netem",
        Shaper::None => "nothing: this kernel has neither netem nor tbf",
    };
    text += &format!("links by {by}");
    if !links.not_applied.is_empty() {
        let words: Vec<&str> = links.not_applied.iter().map(String::as_str).collect();
        text += &format!("; not applied: {}", words.join(", "));
    }
    text.push('\n');
    let path = |name: &str| {
        let all = state.namespaces.iter();
        let found = all.into_iter().find(|namespace| namespace.name == name);
        found.map_or_else(String::new, |found| found.path.display().to_string())
    };
    let mut rows = vec![["party", "address", "network", "namespace"].map(str::to_owned)];
    rows.push([
        "gateway".to_owned(),
        plan.gateway.to_string(),
        state
            .gateway_interfaces()
            .into_iter()
            .map(|(interface, network)| format!("{network} {interface}"))
            .collect::<Vec<_>>()
            .join(", "),
        path("gateway"),
    ]);
    for party in &plan.parties {
        let network = match party.place {
            Place::Inside(number) => {
                let network = &plan.networks[number];
                let nat = if network.nat { ", NAT" } else { "" };
                format!("{} ({}{nat})", network.name, network.subnet)
            }
            Place::Home(number) => {
                let home = &plan.homes[number];
                format!("{} ({}, as {})", home.name, home.subnet, home.public)
            }
            Place::Outside => "outside".to_owned(),
        };
        rows.push([
            party.name.clone(),
            party.address.to_string(),
            network,
            path(&party.name),
        ]);
    }
    text + &super::columns(&rows)
}
