//! The ready scenarios on simulated time: every party reaches what it set out for, every Skype
//! conversation is found and nothing else, tshark reads what was written, and where Skype is dropped
//! it fails and all else goes on.
//!
//! `SKYPE_IPS_SEEDS` says how many seeds each scenario is played with: 1 by default.

mod dropped;
mod found;
mod goals;
mod paths;
mod played;
mod roles;
mod tshark;
