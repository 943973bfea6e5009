//! Generated sessions through gate, engine and report: whatever paths and captures do to them, a
//! session that still carries evidence is found, with every flow of it.
//!
//! The sessions come from `skype_ips::simulator::speech` and from here, neither of which knows the
//! detectors.
#![cfg(target_os = "linux")]

mod connections;
mod enough;
mod found;
mod fragments;
mod hints;
mod links;
mod mangle;
mod media;
mod names;
mod openings;
mod order;
mod proxies;
mod script;
mod sessions;
mod skypeout;
#[path = "../support/mod.rs"]
mod support;
mod trial;
mod tunnels;
mod vectors;
mod wire;
