//! Finds classic Skype in a gateway's traffic and blocks it.
//!
//! The pipeline, from the bottom: [`engine`] judges the packets that the gate (in
//! `skype-ips-common`) sends up, by what `detect` proves and what `hosts` remembers; [`policy`]
//! says what is done with a finding; [`kernel`] holds the edges to BPF, NFQUEUE and the firewall.

pub mod cli;
pub mod engine;
pub mod kernel;
pub mod policy;
