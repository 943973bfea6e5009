//! Finds classic Skype in a gateway's traffic and blocks it.
//!
//! The pipeline, from the bottom: [`engine`] judges the packets that the gate (in
//! `skype-ips-common`) sends up, by what `detect` proves and what `hosts` remembers; [`policy`]
//! says what is done with a finding; [`kernel`] holds the edges to BPF, NFQUEUE and the firewall.
//!
//! [`replay`] runs the same over captures, which [`capture`] reads, looks into (tunnels) and copies
//! with comments; [`replay::explain`] says which bytes of which packets proved a conversation.

pub mod capture;
pub mod cli;
#[cfg(target_os = "linux")]
pub mod control;
pub mod detect;
pub mod engine;
pub mod export;
#[cfg(target_os = "linux")]
pub mod gateway;
pub mod hosts;
pub mod kernel;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod policy;
pub mod recent;
pub mod replay;
pub mod simulator;
pub mod telemetry;
mod toml_file;
